"""Which detection belongs to which track: ByteTrack (Zhang et al., 2022).

Detections are matched in two passes: confident ones with all tracks, the others only with tracks
that are left over; only a confident detection begins a track. What is compared is the box that a
Kalman filter expects, at one constant speed for each of the box's four edges. The filter's noise,
in pixels and steps, is that of the paper's implementation for corners; between two updates it
grows with the time that passed, as white noise of the acceleration does (Bar-Shalom et al.,
*Estimation with Applications to Tracking and Navigation*, 2001, 6.3.2).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import lap
import numpy as np
import numpy.typing as npt

from app.boxes import pairwise_iou

Array = npt.NDArray[np.float64]
Pair = tuple[int, int]

MIN_IOU = 0.1
MEASUREMENT_VARIANCE = 0.1
ACCELERATION_VARIANCE = 0.01


@dataclass(slots=True, eq=False)
class _Motion:
    """Where a track's box is and how fast its edges move; steps are the unit of time.

    All edges are measured equally well and at the same times, so one covariance of position and
    speed, (2, 2), serves the four.
    """

    name: int
    position: Array
    speed: Array
    covariance: Array
    seen_at: float

    @classmethod
    def begun(cls, name: int, box: Array, now: float) -> _Motion:
        return cls(name, box.copy(), np.zeros(4), np.eye(2), now)

    def predict(self, steps: float) -> None:
        """Move on by that time."""
        transition = np.array([[1.0, steps], [0.0, 1.0]])
        way = np.array([steps**2 / 2, steps])
        self.position = self.position + self.speed * steps
        self.covariance = transition @ self.covariance @ transition.T
        self.covariance += ACCELERATION_VARIANCE * np.outer(way, way)

    def correct(self, box: Array, now: float) -> None:
        """Take a measured box."""
        gain = self.covariance[:, 0] / (self.covariance[0, 0] + MEASUREMENT_VARIANCE)
        error = box - self.position
        self.position = self.position + gain[0] * error
        self.speed = self.speed + gain[1] * error
        self.covariance = self.covariance - np.outer(gain, self.covariance[0])
        self.seen_at = now


class ByteTrack:
    """Names the detections of one video, frame after frame; not shared between threads.

    Args:
        start_confidence: from this on, a detection is a confident one.
        lost_s: a track that no detection continued for longer ends.
        fps: about how many frames a second there are: one step of the filter is one frame.
    """

    def __init__(self, start_confidence: float, lost_s: float, fps: float) -> None:
        self._start_confidence = start_confidence
        self._lost_s = lost_s
        self._fps = fps
        self._tracks: list[_Motion] = []
        self._names = itertools.count()
        self._now: float | None = None

    def update(self, boxes: Array, confidences: Array, now: float) -> list[Pair]:
        """Match the detections of the frame captured at ``now``, seconds, later than the last.

        Args:
            boxes: (N, 4) as x1, y1, x2, y2 in pixels.
            confidences: (N,)

        Returns:
            The index of each detection that belongs to a track, and the name of the track.
        """
        self._predict(now)
        sure = confidences >= self._start_confidence
        confident, doubtful = np.flatnonzero(sure).tolist(), np.flatnonzero(~sure).tolist()
        first, lost, unmatched = self._match(self._tracks, confident, boxes, now)
        second, _, _ = self._match(lost, doubtful, boxes, now)
        return [*first, *second, *(self._begin(index, boxes[index], now) for index in unmatched)]

    def _predict(self, now: float) -> None:
        """Move all tracks on to now, and drop those that were lost for too long."""
        steps = 0.0 if self._now is None else (now - self._now) * self._fps
        self._now = now
        self._tracks = [track for track in self._tracks if now - track.seen_at <= self._lost_s]
        for track in self._tracks:
            track.predict(steps)

    def _match(
        self, tracks: list[_Motion], indices: list[int], boxes: Array, now: float
    ) -> tuple[list[Pair], list[_Motion], list[int]]:
        """Continue tracks by those detections; return pairs, tracks and detections left over."""
        expected = np.array([track.position for track in tracks]).reshape(-1, 4)
        pairs = best_pairs(pairwise_iou(expected, boxes[indices]), MIN_IOU)
        for row, column in pairs:
            tracks[row].correct(boxes[indices[column]], now)
        rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
        return (
            [(indices[column], tracks[row].name) for row, column in pairs],
            [track for i, track in enumerate(tracks) if i not in rows],
            [index for i, index in enumerate(indices) if i not in columns],
        )

    def _begin(self, index: int, box: Array, now: float) -> Pair:
        track = _Motion.begun(next(self._names), box, now)
        self._tracks.append(track)
        return index, track.name


def best_pairs(similarity: Array, least: float) -> list[Pair]:
    """Pair rows with columns, each at most once, for the largest sum; only pairs of ``least``."""
    if not similarity.size:
        return []
    _, columns, _ = lap.lapjv(-similarity, extend_cost=True)
    pairs = [(row, column) for row, column in enumerate(columns.tolist()) if column >= 0]
    return [(row, column) for row, column in pairs if similarity[row, column] >= least]
