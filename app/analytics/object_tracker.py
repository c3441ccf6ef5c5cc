"""People and things through time: who or what is the same one as in the look before.

Which detection belongs to which track is for ByteTrack (Zhang et al., 2022) of the library
``trackers`` to say: at five looks a second it confuses fewer people who cross each other than
our own ``Tracker`` does (``python -m bench tracking``). That one stays for faces, where a wrong
name costs nothing and a lost track uncovers somebody. What is between the looks, and for how
long something lives that is not seen, is decided here in both cases.

The library is large, so it is imported with the first stream that wants it.
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

FRAMES_A_SECOND = 30  # the library counts its patience in frames of so many a second
LEAST_IOU = 0.1
MOST_GAP_S = 3.0  # between two looks that somebody keeps their name over


@dataclass(slots=True)
class _ObjectState(TrackState):
    """A trail whose label is decided by the sum of what was seen."""

    votes: dict[str, float] = field(default_factory=dict)

    def see(self, detection: Detection, now: float) -> None:
        self.update(detection, now)
        label = detection.label
        self.votes[label] = self.votes.get(label, 0.0) + detection.confidence
        self.label = max(self.votes, key=self.votes.__getitem__)


class ObjectTracker:
    """Follows things of one kind in one stream; not shared between threads.

    Args:
        start_confidence: a detection at least so sure starts a track; less sure ones only
            continue one.
        hold_s: a track that was not seen for longer is shown no more, and soon forgotten.
        numbers: where track ids come from, for all that share one stream.
        fps: about how many looks a second there are.
        reach: boxes are compared so much larger on each side, as a share of their longer one, for
            what moves farther between two looks than it is long.
    """

    def __init__(
        self,
        *,
        start_confidence: float,
        hold_s: float,
        numbers: Iterator[int],
        fps: float = 5.0,
        reach: float = 0.0,
    ) -> None:
        self._reach = reach
        self._start_confidence = start_confidence
        self._hold_s = hold_s
        self._numbers = numbers
        self._fps = fps
        self._trails: dict[int, _ObjectState] = {}
        self._tracker: Any = None
        self._looked_at: float = -math.inf

    def update(self, detections: Sequence[Detection], now: float) -> tuple[Track, ...]:
        """Take what a look at the frame captured at ``now`` saw; return all living tracks."""
        gap_s = now - self._looked_at
        if self._tracker is None or gap_s <= 0:  # or a file that began anew
            self._tracker = _byte_track()(
                self._start_confidence, self._hold_s + MOST_GAP_S, self._fps, self._reach
            )
            self._trails.clear()
        self._looked_at = now
        self._forget(now - self._hold_s - gap_s)
        for index, name in self._tracker(detections, now):
            detection = detections[index]
            if name not in self._trails:
                number = next(self._numbers)
                self._trails[name] = _ObjectState(
                    number, detection.label, detection.confidence, detection.box, now
                )
            self._trails[name].see(detection, now)
        return self.between(now)

    def between(self, now: float) -> tuple[Track, ...]:
        """All living tracks in a frame that was not looked at."""
        return tuple(
            Track(trail.track_id, trail.label, trail.confidence, box, now - trail.seen_at)
            for trail in self._trails.values()
            if now - trail.seen_at <= self._hold_s
            for box in [trail.expected(now)]
        )

    def _forget(self, before: float) -> None:
        """Where looks are rare, who was not seen between two of them may still be there."""
        self._trails = {name: t for name, t in self._trails.items() if t.seen_at >= before}


def _reached(box: Box, reach: float) -> Box:
    return box.padded(reach * max(box.width, box.height))


def prepare() -> None:
    """Begin to import the library, which takes a second, without waiting for it."""
    threading.Thread(target=_byte_track, name="import-trackers").start()


_Associate = Callable[[Sequence[Detection], float], list[tuple[int, int]]]


@functools.cache
def _byte_track() -> Callable[[float, float, float, float], _Associate]:
    """Makes what tells, for the detections of a look, the index of each that belongs to a
    track, and the track's name."""
    import supervision
    from trackers import ByteTrackTracker

    def make(start_confidence: float, hold_s: float, fps: float, reach: float) -> _Associate:
        tracker = ByteTrackTracker(
            lost_track_buffer=round(hold_s * FRAMES_A_SECOND),
            frame_rate=fps,
            track_activation_threshold=start_confidence,
            high_conf_det_threshold=start_confidence,
            minimum_consecutive_frames=1,
            minimum_iou_threshold=LEAST_IOU,
        )
        names = itertools.count()

        def associate(detections: Sequence[Detection], now: float) -> list[tuple[int, int]]:
            given = supervision.Detections(
                xyxy=np.array([_reached(d.box, reach) for d in detections], float).reshape(-1, 4),
                confidence=np.array([d.confidence for d in detections], np.float64),
                data={"index": np.arange(len(detections))},
            )
            found = tracker.update(given, timestamp=now)
            if not len(found):
                return []
            index, names_of = np.asarray(found.data["index"]), np.asarray(found.tracker_id)
            pairs = [*zip(index.tolist(), names_of.tolist(), strict=True)]
            # The library names a track when it is seen for the second time. Here it has its
            # name at once: a client that sends one picture wants to know who is in it.
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
