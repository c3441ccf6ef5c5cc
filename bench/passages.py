"""Plates that pass in a video: what is told, against what a person can read in it.

Each video of ``$WATCHPOST_DATA/videos`` goes through a stream's analysis as a camera's would, only
as fast as the machine can: every frame, with as many looks a second as a machine with time takes,
and fewer frames and looks as on a busy one. A crop has been read when the next picture comes.
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

PATIENCE_S = 60.0
READABLE: dict[str, list[str]] = {"dashcam_plates.mp4": ["FJ189XV", "GD518FA", "FM826DA"]}
"""Numbers that a person reads in the clip, in the order in which they come; none in others."""
PACES = {"5 looks a second": (1, 5.0), "busy: 8 frames and 2.5 looks a second": (3, 2.5)}
"""One of how many frames is taken, and how often a second it is looked at one."""


class _AtOnce(PlateReadQueue):
    """Reads before it answers, so that the machine's speed changes nothing."""

    def read(self, crop: Image, *, again: bool = False) -> Future[CropRead] | None:
        reading = super().read(crop, again=again)
        if reading is not None:
            reading.exception(PATIENCE_S)
        return reading


class _Nobody:
    def entries(self) -> list[WatchEntry]:
        return []


def run() -> None:
    data = os.environ.get("WATCHPOST_DATA")
    if not data:
        print("passages: set WATCHPOST_DATA to the folder that has the clips in videos/.")
        return
    for clip in sorted((Path(data) / "videos").iterdir()):
        for pace, (every, looks) in PACES.items():
            compare(clip.name, pace, watch(clip, every, looks))


def compare(clip: str, pace: str, told: Sequence[tuple[float, RuleEvent]]) -> None:
    """Every passage that was told, and every number that should have been."""
    readable = READABLE.get(clip, [])
    left = list(readable)
    rows = []
    for at, rule_event in told:
        number = str(rule_event.details["plate_number"])
        known = next((n for n in left if plate_text.shape(n) == plate_text.shape(number)), None)
        if known is not None:
            left.remove(known)
        again = plate_text.shape(number) in map(plate_text.shape, readable)
        verdict = "right" if known else "told twice" if again else "not readable so"
        sure, reads = f"{rule_event.confidence:.2f}", str(rule_event.details["reads"])
        rows.append([f"{at:.1f} s", number, sure, reads, verdict])
    rows += [["never", number, "", "", "missed"] for number in left]
    if not rows:
        print(f"\nno plates in {clip}, none told ({pace})", flush=True)
        return
    head = ["told at", "number", "confidence", "reads", ""]
    show(f"plates that pass in {clip}, {pace}", head, rows)


def watch(clip: Path, every: int, looks: float) -> list[tuple[float, RuleEvent]]:
    """What the analysis of one video tells, with the time in it."""
    settings = ObjectSettings(timeout_s=PATIENCE_S, max_wait=1, max_fps=looks)
    objects, networks = load_objects(settings), load_plates()
    read_queue = _AtOnce(networks.reader(objects), _Nobody())
    analyzers = AnalyzerFactory(settings, read_rule_settings(), objects, {"plates": read_queue})
    analysis = analyzers.create(StreamSpec("clip", "file:", analytics={"plates": {}}))
    assert analysis is not None
    told: list[tuple[float, RuleEvent]] = []
    now = 0.0
    with av.open(str(clip)) as container:
        for image in itertools.islice(container.decode(video=0), 0, None, every):
            now, size = image.time or 0.0, (image.width, image.height)
            look = analysis.submit(now, functools.partial(to_rgb, image))
            cut, see = functools.partial(part_to_rgb, image), functools.partial(to_rgb, image)
            _, rule_events = analysis.process(look, [], FramePixels(size, cut, see, now), size)
            told += [(now, rule_event) for rule_event in rule_events]
    told += [(now, rule_event) for rule_event in analysis.end()]
    read_queue.close()
    networks.close()
    objects.close()
    return [(at, rule_event) for at, rule_event in told if rule_event.type == "plate_seen"]
