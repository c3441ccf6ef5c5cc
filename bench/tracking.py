"""Identity switches of trackers: ByteTrack against the tracker of faces.

For staged walkers who cross each other the identities are known. The crowd has no ground truth:
there, each tracker at five frames per second is compared with both at the clip's full frame rate,
where almost nothing is ambiguous. Times are of the association for one frame, without detection.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from app.analytics.byte_track import best_pairs
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
TIMEOUT_S = 60.0

Update = Callable[[Sequence[Detection], float], tuple[Track, ...]]
Named = Mapping[object, Box]


class FrameDetections(NamedTuple):
    """The people detected in one frame."""

    at: float
    detections: list[Detection]


def face_tracker() -> Update:
    """Create a tracker of faces."""
    return FaceTracker(start_confidence=0.4, hold_s=1.5, growth_per_s=0.0).update


def object_tracker() -> Update:
    """Create a tracker of objects."""
    return ObjectTracker(start_confidence=0.4, hold_s=1.5, numbers=itertools.count(1)).update


KINDS: dict[str, Callable[[], Update]] = {"FaceTracker": face_tracker, "ByteTrack": object_tracker}


def run() -> None:
    """Print the identity switches of each tracker."""
    if reason := staged.missing():
        print(f"\ntracking is not measured: {reason}")
        return
    objects = load_objects(ObjectSettings(timeout_s=TIMEOUT_S))
    walkers, truth = _walkers(objects)
    crowd = _crowd(objects)
    objects.close()
    rows = [_row("crossing walkers", name, walkers, truth) for name in KINDS]
    for reference in KINDS:
        full = _tracked(KINDS[reference](), crowd)[0][::EVERY]
        rows += [
            _row(f"crowd, against {reference} at full rate", name, crowd[::EVERY], full)
            for name in KINDS
        ]
    head = ["clip", "tracker", "persons", "tracks", "switches", "IDF1", "ms/frame"]
    show("Identity switches", head, rows)


def _row(
    clip: str, name: str, frames: Sequence[FrameDetections], truth: Sequence[Named]
) -> list[str]:
    found, spent = _tracked(KINDS[name](), frames)
    switches, idf1 = confusion(truth, found)
    persons = {who for named in truth for who in named}
    tracks = {who for named in found for who in named}
    numbers = [str(len(persons)), str(len(tracks)), str(switches)]
    return [clip, name, *numbers, f"{idf1:.3f}", f"{spent / len(frames) * 1000:.1f}"]


def _tracked(update: Update, frames: Sequence[FrameDetections]) -> tuple[list[Named], float]:
    """Return the boxes of the visible tracks in each frame, and the CPU seconds that took."""
    started = time.process_time()
    tracks = [update(frame.detections, frame.at) for frame in frames]
    spent = time.process_time() - started
    return [{t.track_id: t.box for t in some if t.age_s == 0} for some in tracks], spent


def confusion(truth: Sequence[Named], found: Sequence[Named]) -> tuple[int, float]:
    """Return the number of identity switches, and IDF1 (Ristani et al., 2016), 0 to 1.

    IDF1 is the share of detections with the correct identity, under the best assignment of one
    track to each person.
    """
    pairs: Counter[tuple[object, object]] = Counter()
    last: dict[object, object] = {}
    switches = 0
    for there, seen in zip(truth, found, strict=True):
        people, tracks = list(there), list(seen)
        overlap = np.array([[there[p].iou(seen[t]) for t in tracks] for p in people])
        if not overlap.size:
            continue
        for row, column in best_pairs(overlap, SAME_IOU):
            person, track = people[row], tracks[column]
            pairs[person, track] += 1
            switches += last.get(person, track) != track
            last[person] = track
    people, tracks = sorted({p for p, _ in pairs}, key=str), sorted({t for _, t in pairs}, key=str)
    table = np.array([[pairs[p, t] for t in tracks] for p in people], np.float64)
    right = int(sum(table[pair] for pair in best_pairs(table, 0)))
    sightings = sum(len(named) for named in (*truth, *found))
    return switches, 2 * right / max(1, sightings)


def _walkers(objects: ObjectDetector) -> tuple[list[FrameDetections], list[Named]]:
    frames: list[FrameDetections] = []
    truth: list[Named] = []
    for frame in staged.frames(staged.CROSSING):
        size = frame.rgb.shape[1], frame.rgb.shape[0]
        small = np.asarray(cv2.resize(frame.rgb, (640, 640 * size[1] // size[0])), np.uint8)
        people = _people(objects.submit(small).detections(TIMEOUT_S, size))
        frames.append(FrameDetections(frame.at, people))
        inside: Named = {
            name: box
            for name, box in frame.people.items()
            if box.x1 > -10 and box.x2 < size[0] + 10
        }
        truth.append(inside)
    return frames, truth


def _crowd(objects: ObjectDetector) -> list[FrameDetections]:
    frames = []
    for image in _images(CROWD):
        pending = objects.submit(to_rgb(image, objects.longest))
        people = _people(pending.detections(TIMEOUT_S, (image.width, image.height)))
        frames.append(FrameDetections(image.time or 0.0, people))
    return frames


def _images(clip: str) -> Iterator[av.VideoFrame]:
    with av.open(str(Path(os.environ["WATCHPOST_DATA"]) / "videos" / clip)) as container:
        yield from container.decode(video=0)


def _people(detections: Sequence[Detection]) -> list[Detection]:
    return [detection for detection in detections if detection.label == "person"]
