"""Where a picture changed since it was last looked at: only there can a face be new.

A network is a function of pixels. Where they are what they were, so is its answer, and in front
of a fixed camera most of them are. Each part of the picture is compared with how it was when it
was last looked at, not with the frame before: slow changes add up until they are seen.

The comparison is made on cells of 4 x 4 network pixels, in which sensor noise averages out; the
smallest face that CenterFace finds is 3 x 3 of them. What counts as a change is about what the
network needs: of 300 faces that were blended into plain walls and a street until it just found
them, 95 in 100 made a larger difference. The rest had a twelfth of their contrast or less; the
next look at the whole picture finds those.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from app.types import Box

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.uint8]

CELL = 4
CHANGE = 4.0  # mean difference over 3 x 3 cells, of 255
MOST_NOISE = CHANGE / 2  # the same over most of the picture: nothing can be told from noise
CONTEXT = 16  # pixels around a change where answers may be other ones now
MARGIN = 32  # pixels along the edge of a window where answers are not to be trusted
WORTHWHILE = 0.75  # share of the picture beyond which all of it is looked at
SHAPES = ((1 / 6, 1 / 6), (1 / 4, 1 / 4), (1 / 3, 1 / 3), (1 / 3, 1.0), (1 / 2, 1.0))
"""Width and height of windows, both as shares of the picture's width; a height of 1 is all of it.
Most changes that a codec makes fit the smallest: it saves a fifth in front of fixed cameras. A
person who walks by fits the third, which spares a twentieth to a fifth of what is left."""
GRID = 32  # pixels of the network's coarsest cell: a shift by less alters its answers


class MotionRegion(NamedTuple):
    """A part of a picture, in pixels, and the core of it whose answers count."""

    left: int
    top: int
    width: int
    height: int
    core: Box

    def of(self, image: Image) -> Image:
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def counts(self, box: Box) -> bool:
        """Whether a face is this window's to answer for: its centre is in the core."""
        x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
        return self.core.x1 <= x < self.core.x2 and self.core.y1 <= y < self.core.y2

    def cuts(self, box: Box) -> bool:
        """Whether a face that counts here goes on, beyond the edge of what was looked at."""
        return self.counts(box) and (
            (box.x1 <= self.left < self.core.x1)
            or (box.y1 <= self.top < self.core.y1)
            or (box.x2 >= self.left + self.width > self.core.x2)
            or (box.y2 >= self.top + self.height > self.core.y2)
        )


class MotionDetector:
    """Compares the pictures of one stream, all of one size, with what of them was looked at.

    Attributes:
        shapes: width and height of the windows it asks for, smallest first.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        shapes = [self._shape(*shape) for shape in SHAPES]
        self.shapes = [(w, h) for w, h in shapes if w * h <= WORTHWHILE * width * height]
        self._seen: Image | None = None

    def windows(self, cells: Image, faces: Iterable[Box]) -> list[MotionRegion] | None:
        """Where to look: in windows, nowhere (an empty list), or everywhere (None).

        Args:
            cells: the picture, by ``to_cells``.
            faces: known ones; one that changed in part is looked at as a whole.
        """
        changed = self._changed(cells)
        if changed is None:
            return None
        for face in faces:
            _spread(changed, face)
        return self._cover(changed)

    def looked_at(self, cells: Image, windows: list[MotionRegion] | None) -> None:
        """Remember what was looked at: the cores of windows, or everything (None)."""
        if windows is None or self._seen is None:
            self._seen = cells
            return
        for window in windows:
            core = _cells_of(window.core)
            self._seen[core] = cells[core]

    def _changed(self, cells: Image) -> Mask | None:
        """Cells that changed, 0 or 1; None when that cannot be told, or most of them did."""
        if self._seen is None:
            return None
        red, green, blue = cv2.split(cv2.absdiff(cells, self._seen))
        largest = cv2.max(cv2.max(red, green), blue).astype(np.float32)
        around = cv2.blur(largest, (3, 3))
        if np.median(around[::3, ::3]) > MOST_NOISE:
            return None
        return np.asarray(around > CHANGE, np.uint8)

    def _cover(self, changed: Mask) -> list[MotionRegion] | None:
        """Few windows that hold all changes with their context; None where that is too much."""
        reach = 2 * CONTEXT // CELL + 1
        near = cv2.dilate(changed, np.ones((reach, reach), np.uint8))
        parts = cv2.connectedComponentsWithStats(near)[2][1:].tolist()
        boxes = [Box(x, y, x + w, y + h).scaled(CELL, CELL) for x, y, w, h, _ in parts]
        windows: list[MotionRegion] = []
        for box in sorted(boxes, key=lambda box: -box.width * box.height):
            if any(_holds(window.core, box) for window in windows):
                continue
            window = self._around(box)
            if window is None:
                return None
            windows.append(window)
        area = sum(window.width * window.height for window in windows)
        return windows if area <= WORTHWHILE * self.width * self.height else None

    def _around(self, box: Box) -> MotionRegion | None:
        """The smallest window with ``box`` in its core, or None."""
        for width, height in self.shapes:
            left, right, x1, x2 = _stretch(box.x1, box.x2, width, self.width)
            top, bottom, y1, y2 = _stretch(box.y1, box.y2, height, self.height)
            core = Box(x1, y1, x2, y2)
            if _holds(core, box):
                return MotionRegion(left, top, right - left, bottom - top, core)
        return None

    def _shape(self, width: float, height: float) -> tuple[int, int]:
        down = self.height if height == 1 else min(self.height, self.width * height)
        return _on_grid(self.width * width), _on_grid(down)


def to_cells(image: Image) -> Image:
    """The mean colour of each cell, (H // 4, W // 4, 3); one at least, however small it is."""
    rows, columns = (max(1, side // CELL) for side in image.shape[:2])
    whole = image[: rows * CELL, : columns * CELL]
    for size in ((2 * columns, 2 * rows), (columns, rows)):  # in two steps: a third of the time
        whole = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)
    return whole


def _cells_of(box: Box) -> tuple[slice, slice]:
    """The cells that lie in a box as a whole."""
    return (
        slice(-(-int(box.y1) // CELL), int(box.y2) // CELL),
        slice(-(-int(box.x1) // CELL), int(box.x2) // CELL),
    )


def _spread(changed: Mask, face: Box) -> None:
    """Mark all of a face as changed when some of it, or what is right beside it, did."""
    x1, y1, x2, y2 = (max(0, round(side / CELL)) for side in face.grown(0.25))
    part = changed[y1 : y2 + 1, x1 : x2 + 1]
    if part.any():
        part[...] = 1


def _holds(outer: Box, inner: Box) -> bool:
    return (
        outer.x1 <= inner.x1
        and outer.y1 <= inner.y1
        and outer.x2 >= inner.x2
        and outer.y2 >= inner.y2
    )


def _stretch(low: float, high: float, length: int, whole: int) -> tuple[int, int, int, int]:
    """A stretch of that length around low..high: its start and end, and those of its core.

    It begins on the network's grid and has low..high near its middle. Where it reaches the edge
    of the picture there is no margin; beyond the edge the detector pads, as it does for all of it.
    """
    last = max(0, _on_grid(whole) - length)
    start = min(max(0, round((low + high - length) / 2 / GRID) * GRID), last)
    end = min(start + length, whole)
    return start, end, start + MARGIN if start else 0, end - MARGIN if end < whole else whole


def _on_grid(side: float) -> int:
    return -(-int(side) // GRID) * GRID
