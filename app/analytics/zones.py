"""Parts of a picture to watch, or to leave alone."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from app.types import Box

Polygon = Sequence[tuple[float, float]]


class Zones:
    """Polygons in shares of width and height, (0, 0) top left, so that they fit any resolution.

    Args:
        watch: only what stands in one of these counts; without any, everything does.
        ignore: what stands in one of these never counts.
    """

    def __init__(self, watch: Sequence[Polygon], ignore: Sequence[Polygon]) -> None:
        self._watch = [np.asarray(polygon, np.float32) for polygon in watch]
        self._ignore = [np.asarray(polygon, np.float32) for polygon in ignore]

    def watched(self, box: Box, size: tuple[int, int]) -> bool:
        """Whether the foot of a box, in pixels of a picture of this size, counts."""
        foot = ((box.x1 + box.x2) / 2 / size[0], box.y2 / size[1])
        if any(_inside(polygon, foot) for polygon in self._ignore):
            return False
        return not self._watch or any(_inside(polygon, foot) for polygon in self._watch)


def _inside(polygon: np.ndarray, point: tuple[float, float]) -> bool:
    return cv2.pointPolygonTest(polygon, point, measureDist=False) >= 0
