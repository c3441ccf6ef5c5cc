"""Accuracy of plate reading: ``WATCHPOST_DATA=… python -m bench.plates [--rapidocr] [--claude]``.

The input is the whole photo, and the first result counts. It is compared strictly, and with O, Q
and 0, I and 1 taken as equal, because the labels mix them up. Every second photo was used to
choose thresholds (dev); the others (held out) were not. The object detector was trained on plate
boxes of these photos, so detection is easier here than elsewhere: ``--text-alone`` does without it.

``--claude`` sends uncertain plates to Claude, as an upload does, and reports what that changes. It
needs a key (``WATCHPOST_CLAUDE_API_KEY``), costs money and sends crops of these photos away.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from app import plate_text
from app.config import ObjectSettings, Settings
from app.models.batching import Image
from app.models.objects import load_objects
from app.models.plates.claude import ClaudeReader
from app.models.plates.networks import load_plates
from app.models.plates.photo import pixels
from app.models.plates.reader import ReadPlate
from app.plates import ClaudeCall
from bench.table import show

MAX_PIXELS = 50_000_000
BINS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.01)


class PhotoResult(NamedTuple):
    """The result of one photo: true text, texts that were read, and times."""

    name: str
    truth: str
    texts: list[str]
    confidences: list[float]
    ms: float
    plain_ms: float

    @property
    def first(self) -> str:
        """The first text, or an empty one."""
        return self.texts[0] if self.texts else ""

    @property
    def strict(self) -> bool:
        """Whether the first text is exactly right."""
        return self.first == self.truth

    @property
    def alike(self) -> bool:
        """Whether the first text is right, look-alike characters taken as equal."""
        return plate_text.shape(self.first) == plate_text.shape(self.truth)


def photos(data: Path) -> list[tuple[Path, str]]:
    """Return the photos and their plates' texts, alternately dev and held out."""
    found = sorted(data.glob("plates/*/*.jpg"))
    return [
        (path, path.with_suffix(".txt").read_text(encoding="utf-8").strip().split("\t")[-1])
        for path in found
    ]


def is_dev(number: int) -> bool:
    """Whether thresholds were chosen on the photo with this number."""
    return number % 2 == 0


def read_all(
    photos: list[tuple[Path, str]],
    *,
    text_alone: bool,
    size: float,
    rapidocr: bool,
    claude: ClaudeReview | None,
    out: Path | None,
) -> list[PhotoResult]:
    """Read all photos and time the reading.

    Args:
        size: factor by which photos are resized.
        out: file to which the results are written after each photo.
    """
    networks = load_plates()
    objects = None if text_alone else load_objects(ObjectSettings())
    reader = networks.reader(objects)
    plain = _rapidocr() if rapidocr else None
    shots = []
    for path, truth in photos:
        image = _resized(pixels(path.read_bytes(), MAX_PIXELS), size)
        started = time.perf_counter()
        plates = reader.read(image)
        if claude is not None:
            plates = [claude.review(plate) for plate in plates]
        between = time.perf_counter()
        if plain is not None:
            plain(image[:, :, ::-1])
        after = time.perf_counter()
        shots.append(
            PhotoResult(
                f"{path.parent.name}/{path.name}",
                truth,
                [plate.read.text for plate in plates],
                [plate.read.confidence for plate in plates],
                (between - started) * 1000,
                (after - between) * 1000,
            )
        )
        if out is not None:
            out.write_text(json.dumps([shot._asdict() for shot in shots]), encoding="utf-8")
    networks.close()
    if objects is not None:
        objects.close()
    return shots


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


def _rapidocr() -> Any:
    try:
        from rapidocr import RapidOCR
    except ImportError:
        sys.exit("--rapidocr needs: pip install rapidocr onnxruntime")
    return RapidOCR()


def _resized(image: Image, size: float) -> Image:
    if size == 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=size, fy=size, interpolation=cv2.INTER_AREA))


