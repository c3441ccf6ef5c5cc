"""Accuracy of plate reading: ``WATCHPOST_DATA=… python -m bench.plates [--rapidocr] [--copies]``.

The input is the whole photo, or the photo of a plate alone, and the first result counts. It is
compared strictly, and with O, Q and 0, I and 1 taken as equal, because the labels mix them up. The
photos are in four folds (``training.plate_lines``). With ``--weights FOLDER`` each fold is read by
a recogniser that was not trained on it, ``FOLDER/plate_text0.xml`` to ``3``, and smeared plates are
found by ``FOLDER/smeared_plates0.xml`` to ``3``; for what is missing there, and without
``--weights``, by the shipped ones, which were trained on all of them. Choices were made on folds 0
to 2. The object detector was trained on most of these photos, so detection is easier here than
elsewhere: ``--text-alone`` does without it.

``--copies`` adds copies that are smeared, dirty, dark, small, tilted and turned. ``--claude`` sends
uncertain plates to Claude, as an upload does. It needs a key (``WATCHPOST_CLAUDE_API_KEY``), costs
money and sends crops of these photos away.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.config import ObjectSettings, Settings
from app.models.objects import ObjectDetector, load_objects
from app.models.plates.claude import ClaudeReader
from app.models.plates.networks import RECOGNISER, SMEARED, load_plates
from app.models.plates.photo import pixels
from app.models.plates.reader import PlateReader, ReadPlate
from app.plates import ClaudeCall
from app.types import Box
from bench.plate_copies import COPIES, Copy
from bench.plate_scores import PhotoResult, report
from training.plate_lines import FOLDS, Photo, photos

MAX_PIXELS = 50_000_000
AS_IT_IS = "as it is"


class Readers:
    """The reader of each fold, opened when it is needed.

    Args:
        weights: folder with networks for each fold; None for the shipped ones.
    """

    def __init__(self, objects: ObjectDetector | None, weights: Path | None) -> None:
        self._objects, self._weights = objects, weights
        self._opened: dict[int, PlateReader] = {}
        self.stack = contextlib.ExitStack()

    def of(self, fold: int) -> PlateReader:
        """Return the reader for the photos of a fold."""
        number = 0 if self._weights is None else fold
        if number not in self._opened:
            files = files_of_fold(self._weights, fold)
            networks = load_plates(
                recogniser=files.get(RECOGNISER, RECOGNISER), smeared=files.get(SMEARED, SMEARED)
            )
            self.stack.callback(networks.close)
            self._opened[number] = networks.reader(self._objects)
        return self._opened[number]


def files_of_fold(weights: Path | None, fold: int) -> dict[Path, Path]:
    """Return the networks that were not trained on a fold, each by the shipped one."""
    if weights is None:
        return {}
    files = {file: weights / f"{file.stem}{fold}.xml" for file in (RECOGNISER, SMEARED)}
    return {shipped: file for shipped, file in files.items() if file.exists()}


def with_network(chosen: Sequence[Photo], weights: Path | None) -> list[Photo]:
    """Return the photos of folds for which there is a network."""
    if weights is None:
        return list(chosen)
    folds = [fold for fold in range(FOLDS) if files_of_fold(weights, fold)]
    return [photo for photo in chosen if photo.fold in folds]


def copies_of(photo: Photo, kinds: Sequence[str]) -> Iterator[tuple[str, Copy]]:
    """Yield copies of a photo with their kinds; of a plate alone, only the photo as it is."""
    image = pixels(photo.path.read_bytes(), MAX_PIXELS)
    box = photo.box or Box(0, 0, image.shape[1], image.shape[0])
    for kind in kinds if photo.box else (AS_IT_IS,):
        rng = np.random.default_rng(zlib.crc32(f"{photo.path.name} {kind}".encode()))
        yield kind, COPIES[kind](rng, image, box)


def read_all(
    chosen: Sequence[Photo],
    readers: Readers,
    kinds: Sequence[str],
    *,
    plain: Any = None,
    claude: ClaudeReview | None = None,
) -> list[PhotoResult]:
    """Read photos and time the reading.

    Args:
        plain: RapidOCR, to compare the time with.
    """
    results = []
    for photo in chosen:
        for kind, copy in copies_of(photo, kinds):
            started = time.perf_counter()
            plates = readers.of(photo.fold).read(copy.image)
            if claude is not None:
                plates = [claude.review(plate) for plate in plates]
            between = time.perf_counter()
            if plain is not None:
                plain(copy.image[:, :, ::-1])
            after = time.perf_counter()
            own_ms, plain_ms = (between - started) * 1000, (after - between) * 1000
            results.append(_result(photo, kind, copy.box, plates, own_ms, plain_ms))
    return results


def _result(
    photo: Photo, kind: str, box: Box, plates: list[ReadPlate], ms: float, plain_ms: float
) -> PhotoResult:
    return PhotoResult(
        f"{photo.kind}/{photo.path.name}",
        photo.kind,
        photo.fold,
        kind,
        photo.text,
        list(box),
        [plate.read.text for plate in plates],
        [plate.read.confidence for plate in plates],
        [list(plate.read.box) for plate in plates],
        ms,
        plain_ms,
    )


class ClaudeReview:
    """Reviews uncertain plates with Claude as the server does; the call log is in memory."""

    def __init__(self) -> None:
        settings = Settings()
        if settings.claude_api_key is None:
            sys.exit("--claude needs a key in WATCHPOST_CLAUDE_API_KEY")
        self._settings = settings.plates
        key = settings.claude_api_key.get_secret_value()
        self._reader = ClaudeReader(key, settings.claude_model, self, daily=10_000)
        self.calls: list[ClaudeCall] = []

    def review(self, plate: ReadPlate) -> ReadPlate:
        """Return the plate with Claude's reading if its confidence is low."""
        if plate.read.confidence >= self._settings.claude_below:
            return plate
        return self._reader.review(plate, time.monotonic() + self._settings.claude_timeout_s)

    def answer(self, *_: str) -> ClaudeCall | None:
        """Return no earlier answer."""
        return None

    def begin(self, *_: object) -> int | None:
        """Allow every call."""
        return len(self.calls)

    def record_outcome(self, _: int, call: ClaudeCall) -> None:
        """Keep a call."""
        self.calls.append(call)

    def assign(self, *_: object) -> None:
        """Ignore plate ids, as nothing is stored."""


