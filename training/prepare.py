"""Build the training set: every class labelled in every picture, split by near-duplicates.

    WATCHPOST_DATA=... python -m training.prepare WORK

Teachers label what the data does not: YOLOv8s the COCO classes, CenterFace and YuNet the faces.
Faces of which only one teacher is half sure are painted grey, so that they are neither learned
nor unlearned; in scored pictures all unsure boxes are written to `unsure/` and not counted.
Plates are unlabelled in the cigarette pictures and the clips (rare; taken as absent), and
cigarettes are unlabelled in the clips, of which those that are trained on show none.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import chain
from pathlib import Path
from threading import Semaphore

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.boxes import (
    BAGS,
    CIGARETTE,
    CLASSES,
    FACE,
    NEW_CLASSES,
    PERSON,
    Boxes,
    crop_boxes,
    intersection,
    non_max,
    upper_body,
)
from training.faces import CenterFace, YuNet, agree
from training.network import Image, Network
from training.pictures import Picture, data_root, scoring_pictures, training_pictures
from training.upright import SIZE as UPRIGHT_SIZE
from training.upright import Turn, Upright

SURE, UNSURE = 0.35, 0.15
"""YOLOv8s's confidence from which a box is a label; between the two it counts for nothing."""
SURE_BAG = 0.25
UNSURE_FACE = 0.25
TEACHER_SIZES = (576, 768)
"""YOLOv8s sees a picture at the first of these sizes (pixels) that is not smaller than it."""
SAME_OBJECT_IOU = 0.7
NEAR_DUPLICATE_BITS = 8
VALIDATION_SHARE = {"cigarettes": 0.05, "plates": 0.2, "plate_boxes": 0.2}
MIN_CROP_SIDE = 96
"""Pixels of the smallest upper-body crop worth learning from."""
REPEATS = {"plates": 3, "plate_boxes": 3}
BAG_REPEATS = 3
TURNED_SOURCES = ("cigarettes", "cigarettes_val")
"""Sets in which some pictures lie on their side."""
JPEG_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 93]


@dataclass(frozen=True)
class Labels:
    """What the data and the teachers say about one picture."""

    sure: Boxes
    unsure: Boxes


class Teachers:
    """YOLOv8s for the COCO classes, CenterFace and YuNet for faces."""

    def __init__(self, weights: Path) -> None:
        cv2.setNumThreads(1)
        self.objects = Network(weights / "yolov8s.pt", threads=1)
        self.centerface = CenterFace(threads=1)
        self.yunet = YuNet(weights / "yunet_s_dynamic.onnx")
        people = Network(weights / "yolov8n.pt", UPRIGHT_SIZE, threads=1)
        self.upright = Upright(self.centerface, people)

    def label(self, picture: Picture) -> tuple[Labels, Turn]:
        """The given boxes and the teachers' in one picture, and the turn that sets it upright.

        Teachers look at the upright picture; the labels are of the picture as it is.
        """
        height, width = picture.image.shape[:2]
        turn = Turn(0, width, height)
        if picture.source in TURNED_SOURCES:
            turn = self.upright.find(picture.image)
        labels = self.look(turn.image(picture.image))
        sure, unsure = (turn.back.boxes(b) for b in (labels.sure, labels.unsure))
        return Labels(Boxes.join(picture.given, sure), unsure), turn

    def look(self, image: Image) -> Labels:
        """What the teachers see in (H, W, 3) BGR."""
        longest = max(image.shape[:2])
        self.objects.size = next((s for s in TEACHER_SIZES if s >= longest), TEACHER_SIZES[-1])
        found = self.objects.detect(image, UNSURE)
        kinds = np.array([one_of_a_kind(int(label)) for label in found.labels], int)
        found = non_max(found, SAME_OBJECT_IOU, kinds)
        needed = np.where(np.isin(found.labels, BAGS), SURE_BAG, SURE)
        sure = found.scores >= needed
        faces, unsure_faces = agree(
            self.centerface.detect(image, UNSURE_FACE), self.yunet.detect(image, 0.5)
        )
        return Labels(Boxes.join(found[sure], faces), Boxes.join(found[~sure], unsure_faces))


