"""Plates of passing vehicles in videos: reported numbers, against those that a person can read.

Each video of ``$WATCHPOST_DATA/videos`` runs through a stream's analysis like a camera, but as
fast as the machine can: once with every frame and the inference rate of an idle machine, and once
with fewer frames and inferences, as on a busy one. A crop is read before the next frame comes.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import av

from app import plate_text
from app.analytics.analyzer import AnalyzerFactory
from app.analytics.rules import FramePixels, read_rule_settings
from app.anpr.read_queue import PlateReadQueue
from app.config import ObjectSettings
from app.events import RuleEvent
from app.models.batching import Image
from app.models.objects import load_objects
from app.models.plates.networks import load_plates
from app.models.plates.reader import CropRead
from app.pipeline.scale import part_to_rgb, to_rgb
from app.plates import WatchEntry
from app.types import StreamSpec
from bench.table import show

TIMEOUT_S = 60.0
READABLE: dict[str, list[str]] = {"dashcam_plates.mp4": ["FJ189XV", "GD518FA", "FM826DA"]}
"""Numbers that a person can read in a clip, in order of appearance; other clips have none."""
PACES = {
    "idle machine: all frames, 5 inferences/s": (1, 5.0),
    "busy machine: 8 frames/s, 2.5 inferences/s": (3, 2.5),
}
"""Every which frame is taken, and the inferences per second."""


class _SynchronousReadQueue(PlateReadQueue):
    """Waits for each reading, so that results do not depend on the machine's speed."""

    def read(self, crop: Image, *, again: bool = False) -> Future[CropRead] | None:
        """Read a crop and return the finished future."""
        reading = super().read(crop, again=again)
        if reading is not None:
            reading.exception(TIMEOUT_S)
        return reading


class _EmptyWatchlist:
    """A watch-list without entries."""

    def entries(self) -> list[WatchEntry]:
        """Return no entries."""
        return []


def run() -> None:
    """Print a table for each video and pace."""
    data = os.environ.get("WATCHPOST_DATA")
    if not data:
        print("plates are not measured: set WATCHPOST_DATA to the folder with videos/")
        return
    for clip in sorted((Path(data) / "videos").iterdir()):
        for pace, (every, rate) in PACES.items():
            compare(clip.name, pace, analyse(clip, every, rate))


def compare(clip: str, pace: str, events: Sequence[tuple[float, RuleEvent]]) -> None:
    """Print every reported plate, and every number that was missed."""
    readable = READABLE.get(clip, [])
    left = list(readable)
    rows = []
    for at, rule_event in events:
        number = str(rule_event.details["plate_number"])
        known = next((n for n in left if plate_text.shape(n) == plate_text.shape(number)), None)
        if known is not None:
            left.remove(known)
        again = plate_text.shape(number) in map(plate_text.shape, readable)
        verdict = "correct" if known else "duplicate" if again else "wrong"
        confidence, reads = f"{rule_event.confidence:.2f}", str(rule_event.details["reads"])
        rows.append([f"{at:.1f} s", number, confidence, reads, verdict])
    rows += [["never", number, "", "", "missed"] for number in left]
    if not rows:
        print(f"\nno plates in {clip}, none reported ({pace})", flush=True)
        return
    head = ["reported at", "number", "confidence", "reads", "verdict"]
    show(f"Plates in {clip}, {pace}", head, rows)


def analyse(clip: Path, every: int, rate: float) -> list[tuple[float, RuleEvent]]:
    """Return the plate events of one video, with their times in it."""
    settings = ObjectSettings(timeout_s=TIMEOUT_S, max_wait=1, max_fps=rate)
    objects, networks = load_objects(settings), load_plates()
    read_queue = _SynchronousReadQueue(networks.reader(objects), _EmptyWatchlist())
    analyzers = AnalyzerFactory(settings, read_rule_settings(), objects, {"plates": read_queue})
    analysis = analyzers.create(StreamSpec("clip", "file:", analytics={"plates": {}}))
    assert analysis is not None
    events: list[tuple[float, RuleEvent]] = []
    now = 0.0
    with av.open(str(clip)) as container:
        for image in itertools.islice(container.decode(video=0), 0, None, every):
            now, size = image.time or 0.0, (image.width, image.height)
            pending = analysis.submit(now, functools.partial(to_rgb, image))
            crop, resized = functools.partial(part_to_rgb, image), functools.partial(to_rgb, image)
            pixels = FramePixels(size, crop, resized, now)
            _, rule_events = analysis.process(pending, [], pixels, size)
            events += [(now, rule_event) for rule_event in rule_events]
    events += [(now, rule_event) for rule_event in analysis.end()]
    read_queue.close()
    networks.close()
    objects.close()
    return [(at, rule_event) for at, rule_event in events if rule_event.type == "plate_seen"]
