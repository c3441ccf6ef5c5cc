"""Zones and lines in pixels, and the state of one object at each of them.

An object is where its foot is, the middle of its lower edge. At a border its box trembles, so a
border counts as passed only by a margin, or once the object stays on the other side.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from app.analytics.objects.tuning import DEFAULT, FollowTuning
from app.places import Direction, Line, Point, Zone
from app.types import Box


class ZoneArea:
    """A zone in pixels of frames of one size."""

    def __init__(self, zone: Zone, size: tuple[int, int]) -> None:
        self._polygon = np.asarray(zone.points, np.float32) * np.asarray(size, np.float32)

    def depth(self, foot: Point) -> float:
        """Distance to the zone's border in pixels; positive inside."""
        return float(cv2.pointPolygonTest(self._polygon, foot, measureDist=True))


@dataclass(slots=True)
class Visit:
    """One object and one zone.

    Attributes:
        inside: whether the object counts as inside.
        since: when it entered.
        contrary: frames in a row that say otherwise, and since when.
        loitered: it was reported to stay too long.
    """

    inside: bool = False
    since: float = 0.0
    contrary: int = 0
    contrary_since: float = 0.0
    loitered: bool = False

    def update(
        self, depth: float, height: float, now: float, tuning: FollowTuning = DEFAULT
    ) -> bool:
        """Take the depth of the object's foot; returns whether it entered or left."""
        margin = tuning.margin * height
        if (depth >= 0) == self.inside or (self.inside and depth >= -margin):
            self.contrary = 0
            return False
        if self.contrary == 0:
            self.contrary_since = now
        self.contrary += 1
        deep = not self.inside and depth >= margin
        if not deep and self.contrary < tuning.settle:
            return False
        self.inside = not self.inside
        self.contrary, self.loitered = 0, False
        if self.inside:
            self.since = self.contrary_since
        return True


class LineSegment:
    """A line in pixels of frames of one size."""

    def __init__(self, line: Line, size: tuple[int, int]) -> None:
        (x1, y1), (x2, y2) = line.points
        self._start = (x1 * size[0], y1 * size[1])
        self._end = (x2 * size[0], y2 * size[1])
        self._length = max(1e-6, float(np.hypot(*np.subtract(self._end, self._start))))

    def distance(self, foot: Point) -> float:
        """Distance to the endless line in pixels; positive on side A."""
        return -_turn(self._start, self._end, foot) / self._length

    def is_crossed(self, before: Point, after: Point) -> bool:
        """Whether the way from one point to another passes between the line's ends."""
        sides = self.distance(before) >= 0, self.distance(after) >= 0
        if sides[0] == sides[1]:
            return False
        return (_turn(before, after, self._start) > 0) != (_turn(before, after, self._end) > 0)


def _turn(start: Point, end: Point, point: Point) -> float:
    """Twice the area of a triangle; positive if the point is on the right hand in an image."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])


@dataclass(slots=True)
class LineSide:
    """One object and one line.

    Attributes:
        side: the last side on which it was beyond doubt: 1 for A, -1 for B, 0 for none so far.
        before: its foot in the last frame.
        between: its way since then has passed between the line's ends, and not back.
    """

    side: int = 0
    before: Point | None = None
    between: bool = False

    def update(
        self, line: LineSegment, foot: Point, height: float, tuning: FollowTuning = DEFAULT
    ) -> Direction | None:
        """Take the object's foot; returns the direction if it has crossed the line."""
        if self.before is not None and line.is_crossed(self.before, foot):
            self.between = not self.between
        self.before = foot
        distance = line.distance(foot)
        if abs(distance) < tuning.margin * height:
            return None
        before, self.side = self.side, 1 if distance > 0 else -1
        crossed = self.between and before == -self.side
        self.between = False
        if not crossed:
            return None
        return "a_to_b" if before > 0 else "b_to_a"


def foot_in(box: Box, size: tuple[int, int]) -> Point:
    """The foot of a box, within the frame."""
    x, y = box.foot
    return min(max(x, 0.0), float(size[0])), min(max(y, 0.0), float(size[1]))