def one_of_a_kind(label: int) -> int:
    """A class's kind: one thing is not both a car and a truck, nor two sorts of bag."""
    return {"backpack": 1, "handbag": 1, "suitcase": 1, "car": 4, "bus": 4, "truck": 4}.get(
        CLASSES[label], label
    )


def difference_hash(image: Image) -> NDArray[np.uint8]:
    """dHash: (64,) bits, whether each of 8x8 cells is brighter than its right neighbour."""
    small = cv2.resize(
        cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (9, 8), interpolation=cv2.INTER_AREA
    )
    return (small[:, :-1] > small[:, 1:]).astype(np.uint8).reshape(-1)


def near_duplicate_groups(hashes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(N,) group of each picture: those linked by hashes that differ in a few of (N, 64) bits."""
    signs = hashes.astype(np.float32) * 2 - 1
    groups = np.arange(len(signs))
    for i, sign in enumerate(signs):
        differing = (64 - signs[:i] @ sign) / 2
        for twin in np.unique(groups[:i][differing <= NEAR_DUPLICATE_BITS]):
            groups[: i + 1][groups[: i + 1] == twin] = groups[i]
    return groups


def validation_groups(groups: NDArray[np.int64], sources: list[str]) -> set[int]:
    """Whole groups drawn for validation until each source has given its share."""
    drawn: set[int] = set()
    wanted = {s: share * sources.count(s) for s, share in VALIDATION_SHARE.items()}
    taken: Counter[str] = Counter()
    members = {int(g): np.flatnonzero(groups == g) for g in np.unique(groups)}
    for group in np.random.default_rng(0).permutation(list(members)):
        inside = Counter(sources[i] for i in members[int(group)])
        if all(taken[s] + n <= wanted.get(s, 0) for s, n in inside.items()):
            drawn.add(int(group))
            taken += inside
    return drawn


def paint_unsure_faces(image: Image, labels: Labels) -> Image:
    """Grey over doubtful faces, except where a sure face or a cigarette lies."""
    painted = image.copy()
    keep = labels.sure.only(FACE, CIGARETTE).xyxy
    for box in labels.unsure.only(FACE).xyxy:
        if intersection(box[None], keep).sum() == 0:
            x1, y1, x2, y2 = box.astype(int)
            painted[y1 : y2 + 1, x1 : x2 + 1] = 114
    return painted


def upper_body_crops(picture: Picture, labels: Labels) -> list[tuple[Picture, Labels]]:
    """What the second look will see: crops that show clearly less than the whole picture."""
    height, width = picture.image.shape[:2]
    people = labels.sure.only(PERSON)
    crops: list[tuple[Picture, Labels]] = []
    for i, person in enumerate(people.xyxy):
        window = upper_body(person, width, height)
        x1, y1, x2, y2 = window
        if not MIN_CROP_SIDE <= max(x2 - x1, y2 - y1) <= 0.75 * max(width, height):
            continue
        name = f"{picture.name}_crop{i}"
        crop = Picture(name, picture.source, picture.image[y1:y2, x1:x2], picture.given)
        seen = (crop_boxes(b, window, 0.4) for b in (labels.sure, labels.unsure))
        crops.append((crop, Labels(*seen)))
    holds_cigarette = [len(seen.sure.only(CIGARETTE)) > 0 for _, seen in crops]
    order = sorted(range(len(crops)), key=lambda i: not holds_cigarette[i])
    return [crops[i] for i in order[: max(1, sum(holds_cigarette))]]


def write_picture(work: Path, split: str, picture: Picture, labels: Labels) -> None:
    """Save a picture, its YOLO labels, and what is unsure in it."""
    height, width = picture.image.shape[:2]
    path = work / "images" / split / f"{picture.name}.jpg"
    for folder in ("images", "labels", "unsure"):
        (work / folder / split).mkdir(parents=True, exist_ok=True)
    image = (
        picture.image
        if split not in ("train", "val")
        else paint_unsure_faces(picture.image, labels)
    )
    cv2.imwrite(str(path), image, JPEG_QUALITY)
    for folder, boxes in (("labels", labels.sure), ("unsure", labels.unsure)):
        (work / folder / split / f"{picture.name}.txt").write_text(
            yolo_text(boxes, width, height), encoding="utf-8"
        )


def yolo_text(boxes: Boxes, width: int, height: int) -> str:
    """One line a box: class, centre and extent as shares of the picture."""
    size = np.array([width, height])
    centre = (boxes.xyxy[:, :2] + boxes.xyxy[:, 2:]) / 2 / size
    extent = (boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]) / size
    rows = zip(boxes.labels, np.clip(np.concatenate([centre, extent], 1), 0, 1), strict=True)
    return "".join(f"{c} {x:.5f} {y:.5f} {w:.5f} {h:.5f}\n" for c, (x, y, w, h) in rows)


def repeats(picture: Picture, labels: Labels) -> int:
    """How often a picture is shown in one epoch: rare classes more often."""
    bags = BAG_REPEATS if len(labels.sure.only(*BAGS)) else 1
    return max(REPEATS.get(picture.source, 1), bags)


@dataclass(frozen=True)
class Row:
    """One line of the manifest; `shown` is how often an epoch shows the picture."""

    file: str
    source: str
    split: str
    group: int
    shown: int


class Manifest:
    """`manifest.csv`: written line by line, so that a stopped run goes on where it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Row] = []
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                for line in csv.DictReader(file):
                    group, shown = int(line["group"]), int(line["shown"])
                    self.rows.append(Row(line["file"], line["source"], line["split"], group, shown))

    @property
    def names(self) -> set[str]:
        """Names of the pictures that are done."""
        return {Path(row.file).stem for row in self.rows}

    def add(self, rows: Sequence[Row]) -> None:
        """Write the lines of one picture and what was cut from it; its own comes last."""
        begun = self.path.exists()
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if not begun:
                writer.writerow(("file", "source", "split", "group", "shown"))
            writer.writerows(astuple(row) for row in rows)
        self.rows += rows


