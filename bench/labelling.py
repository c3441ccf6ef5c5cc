"""Pictures to label faces by: enlarged tiles of a frame under a grid of the frame's own pixels.

    python -m bench.labelling OUT videos/plaza_crowd_720p.mp4 --frames 0 5 10
    python -m bench.labelling OUT videos/plaza_crowd_720p.mp4 --frames 0 --part 320 0 320 240
    python -m bench.labelling OUT videos/plaza_crowd_720p.mp4 --frames 0 5 10 --close

Sources are relative to ``$WATCHPOST_DATA``. The tiles cover the whole frame and overlap; no
detector takes part. Labels that exist are drawn; ``--close`` shows each of them alone, enlarged.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from app.types import Box
from bench.face_labels import Face, labelled_images

Image = npt.NDArray[np.uint8]

TILE = (440, 270)  # pixels of the source
OVERLAP = 20
SCALE = 3.4
BORDER = 34  # pixels around a tile, for the numbers
SHEET = (5, 4)  # columns and rows of a sheet of faces
CELL = 310
COLOURS = {"front": (0, 220, 0), "side": (0, 160, 255), "covered": (255, 0, 255)}


def data_folder() -> Path:
    """Return the folder of ``$WATCHPOST_DATA``. Raises KeyError when that is not set."""
    return Path(os.environ["WATCHPOST_DATA"])


def frames(path: Path, numbers: Iterable[int]) -> Iterator[tuple[int, Image]]:
    """Decode some frames of a clip or a still: their numbers, and (H, W, 3) BGR."""
    wanted = set(numbers)
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                yield number, np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
            if number >= max(wanted, default=-1):
                return


def tiles(width: int, height: int) -> list[Box]:
    """Return parts of at most ``TILE`` that cover a frame and overlap by ``OVERLAP`` or more."""
    across, down = min(TILE[0], width), min(TILE[1], height)
    return [
        Box(left, top, left + across, top + down)
        for top in _starts(height, down)
        for left in _starts(width, across)
    ]


def _starts(length: int, part: int) -> list[int]:
    if length <= part:
        return [0]
    count = -(-(length - OVERLAP) // (part - OVERLAP))
    return [round(i * (length - part) / (count - 1)) for i in range(count)]


def enlarged(
    image: Image, part: Box, scale: float, faces: Iterable[Face] = (), every: int = 20
) -> Image:
    """Cut out a part and enlarge it under a grid that is numbered in pixels of the image."""
    part = Box(*part.pixels((image.shape[1], image.shape[0])))
    left, top, right, bottom = map(int, (part.x1, part.y1, part.x2, part.y2))
    size = round(part.width * scale), round(part.height * scale)
    big = cv2.resize(image[top:bottom, left:right], size, interpolation=cv2.INTER_LANCZOS4)
    grid = big.copy()
    for x in range(-(-left // every) * every, right, every):
        cv2.line(
            grid,
            (round((x - left) * scale), 0),
            (round((x - left) * scale), size[1]),
            (255, 128, 0),
        )
    for y in range(-(-top // every) * every, bottom, every):
        cv2.line(
            grid, (0, round((y - top) * scale)), (size[0], round((y - top) * scale)), (255, 128, 0)
        )
    big = cv2.addWeighted(grid, 0.25, big, 0.75, 0)
    for face in faces:
        box = face.box.moved(-left, -top).scaled(scale, scale)
        corners = (round(box.x1), round(box.y1)), (round(box.x2), round(box.y2))
        cv2.rectangle(big, *corners, COLOURS[face.kind])
        if face.track is not None:
            _write(big, str(face.track), (corners[1][0] + 2, corners[0][1]), COLOURS[face.kind])
    border = [BORDER] * 4
    canvas = cv2.copyMakeBorder(big, *border, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    for x in range(-(-left // every) * every, right, every):
        for y in (BORDER - 8, canvas.shape[0] - 12):
            _write(canvas, str(x), (round((x - left) * scale) + BORDER - 12, y))
    for y in range(-(-top // every) * every, bottom, every):
        for x in (1, canvas.shape[1] - BORDER + 2):
            _write(canvas, str(y), (x, round((y - top) * scale) + BORDER + 4))
    return np.asarray(canvas, np.uint8)


def _write(
    canvas: Image, text: str, at: tuple[int, int], colour: tuple[int, int, int] = (0, 0, 0)
) -> None:
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)


def close(image: Image, face: Face) -> Image:
    """Show one labelled face with its surroundings, as a cell of a sheet."""
    side = max(face.box.width, face.box.height) * 2
    x, y = face.box.centre
    part = Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    every = next(n for n in (2, 5, 10, 20, 50, 100, 1000) if n * 5 >= side)
    cell = np.full((CELL, CELL, 3), 255, np.uint8)
    left, top, right, bottom = part.pixels((image.shape[1], image.shape[0]))
    dark, light = np.percentile(image[top:bottom, left:right], (1, 99))
    clear = (image.astype(np.float32) - dark) * (255 / max(light - dark, 1))
    image = np.asarray(np.clip(clear, 0, 255), np.uint8)
    shown = enlarged(image, part, (CELL - 2 * BORDER) / (side + 2), [face], every)[:CELL, :CELL]
    cell[: shown.shape[0], : shown.shape[1]] = shown
    return cell


def main() -> None:
    """Write the pictures that were asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("out", type=Path, help="folder for the pictures; none are for the project")
    parser.add_argument("source", help="a clip or a still, relative to $WATCHPOST_DATA")
    parser.add_argument("--frames", type=int, nargs="+", default=[0])
    parser.add_argument("--part", type=int, nargs=4, metavar=("X", "Y", "WIDTH", "HEIGHT"))
    parser.add_argument("--scale", type=float, default=SCALE)
    parser.add_argument("--close", action="store_true", help="each labelled face alone")
    parser.add_argument("--hide", action="store_true", help="without the labels")
    arguments = parser.parse_args()
    labels = {(i.source, i.frame): i.faces for i in labelled_images()}
    cells: list[Image] = []
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number, image in frames(data_folder() / arguments.source, arguments.frames):
        faces = () if arguments.hide else labels.get((arguments.source, number), ())
        if arguments.close:
            for index, face in enumerate(faces):
                cells.append(close(image, face))
                _write(cells[-1], f"{number} #{index} {face.kind}", (2, 12), (0, 0, 255))
            continue
        parts = tiles(image.shape[1], image.shape[0])
        if arguments.part:
            x, y, width, height = arguments.part
            parts = [Box(x, y, x + width, y + height)]
        for index, part in enumerate(parts):
            shown = enlarged(image, part, arguments.scale, faces)
            cv2.imwrite(str(arguments.out / f"{number:05}_{index}.png"), shown)
    for index in range(0, len(cells), SHEET[0] * SHEET[1]):
        sheet = cells[index : index + SHEET[0] * SHEET[1]]
        sheet += [np.full_like(sheet[0], 255)] * (-len(sheet) % SHEET[0])
        rows = [np.hstack(sheet[i : i + SHEET[0]]) for i in range(0, len(sheet), SHEET[0])]
        cv2.imwrite(str(arguments.out / f"close_{index}.png"), np.vstack(rows))


if __name__ == "__main__":
    main()
