"""Detections to tracks, made for covering faces: when in doubt, a track lives on.

Association in two passes after ByteTrack (Zhang et al., 2022): sure detections may start
tracks, unsure ones may only continue one; people and things are in better hands in
``following.py``. Between sightings a track moves on with its last
speed and grows, because the longer it was not seen the less is known about where it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.types import Box, Detection, Track

MATCH_IOU = 0.1
MATCH_GROWTH = 0.5  # boxes are compared enlarged: a small face moves its own width in a frame
SPEED_MEMORY = 0.6
GROWTH_PER_S = 0.6
MAX_COAST_WIDTHS = 2.0


@dataclass(slots=True)
class TrackState:
    """Where something was seen last, and which way it went."""

    track_id: int
    label: str
    confidence: float
    box: Box
    seen_at: float
    speed: tuple[float, float] = (0.0, 0.0)

    def expected(self, now: float) -> Box:
        """Where it should be now, by constant speed, no farther than it can be trusted."""
        age = now - self.seen_at
        limit = MAX_COAST_WIDTHS * max(self.box.width, self.box.height)
        dx, dy = (max(-limit, min(limit, speed * age)) for speed in self.speed)
        return self.box.moved(dx, dy)

    def update(self, detection: Detection, now: float) -> None:
        elapsed = now - self.seen_at
        if elapsed > 0:
            old, new = _centre(self.box), _centre(detection.box)
            self.speed = (
                _blend(self.speed[0], (new[0] - old[0]) / elapsed),
                _blend(self.speed[1], (new[1] - old[1]) / elapsed),
            )
        self.box, self.confidence, self.seen_at = detection.box, detection.confidence, now


class FaceTracker:
    """Follows boxes of one stream; not shared between threads.

    Args:
        start_confidence: a detection at least so sure starts a track.
        hold_s: a track that was not seen for longer is forgotten.
        numbers: where track ids come from, for trackers that share one stream.
        growth_per_s: how much larger a track's box becomes while it is not seen, as a share.
    """

    def __init__(
        self,
        *,
        start_confidence: float,
        hold_s: float,
        numbers: Iterator[int] | None = None,
        growth_per_s: float = GROWTH_PER_S,
    ) -> None:
        self._start_confidence = start_confidence
        self._hold_s = hold_s
        self._growth = growth_per_s
        self._trails: list[TrackState] = []
        self._numbers = numbers or itertools.count(1)

    def update(self, detections: Sequence[Detection], now: float) -> tuple[Track, ...]:
        """Take the detections of the frame captured at ``now``; return all living tracks."""
        self._trails = [t for t in self._trails if now - t.seen_at <= self._hold_s]
        sure = [d for d in detections if d.confidence >= self._start_confidence]
        unsure = [d for d in detections if d.confidence < self._start_confidence]
        lost, unmatched = self._match(self._trails, sure, now)
        self._match(lost, unsure, now)
        for detection in unmatched:
            self._start(detection, now)
        return tuple(self._shown(trail, now) for trail in self._trails)

    def _match(
        self, trails: list[TrackState], detections: list[Detection], now: float
    ) -> tuple[list[TrackState], list[Detection]]:
        """Update the trails that found a detection; return both leftovers."""
        overlap = _overlaps([t.expected(now) for t in trails], [d.box for d in detections])
        pairs = _best_pairs(overlap)
        for row, column in pairs:
            trails[row].update(detections[column], now)
        matched_rows = {row for row, _ in pairs}
        matched_columns = {column for _, column in pairs}
        return (
            [trail for i, trail in enumerate(trails) if i not in matched_rows],
            [detection for i, detection in enumerate(detections) if i not in matched_columns],
        )

    def _start(self, detection: Detection, now: float) -> None:
        self._trails.append(
            TrackState(
                next(self._numbers), detection.label, detection.confidence, detection.box, now
            )
        )

    def _shown(self, trail: TrackState, now: float) -> Track:
        age = now - trail.seen_at
        box = trail.expected(now).grown(self._growth * age / 2)
        return Track(trail.track_id, trail.label, trail.confidence, box, age)


def _best_pairs(overlap: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pair rows with columns, the largest overlap first, each at most once."""
    overlap = overlap.copy()
    pairs: list[tuple[int, int]] = []
    while overlap.size and overlap.max() >= MATCH_IOU:
        row, column = divmod(int(overlap.argmax()), overlap.shape[1])
        overlap[row, :] = overlap[:, column] = 0
        pairs.append((row, column))
    return pairs


def _centre(box: Box) -> tuple[float, float]:
    return (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2


def _blend(old: float, new: float) -> float:
    return SPEED_MEMORY * old + (1 - SPEED_MEMORY) * new


def _overlaps(first: Sequence[Box], second: Sequence[Box]) -> npt.NDArray[np.float64]:
    """Intersection over union of every pair, (len(first), len(second)), boxes enlarged."""
    a = np.array([box.grown(MATCH_GROWTH) for box in first]).reshape(-1, 1, 4)
    b = np.array([box.grown(MATCH_GROWTH) for box in second]).reshape(1, -1, 4)
    top_left, bottom_right = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    inner = np.prod(np.clip(bottom_right - top_left, 0, None), axis=-1)
    area_a, area_b = (np.prod(x[..., 2:] - x[..., :2], axis=-1) for x in (a, b))
    union: npt.NDArray[np.float64] = inner / np.maximum(area_a + area_b - inner, 1e-9)
    return union