def place(work: Path, picture: Picture, labels: Labels, turn: Turn, split: str) -> list[Row]:
    """Write one picture, to learn from also its upper-body crops and, were it turned, both ways.

    The rows are without group, that of the picture itself last.
    """
    write_picture(work, split, picture, labels)
    here = Row(f"{picture.name}.jpg", picture.source, split, -1, 0)
    if split != "train":
        return [here]
    extra: list[tuple[Picture, Labels]] = []
    upright, standing = picture, labels
    if turn.quarters:
        upright = Picture(
            f"{picture.name}_upright",
            picture.source,
            turn.image(picture.image),
            turn.boxes(picture.given),
        )
        standing = Labels(turn.boxes(labels.sure), turn.boxes(labels.unsure))
        extra.append((upright, standing))
    extra += upper_body_crops(upright, standing)
    for other, seen in extra:
        write_picture(work, split, other, seen)
    rows = [
        Row(f"{other.name}.jpg", picture.source, split, -1, repeats(other, seen))
        for other, seen in extra
    ]
    return [*rows, replace(here, shown=repeats(picture, labels))]


def prepare(work: Path, workers: int) -> None:
    """Write images, labels, the manifest and Ultralytics' dataset file under `work`."""
    root = data_root()
    work.mkdir(parents=True, exist_ok=True)
    known = [(p.name, p.source, difference_hash(p.image)) for p in training_pictures(root)]
    groups = near_duplicate_groups(np.stack([row[2] for row in known]))
    held_back = validation_groups(groups, [row[1] for row in known])
    largest = Counter(groups.tolist()).most_common(1)[0][1]
    print(f"{len(known)} pictures, {len(np.unique(groups))} groups, largest {largest}", flush=True)
    group_of = {row[0]: int(g) for row, g in zip(known, groups, strict=True)}
    manifest = Manifest(work / "manifest.csv")
    done = manifest.names
    every = chain(scoring_pictures(root), training_pictures(root))
    pictures = (picture for picture in every if picture.name not in done)
    left = len(known) + sum(1 for _ in scoring_pictures(root)) - len(done & group_of.keys())
    left -= sum(row.group < 0 for row in manifest.rows)
    with multiprocessing.get_context("spawn").Pool(workers, hire, (root / "weights",)) as pool:
        ahead = Semaphore(64)
        results = pool.imap(label, throttle(pictures, ahead))
        for picture, labels, turn in tqdm(results, total=left, unit="picture", mininterval=5):
            ahead.release()
            group = group_of.get(picture.name, -1)
            split = picture.source if group < 0 else "val" if group in held_back else "train"
            rows = place(work, picture, labels, turn, split)
            manifest.add([replace(row, group=group) for row in rows])
    write_index(work, manifest.rows)


