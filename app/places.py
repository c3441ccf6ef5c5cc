"""Zones and lines in a camera's view, and how many objects are in them and cross them.

Coordinates are shares of the frame's width and height, (0, 0) top left, so they fit any resolution.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, NamedTuple, get_args

Point = tuple[float, float]
ZoneKind = Literal["watch", "ignore", "count"]
Direction = Literal["a_to_b", "b_to_a"]
DIRECTIONS: tuple[Direction, Direction] = get_args(Direction)


class Zone(NamedTuple):
    """A polygon of the frame.

    Attributes:
        kind: only objects in a ``watch`` zone are looked at, none in an ``ignore`` zone; a zone of
            the kind ``count`` limits nothing. All but ``ignore`` zones are counted and reported by
            the rule ``objects``.
        points: its corners.
        color: for those who draw it, as ``#rrggbb``.
        labels: the only labels it counts for; empty for all.
        rules: the only rules it counts for; empty for all.
    """

    kind: ZoneKind
    points: tuple[Point, ...]
    name: str = ""
    color: str | None = None
    labels: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


class Line(NamedTuple):
    """A line that objects cross.

    Attributes:
        points: its ends.
        sides: names of the sides. A is on the left hand of somebody who walks from the first point
            to the second: above a line from left to right.
        direction: the crossings that are reported; all are counted.
        color: for those who draw it, as ``#rrggbb``.
        labels: the only labels it counts for; empty for all.
    """

    points: tuple[Point, Point]
    name: str = ""
    sides: tuple[str, str] = ("A", "B")
    direction: Literal["both", "a_to_b", "b_to_a"] = "both"
    color: str | None = None
    labels: tuple[str, ...] = ()


def unique_names(given: Iterable[str], word: str) -> list[str]:
    """A name for each zone or line: its own, or a number; a second one of a name gets a number."""
    names: list[str] = []
    for number, own in enumerate(given, 1):
        name = own or f"{word} {number}"
        while name in names:
            name += f" ({number})"
        names.append(name)
    return names


def zones_of(rule: str, zones: Iterable[Zone]) -> list[Zone]:
    """The zones that count for a rule."""
    return [zone for zone in zones if not zone.rules or rule in zone.rules]


def zone_names(zones: Iterable[Zone]) -> list[str]:
    """The names under which zones are counted: all but those of the kind ``ignore``."""
    return unique_names((zone.name for zone in zones if zone.kind != "ignore"), "zone")


def line_names(lines: Iterable[Line]) -> list[str]:
    """The names under which lines are counted."""
    return unique_names((line.name for line in lines), "line")


class ZoneCount(NamedTuple):
    """How many objects there are in a zone now, and entered it since midnight, by label."""

    name: str
    now: Mapping[str, int]
    today: Mapping[str, int]


class LineCount(NamedTuple):
    """How many objects crossed a line since midnight, by direction and label."""

    name: str
    today: Mapping[Direction, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class PlaceCounts:
    """The counts of one stream's zones and lines.

    Attributes:
        day: the day that ``today`` is, in the stream's time zone.
    """

    day: date
    zones: Sequence[ZoneCount] = ()
    lines: Sequence[LineCount] = ()


CountKey = tuple[str, ...]
"""What is counted: ``("zone", name, label)`` or ``("line", name, direction, label)``."""


@dataclass(frozen=True, slots=True)
class DayCounts:
    """What one stream has counted on one day, as it is stored."""

    stream_id: str
    day: date
    counts: Mapping[CountKey, int] = field(default_factory=dict)


def by_label(counts: Mapping[CountKey, int], *key: str) -> dict[str, int]:
    """The counts of one zone, or of one line and direction, by label."""
    return {found[-1]: count for found, count in counts.items() if found[:-1] == key}


def total(labels: Iterable[str]) -> dict[str, int]:
    """How often each label occurs."""
    counted: dict[str, int] = {}
    for label in labels:
        counted[label] = counted.get(label, 0) + 1
    return counted
