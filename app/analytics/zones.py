"""Parts of a camera's view to watch or to ignore."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from app.places import Point, Zone
from app.types import Box

Polygon = Sequence[Point]


class Zones:
    """Polygons that decide which objects of a stream count.

    Corners are shares of width and height, (0, 0) top left, so that they fit any resolution.

    Args:
        watch: only objects that stand in one of these count; without any, all do.
        ignore: objects that stand in one of these never count.
    """

    def __init__(self, watch: Sequence[Polygon], ignore: Sequence[Polygon]) -> None:
        self._watch = [np.asarray(polygon, np.float32) for polygon in watch]
        self._ignore = [np.asarray(polygon, np.float32) for polygon in ignore]

    def watched(self, box: Box, size: tuple[int, int]) -> bool:
        """Whether a box, in pixels of an image of this size (width, height), counts by its foot."""
        x, y = box.foot
        foot = (x / size[0], y / size[1])
        if any(_is_inside(polygon, foot) for polygon in self._ignore):
            return False
        return not self._watch or any(_is_inside(polygon, foot) for polygon in self._watch)


class ZoneFilter:
    """Zones that decide, for each label, which objects count; those of the kind ``count`` do not.

    A zone with labels limits only these: cars count everywhere although people are watched in a
    part of the frame.
    """

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._zones = [zone for zone in zones if zone.kind != "count"]
        self._by_label: dict[str, Zones] = {}

    @property
    def takes_all(self) -> bool:
        """Whether there is nothing to decide."""
        return not self._zones

    def takes(self, label: str, box: Box, size: tuple[int, int]) -> bool:
        """Whether an object counts by its foot; its box is in pixels of an image of this size."""
        if not self._zones:
            return True
        if label not in self._by_label:
            self._by_label[label] = Zones(
                polygons_for(self._zones, "watch", label),
                polygons_for(self._zones, "ignore", label),
            )
        return self._by_label[label].watched(box, size)


def polygons_for(zones: Sequence[Zone], kind: str, *labels: str) -> list[Polygon]:
    """The polygons of the zones of a kind that count for one of these labels."""
    return [
        zone.points
        for zone in zones
        if zone.kind == kind and (not zone.labels or not set(labels).isdisjoint(zone.labels))
    ]


def _is_inside(polygon: np.ndarray, point: tuple[float, float]) -> bool:
    return cv2.pointPolygonTest(polygon, point, measureDist=False) >= 0
