"""Face detections to tracks that are safe to blur by: when in doubt, a track lives on.

Detections are matched in two passes, as in ByteTrack (Zhang et al., 2022): confident ones may
start a track, the others may only continue one. Between detections a track moves on at its last
speed, and its box grows: the longer ago its last detection, the less certain its position.
People and objects are followed by ``object_tracker.py``, which keeps ids better.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.boxes import pairwise_iou
from app.types import Box, Detection, Track

MATCH_IOU = 0.1
MATCH_GROWTH = 0.5  # boxes are enlarged to compare: a small face moves its own width in a frame
SPEED_MEMORY = 0.6  # weight of the old speed in the new one
GROWTH_PER_S = 0.6
MAX_COAST_WIDTHS = 2.0


@dataclass(slots=True)
class TrackState:
    """Where an object was last detected, and how fast it moved, in pixels a second."""

    track_id: int
    label: str
    confidence: float
    box: Box
    seen_at: float
    speed: tuple[float, float] = (0.0, 0.0)

    def expected(self, now: float) -> Box:
        """Its box now if it kept its speed, at most ``MAX_COAST_WIDTHS`` away."""
        age = now - self.seen_at
        limit = MAX_COAST_WIDTHS * max(self.box.width, self.box.height)
        dx, dy = (max(-limit, min(limit, speed * age)) for speed in self.speed)
        return self.box.moved(dx, dy)

    def update(self, detection: Detection, now: float) -> None:
        """Take the detection of the frame captured at ``now``."""
        elapsed = now - self.seen_at
        if elapsed > 0:
            old, new = self.box.centre, detection.box.centre
            self.speed = (
                _blend(self.speed[0], (new[0] - old[0]) / elapsed),
                _blend(self.speed[1], (new[1] - old[1]) / elapsed),
            )
        self.box, self.confidence, self.seen_at = detection.box, detection.confidence, now

    def scale(self, x: float, y: float) -> None:
        """Keep its place in an image whose width and height changed by these factors."""
        self.box = self.box.scaled(x, y)
        self.speed = self.speed[0] * x, self.speed[1] * y


class FaceTracker:
    """Follows the faces of one stream; not shared between threads.

    Args:
        start_confidence: a detection with at least this confidence starts a track.
        hold_s: a track without a detection for longer than this is dropped.
        numbers: where track ids come from, for trackers that share one stream.
        growth_per_s: share by which a track's box grows each second without a detection.
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
        self._states: list[TrackState] = []
        self._numbers = numbers or itertools.count(1)
        self._size: tuple[int, int] | None = None

    def resize(self, size: tuple[int, int]) -> None:
        """Take the size (width, height) of the next image: its faces stay where they are in it.

        Otherwise a face that is missed just when a camera changes its resolution would be covered
        in the wrong place.
        """
        old, self._size = self._size or size, size
        if size != old:
            for state in self._states:
                state.scale(size[0] / old[0], size[1] / old[1])

    def update(self, detections: Sequence[Detection], now: float) -> tuple[Track, ...]:
        """Take the detections of the frame captured at ``now``; return all living tracks."""
        self._states = [t for t in self._states if now - t.seen_at <= self._hold_s]
        confident = [d for d in detections if d.confidence >= self._start_confidence]
        doubtful = [d for d in detections if d.confidence < self._start_confidence]
        lost, unmatched = self._match(self._states, confident, now)
        self._match(lost, doubtful, now)
        for detection in unmatched:
            self._start(detection, now)
        return tuple(self._track(state, now) for state in self._states)

    def _match(
        self, states: list[TrackState], detections: list[Detection], now: float
    ) -> tuple[list[TrackState], list[Detection]]:
        """Update the tracks that have a detection; return the tracks and detections left over."""
        overlap = _overlaps([t.expected(now) for t in states], [d.box for d in detections])
        pairs = _best_pairs(overlap)
        for row, column in pairs:
            states[row].update(detections[column], now)
        matched_rows = {row for row, _ in pairs}
        matched_columns = {column for _, column in pairs}
        return (
            [state for i, state in enumerate(states) if i not in matched_rows],
            [detection for i, detection in enumerate(detections) if i not in matched_columns],
        )

    def _start(self, detection: Detection, now: float) -> None:
        self._states.append(
            TrackState(
                next(self._numbers), detection.label, detection.confidence, detection.box, now
            )
        )

    def _track(self, state: TrackState, now: float) -> Track:
        age = now - state.seen_at
        box = state.expected(now).grown(self._growth * age / 2)
        return Track(state.track_id, state.label, state.confidence, box, age)


def _best_pairs(overlap: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pair rows with columns, the largest overlap first, each at most once."""
    overlap = overlap.copy()
    pairs: list[tuple[int, int]] = []
    while overlap.size and overlap.max() >= MATCH_IOU:
        row, column = divmod(int(overlap.argmax()), overlap.shape[1])
        overlap[row, :] = overlap[:, column] = 0
        pairs.append((row, column))
    return pairs


def _blend(old: float, new: float) -> float:
    return SPEED_MEMORY * old + (1 - SPEED_MEMORY) * new


def _overlaps(first: Sequence[Box], second: Sequence[Box]) -> npt.NDArray[np.float64]:
    """(len(first), len(second)) intersection over union of the enlarged boxes."""
    return pairwise_iou(_corners(first), _corners(second))


def _corners(boxes: Sequence[Box]) -> npt.NDArray[np.float64]:
    return np.array([box.grown(MATCH_GROWTH) for box in boxes], np.float64).reshape(-1, 4)
