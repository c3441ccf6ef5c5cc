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
from collections.abc import Iterable, Iterator, Sequence
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
LINE = (255, 128, 0)
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
    left, top, right, bottom = part.pixels((image.shape[1], image.shape[0]))
    size = round((right - left) * scale), round((bottom - top) * scale)
    big = cv2.resize(image[top:bottom, left:right], size, interpolation=cv2.INTER_LANCZOS4)
    columns = {str(x): round((x - left) * scale) for x in _multiples(left, right, every)}
    rows = {str(y): round((y - top) * scale) for y in _multiples(top, bottom, every)}
    grid = big.copy()
    grid[:, list(columns.values())] = grid[list(rows.values())] = LINE
    tile: Image = np.asarray(cv2.addWeighted(grid, 0.25, big, 0.75, 0), np.uint8)
    for face in faces:
        _draw(tile, face, face.box.moved(-left, -top).scaled(scale, scale))
    tile = np.pad(tile, ((BORDER, BORDER), (BORDER, BORDER), (0, 0)), constant_values=255)
    for number, x in columns.items():
        for y in (BORDER - 8, tile.shape[0] - 12):
            write(tile, number, (x + BORDER - 12, y))
    for number, y in rows.items():
        for x in (1, tile.shape[1] - BORDER + 2):
            write(tile, number, (x, y + BORDER + 4))
    return tile


def _multiples(first: int, end: int, every: int) -> range:
    return range(-(-first // every) * every, end, every)


def _draw(big: Image, face: Face, box: Box) -> None:
    x1, y1, x2, y2 = (round(side) for side in (box.x1, box.y1, box.x2, box.y2))
    cv2.rectangle(big, (x1, y1), (x2, y2), COLOURS[face.kind])
    if face.track is not None:
        write(big, str(face.track), (x2 + 2, y1), COLOURS[face.kind])


def write(
    canvas: Image, text: str, at: tuple[int, int], colour: tuple[int, int, int] = (0, 0, 0)
) -> None:
    """Write a text onto an image; ``at`` is where its base line begins."""
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)


def close(image: Image, face: Face, name: str) -> Image:
    """Show one labelled face with its surroundings, as a cell of a sheet; contrast is stretched."""
    side = max(face.box.width, face.box.height) * 2
    x, y = face.box.centre
    part = Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    left, top, right, bottom = part.pixels((image.shape[1], image.shape[0]))
    black, white = np.percentile(image[top:bottom, left:right], (1, 99))
    clear = (image.astype(np.float32) - black) * (255 / max(white - black, 1))
    every = next(n for n in (2, 5, 10, 20, 50, 100, 1000) if n * 5 >= side)
    scale = (CELL - 2 * BORDER) / (side + 2)
    shown = enlarged(np.clip(clear, 0, 255).astype(np.uint8), part, scale, [face], every)
    cell = np.full((CELL, CELL, 3), 255, np.uint8)
    cell[: shown.shape[0], : shown.shape[1]] = shown[:CELL, :CELL]
    write(cell, name, (2, 12), (0, 0, 255))
    return cell


def sheets(cells: Sequence[Image]) -> Iterator[Image]:
    """Lay out cells on sheets."""
    columns, rows = SHEET
    for sheet in _groups(cells, columns * rows):
        blanks = [np.full_like(sheet[0], 255)] * (-len(sheet) % columns)
        lines = [np.hstack(line) for line in _groups([*sheet, *blanks], columns)]
        yield np.asarray(np.vstack(lines), np.uint8)


def _groups(cells: Sequence[Image], size: int) -> Iterator[Sequence[Image]]:
    return (cells[at : at + size] for at in range(0, len(cells), size))


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("out", type=Path, help="folder for the pictures; none are for the project")
    parser.add_argument("source", help="a clip or a still, relative to $WATCHPOST_DATA")
    parser.add_argument("--frames", type=int, nargs="+", default=[0])
    parser.add_argument("--part", type=int, nargs=4, metavar=("X", "Y", "WIDTH", "HEIGHT"))
    parser.add_argument("--scale", type=float, default=SCALE)
    parser.add_argument("--close", action="store_true", help="each labelled face alone")
    return parser.parse_args()


def main() -> None:
    """Write the pictures that were asked for."""
    asked = read_arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    labels = {
        entry.frame: entry.faces for entry in labelled_images() if entry.source == asked.source
    }
    cells: list[Image] = []
    for number, image in frames(data_folder() / asked.source, asked.frames):
        faces = labels.get(number, ())
        if asked.close:
            cells += [close(image, face, f"{number} {face.kind}") for face in faces]
            continue
        parts = tiles(image.shape[1], image.shape[0])
        if asked.part:
            x, y, width, height = asked.part
            parts = [Box(x, y, x + width, y + height)]
        for index, part in enumerate(parts):
            shown = enlarged(image, part, asked.scale, faces)
            cv2.imwrite(str(asked.out / f"{number:05}_{index}.png"), shown)
    for index, sheet in enumerate(sheets(cells)):
        cv2.imwrite(str(asked.out / f"close_{index}.png"), sheet)


if __name__ == "__main__":
    main()