hired: list[Teachers] = []
"""The teachers of this worker process."""


def hire(weights: Path) -> None:
    """Start one worker's teachers."""
    hired.append(Teachers(weights))


def label(picture: Picture) -> tuple[Picture, Labels, Turn]:
    """A picture with its labels, from this worker's teachers."""
    return picture, *hired[0].label(picture)


def throttle(pictures: Iterable[Picture], ahead: Semaphore) -> Iterator[Picture]:
    """Read only so many pictures ahead of the workers."""
    for picture in pictures:
        ahead.acquire()
        yield picture


def write_index(work: Path, rows: Sequence[Row]) -> None:
    """The list of pictures of one epoch, the dataset file and a count of labels."""
    shown = [f"./images/{row.split}/{row.file}" for row in rows for _ in range(row.shown)]
    (work / "train.txt").write_text("\n".join(shown) + "\n", encoding="utf-8")
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(CLASSES))
    (work / "dataset.yaml").write_text(
        f"path: {work.resolve()}\ntrain: train.txt\nval: images/val\nnames:\n{names}",
        encoding="utf-8",
    )
    write_branch(work, shown)
    for split in sorted({row.split for row in rows}):
        counts: Counter[int] = Counter()
        for label_file in (work / "labels" / split).iterdir():
            counts.update(
                int(line.split()[0]) for line in label_file.read_text(encoding="utf-8").splitlines()
            )
        total = sum(row.split == split for row in rows)
        print(split, total, {CLASSES[c]: n for c, n in sorted(counts.items())})
    print(f"{len(shown)} pictures an epoch")


def write_branch(work: Path, shown: Sequence[str]) -> None:
    """The same set with the new classes alone, numbered from 0: what the added branch learns."""
    folder = work / "branch"
    folder.mkdir(exist_ok=True)
    if not (folder / "images").exists():
        (folder / "images").symlink_to("../images", target_is_directory=True)
    for split in ("train", "val"):
        (folder / "labels" / split).mkdir(parents=True, exist_ok=True)
        for path in (work / "labels" / split).iterdir():
            lines = (
                line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines()
            )
            kept = (f"{int(c) - FACE} {box}\n" for c, box in lines if int(c) >= FACE)
            (folder / "labels" / split / path.name).write_text("".join(kept), encoding="utf-8")
    # Lists, not folders: Ultralytics would follow the link of a folder to the other labels.
    held_back = [f"./images/val/{path.name}" for path in sorted((work / "images/val").iterdir())]
    for name, pictures in (("train", shown), ("val", held_back)):
        (folder / f"{name}.txt").write_text("\n".join(pictures) + "\n", encoding="utf-8")
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(NEW_CLASSES))
    (folder / "dataset.yaml").write_text(
        f"path: {folder.resolve()}\ntrain: train.txt\nval: val.txt\nnames:\n{names}",
        encoding="utf-8",
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder to build the set in (about 300 MB)")
    parser.add_argument("--workers", type=int, default=2, help="processes that label")
    args = parser.parse_args()
    prepare(args.work, args.workers)


if __name__ == "__main__":
    main()
