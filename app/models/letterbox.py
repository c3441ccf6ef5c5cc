"""Letterboxing: images of any shape on few canvas shapes, as a network is compiled per shape.

The image is placed at the top left, so that boxes only need scaling; the rest is grey.
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
MAX_EXACT_AREA = 2.6
"""Total area of all exact shapes, in squares of the longest side: enough for the frame sizes of two
cameras, and the windows that FaceScanner cuts from both."""
IDLE_S = 60.0
"""A shape that was not used for this long may be replaced by another."""


def padded(side: float, multiple: int = STRIDE) -> int:
    """Round up to a multiple, at least to the first one."""
    return max(1, -(-round(side) // multiple)) * multiple


def canvas_for(size: Size, longest: int, multiple: int = STRIDE) -> Size:
    """Return the canvas for an image whose longer side is resized to ``longest``.

    Args:
        longest: a multiple of 32.
        multiple: the shorter side is padded to a multiple of this; the larger, the fewer shapes.
    """
    scale = longest / max(size)
    height, width = (min(longest, padded(side * scale, multiple)) for side in size)
    return height, width


def letterbox(image: Image, canvas: Size) -> tuple[Image, Size]:
    """Resize the (H, W, 3) image to fill the canvas; return it padded, and its resized size."""
    height, width = image.shape[:2]
    scale = min(canvas[0] / height, canvas[1] / width)
    size = _scaled(height, scale, canvas[0]), _scaled(width, scale, canvas[1])
    if size != (height, width):
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, size[::-1], interpolation=method), np.uint8)
    if size == canvas:
        return image, size
    boxed = np.full((*canvas, 3), GREY, np.uint8)
    boxed[: size[0], : size[1]] = image
    return boxed, size


def _scaled(side: int, scale: float, upper: int) -> int:
    return min(upper, max(1, round(side * scale)))


class CanvasChoice:
    """Chooses the shape to run a network at: exact for the first sizes, then a larger shared one.

    A network is compiled once per shape, which takes a second, and tens of megabytes for as long as
    it is kept. Cameras have few sizes, but a client that pushes frames of a hundred sizes must not
    harm all others. Every image fits on its canvas without being made smaller.

    Args:
        longest: longer side of the largest usual image, in pixels.
        step: shared shapes are squares whose side is a multiple of this.
    """

    def __init__(self, longest: int, step: int) -> None:
        self._max_area = MAX_EXACT_AREA * longest * longest
        self._step = step
        self._used_at: dict[Size, float] = {}
        self._lock = threading.Lock()

    def choose(self, size: Size) -> Size:
        """The canvas for an image of this size."""
        with self._lock:
            now = time.monotonic()
            canvas = size if size in self._used_at else self._new_canvas(size, now)
            self._used_at[canvas] = now
            return canvas

    def _new_canvas(self, size: Size, now: float) -> Size:
        if self._has_room(size):
            return size
        self._used_at = {c: at for c, at in self._used_at.items() if now - at < IDLE_S}
        if self._has_room(size):
            return size
        side = padded(max(size), self._step)
        larger = [c for c in self._used_at if c[0] >= size[0] and c[1] >= size[1]]
        return min([*larger, (side, side)], key=_area)

    def _has_room(self, size: Size) -> bool:
        return sum(map(_area, self._used_at)) + _area(size) <= self._max_area


def _area(size: Size) -> int:
    return size[0] * size[1]
