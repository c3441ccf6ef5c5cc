"""Parts of a camera's view to watch or to ignore."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from app.types import Box

Polygon = Sequence[tuple[float, float]]


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


def _is_inside(polygon: np.ndarray, point: tuple[float, float]) -> bool:
    return cv2.pointPolygonTest(polygon, point, measureDist=False) >= 0
