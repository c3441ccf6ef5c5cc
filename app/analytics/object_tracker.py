"""Detections of people and objects to tracks that keep their ids from inference to inference.

Which detection belongs to which track is decided by ByteTrack: at five inferences a second it
confuses fewer people who cross each other than ``FaceTracker`` does (``python -m bench tracking``).
Faces stay with that one: for them a wrong id costs nothing, but a lost track shows somebody's face.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from app.analytics.byte_track import ByteTrack
from app.analytics.face_tracker import TrackState
from app.types import Box, Detection, Track

MAX_GAP_S = 3.0  # between two inferences, over which a person keeps their id


@dataclass(slots=True)
class _ObjectState(TrackState):
    """A track whose label is the one with the largest sum of confidences."""

    votes: dict[str, float] = field(default_factory=dict)

    def add(self, detection: Detection, now: float) -> None:
        """Take the detection of the frame captured at ``now``, and its vote for the label."""
        self.update(detection, now)
        label = detection.label
        self.votes[label] = self.votes.get(label, 0.0) + detection.confidence
        self.label = max(self.votes, key=self.votes.__getitem__)


class ObjectTracker:
    """Follows objects of one kind in one stream; not shared between threads.

    Args:
        start_confidence: a detection with at least this confidence starts a track; others only
            continue one.
        hold_s: a track without a detection for longer is no longer reported, and soon dropped.
        numbers: where track ids come from, for all trackers of one stream.
        fps: about how many inferences a second there are.
        match_margin: how much boxes are enlarged on each side to compare them, as a share of their
            longer side, for objects that move farther between two inferences than they are long.
    """

    def __init__(
        self,
        *,
        start_confidence: float,
        hold_s: float,
        numbers: Iterator[int],
        fps: float = 5.0,
        match_margin: float = 0.0,
    ) -> None:
        self._match_margin = match_margin
        self._start_confidence = start_confidence
        self._hold_s = hold_s
        self._numbers = numbers
        self._fps = fps
        self._states: dict[int, _ObjectState] = {}
        self._tracker: ByteTrack | None = None
        self._inferred_at: float = -math.inf

    def update(self, detections: Sequence[Detection], now: float) -> tuple[Track, ...]:
        """Take the detections of the frame captured at ``now``; return all living tracks."""
        gap_s = now - self._inferred_at
        if self._tracker is None or gap_s <= 0:  # the first frame, or a file that starts again
            self._tracker = ByteTrack(self._start_confidence, self._hold_s + MAX_GAP_S, self._fps)
            self._states.clear()
        self._inferred_at = now
        self._forget(now - self._hold_s - gap_s)  # who was missed once may still be there
        boxes = np.array([self._compared(detection.box) for detection in detections], np.float64)
        confidences = np.array([detection.confidence for detection in detections], np.float64)
        for index, name in self._tracker.update(boxes.reshape(-1, 4), confidences, now):
            detection = detections[index]
            if name not in self._states:
                number = next(self._numbers)
                self._states[name] = _ObjectState(
                    number, detection.label, detection.confidence, detection.box, now
                )
            self._states[name].add(detection, now)
        return self.coast(now)

    def coast(self, now: float) -> tuple[Track, ...]:
        """All living tracks in a frame without inference."""
        return tuple(
            Track(state.track_id, state.label, state.confidence, box, now - state.seen_at)
            for state in self._states.values()
            if now - state.seen_at <= self._hold_s
            for box in [state.expected(now)]
        )

    def _compared(self, box: Box) -> Box:
        return box.padded(self._match_margin * max(box.width, box.height))

    def _forget(self, before: float) -> None:
        """Drop the tracks without a detection since then."""
        self._states = {name: t for name, t in self._states.items() if t.seen_at >= before}
