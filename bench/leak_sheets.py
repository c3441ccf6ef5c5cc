"""Contact sheets of the faces that leak and of the boxes on no face, for visual inspection.

    WATCHPOST_DATA=… python -m bench.leak_sheets OUT

Clips go through the pipeline, stills alone, with the network as it is shipped; the largest come
first. Labelled faces are green, what is blurred is red.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from av import VideoFrame

from app.config import FaceSettings
from app.types import Box
from bench.face_labels import Face, LabelledImage, labelled_images
from bench.leaks import (
    Image,
    alone,
    by_source,
    is_stray,
    labelled_frames,
    shipped,
    through_pipeline,
)

TILE, COLUMNS, ROWS = 150, 12, 6
AROUND, AT_LEAST = 1.8, 6.0  # of the box, and pixels
GREEN, RED = (0, 220, 0), (0, 0, 255)


class Sheets:
    """Collects tiles of leaks and of boxes on no face, each with its size."""

    def __init__(self) -> None:
        self.leaks: list[tuple[float, Image]] = []
        self.stray: list[tuple[float, Image]] = []

    def look(
        self,
        labels: LabelledImage,
        image: VideoFrame,
        boxes: Sequence[Box],
        leaking: Sequence[Face],
    ) -> None:
        """Cut the tiles of one frame."""
        drawn = np.asarray(image.to_ndarray(format="bgr24"), np.uint8).copy()
        faces = [face.box for face in labels.faces]
        for box, colour in [*((one, GREEN) for one in faces), *((one, RED) for one in boxes)]:
            corners = (int(box.x1), int(box.y1)), (int(box.x2), int(box.y2))
            cv2.rectangle(drawn, *corners, colour, 1)
        self.leaks += [(_size(face.box), tile(drawn, face.box)) for face in leaking]
        self.stray += [
            (_size(box), tile(drawn, box)) for box in boxes if is_stray(box, labels.faces)
        ]


def _size(box: Box) -> float:
    return min(box.width, box.height)


def tile(image: Image, box: Box) -> Image:
    """A box with its surroundings, (TILE, TILE, 3), black beyond the frame."""
    reach = AROUND * max(box.width, box.height) + AT_LEAST
    scale = TILE / (2 * reach)
    x, y = box.centre
    matrix = np.array([[scale, 0, TILE / 2 - x * scale], [0, scale, TILE / 2 - y * scale]])
    return np.asarray(cv2.warpAffine(image, matrix, (TILE, TILE)), np.uint8)


def write(path: Path, tiles: Sequence[tuple[float, Image]]) -> None:
    """Write the sheet of the largest ones."""
    largest = sorted(tiles, key=lambda one: -one[0])[: COLUMNS * ROWS]
    print(f"{path.name}: {len(largest)} of {len(tiles)}")
    images = [image for _, image in largest]
    images += [np.zeros((TILE, TILE, 3), np.uint8)] * (-len(images) % COLUMNS)
    rows = [np.hstack(images[at : at + COLUMNS]) for at in range(0, len(images), COLUMNS)]
    if rows:
        cv2.imwrite(str(path), np.vstack(rows))


def main(arguments: Sequence[str]) -> None:
    """Write the sheets."""
    parser = argparse.ArgumentParser(prog="bench leak_sheets", description=__doc__)
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args(arguments).out
    data = os.environ.get("WATCHPOST_DATA")
    if not data:
        sys.exit("set WATCHPOST_DATA to the folder with the labelled pictures")
    out.mkdir(parents=True, exist_ok=True)
    settings, labels, sheets = FaceSettings(), labelled_images(), Sheets()
    detector = shipped(settings)
    stills = [one for one in labels if not one.source.startswith("videos/")]
    alone(detector, settings, labelled_frames(Path(data), stills), look=sheets.look)
    for source, wanted in by_source(labels).items():
        if source.startswith("videos/"):
            clip = Path(data) / source
            through_pipeline(detector, settings, clip, wanted, look=sheets.look)
    write(out / "leaks.png", sheets.leaks)
    write(out / "stray.png", sheets.stray)


if __name__ == "__main__":
    main(sys.argv[1:])