def report(shots: list[PhotoResult]) -> None:
    """Print accuracy by country, calibration, times and misses."""
    rows = []
    for country in sorted({shot.name[:2] for shot in shots}):
        for part in ("dev", "held out", "all"):
            own = [
                shot
                for number, shot in enumerate(shots)
                if shot.name.startswith(country) and part in ("all", _part(number))
            ]
            rows.append(
                [
                    f"{country} {part}",
                    str(len(own)),
                    _share([shot.alike for shot in own]),
                    _share([shot.strict for shot in own]),
                    _share([len(shot.texts) > 1 for shot in own]),
                ]
            )
    show(
        "Accuracy of plate reading",
        ["photos", "n", "look-alikes equal", "strict", "more than one plate"],
        rows,
    )
    held_out = [shot for number, shot in enumerate(shots) if not is_dev(number)]
    head = ["confidence", "n", "mean confidence", "accuracy"]
    show("Calibration, all photos", head, reliability(shots))
    show("Calibration, held out", head, reliability(held_out))
    warm = shots[10:]
    if warm:
        print(f"\np50 {statistics.median(s.ms for s in warm):.0f} ms per photo", end="")
        plain = statistics.median(s.plain_ms for s in warm)
        print(f", plain RapidOCR {plain:.0f} ms" if plain > 1 else "")
    print("\nmisses (truth, read, confidence):")
    for number, shot in enumerate(shots):
        if not shot.alike:
            print(
                f"  {_part(number):8} {shot.name} {shot.truth} {shot.texts} {shot.confidences[:1]}"
            )


def reliability(shots: list[PhotoResult]) -> list[list[str]]:
    """Return a row for each bin of confidence: number, mean confidence and accuracy."""
    confidences = np.array([shot.confidences[0] if shot.confidences else 0.0 for shot in shots])
    correct = np.array([shot.alike for shot in shots])
    rows = []
    for low, high in itertools.pairwise(BINS):
        inside = (confidences >= low) & (confidences < high)
        if inside.any():
            mean = f"{confidences[inside].mean():.2f}"
            label = f"{low:.2f} to {min(high, 1):.2f}"
            rows.append([label, str(inside.sum()), mean, _share(correct[inside])])
    return rows


def _part(number: int) -> str:
    return "dev" if is_dev(number) else "held out"


def _share(flags: Any) -> str:
    return f"{100 * float(np.mean(flags)):.1f} %" if len(flags) else "-"


def main(arguments: list[str]) -> None:
    """Read the photos, or load earlier results, and print the report."""
    parser = argparse.ArgumentParser(prog="bench plates", description=__doc__)
    parser.add_argument("--rapidocr", action="store_true", help="also time plain RapidOCR")
    parser.add_argument("--text-alone", action="store_true", help="without the object detector")
    parser.add_argument("--claude", action="store_true", help="review with Claude; costs money")
    parser.add_argument("--size", type=float, default=1.0, help="resize photos by this factor")
    parser.add_argument("--every", type=int, default=1, help="read only every Nth photo")
    parser.add_argument("--out", type=Path, help="write the results to this JSON file")
    parser.add_argument("--again", type=Path, help="report the results in this file of --out")
    chosen = parser.parse_args(arguments)
    if chosen.again:
        saved = json.loads(chosen.again.read_text(encoding="utf-8"))
        shots = [PhotoResult(**each) for each in saved]
    else:
        data = os.environ.get("WATCHPOST_DATA")
        if not data:
            sys.exit("set WATCHPOST_DATA to the folder with the photos")
        claude = ClaudeReview() if chosen.claude else None
        shots = read_all(
            photos(Path(data))[:: chosen.every],
            text_alone=chosen.text_alone,
            size=chosen.size,
            rapidocr=chosen.rapidocr,
            claude=claude,
            out=chosen.out,
        )
        if claude is not None:
            tokens = sum(call.input_tokens + call.output_tokens for call in claude.calls)
            print(f"Claude was called {len(claude.calls)} times, {tokens} tokens")
    report(shots)


if __name__ == "__main__":
    main(sys.argv[1:])
