"""The pictures of WATCHPOST_DATA, where each comes from and what is already labelled in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training.boxes import CIGARETTE, NO_BOXES, PLATE, Boxes
from training.network import Image

TRAIN_CLIPS = {"indoor_people_one_by_one.mp4": 10, "indoor_bottles.mp4": 60, "classroom.gif": 6}
KEPT_OUT_CLIPS = {
    "plaza_crowd_720p.mp4": 10,
    "dashcam_plates.mp4": 10,
    "left_bag_outdoor.avi": 30,
    "faces_walking.gif": 2,
    "smoker_webcam.mp4": 15,
}
"""Clip: one frame in so many. Kept-out clips are never trained on."""


@dataclass(frozen=True)
class Picture:
    """`image` (H, W, 3) BGR, where it comes from, and the boxes that the data gives with it."""

    name: str
    source: str
    image: Image
    given: Boxes


def data_root() -> Path:
    """The folder of WATCHPOST_DATA."""
    folder = os.environ.get("WATCHPOST_DATA")
    if not folder:
        raise SystemExit("WATCHPOST_DATA is not set: point it at the project's data folder")
    return Path(folder)


def read_image(path: Path) -> Image:
    """A picture as (H, W, 3) BGR."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} is not a picture")
    return np.asarray(image, np.uint8)


def yolo_labels(path: Path, width: int, height: int) -> tuple[list[int], np.ndarray]:
    """Class indices and (N, 4) corner boxes in pixels of a YOLO label file, if it exists."""
    rows = (
        [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        if path.exists()
        else []
    )
    values = np.array([[float(v) for v in row[1:5]] for row in rows if row]).reshape(-1, 4)
    centre, extent = values[:, :2], values[:, 2:]
    corners = np.concatenate([centre - extent / 2, centre + extent / 2], 1)
    return [int(row[0]) for row in rows if row], corners * ([width, height] * 2)


def labelled_folder(folder: Path, source: str, label: int) -> Iterator[Picture]:
    """Pictures of `images/` with the one class of `labels/`."""
    for path in sorted((folder / "images").iterdir()):
        image = read_image(path)
        height, width = image.shape[:2]
        _, corners = yolo_labels(folder / "labels" / f"{path.stem}.txt", width, height)
        # The source belongs to the name: cigarettes and cigarettes_val share 53 file names.
        yield Picture(f"{source}_{path.stem}", source, image, Boxes.of(corners, label))


def plate_photos(folder: Path) -> Iterator[Picture]:
    """Photos with one plate each; the text file beside a photo says where it is."""
    for path in sorted(folder.glob("*/*.txt")):
        file, x, y, w, h = path.read_text(encoding="utf-8").split("\t")[:5]
        x1, y1 = float(x), float(y)
        box = Boxes.of([x1, y1, x1 + float(w), y1 + float(h)], PLATE)
        yield Picture(f"plates_{path.stem}", "plates", read_image(path.with_name(file)), box)


def clip_frames(path: Path, every: int) -> Iterator[Picture]:
    """One frame in `every` of a clip."""
    capture = cv2.VideoCapture(str(path))
    index = 0
    while True:
        read, frame = capture.read()
        if not read:
            break
        if index % every == 0:
            yield Picture(
                f"{path.stem}_{index:05d}", path.stem, np.asarray(frame, np.uint8), NO_BOXES
            )
        index += 1
    capture.release()


def training_pictures(root: Path) -> Iterator[Picture]:
    """Everything that may be trained on or held back for validation."""
    yield from labelled_folder(root / "cigarettes", "cigarettes", CIGARETTE)
    yield from plate_photos(root / "plates")
    yield from labelled_folder(root / "plate_boxes", "plate_boxes", PLATE)
    for clip, every in TRAIN_CLIPS.items():
        yield from clip_frames(root / "videos" / clip, every)


def scoring_pictures(root: Path) -> Iterator[Picture]:
    """Everything that is never trained on."""
    yield from labelled_folder(root / "cigarettes_val", "cigarettes_val", CIGARETTE)
    for clip, every in KEPT_OUT_CLIPS.items():
        yield from clip_frames(root / "videos" / clip, every)
