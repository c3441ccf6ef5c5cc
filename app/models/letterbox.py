"""Pictures of any shape on canvases of few shapes, since a network is compiled for each shape.

The picture lies at the top left, so that boxes need only be scaled; the rest is grey.
"""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]
"""Height and width, as in an array's shape."""

STRIDE = 32
GREY = 114
ROOM = 2.6
"""Area of all shapes of their own together, in squares of the longest side: two cameras' sizes, and
the motion detector's windows of both."""
IDLE_S = 60.0
"""A shape that was not asked for in this time gives its place to another that needs it."""


def padded(side: float, multiple: int = STRIDE) -> int:
    """The next multiple, at least one."""
    return max(1, -(-round(side) // multiple)) * multiple


def canvas_for(size: Size, longest: int, multiple: int = STRIDE) -> Size:
    """The canvas for a picture whose longer side is brought to ``longest``.

    Args:
        longest: a multiple of 32.
        multiple: the shorter side is padded to a multiple of this; the larger, the fewer shapes.
    """
    scale = longest / max(size)
    height, width = (min(longest, padded(side * scale, multiple)) for side in size)
    return height, width


def letterbox(image: Image, canvas: Size) -> tuple[Image, Size]:
    """The (H, W, 3) picture as large as it fits on the canvas, and how large that is."""
    height, width = image.shape[:2]
    scale = min(canvas[0] / height, canvas[1] / width)
    seen = _scaled(height, scale, canvas[0]), _scaled(width, scale, canvas[1])
    if seen != (height, width):
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, seen[::-1], interpolation=method), np.uint8)
    if seen == canvas:
        return image, seen
    boxed = np.full((*canvas, 3), GREY, np.uint8)
    boxed[: seen[0], : seen[1]] = image
    return boxed, seen


def _scaled(side: int, scale: float, most: int) -> int:
    return min(most, max(1, round(side * scale)))


class CanvasChoice:
    """The shapes that a network is run at: their own for the first sizes, a roomier one for others.

    A network is compiled for each shape, which takes a second, and tens of megabytes for as long as
    it is kept. Cameras have few sizes; but who pushes frames of a hundred sizes must not harm all
    others. Each frame still fits without being made smaller.

    Args:
        longest: longer side of the largest usual picture, in pixels.
        step: roomier shapes are squares of a multiple of this.
    """

    def __init__(self, longest: int, step: int) -> None:
        self._room = ROOM * longest * longest
        self._step = step
        self._used_at: dict[Size, float] = {}
        self._choosing = threading.Lock()

    def choose(self, wanted: Size) -> Size:
        """The shape to use for one of this size."""
        with self._choosing:
            now = time.monotonic()
            canvas = wanted if wanted in self._used_at else self._place(wanted, now)
            self._used_at[canvas] = now
            return canvas

    def _place(self, wanted: Size, now: float) -> Size:
        if self._has_room(wanted):
            return wanted
        self._used_at = {c: at for c, at in self._used_at.items() if now - at < IDLE_S}
        if self._has_room(wanted):
            return wanted
        side = padded(max(wanted), self._step)
        roomier = [c for c in self._used_at if c[0] >= wanted[0] and c[1] >= wanted[1]]
        return min([*roomier, (side, side)], key=_area)

    def _has_room(self, wanted: Size) -> bool:
        return sum(map(_area, self._used_at)) + _area(wanted) <= self._room


def _area(size: Size) -> int:
    return size[0] * size[1]
