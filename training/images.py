"""The images of WATCHPOST_DATA with their sources and existing labels."""

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
HELD_OUT_CLIPS = {
    "plaza_crowd_720p.mp4": 10,
    "dashcam_plates.mp4": 10,
    "left_bag_outdoor.avi": 30,
    "faces_walking.gif": 2,
    "smoker_webcam.mp4": 15,
}
"""For each clip, every which frame is taken. Held-out clips are never trained on."""


@dataclass(frozen=True)
class SourceImage:
    """An image (H, W, 3) BGR, its source, and the boxes that are labelled in the data."""

    name: str
    source: str
    image: Image
    given: Boxes


def data_root() -> Path:
    """Return the folder of WATCHPOST_DATA."""
    folder = os.environ.get("WATCHPOST_DATA")
    if not folder:
        raise SystemExit("set WATCHPOST_DATA to the data folder")
    return Path(folder)


def read_image(path: Path) -> Image:
    """Read an image as (H, W, 3) BGR."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} is not a readable image")
    return np.asarray(image, np.uint8)


def yolo_labels(path: Path, width: int, height: int) -> tuple[list[int], np.ndarray]:
    """Read class indices and (N, 4) corners in pixels from a YOLO label file, if it exists."""
    rows = (
        [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        if path.exists()
        else []
    )
    values = np.array([[float(v) for v in row[1:5]] for row in rows if row]).reshape(-1, 4)
    centre, extent = values[:, :2], values[:, 2:]
    corners = np.concatenate([centre - extent / 2, centre + extent / 2], 1)
    return [int(row[0]) for row in rows if row], corners * ([width, height] * 2)


def labelled_folder(folder: Path, source: str, label: int) -> Iterator[SourceImage]:
    """Yield the images of `images/` with their boxes in `labels/`, all of one class."""
    for path in sorted((folder / "images").iterdir()):
        image = read_image(path)
        height, width = image.shape[:2]
        _, corners = yolo_labels(folder / "labels" / f"{path.stem}.txt", width, height)
        # The source is part of the name: cigarettes and cigarettes_val share 53 file names.
        yield SourceImage(f"{source}_{path.stem}", source, image, Boxes.of(corners, label))


def plate_photos(folder: Path) -> Iterator[SourceImage]:
    """Yield photos with one plate each; the text file beside a photo has its box."""
    for path in sorted(folder.glob("*/*.txt")):
        file, x, y, w, h = path.read_text(encoding="utf-8").split("\t")[:5]
        x1, y1 = float(x), float(y)
        box = Boxes.of([x1, y1, x1 + float(w), y1 + float(h)], PLATE)
        yield SourceImage(f"plates_{path.stem}", "plates", read_image(path.with_name(file)), box)


def clip_frames(path: Path, every: int) -> Iterator[SourceImage]:
    """Yield every `every`-th frame of a clip."""
    capture = cv2.VideoCapture(str(path))
    index = 0
    while True:
        read, frame = capture.read()
        if not read:
            break
        if index % every == 0:
            yield SourceImage(
                f"{path.stem}_{index:05d}", path.stem, np.asarray(frame, np.uint8), NO_BOXES
            )
        index += 1
    capture.release()


def training_images(root: Path) -> Iterator[SourceImage]:
    """Yield all images for training and validation."""
    yield from labelled_folder(root / "cigarettes", "cigarettes", CIGARETTE)
    yield from plate_photos(root / "plates")
    yield from labelled_folder(root / "plate_boxes", "plate_boxes", PLATE)
    for clip, every in TRAIN_CLIPS.items():
        yield from clip_frames(root / "videos" / clip, every)


def scoring_images(root: Path) -> Iterator[SourceImage]:
    """Yield all images that are never trained on."""
    yield from labelled_folder(root / "cigarettes_val", "cigarettes_val", CIGARETTE)
    for clip, every in HELD_OUT_CLIPS.items():
        yield from clip_frames(root / "videos" / clip, every)
