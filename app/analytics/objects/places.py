"""What objects do at the zones and lines of one stream, and the counts of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from app.analytics.objects.borders import LineSegment, LineSide, Visit, ZoneArea, foot_in
from app.analytics.objects.daily_counts import DailyCounts
from app.analytics.objects.followed import FollowedObject
from app.analytics.rules.base import StreamContext
from app.places import (
    DIRECTIONS,
    CountKey,
    Direction,
    LineCount,
    PlaceCounts,
    ZoneCount,
    by_label,
    line_names,
    total,
    zone_names,
)


@dataclass(frozen=True, slots=True)
class Passage:
    """Something that an object did at a zone or line.

    Attributes:
        event: the type of event.
        at: when (monotonic).
        details: of the event.
        duration_s: how long a stay was that has ended.
        counted: what it adds one to, without the object's label.
        reported: whether it is an event, or only counted.
    """

    event: str
    at: float
    details: Mapping[str, Any] = field(default_factory=dict)
    duration_s: float | None = None
    counted: CountKey | None = None
    reported: bool = True


class Places:
    """The zones and lines of one stream.

    One thread calls ``observe``, ``leave``, ``count`` and ``count_inside``; ``counts`` may be
    called by any.

    Args:
        daily: keeps the counts of all streams since midnight.
        today: the stream's day now.
        loiter_s: a longer stay in a zone is reported.
    """

    def __init__(
        self, stream: StreamContext, daily: DailyCounts, today: Callable[[], date], loiter_s: float
    ) -> None:
        self._stream_id = stream.stream_id
        self._zones = [zone for zone in stream.zones if zone.kind != "ignore"]
        self._lines = list(stream.lines)
        self._zone_names = zone_names(self._zones)
        self._line_names = line_names(self._lines)
        self._daily = daily
        self._today = today
        self._loiter_s = loiter_s
        self._size = (0, 0)
        self._areas: list[ZoneArea] = []
        self._segments: list[LineSegment] = []
        self._inside: Sequence[dict[str, int]] = [{} for _ in self._zones]

    def observe(self, one: FollowedObject, now: float, size: tuple[int, int]) -> Iterator[Passage]:
        """Take an object that was detected in a frame of this size (width, height).

        Until it is confirmed, its zones are not reported: see ``arrive``.
        """
        if size != self._size:
            self._size = size
            self._areas = [ZoneArea(zone, size) for zone in self._zones]
            self._segments = [LineSegment(line, size) for line in self._lines]
        foot, height = foot_in(one.track.box, size), one.track.box.height
        for index, (zone, area) in enumerate(zip(self._zones, self._areas, strict=True)):
            if not zone.labels or one.label in zone.labels:
                visit = one.visits.setdefault(index, Visit())
                changed = visit.update(area.depth(foot), height, now)
                if one.confirmed:
                    yield from self._visit(index, visit, changed, now)
        for index, (line, segment) in enumerate(zip(self._lines, self._segments, strict=True)):
            if not line.labels or one.label in line.labels:
                side = one.sides.setdefault(index, LineSide())
                way = side.update(segment, foot, height)
                if way is not None:
                    yield self._crossing(index, way, now)

    def arrive(self, one: FollowedObject) -> Iterator[Passage]:
        """Take an object that was confirmed now: it enters the zones that it is in."""
        for index, visit in one.visits.items():
            if visit.inside:
                visit.since = max(visit.since, one.first_at)
                yield self._entered(index, visit)

    def leave(self, one: FollowedObject) -> Iterator[Passage]:
        """Take an object that is gone: it leaves the zones it was in."""
        for index, visit in one.visits.items():
            if visit.inside:
                visit.inside = False
                yield self._left(index, visit, one.seen_at)

    def inside(self, one: FollowedObject) -> list[str]:
        """The names of the zones that an object is in."""
        return [self._zone_names[index] for index, visit in one.visits.items() if visit.inside]

    def count(self, key: CountKey, label: str) -> None:
        """Add one to what is counted since midnight."""
        self._daily.add(self._stream_id, self._today(), (*key, label))

    def count_inside(self, objects: Iterable[FollowedObject]) -> None:
        """Take all objects that count, to say how many are in each zone now."""
        there = list(objects)
        self._inside = [
            total(one.label for one in there if index in one.visits and one.visits[index].inside)
            for index in range(len(self._zones))
        ]

    def counts(self) -> PlaceCounts:
        """The counts now, and since midnight."""
        day = self._today()
        counts = self._daily.of(self._stream_id, day)
        zones = [
            ZoneCount(name, inside, by_label(counts, "zone", name))
            for name, inside in zip(self._zone_names, self._inside, strict=True)
        ]
        lines = [
            LineCount(name, {way: by_label(counts, "line", name, way) for way in DIRECTIONS})
            for name in self._line_names
        ]
        return PlaceCounts(day, zones, lines)

    def _visit(self, index: int, visit: Visit, changed: bool, now: float) -> Iterator[Passage]:
        name = self._zone_names[index]
        if changed and visit.inside:
            yield self._entered(index, visit)
        elif changed:
            yield self._left(index, visit, visit.contrary_since)
        if visit.inside and not visit.loitered and now - visit.since >= self._loiter_s:
            visit.loitered = True
            yield Passage("zone_loitering", now, {"zone": name})

    def _entered(self, index: int, visit: Visit) -> Passage:
        name = self._zone_names[index]
        return Passage("zone_entered", visit.since, {"zone": name}, counted=("zone", name))

    def _left(self, index: int, visit: Visit, at: float) -> Passage:
        stay_s = round(max(0.0, at - visit.since), 1)
        return Passage("zone_left", at, {"zone": self._zone_names[index]}, stay_s)

    def _crossing(self, index: int, way: Direction, now: float) -> Passage:
        line, name = self._lines[index], self._line_names[index]
        before, after = line.sides if way == "a_to_b" else reversed(line.sides)
        details = {"line": name, "direction": way, "from": before, "to": after}
        reported = line.direction in ("both", way)
        return Passage("line_crossed", now, details, counted=("line", name, way), reported=reported)
