"""Build the training set: every class labelled in every image, split by near-duplicate groups.

    WATCHPOST_DATA=... python -m training.prepare WORK

Teacher networks label what the data does not: YOLOv8s the COCO classes, CenterFace and YuNet the
faces. Faces that only one teacher detects, with low confidence, are painted grey, so that they are
neither learned nor unlearned; for scoring, all unsure boxes are written to `unsure/` and ignored.
Plates are not labelled in the cigarette images and the clips (they are rare, and taken as absent);
cigarettes are not labelled in the clips, and those used for training show none.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
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
from training.images import SourceImage, data_root, scoring_images, training_images
from training.network import Image, Network
from training.upright import SIZE as UPRIGHT_SIZE
from training.upright import Turn, Upright

SURE, UNSURE = 0.35, 0.15
"""YOLOv8s's confidence from which a box is a label; boxes between the two values are ignored."""
SURE_BAG = 0.25
UNSURE_FACE = 0.25
TEACHER_SIZES = (576, 768)
"""YOLOv8s's input size in pixels is the first of these that is not smaller than the image."""
SAME_OBJECT_IOU = 0.7
NEAR_DUPLICATE_BITS = 8
VALIDATION_SHARE = {"cigarettes": 0.05, "plates": 0.2, "plate_boxes": 0.2}
MIN_CROP_SIDE = 96
"""Side in pixels of the smallest upper-body crop used for training."""
REPEATS = {"plates": 3, "plate_boxes": 3}
BAG_REPEATS = 3
TURNED_SOURCES = ("cigarettes", "cigarettes_val")
"""Sources in which some images are rotated."""
JPEG_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 93]


@dataclass(frozen=True)
class Labels:
    """The labels of one image, from the data and the teachers."""

    sure: Boxes
    unsure: Boxes


class Teachers:
    """The teacher networks: YOLOv8s for the COCO classes, CenterFace and YuNet for faces."""

    def __init__(self, weights: Path) -> None:
        cv2.setNumThreads(1)
        self.objects = Network(weights / "yolov8s.pt", threads=1)
        self.centerface = CenterFace(threads=1)
        self.yunet = YuNet(weights / "yunet_s_dynamic.onnx")
        people = Network(weights / "yolov8n.pt", UPRIGHT_SIZE, threads=1)
        self.upright = Upright(self.centerface, people)

    def label(self, source_image: SourceImage) -> tuple[Labels, Turn]:
        """Label one image; also return the rotation that makes it upright.

        Teachers get the upright image; the labels are in pixels of the original.
        """
        height, width = source_image.image.shape[:2]
        turn = Turn(0, width, height)
        if source_image.source in TURNED_SOURCES:
            turn = self.upright.find(source_image.image)
        labels = self.detect(turn.image(source_image.image))
        sure, unsure = (turn.back.boxes(b) for b in (labels.sure, labels.unsure))
        return Labels(Boxes.join(source_image.given, sure), unsure), turn

    def detect(self, image: Image) -> Labels:
        """Return the teachers' labels of an (H, W, 3) BGR image."""
        longest = max(image.shape[:2])
        self.objects.size = next((s for s in TEACHER_SIZES if s >= longest), TEACHER_SIZES[-1])
        found = self.objects.detect(image, UNSURE)
        groups = np.array([exclusive_group(int(label)) for label in found.labels], int)
        found = non_max(found, SAME_OBJECT_IOU, groups)
        needed = np.where(np.isin(found.labels, BAGS), SURE_BAG, SURE)
        sure = found.scores >= needed
        faces, unsure_faces = agree(
            self.centerface.detect(image, UNSURE_FACE), self.yunet.detect(image, 0.5)
        )
        return Labels(Boxes.join(found[sure], faces), Boxes.join(found[~sure], unsure_faces))


def exclusive_group(label: int) -> int:
    """Return the group of a class; an object has only one class of a group, as car or truck."""
    return {"backpack": 1, "handbag": 1, "suitcase": 1, "car": 4, "bus": 4, "truck": 4}.get(
        CLASSES[label], label
    )


def difference_hash(image: Image) -> NDArray[np.uint8]:
    """Return the dHash: (64,) bits, whether each of 8x8 cells is brighter than the next."""
    small = cv2.resize(
        cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (9, 8), interpolation=cv2.INTER_AREA
    )
    return (small[:, :-1] > small[:, 1:]).astype(np.uint8).reshape(-1)


