"""Label the faces of all pictures for training the face network, by two teachers.

    WATCHPOST_DATA=... python -m training.label_faces WORK

Writes ``WORK/faces.jsonl``, one line for each picture; an interrupted run resumes. CenterFace sees
a picture at its size, YuNet enlarged twice. Faces that only one of them sees, and not clearly, are
neither learned nor unlearned. A large box (LARGE) that only YuNet sees counts as no face unless it
is sure of it: such boxes lie on hands, suits and walls, which the network has to unlearn.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from app.models.faces import decode
from training.boxes import FACE, Boxes
from training.export_faces import SOURCE, read_yunet
from training.faces import CenterFace, agree
from training.images import data_root, read_image
from training.network import Compiled, Image
from training.prepare import difference_hash, near_duplicate_groups

STILLS = ("cigarettes/images/*", "plates/*/*", "plate_boxes/images/*")
ENLARGED = 2
CENTERFACE_UNSURE, YUNET_UNSURE = 0.2, 0.3
CENTERFACE_CLEAR, YUNET_CLEAR = 0.6, 0.6
YUNET_PADDING = 192
LARGE = 48
FOLDS = 10


@dataclass(frozen=True)
class LabelledPicture:
    """A picture and its faces, boxes as [x1, y1, x2, y2] in pixels.

    Attributes:
        file: relative to the folder with the data.
        turn: quarter turns to the left that make the picture upright; the boxes are of the
            upright one.
        group: near duplicates share it; ``fold`` is drawn by group, 0 to FOLDS - 1.
    """

    file: str
    turn: int
    group: int
    fold: int
    sure: list[list[float]]
    unsure: list[list[float]]


class FaceTeachers:
    """CenterFace and YuNet on enlarged pictures."""

    def __init__(self, weights: Path) -> None:
        cv2.setNumThreads(1)
        self.centerface = CenterFace(threads=1)
        self.yunet = Compiled(read_yunet(weights / SOURCE), threads=1)

    def label(self, image: Image) -> tuple[int, Boxes, Boxes]:
        """Return the turn that makes an image (H, W, 3) upright, its sure and unsure faces."""
        sure, unsure = self._detect(image)
        if len(sure):
            return 0, sure, unsure
        small = np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5), np.uint8)
        scores = [self._clearest(turned(small, turn)) for turn in range(4)]
        turn = int(np.argmax(scores))
        if turn == 0 or scores[turn] < CENTERFACE_CLEAR:
            return 0, sure, unsure
        return turn, *self._detect(turned(image, turn))

    def _clearest(self, image: Image) -> float:
        return float(self.centerface.detect(image, CENTERFACE_UNSURE).scores.max(initial=0))

    def _detect(self, image: Image) -> tuple[Boxes, Boxes]:
        yunet = self._enlarged(image)
        sure, unsure = agree(self.centerface.detect(image, CENTERFACE_UNSURE), yunet)
        side = (unsure.xyxy[:, 2:] - unsure.xyxy[:, :2]).min(1, initial=np.inf)
        by_yunet = (unsure.xyxy[:, None] == yunet.xyxy).all(2).any(1)
        doubtful = by_yunet & (side >= LARGE) & (unsure.scores < YUNET_CLEAR)
        return sure, unsure[~doubtful]

    def _enlarged(self, image: Image) -> Boxes:
        """Detect with YuNet in the enlarged image; boxes in pixels of the image."""
        height, width = image.shape[0] * ENLARGED, image.shape[1] * ENLARGED
        large = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        padded = cv2.copyMakeBorder(
            large, 0, -height % YUNET_PADDING, 0, -width % YUNET_PADDING, cv2.BORDER_CONSTANT
        )
        blob = np.asarray(cv2.dnn.blobFromImage(padded, swapRB=True), np.float32)
        boxes, scores = decode([output[0] for output in self.yunet(blob)], YUNET_UNSURE)
        return Boxes.of(boxes / ENLARGED, FACE, scores)


def turned(image: Image, quarters: int) -> Image:
    """Turn an image to the left by quarters."""
    return np.ascontiguousarray(np.rot90(image, quarters))


def pictures(root: Path) -> list[Path]:
    """Return the pictures for training, in an order drawn once: what is done first is a sample."""
    paths = sorted(path for folder in STILLS for path in root.glob(folder) if path.suffix != ".txt")
    return [paths[i] for i in np.random.default_rng(0).permutation(len(paths))]


def folds(groups: Sequence[int]) -> list[int]:
    """Draw a fold for each group, so that near duplicates stay together."""
    drawn = np.random.default_rng(0).integers(FOLDS, size=max(groups, default=0) + 1)
    return [int(drawn[group]) for group in groups]


def read_labels(work: Path) -> list[LabelledPicture]:
    """Read what ``label`` wrote."""
    path = work / "faces.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [LabelledPicture(**json.loads(line)) for line in lines]


def label(work: Path, root: Path) -> None:
    """Label the pictures that are not labelled yet."""
    work.mkdir(parents=True, exist_ok=True)
    paths = pictures(root)
    hashes = np.stack([difference_hash(read_image(path)) for path in paths])
    groups = [int(group) for group in near_duplicate_groups(hashes)]
    done = {picture.file for picture in read_labels(work)}
    teachers = FaceTeachers(root / "weights")
    places = zip(paths, groups, folds(groups), strict=True)
    with (work / "faces.jsonl").open("a", encoding="utf-8") as out:
        for path, group, fold in tqdm(places, total=len(paths), mininterval=5):
            file = str(path.relative_to(root))
            if file in done:
                continue
            turn, sure, unsure = teachers.label(read_image(path))
            picture = LabelledPicture(file, turn, group, fold, _rounded(sure), _rounded(unsure))
            out.write(json.dumps(asdict(picture)) + "\n")
            out.flush()


def _rounded(boxes: Boxes) -> list[list[float]]:
    return [[round(float(value), 1) for value in box] for box in boxes.xyxy]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("work", type=Path, help="folder for the labels")
    work = parser.parse_args().work
    label(work, data_root())
    labels = read_labels(work)
    counts = Counter(len(picture.sure) for picture in labels)
    print(f"{len(labels)} pictures, faces in a picture: {dict(sorted(counts.items()))}")


if __name__ == "__main__":
    main()
