"""Contact sheets of plates that were read wrongly, for visual inspection.

    WATCHPOST_DATA=… python -m bench.plate_sheets RESULTS.json… --out FOLDER

RESULTS.json is what ``bench.plates --out`` wrote. Each tile shows the plate with its surroundings;
the labelled box is green and what was found red. Below are the label, and what was read with its
confidence. Photos that were read rightly, but where something else was told beside the plate, have
sheets of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from app.models.batching import Image
from app.types import Box
from bench.plate_scores import PhotoResult
from bench.plates import copies_of
from training.plate_lines import Photo, photos

TILE, CAPTION, COLUMNS, ROWS = (300, 150), 34, 5, 8
GREEN, RED, WHITE = (0, 200, 0), (255, 60, 60), (255, 255, 255)


def tile(photo: Photo, result: PhotoResult) -> Image:
    """Draw the surroundings of a plate with both texts, RGB."""
    [(_, copy)] = copies_of(photo, [result.copy])
    box = copy.box
    others = [Box(*each) for each in result.boxes]
    around = box if photo.box is None else box.grown(1.0)
    scale = min(TILE[0] / around.width, TILE[1] / around.height)
    centre = (around.x1 + around.x2) / 2, (around.y1 + around.y2) / 2
    shift = TILE[0] / 2 - centre[0] * scale, TILE[1] / 2 - centre[1] * scale
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    seen = np.asarray(cv2.warpAffine(copy.image, matrix, TILE, flags=how), np.uint8)
    for own, colour in ((box, GREEN), *((other, RED) for other in others)):
        x1, y1 = int(own.x1 * scale + shift[0]), int(own.y1 * scale + shift[1])
        x2, y2 = int(own.x2 * scale + shift[0]), int(own.y2 * scale + shift[1])
        cv2.rectangle(seen, (x1, y1), (x2, y2), colour, 1)
    note = np.zeros((CAPTION, TILE[0], 3), np.uint8)
    read = [f"{t or '-'} {c:.2f}" for t, c in zip(result.texts, result.confidences, strict=True)]
    for row, text in enumerate((f"{result.truth}  {result.name}", ", ".join(read) or "nothing")):
        at = 3, 14 + 15 * row
        cv2.putText(note, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, WHITE, 1, cv2.LINE_AA)
    return np.vstack([seen, note])


def write(
    out: Path, name: str, results: Sequence[PhotoResult], known: dict[tuple[str, str], Photo]
) -> None:
    """Write the sheets of some results, as many as are needed."""
    print(f"{name}: {len(results)}")
    size = COLUMNS * ROWS
    for page, start in enumerate(range(0, len(results), size)):
        tiles = [tile(known[own.kind, own.name], own) for own in results[start : start + size]]
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
        rows = [np.hstack(tiles[at : at + COLUMNS]) for at in range(0, len(tiles), COLUMNS)]
        sheet = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(out / f"{name}_{page}.png"), sheet)


def main(arguments: list[str]) -> None:
    """Write the sheets."""
    parser = argparse.ArgumentParser(prog="bench plate_sheets", description=__doc__)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    data = os.environ.get("WATCHPOST_DATA")
    if not data:
        sys.exit("set WATCHPOST_DATA to the folder with the photos")
    known = {(p.kind, f"{p.kind}/{p.path.name}"): p for p in photos(Path(data))}
    results = [PhotoResult(*row) for path in chosen.results for row in json.loads(path.read_text())]
    chosen.out.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, Callable[[PhotoResult], bool]] = {
        "misses": lambda result: not result.alike,
        "others": lambda result: result.alike and result.has_extra,
    }
    for name, is_shown in kinds.items():
        for copy in dict.fromkeys(result.copy for result in results):
            own = [result for result in results if result.copy == copy and is_shown(result)]
            write(chosen.out, f"{name}_{copy}".replace(" ", "_"), own, known)


if __name__ == "__main__":
    main(sys.argv[1:])
