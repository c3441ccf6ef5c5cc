"""Objects beyond the life of their tracks: a track that breaks must not count twice.

A tracker gives an object a new name when it was hidden for a while, moved too far between two
frames, or its box changed its shape. Here a new track goes on with an object that was lost near
where the track begins; an object that stood still is awaited where it stood, the longer the longer
it stood.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.analytics.objects.borders import LineSide, Visit
from app.analytics.objects.tuning import DEFAULT, FollowTuning
from app.places import Point
from app.types import Box, Track, kind_of

VEHICLES = frozenset({"car", "bus", "truck"})
"""Labels that networks confuse with each other, and trackers keep apart."""
MAX_WAITING = 8


@dataclass(slots=True)
class FollowedObject:
    """One object.

    Attributes:
        track: as it was last detected.
        first_at: when it was first detected, and large and certain enough.
        frames: in how many more frames it was so than it was not.
        confirmed: that were enough.
        still_since: since when it has been at ``still_box``.
        speed: of its foot, in pixels a second.
        visits, sides: its state at each zone and line, by their index.
        waiting: the last lines that it crossed before it was confirmed.
    """

    object_id: int
    track: Track
    first_at: float
    seen_at: float
    still_box: Box
    still_since: float
    frames: int = 0
    confirmed: bool = False
    speed: Point = (0.0, 0.0)
    votes: Counter[str] = field(default_factory=Counter)
    visits: dict[int, Visit] = field(default_factory=dict)
    sides: dict[int, LineSide] = field(default_factory=dict)
    waiting: deque[Any] = field(default_factory=lambda: deque(maxlen=MAX_WAITING))

    @property
    def label(self) -> str:
        """The label with the largest sum of confidences."""
        return max(self.votes, key=self.votes.__getitem__)

    @property
    def still_s(self) -> float:
        """For how long it had not moved when it was last detected."""
        return self.seen_at - self.still_since

    def examine(self, enough: bool, now: float) -> None:
        """Note whether it was large and certain enough in this frame."""
        if enough and self.frames == 0:
            self.first_at = now
        self.frames = self.frames + 1 if enough else max(0, self.frames - 1)

    def update(self, track: Track, now: float, tuning: FollowTuning = DEFAULT) -> None:
        """Take its track in the frame captured at ``now``, in which it was detected."""
        elapsed = now - self.seen_at
        if elapsed > 0:
            (x1, y1), (x2, y2) = self.track.box.foot, track.box.foot
            old, new = tuning.speed_memory, (1 - tuning.speed_memory) / elapsed
            self.speed = (
                old * self.speed[0] + new * (x2 - x1),
                old * self.speed[1] + new * (y2 - y1),
            )
        self.track, self.seen_at = track, now
        self.votes[track.label] += track.confidence  # type: ignore[assignment]  # a sum
        if track.box.iou(self.still_box) < tuning.still_iou:
            self.still_box, self.still_since = track.box, now


class FollowedObjects:
    """The objects of one stream; not shared between threads.

    Args:
        gone_s: an object that moved has left once it was out of sight for longer.
    """

    def __init__(self, gone_s: float, tuning: FollowTuning = DEFAULT) -> None:
        self._gone_s = gone_s
        self._tuning = tuning
        self._by_track: dict[int, FollowedObject] = {}
        self._ids = itertools.count(1)

    def __iter__(self) -> Iterator[FollowedObject]:
        return iter(list(self._by_track.values()))

    def update(self, tracks: Sequence[Track], now: float) -> list[FollowedObject]:
        """Take the tracks of a frame; returns the objects that were detected in it."""
        detected = [track for track in tracks if track.age_s == 0]
        self._detach_swapped(detected, now)
        known = [track for track in detected if track.track_id in self._by_track]
        seen = [self._by_track[track.track_id] for track in known]
        for one, track in zip(seen, known, strict=True):
            one.update(track, now, self._tuning)
        for track in detected:
            if track.track_id in self._by_track or self._is_known(track, seen):
                continue
            one = self._lost(track, now) or self._new(track, now)
            self._by_track[track.track_id] = one
            one.update(track, now, self._tuning)
            seen.append(one)
        return seen

    def _detach_swapped(self, detected: Sequence[Track], now: float) -> None:
        """Take tracks from their objects that have jumped to where another lost object should be:
        the tracker has confused both."""
        own = {track.track_id: self._by_track.get(track.track_id) for track in detected}
        jumped = {
            track.track_id: one
            for track in detected
            if (one := own[track.track_id]) and self._distance(one, track, now) is None
        }
        lost = [one for track_id, one in self._by_track.items() if track_id not in own]
        free = [*jumped.values(), *lost]
        for track in detected:
            one = jumped.get(track.track_id)
            if one is not None and any(
                other is not one and self._distance(other, track, now) is not None for other in free
            ):
                del self._by_track[track.track_id]
                self._by_track[-one.object_id] = one  # until a track goes on with it

    def take_gone(self, now: float) -> list[FollowedObject]:
        """Forget the objects that have left, and return them."""
        gone = {
            track_id: one
            for track_id, one in self._by_track.items()
            if now - one.seen_at > self._patience_s(one)
        }
        for track_id in gone:
            del self._by_track[track_id]
        return list(gone.values())

    def clear(self) -> list[FollowedObject]:
        """Forget all objects, and return them."""
        gone = list(self._by_track.values())
        self._by_track.clear()
        return gone

    def _patience_s(self, one: FollowedObject) -> float:
        if not one.confirmed:
            return self._gone_s
        return max(self._gone_s, min(one.still_s, self._tuning.still_s))

    def _new(self, track: Track, now: float) -> FollowedObject:
        return FollowedObject(next(self._ids), track, now, now, track.box, now)

    def _is_known(self, track: Track, seen: Sequence[FollowedObject]) -> bool:
        """Whether a new track is a second box of an object of this frame."""
        return any(
            family(one.track.label) == family(track.label)
            and self._is_same(one.track.box, track.box)
            for one in seen
        )

    def _is_same(self, one: Box, other: Box) -> bool:
        smaller = max(1.0, min(one.area, other.area))
        heights = sorted((one.height, other.height))
        return (
            one.intersection(other) >= self._tuning.same_share * smaller
            and heights[0] >= self._tuning.same_height * heights[1]
        )

    def _lost(self, track: Track, now: float) -> FollowedObject | None:
        """The object that a new track goes on with: the nearest of those that were lost nearby."""
        best: tuple[float, int] | None = None
        for track_id, one in self._by_track.items():
            if one.seen_at == now:
                continue
            distance = self._distance(one, track, now)
            if distance is not None and (best is None or distance < best[0]):
                best = distance, track_id
        return None if best is None else self._by_track.pop(best[1])

    def _distance(self, one: FollowedObject, track: Track, now: float) -> float | None:
        """From where an object should be now, in sizes; None if the track cannot be of it."""
        if family(one.track.label) != family(track.label):
            return None
        tuning, gap_s = self._tuning, now - one.seen_at
        last, box = one.track.box, track.box
        if last.iou(box) >= tuning.same_iou and gap_s <= max(tuning.found_again_s, one.still_s):
            return 0.0
        if gap_s > tuning.found_again_s:
            return None
        sizes = sorted((max(last.width, last.height), max(box.width, box.height)))
        if sizes[0] < tuning.alike * sizes[1]:
            return None
        expected = last.moved(one.speed[0] * gap_s, one.speed[1] * gap_s)
        distance = min(math.dist(where.foot, box.foot) for where in (last, expected))
        reach = tuning.near + tuning.near_per_s * gap_s
        return distance / sizes[1] if distance <= reach * sizes[1] else None


def family(label: str) -> str:
    """Objects of one family may be each other's tracks."""
    return "vehicle" if label in VEHICLES else kind_of(label)
