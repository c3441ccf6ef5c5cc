"""Find the lines of text in photos of plates: those that are a plate's number, and all others.

    WATCHPOST_DATA=… python -m training.plate_lines FOLDER    # writes FOLDER/lines.json

A number's line is the one that the shipped recogniser reads most like the photo's label, so a line
is found also where it is misread. Lines elsewhere (slogans, names of states and dealers, signs) are
examples of what is no number.

Images without plates, and those whose plates have boxes but no labels, add more other lines.

Folds are groups: crops by state, photos by file; a number that occurs twice is in one fold.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from app import plate_text
from app.models.plates.candidates import (
    canvas_of,
    crop_lines,
    same_plate,
    with_joined,
    with_pieces,
)
from app.models.plates.networks import RECOGNISER, load_plates
from app.models.plates.recogniser import Recogniser
from app.models.plates.text_lines import TextLine, TextLineDetector
from app.models.plates.voting import PlateLineReader
from app.types import Box

FOLDS = 4
LEAST_LIKE = 0.6
"""Similarity of a reading and a label (``difflib``) from which a line is the number's."""
OTHERS_PER_PHOTO, LONGEST_SIDE = 6, 1024
OTHER_IMAGES = {"cigarettes/images/*.webp": 25, "plate_boxes/images/*": 3}
"""Images without labels, and how many of them are skipped for each that is used."""
Image = npt.NDArray[np.uint8]


class Photo(NamedTuple):
    """A photo with one labelled plate.

    Attributes:
        box: where the plate is; None if the photo shows nothing else.
        kind: ``us``, ``eu`` or ``br`` for photos, ``crops`` for photos of plates alone.
    """

    path: Path
    text: str
    box: Box | None
    kind: str
    fold: int


class Line(NamedTuple):
    """A line of text in a photo; its text is empty if it is not the number of a plate."""

    path: str
    quad: list[list[float]]
    text: str
    fold: int
    kind: str


def photos(data: Path) -> list[Photo]:
    """Return all labelled photos, each with its fold."""
    crops, whole = list(_crops(data)), list(_whole(data))
    states = sorted({state for _, state, _ in crops})
    sizes = {state: sum(s == state for _, s, _ in crops) for state in states}
    folds, totals = {}, [0] * FOLDS
    for state in sorted(states, key=lambda state: (-sizes[state], state)):
        smallest = int(np.argmin(totals))
        folds[state] = smallest
        totals[smallest] += sizes[state]
    known = {plate_text.shape(text): folds[state] for _, state, text in crops}
    found = [Photo(path, text, None, "crops", folds[state]) for path, state, text in crops]
    for number, (path, box, text) in enumerate(whole):
        fold = known.setdefault(plate_text.shape(text), number % FOLDS)
        found.append(Photo(path, text, box, path.parent.name, fold))
    return found


def _crops(data: Path) -> Iterator[tuple[Path, str, str]]:
    folder = data / "plate_crops_us"
    for row in (folder / "labels.tsv").read_text(encoding="utf-8").splitlines():
        name, state, text = row.split("\t")
        yield folder / "images" / name, state, text


def _whole(data: Path) -> Iterator[tuple[Path, Box, str]]:
    for path in sorted(data.glob("plates/*/*.jpg")):
        fields = path.with_suffix(".txt").read_text(encoding="utf-8").strip().split("\t")
        x, y, width, height = map(float, fields[1:5])
        yield path, Box(x, y, x + width, y + height), fields[-1]


def image_of(path: Path) -> Image:
    """Read a photo as RGB. Raises FileNotFoundError."""
    image = cv2.imread(str(path))
    if image is None:
        raise FileNotFoundError(path)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