def rapidocr() -> Any:
    """Return plain RapidOCR, to compare with."""
    try:
        from rapidocr import RapidOCR
    except ImportError:
        sys.exit("--rapidocr needs: pip install rapidocr onnxruntime")
    return RapidOCR()


def _measured(chosen: argparse.Namespace) -> list[PhotoResult]:
    data = os.environ.get("WATCHPOST_DATA")
    if not data:
        sys.exit("set WATCHPOST_DATA to the folder with the photos")
    every = [p for p in photos(Path(data)) if not chosen.only or p.kind in chosen.only]
    kinds = list(COPIES) if chosen.copies else [AS_IT_IS]
    objects = None if chosen.text_alone else load_objects(ObjectSettings())
    readers = Readers(objects, chosen.weights)
    claude = ClaudeReview() if chosen.claude else None
    plain = rapidocr() if chosen.rapidocr else None
    with readers.stack:
        if objects is not None:
            readers.stack.callback(objects.close)
        taken = with_network(every[chosen.start :: chosen.every], chosen.weights)
        results = read_all(taken, readers, kinds, plain=plain, claude=claude)
    if claude is not None:
        tokens = sum(call.input_tokens + call.output_tokens for call in claude.calls)
        print(f"Claude was called {len(claude.calls)} times, {tokens} tokens")
    return results


def main(arguments: list[str]) -> None:
    """Read the photos, or load earlier results, and print the report."""
    parser = argparse.ArgumentParser(prog="bench plates", description=__doc__)
    parser.add_argument("--weights", type=Path, help="folder with networks for each fold")
    parser.add_argument("--copies", action="store_true", help="also read copies made worse")
    parser.add_argument("--only", nargs="*", help="kinds of photos: us, eu, br, crops")
    parser.add_argument("--rapidocr", action="store_true", help="also time plain RapidOCR")
    parser.add_argument("--text-alone", action="store_true", help="without the object detector")
    parser.add_argument("--claude", action="store_true", help="review with Claude; costs money")
    parser.add_argument("--every", type=int, default=1, help="read only every Nth photo")
    parser.add_argument("--start", type=int, default=0, help="and begin with this one")
    parser.add_argument("--out", type=Path, help="write the results to this JSON file")
    parser.add_argument("--again", type=Path, nargs="*", help="report files written by --out")
    chosen = parser.parse_args(arguments)
    if chosen.again:
        saved = [row for path in chosen.again for row in json.loads(path.read_text())]
        results = [PhotoResult(*row) for row in saved]
    else:
        results = _measured(chosen)
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(results), encoding="utf-8")
    report(results, FOLDS)


if __name__ == "__main__":
    main(sys.argv[1:])
