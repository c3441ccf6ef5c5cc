"""Detections of people and objects to tracks that keep their ids from inference to inference.

Which detection belongs to which track is decided by ByteTrack (Zhang et al., 2022) of the library
``trackers``: at five inferences a second it confuses fewer people who cross each other than our
own ``FaceTracker`` does (``python -m bench tracking``). Faces stay with that one: for them a wrong
id costs nothing, but a lost track shows somebody's face. The position of a track between two
inferences, and how long it lives without a detection, are decided in this project in both cases.

The library is large, so it is imported with the first stream that needs it.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.analytics.face_tracker import TrackState
from app.types import Box, Detection, Track

FRAMES_A_SECOND = 30  # the library counts how long a track may be lost in such frames
MIN_IOU = 0.1
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
        self._tracker: Any = None
        self._inferred_at: float = -math.inf

    def update(self, detections: Sequence[Detection], now: float) -> tuple[Track, ...]:
        """Take the detections of the frame captured at ``now``; return all living tracks."""
        gap_s = now - self._inferred_at
        if self._tracker is None or gap_s <= 0:  # the first frame, or a file that starts again
            self._tracker = _byte_track()(
                self._start_confidence, self._hold_s + MAX_GAP_S, self._fps, self._match_margin
            )
            self._states.clear()
        self._inferred_at = now
        self._forget(now - self._hold_s - gap_s)  # who was missed once may still be there
        for index, name in self._tracker(detections, now):
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

    def _forget(self, before: float) -> None:
        """Drop the tracks without a detection since then."""
        self._states = {name: t for name, t in self._states.items() if t.seen_at >= before}


def _grown_by_length(box: Box, margin: float) -> Box:
    return box.padded(margin * max(box.width, box.height))


def prepare() -> None:
    """Start to import the library in the background; it takes a second."""
    threading.Thread(target=_byte_track, name="import-trackers").start()


_Associate = Callable[[Sequence[Detection], float], list[tuple[int, int]]]


@functools.cache
def _byte_track() -> Callable[[float, float, float, float], _Associate]:
    """The factory of ByteTrack trackers, each as a function of the detections of one frame.

    That function returns, for each detection that belongs to a track, its index and the name of
    the track.
    """
    import supervision
    from trackers import ByteTrackTracker

    def make(start_confidence: float, hold_s: float, fps: float, margin: float) -> _Associate:
        tracker = ByteTrackTracker(
            lost_track_buffer=round(hold_s * FRAMES_A_SECOND),
            frame_rate=fps,
            track_activation_threshold=start_confidence,
            high_conf_det_threshold=start_confidence,
            minimum_consecutive_frames=1,
            minimum_iou_threshold=MIN_IOU,
        )
        names = itertools.count()

        def associate(detections: Sequence[Detection], now: float) -> list[tuple[int, int]]:
            given = supervision.Detections(
                xyxy=np.array([_grown_by_length(d.box, margin) for d in detections], float).reshape(
                    -1, 4
                ),
                confidence=np.array([d.confidence for d in detections], np.float64),
                data={"index": np.arange(len(detections))},
            )
            found = tracker.update(given, timestamp=now)
            if not len(found):
                return []
            index, names_of = np.asarray(found.data["index"]), np.asarray(found.tracker_id)
            pairs = [*zip(index.tolist(), names_of.tolist(), strict=True)]
            # The library names a track at its second detection. Here it gets its name at once: a
            # client that sends one image wants to know who is in it.
            begun = [i for i, name in pairs if name < 0]
            begun = [i for i in begun if detections[i].confidence >= start_confidence]
            nameless = [track for track in tracker.tracks if track.tracker_id < 0]
            for begins, track in zip(begun, nameless, strict=False):
                track.tracker_id = next(names)
                pairs.append((begins, track.tracker_id))
            tracker.tracks = [track for track in tracker.tracks if track.tracker_id >= 0]
            return [(which, name) for which, name in pairs if name >= 0]

        return associate

    return make