class LineFinder:
    """Finds a photo's lines with the shipped networks."""

    def __init__(self, recogniser: Path = RECOGNISER) -> None:
        networks = load_plates("cpu", recogniser=recogniser)
        self._lines = TextLineDetector(networks.lines)
        self._reader = PlateLineReader(Recogniser(networks.text))
        self.close = networks.close

    def of_photo(self, photo: Photo) -> list[Line]:
        """Return the number's line, if it is found, and other lines."""
        image = image_of(photo.path)
        everywhere = self._lines.lines(image, canvas_of(image, LONGEST_SIDE))
        if photo.box is None:
            inside, others = with_pieces(everywhere), everywhere
        else:
            inside = crop_lines(image, [photo.box], self._lines)[0]
            others = [line for line in everywhere if not _near(photo.box, line)]
        number = self._number(image, with_joined(inside), photo.text)
        if number is not None:
            others = [line for line in others if not _overlap(line, number[0])]
        elif photo.box is None:
            others = []
        others = sorted(others, key=lambda line: -line.height)[:OTHERS_PER_PHOTO]
        found = [number] if number is not None else []
        return [
            Line(str(photo.path), line.quad.tolist(), text, photo.fold, photo.kind)
            for line, text in (*found, *((line, "") for line in others))
        ]

    def of_other(self, path: Path, number: int) -> list[Line]:
        """Return lines of an image in which no number is labelled; those on its plates are left
        out."""
        image = image_of(path)
        lines = self._lines.lines(image, canvas_of(image, LONGEST_SIDE))
        boxes = _boxes(path, image.shape[1], image.shape[0])
        lines = [line for line in lines if not any(_near(box, line) for box in boxes)]
        lines = sorted(lines, key=lambda line: -line.height)[:OTHERS_PER_PHOTO]
        return [Line(str(path), line.quad.tolist(), "", number % FOLDS, "other") for line in lines]

    def _number(
        self, image: Image, lines: Sequence[TextLine], text: str
    ) -> tuple[TextLine, str] | None:
        """Return the number's line and what it says.

        The labels have a 0 for every O, so the reading counts where only that differs.
        """
        if not lines:
            return None
        votes = self._reader.first_votes(image, lines)
        texts = [self._reader.decide([(own.votes, 1.0)]).text for own in votes]
        wanted = plate_text.shape(text)
        alike = [
            difflib.SequenceMatcher(None, wanted, plate_text.shape(read), autojunk=False).ratio()
            for read in texts
        ]
        best = int(np.argmax(alike))
        if alike[best] < LEAST_LIKE:
            return None
        return lines[best], texts[best] if alike[best] == 1 else text


def _boxes(path: Path, width: int, height: int) -> list[Box]:
    """The boxes of a file of YOLO labels beside the folder of images."""
    file = path.parent.parent / "labels" / f"{path.stem}.txt"
    rows = file.read_text(encoding="utf-8").splitlines() if "plate" in str(path) else []
    found = []
    for row in rows:
        x, y, w, h = (float(value) for value in row.split()[1:5])
        half = w * width / 2, h * height / 2
        x, y = x * width, y * height
        found.append(Box(x - half[0], y - half[1], x + half[0], y + half[1]))
    return found


def _near(box: Box, line: TextLine) -> bool:
    """Whether a line is on the plate or so near that it may be."""
    x, y = line.centre
    around = box.grown(1.0)
    return bool(around.x1 <= x <= around.x2 and around.y1 <= y <= around.y2)


def _overlap(line: TextLine, number: TextLine) -> bool:
    """Whether a line may contain a part of the number."""
    low, high = number.quad[:, 1].min(), number.quad[:, 1].max()
    return same_plate(line, number) and bool(low < line.centre[1] < high)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recogniser", type=Path, default=RECOGNISER)
    chosen = parser.parse_args()
    folder: Path = chosen.folder
    folder.mkdir(parents=True, exist_ok=True)
    finder, lines, missing = LineFinder(chosen.recogniser), [], []
    data = Path(os.environ["WATCHPOST_DATA"])
    for photo in photos(data):
        own = finder.of_photo(photo)
        lines += own
        if not any(line.text for line in own):
            missing.append(f"{photo.path.name} {photo.text}")
    for pattern, every in OTHER_IMAGES.items():
        for number, path in enumerate(sorted(data.glob(pattern))[::every]):
            lines += finder.of_other(path, number)
    finder.close()
    (folder / "lines.json").write_text(json.dumps([line._asdict() for line in lines]))
    print(f"{len(lines)} lines, no line of the number in {len(missing)}:", *missing, sep="\n  ")


if __name__ == "__main__":
    main()
