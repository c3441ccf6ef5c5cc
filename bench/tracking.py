"""Who is confused with whom: ByteTrack of the library against our own tracker.

On staged walkers who cross each other everybody is known. On the crowd there is no truth: there
each tracker at five looks a second is held against both at the clip's full rate, where next to
nothing is in doubt. Time is of one look's association, without the network.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from app.analytics.face_tracker import FaceTracker
from app.analytics.object_tracker import ObjectTracker
from app.config import ObjectSettings
from app.models.objects import ObjectDetector, load_objects
from app.pipeline.scale import to_rgb
from app.types import Box, Detection, Track
from bench import staged
from bench.table import show

CROWD, EVERY = "plaza_crowd_720p.mp4", 5
SAME_IOU = 0.4
PATIENCE_S = 60.0

Follow = Callable[[Sequence[Detection], float], tuple[Track, ...]]
Named = Mapping[object, Box]


class Look(NamedTuple):
    at: float
    detections: list[Detection]


def ours() -> Follow:
    return FaceTracker(start_confidence=0.4, hold_s=1.5, growth_per_s=0.0).update


def library() -> Follow:
    return ObjectTracker(start_confidence=0.4, hold_s=1.5, numbers=itertools.count(1)).update


KINDS: dict[str, Callable[[], Follow]] = {"ours": ours, "ByteTrack": library}


def run() -> None:
    if reason := staged.missing():
        print(f"\ntracking is not measured: {reason}")
        return
    objects = load_objects(ObjectSettings(timeout_s=PATIENCE_S))
    walkers, truth = _walkers(objects)
    crowd = _crowd(objects)
    objects.close()
    rows = [_row("walkers who cross", name, walkers, truth) for name in KINDS]
    for judge in KINDS:
        full = _followed(KINDS[judge](), crowd)[0][::EVERY]
        rows += [_row(f"crowd, by {judge}", name, crowd[::EVERY], full) for name in KINDS]
    head = ["who", "tracker", "persons", "tracks", "switches", "IDF1", "ms a look"]
    show("who is confused with whom", head, rows)
    print(f"\nimporting the library: {_import_s():.1f} s of CPU, once")


def _row(clip: str, name: str, looks: Sequence[Look], truth: Sequence[Named]) -> list[str]:
    found, spent = _followed(KINDS[name](), looks)
    switches, idf1 = confusion(truth, found)
    persons = {who for named in truth for who in named}
    tracks = {who for named in found for who in named}
    numbers = [str(len(persons)), str(len(tracks)), str(switches)]
    return [clip, name, *numbers, f"{idf1:.3f}", f"{spent / len(looks) * 1000:.1f}"]


def _followed(follow: Follow, looks: Sequence[Look]) -> tuple[list[Named], float]:
    """Who is where in each look, of those who are seen; and the seconds that took."""
    began = time.process_time()
    tracks = [follow(look.detections, look.at) for look in looks]
    spent = time.process_time() - began
    return [{t.track_id: t.box for t in some if t.age_s == 0} for some in tracks], spent


def confusion(truth: Sequence[Named], found: Sequence[Named]) -> tuple[int, float]:
    """How often somebody's track changes, and IDF1 (Ristani et al., 2016): the share of
    sightings that bear the one name that fits each person best, 0 to 1."""
    from scipy.optimize import linear_sum_assignment

    pairs: Counter[tuple[object, object]] = Counter()
    last: dict[object, object] = {}
    switches = 0
    for there, seen in zip(truth, found, strict=True):
        people, tracks = list(there), list(seen)
        overlap = np.array([[there[p].iou(seen[t]) for t in tracks] for p in people])
        if not overlap.size:
            continue
        for row, column in zip(*linear_sum_assignment(-overlap), strict=True):
            if overlap[row, column] >= SAME_IOU:
                person, track = people[row], tracks[column]
                pairs[person, track] += 1
                switches += last.get(person, track) != track
                last[person] = track
    people, tracks = sorted({p for p, _ in pairs}, key=str), sorted({t for _, t in pairs}, key=str)
    table = np.array([[pairs[p, t] for t in tracks] for p in people])
    right = int(table[linear_sum_assignment(-table)].sum()) if table.size else 0
    sightings = sum(len(named) for named in (*truth, *found))
    return switches, 2 * right / max(1, sightings)


def _walkers(objects: ObjectDetector) -> tuple[list[Look], list[Named]]:
    looks: list[Look] = []
    truth: list[Named] = []
    for shot in staged.shots(staged.CROSSING):
        size = shot.rgb.shape[1], shot.rgb.shape[0]
        small = np.asarray(cv2.resize(shot.rgb, (640, 640 * size[1] // size[0])), np.uint8)
        looks.append(Look(shot.at, _people(objects.submit(small).detections(PATIENCE_S, size))))
        inside: Named = {n: b for n, b in shot.people.items() if b.x1 > -10 and b.x2 < size[0] + 10}
        truth.append(inside)
    return looks, truth


def _crowd(objects: ObjectDetector) -> list[Look]:
    return [
        Look(image.time or 0.0, _people(look.detections(PATIENCE_S, (image.width, image.height))))
        for image in _images(CROWD)
        for look in [objects.submit(to_rgb(image, objects.longest))]
    ]


def _images(clip: str) -> Iterator[av.VideoFrame]:
    with av.open(str(Path(os.environ["WATCHPOST_DATA"]) / "videos" / clip)) as container:
        yield from container.decode(video=0)


def _people(detections: Sequence[Detection]) -> list[Detection]:
    return [detection for detection in detections if detection.label == "person"]


def _import_s() -> float:
    clock = "time.process_time()"
    script = f"import time, numpy, cv2; t = {clock}; import trackers; print({clock} - t)"
    return float(subprocess.check_output([sys.executable, "-c", script], encoding="utf-8"))