def near_duplicate_groups(hashes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Group images that are linked by similar hashes (N, 64); returns group numbers (N,)."""
    signs = hashes.astype(np.float32) * 2 - 1
    groups = np.arange(len(signs))
    for i, sign in enumerate(signs):
        differing = (64 - signs[:i] @ sign) / 2
        for twin in np.unique(groups[:i][differing <= NEAR_DUPLICATE_BITS]):
            groups[: i + 1][groups[: i + 1] == twin] = groups[i]
    return groups


def validation_groups(groups: NDArray[np.int64], sources: list[str]) -> set[int]:
    """Choose whole groups for validation until each source has contributed its share."""
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
    """Paint unsure faces grey, unless they overlap a sure face or a cigarette."""
    painted = image.copy()
    keep = labels.sure.only(FACE, CIGARETTE).xyxy
    for box in labels.unsure.only(FACE).xyxy:
        if intersection(box[None], keep).sum() == 0:
            x1, y1, x2, y2 = box.astype(int)
            painted[y1 : y2 + 1, x1 : x2 + 1] = 114
    return painted


def upper_body_crops(source_image: SourceImage, labels: Labels) -> list[tuple[SourceImage, Labels]]:
    """Return the crops of the second pass that are clearly smaller than the whole image."""
    height, width = source_image.image.shape[:2]
    people = labels.sure.only(PERSON)
    crops: list[tuple[SourceImage, Labels]] = []
    for i, person in enumerate(people.xyxy):
        window = upper_body(person, width, height)
        x1, y1, x2, y2 = window
        if not MIN_CROP_SIDE <= max(x2 - x1, y2 - y1) <= 0.75 * max(width, height):
            continue
        name = f"{source_image.name}_crop{i}"
        crop = SourceImage(
            name, source_image.source, source_image.image[y1:y2, x1:x2], source_image.given
        )
        seen = (crop_boxes(b, window, 0.4) for b in (labels.sure, labels.unsure))
        crops.append((crop, Labels(*seen)))
    holds_cigarette = [len(seen.sure.only(CIGARETTE)) > 0 for _, seen in crops]
    order = sorted(range(len(crops)), key=lambda i: not holds_cigarette[i])
    return [crops[i] for i in order[: max(1, sum(holds_cigarette))]]


def write_image(work: Path, split: str, source_image: SourceImage, labels: Labels) -> None:
    """Save an image, its YOLO labels, and its unsure boxes."""
    height, width = source_image.image.shape[:2]
    path = work / "images" / split / f"{source_image.name}.jpg"
    for folder in ("images", "labels", "unsure"):
        (work / folder / split).mkdir(parents=True, exist_ok=True)
    image = (
        source_image.image
        if split not in ("train", "val")
        else paint_unsure_faces(source_image.image, labels)
    )
    cv2.imwrite(str(path), image, JPEG_QUALITY)
    for folder, boxes in (("labels", labels.sure), ("unsure", labels.unsure)):
        (work / folder / split / f"{source_image.name}.txt").write_text(
            yolo_text(boxes, width, height), encoding="utf-8"
        )


def yolo_text(boxes: Boxes, width: int, height: int) -> str:
    """Format one line per box: class, centre and size relative to the image."""
    size = np.array([width, height])
    centre = (boxes.xyxy[:, :2] + boxes.xyxy[:, 2:]) / 2 / size
    extent = (boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]) / size
    rows = zip(boxes.labels, np.clip(np.concatenate([centre, extent], 1), 0, 1), strict=True)
    return "".join(f"{c} {x:.5f} {y:.5f} {w:.5f} {h:.5f}\n" for c, (x, y, w, h) in rows)


def repeats(source_image: SourceImage, labels: Labels) -> int:
    """Return how often an image is used per epoch; rare classes are used more often."""
    bags = BAG_REPEATS if len(labels.sure.only(*BAGS)) else 1
    return max(REPEATS.get(source_image.source, 1), bags)


@dataclass(frozen=True)
class Row:
    """One line of the manifest; `shown` is how often an epoch uses the image."""

    file: str
    source: str
    split: str
    group: int
    shown: int


class Manifest:
    """`manifest.csv`, written line by line, so that an interrupted run can resume."""

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
        """Names of the images that are done."""
        return {Path(row.file).stem for row in self.rows}

    def add(self, rows: Sequence[Row]) -> None:
        """Write the lines of one image and its crops; the image itself comes last."""
        exists = self.path.exists()
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if not exists:
                writer.writerow(("file", "source", "split", "group", "shown"))
            writer.writerows(astuple(row) for row in rows)
        self.rows += rows


def write_with_crops(
    work: Path, source_image: SourceImage, labels: Labels, turn: Turn, split: str
) -> list[Row]:
    """Write one image; for training also its upper-body crops and, if rotated, an upright copy.

    The returned rows have no group yet; the row of the image itself is last.
    """
    write_image(work, split, source_image, labels)
    here = Row(f"{source_image.name}.jpg", source_image.source, split, -1, 0)
    if split != "train":
        return [here]
    extra: list[tuple[SourceImage, Labels]] = []
    upright, standing = source_image, labels
    if turn.quarters:
        upright = SourceImage(
            f"{source_image.name}_upright",
            source_image.source,
            turn.image(source_image.image),
            turn.boxes(source_image.given),
        )
        standing = Labels(turn.boxes(labels.sure), turn.boxes(labels.unsure))
        extra.append((upright, standing))
    extra += upper_body_crops(upright, standing)
    for other, seen in extra:
        write_image(work, split, other, seen)
    rows = [
        Row(f"{other.name}.jpg", source_image.source, split, -1, repeats(other, seen))
        for other, seen in extra
    ]
    return [*rows, replace(here, shown=repeats(source_image, labels))]


def sample_of_training(groups: Mapping[str, int], held_back: set[int], limit: int) -> set[str]:
    """Choose up to `limit` names of images for training, and every one for validation."""
    training = [name for name, group in groups.items() if group not in held_back]
    chosen = np.random.default_rng(0).permutation(training)[:limit].tolist()
    return {*chosen, *(name for name, group in groups.items() if group in held_back)}


def prepare(work: Path, workers: int, limit: int | None = None) -> None:
    """Write images, labels, the manifest and Ultralytics' dataset file under `work`.

    Args:
        limit: how many images for training are labelled; None for all.
    """
    root = data_root()
    work.mkdir(parents=True, exist_ok=True)
    known = [(p.name, p.source, difference_hash(p.image)) for p in training_images(root)]
    groups = near_duplicate_groups(np.stack([row[2] for row in known]))
    held_back = validation_groups(groups, [row[1] for row in known])
    largest = Counter(groups.tolist()).most_common(1)[0][1]
    print(f"{len(known)} images, {len(np.unique(groups))} groups, largest {largest}", flush=True)
    group_of = {row[0]: int(g) for row, g in zip(known, groups, strict=True)}
    wanted: Set[str] = group_of.keys()
    if limit is not None:
        wanted = sample_of_training(group_of, held_back, limit)
    manifest = Manifest(work / "manifest.csv")
    done = manifest.names
    every = chain(scoring_images(root), (p for p in training_images(root) if p.name in wanted))
    images = (source_image for source_image in every if source_image.name not in done)
    left = len(wanted) + sum(1 for _ in scoring_images(root)) - len(done & wanted)
    left -= sum(row.group < 0 for row in manifest.rows)
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, start_worker, (root / "weights",)) as pool:
        ahead = Semaphore(64)
        results = pool.imap(label, throttle(images, ahead))
        for source_image, labels, turn in tqdm(results, total=left, unit="image", mininterval=5):
            ahead.release()
            group = group_of.get(source_image.name, -1)
            split = source_image.source if group < 0 else "val" if group in held_back else "train"
            rows = write_with_crops(work, source_image, labels, turn, split)
            manifest.add([replace(row, group=group) for row in rows])
    write_index(work, manifest.rows)


worker_teachers: list[Teachers] = []
"""The teachers of this worker process."""


def start_worker(weights: Path) -> None:
    """Load the teachers of a worker process."""
    worker_teachers.append(Teachers(weights))


def label(source_image: SourceImage) -> tuple[SourceImage, Labels, Turn]:
    """Label an image in a worker process."""
    return source_image, *worker_teachers[0].label(source_image)


def throttle(images: Iterable[SourceImage], ahead: Semaphore) -> Iterator[SourceImage]:
    """Limit how many images are read ahead of the workers."""
    for source_image in images:
        ahead.acquire()
        yield source_image


def write_index(work: Path, rows: Sequence[Row]) -> None:
    """Write the list of images of one epoch and the dataset file; print label counts."""
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
    print(f"{len(shown)} images per epoch")


def write_branch(work: Path, shown: Sequence[str]) -> None:
    """Write the same set with only the new classes, numbered from 0, for the added branch."""
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
    for name, images in (("train", shown), ("val", held_back)):
        (folder / f"{name}.txt").write_text("\n".join(images) + "\n", encoding="utf-8")
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(NEW_CLASSES))
    (folder / "dataset.yaml").write_text(
        f"path: {folder.resolve()}\ntrain: train.txt\nval: val.txt\nnames:\n{names}",
        encoding="utf-8",
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder to build the set in (about 300 MB)")
    parser.add_argument("--workers", type=int, default=2, help="number of labelling processes")
    parser.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help="label only N training images: enough to score networks and to quantise them",
    )
    args = parser.parse_args()
    prepare(args.work, args.workers, args.limit)


if __name__ == "__main__":
    main()
