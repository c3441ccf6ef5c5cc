"""How well plates are read: ``WATCHPOST_DATA=… python -m bench.plates [--rapidocr] [--claude]``.

Whole photo in, the first answer counts. Right is strict, or with O, Q and 0, I and 1 taken as
equal, because the truth itself mixes them. Every other photo was looked at while thresholds were
set (dev); the others (held out) were not. The network that sees plates was trained on boxes of
these photos, so where plates are is easier here than elsewhere: ``--text-alone`` does without it.

``--claude`` asks Claude about doubtful ones, as an upload does, and reports what that changes: it
takes a key (``WATCHPOST_CLAUDE_API_KEY``), costs money and sends crops of these photos away.
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

MOST_PIXELS = 50_000_000
BINS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.01)


class Shot(NamedTuple):
    """One photo: what it says, what was read, what it cost."""

    name: str
    truth: str
    texts: list[str]
    confidences: list[float]
    ms: float
    plain_ms: float

    @property
    def first(self) -> str:
        return self.texts[0] if self.texts else ""

    @property
    def strict(self) -> bool:
        return self.first == self.truth

    @property
    def alike(self) -> bool:
        return plate_text.shape(self.first) == plate_text.shape(self.truth)


def photos(data: Path) -> list[tuple[Path, str]]:
    """Photos and what their plates say, dev and held out in turn."""
    found = sorted(data.glob("plates/*/*.jpg"))
    return [
        (path, path.with_suffix(".txt").read_text(encoding="utf-8").strip().split("\t")[-1])
        for path in found
    ]


def is_dev(number: int) -> bool:
    return number % 2 == 0


def read_all(
    taken: list[tuple[Path, str]],
    *,
    text_alone: bool,
    size: float,
    rapidocr: bool,
    claude: Doubts | None,
    out: Path | None,
) -> list[Shot]:
    networks = load_plates()
    objects = None if text_alone else load_objects(ObjectSettings())
    reader = networks.reader(objects)
    plain = _rapidocr() if rapidocr else None
    shots = []
    for path, truth in taken:
        image = _resized(pixels(path.read_bytes(), MOST_PIXELS), size)
        begun = time.perf_counter()
        plates = reader.read(image)
        if claude is not None:
            plates = [claude.asked(plate) for plate in plates]
        between = time.perf_counter()
        if plain is not None:
            plain(image[:, :, ::-1])
        after = time.perf_counter()
        shots.append(
            Shot(
                f"{path.parent.name}/{path.name}",
                truth,
                [plate.read.text for plate in plates],
                [plate.read.confidence for plate in plates],
                (between - begun) * 1000,
                (after - between) * 1000,
            )
        )
        if out is not None:
            out.write_text(json.dumps([shot._asdict() for shot in shots]), encoding="utf-8")
    networks.close()
    if objects is not None:
        objects.close()
    return shots


class Doubts:
    """Claude as the server asks it, with a record that lasts as long as this run."""

    def __init__(self) -> None:
        settings = Settings()
        if settings.claude_api_key is None:
            sys.exit("--claude needs a key in WATCHPOST_CLAUDE_API_KEY")
        self._settings = settings.plates
        key = settings.claude_api_key.get_secret_value()
        self._reader = ClaudeReader(key, settings.claude_model, self, daily=10_000)
        self.calls: list[ClaudeCall] = []

    def asked(self, plate: ReadPlate) -> ReadPlate:
        if plate.read.confidence >= self._settings.claude_below:
            return plate
        return self._reader.review(plate, time.monotonic() + self._settings.claude_timeout_s)

    def answer(self, *_: str) -> ClaudeCall | None:
        return None

    def begin(self, *_: object) -> int | None:
        return len(self.calls)

    def settle(self, _: int, call: ClaudeCall) -> None:
        self.calls.append(call)

    def assign(self, *_: object) -> None:
        pass


def _rapidocr() -> Any:
    try:
        from rapidocr import RapidOCR
    except ImportError:
        sys.exit("plain RapidOCR is compared with: pip install rapidocr onnxruntime")
    return RapidOCR()


def _resized(image: Image, size: float) -> Image:
    if size == 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=size, fy=size, interpolation=cv2.INTER_AREA))


def report(shots: list[Shot]) -> None:
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
    show("Plates read", ["photos", "n", "look-alikes equal", "strict", "more than one plate"], rows)
    held_out = [shot for number, shot in enumerate(shots) if not is_dev(number)]
    head = ["confidence", "n", "mean said", "right"]
    show("What a confidence means, all photos", head, reliability(shots))
    show("What a confidence means, held out", head, reliability(held_out))
    warm = shots[10:]
    if warm:
        print(f"\np50 {statistics.median(s.ms for s in warm):.0f} ms a photo", end="")
        plain = statistics.median(s.plain_ms for s in warm)
        print(f", plain RapidOCR {plain:.0f} ms" if plain > 1 else "")
    print("\nmisses (truth, read, confidence):")
    for number, shot in enumerate(shots):
        if not shot.alike:
            print(
                f"  {_part(number):8} {shot.name} {shot.truth} {shot.texts} {shot.confidences[:1]}"
            )


def reliability(shots: list[Shot]) -> list[list[str]]:
    """Of the first answers in each range of confidence, how many are right."""
    said = np.array([shot.confidences[0] if shot.confidences else 0.0 for shot in shots])
    right = np.array([shot.alike for shot in shots])
    rows = []
    for low, high in itertools.pairwise(BINS):
        inside = (said >= low) & (said < high)
        if inside.any():
            mean = f"{said[inside].mean():.2f}"
            rows.append(
                [f"{low:.2f} to {min(high, 1):.2f}", str(inside.sum()), mean, _share(right[inside])]
            )
    return rows


def _part(number: int) -> str:
    return "dev" if is_dev(number) else "held out"


def _share(flags: Any) -> str:
    return f"{100 * float(np.mean(flags)):.1f} %" if len(flags) else "-"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench plates", description=__doc__)
    parser.add_argument("--rapidocr", action="store_true", help="time plain RapidOCR beside it")
    parser.add_argument("--text-alone", action="store_true", help="no network that sees plates")
    parser.add_argument("--claude", action="store_true", help="ask it where in doubt; costs money")
    parser.add_argument("--size", type=float, default=1.0, help="photos so much smaller: harder")
    parser.add_argument("--every", type=int, default=1, help="only each so-many-th photo: faster")
    parser.add_argument("--out", type=Path, help="keep what was read here, as JSON")
    parser.add_argument("--again", type=Path, help="report what --out kept, reading nothing")
    chosen = parser.parse_args(arguments)
    if chosen.again:
        shots = [Shot(**each) for each in json.loads(chosen.again.read_text(encoding="utf-8"))]
    else:
        data = os.environ.get("WATCHPOST_DATA")
        if not data:
            sys.exit("WATCHPOST_DATA is not set: it names the folder with the photos")
        claude = Doubts() if chosen.claude else None
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
            print(f"Claude was asked {len(claude.calls)} times, {tokens} tokens")
    report(shots)


if __name__ == "__main__":
    main(sys.argv[1:])
