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
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Semaphore

import cv2
import numpy as np
from numpy.typing import NDArray

from training.boxes import (
    BAGS,
    CIGARETTE,
    CLASSES,
    FACE,
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

SURE, UNSURE = 0.35, 0.15
"""YOLOv8s's confidence from which a box is a label; between the two it counts for nothing."""
SURE_BAG = 0.25
UNSURE_FACE = 0.25
TEACHER_SIZES = (480, 576, 768)
"""YOLOv8s sees a picture at the first of these sizes (pixels) that is not smaller than it."""
SAME_OBJECT_IOU = 0.7
NEAR_DUPLICATE_BITS = 8
VALIDATION_SHARE = {"cigarettes": 0.05, "plates": 0.2, "plate_boxes": 0.2}
MIN_CROP_SIDE = 96
"""Pixels of the smallest upper-body crop worth learning from."""
REPEATS = {"plates": 3, "plate_boxes": 3}
BAG_REPEATS = 3
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

    def label(self, picture: Picture) -> Labels:
        """The given boxes and the teachers' in one picture."""
        longest = max(picture.image.shape[:2])
        self.objects.size = next((s for s in TEACHER_SIZES if s >= longest), TEACHER_SIZES[-1])
        found = self.objects.detect(picture.image, UNSURE)
        kinds = np.array([one_of_a_kind(int(label)) for label in found.labels], int)
        found = non_max(found, SAME_OBJECT_IOU, kinds)
        needed = np.where(np.isin(found.labels, BAGS), SURE_BAG, SURE)
        sure = found.scores >= needed
        faces, unsure_faces = agree(
            self.centerface.detect(picture.image, UNSURE_FACE),
            self.yunet.detect(picture.image, 0.5),
        )
        return Labels(
            Boxes.join(picture.given, found[sure], faces), Boxes.join(found[~sure], unsure_faces)
        )


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
        (work / folder / split / f"{picture.name}.txt").write_text(yolo_text(boxes, width, height))


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


def prepare(work: Path, workers: int) -> None:
    """Write images, labels, the manifest and Ultralytics' dataset file under `work`."""
    root = data_root()
    known = [(p.name, p.source, difference_hash(p.image)) for p in training_pictures(root)]
    groups = near_duplicate_groups(np.stack([row[2] for row in known]))
    held_back = validation_groups(groups, [row[1] for row in known])
    largest = Counter(groups.tolist()).most_common(1)[0][1]
    print(f"{len(known)} pictures, {len(np.unique(groups))} groups, largest {largest}", flush=True)
    group_of = {row[0]: int(g) for row, g in zip(known, groups, strict=True)}
    rows: list[tuple[str, str, str, int]] = []
    shown: list[str] = []
    started = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(workers, hire, (root / "weights",)) as pool:
        pictures = chain(training_pictures(root), scoring_pictures(root))
        for picture, labels in pool.imap(label, throttle(pictures, ahead := Semaphore(64))):
            ahead.release()
            group = group_of.get(picture.name, -1)
            split = picture.source if group < 0 else "val" if group in held_back else "train"
            write_picture(work, split, picture, labels)
            rows.append((f"{picture.name}.jpg", picture.source, split, group))
            if split == "train":
                shown += [f"./images/train/{picture.name}.jpg"] * repeats(picture, labels)
                for crop, seen in upper_body_crops(picture, labels):
                    write_picture(work, "train", crop, seen)
                    rows.append((f"{crop.name}.jpg", picture.source, "train", group))
                    shown.append(f"./images/train/{crop.name}.jpg")
            if len(rows) % 250 == 0:
                print(f"{len(rows)} pictures, {time.monotonic() - started:.0f} s", flush=True)
    write_index(work, rows, shown)


hired: list[Teachers] = []
"""The teachers of this worker process."""


def hire(weights: Path) -> None:
    """Start one worker's teachers."""
    hired.append(Teachers(weights))


def label(picture: Picture) -> tuple[Picture, Labels]:
    """A picture with its labels, from this worker's teachers."""
    return picture, hired[0].label(picture)


def throttle(pictures: Iterable[Picture], ahead: Semaphore) -> Iterator[Picture]:
    """Read only so many pictures ahead of the workers."""
    for picture in pictures:
        ahead.acquire()
        yield picture


def write_index(work: Path, rows: list[tuple[str, str, str, int]], shown: list[str]) -> None:
    """The manifest, the list of pictures of one epoch, the dataset file and a count of labels."""
    with (work / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "source", "split", "group"))
        writer.writerows(rows)
    (work / "train.txt").write_text("\n".join(shown) + "\n")
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(CLASSES))
    (work / "dataset.yaml").write_text(
        f"path: {work.resolve()}\ntrain: train.txt\nval: images/val\nnames:\n{names}"
    )
    for split in sorted({row[2] for row in rows}):
        counts: Counter[int] = Counter()
        for label_file in (work / "labels" / split).iterdir():
            counts.update(int(line.split()[0]) for line in label_file.read_text().splitlines())
        total = sum(row[2] == split for row in rows)
        print(split, total, {CLASSES[c]: n for c, n in sorted(counts.items())})
    print(f"{len(shown)} pictures an epoch")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder to build the set in (about 300 MB)")
    parser.add_argument("--workers", type=int, default=2, help="processes that label")
    args = parser.parse_args()
    prepare(args.work, args.workers)


if __name__ == "__main__":
    main()
