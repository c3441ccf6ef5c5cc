"""Finds where an image changed since its faces were last detected: only there can one be new.

A network is a function of pixels. Where they are unchanged, so is its output, and in front of a
fixed camera most of them are. Each part of the image is compared with what it was when the network
last saw it, not with the frame before: so slow changes add up until they count.

Images are compared as cells of 4 x 4 network pixels, in which sensor noise averages out; the
smallest face that can be detected is about 2 x 2 cells. The threshold for a change was measured
with CenterFace, the network before YuNet: of 300 faces blended into plain walls and a street until
it just detected them, 95 in 100 made a larger difference. The others had at most a twelfth of their
contrast; the next inference on the whole image finds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from app.types import Box

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.uint8]

CELL = 4
MIN_CHANGE = 4.0  # mean difference over 3 x 3 cells, of 255
MAX_NOISE = MIN_CHANGE / 2  # the same over most of the image: changes are lost in noise
CONTEXT = 16  # pixels around a change where detections may change too
MARGIN = 32  # pixels along the edge of a region where detections are unreliable
MAX_AREA = 0.75  # share of the image above which the whole of it goes to the network
SHAPES = ((1 / 6, 1 / 6), (1 / 4, 1 / 4), (1 / 3, 1 / 3), (1 / 3, 1.0), (1 / 2, 1.0))
"""Width and height of regions, as shares of the image's width; a height of 1 is the whole height.
Most changes that come from a codec fit the smallest: it saves a fifth in front of fixed cameras.
A person who walks by fits the third, which saves a twentieth to a fifth of what is left."""
GRID = 32  # pixels of the network's coarsest cell: a smaller shift alters its output


class NetworkImage(Protocol):
    """An image at the size that a network takes, made only when somebody looks at it: while
    nothing moves, its cells are enough."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        ...

    @property
    def cells(self) -> Image:
        """As by ``to_cells``."""
        ...

    @property
    def rgb(self) -> Image:
        """The image itself, (H, W, 3)."""
        ...


class ArrayImage(NamedTuple):
    """An image that has been made already."""

    rgb: Image

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.rgb.shape[1], self.rgb.shape[0]

    @property
    def cells(self) -> Image:
        """Its cells."""
        return to_cells(self.rgb)


class MotionRegion(NamedTuple):
    """A part of an image, in pixels, and its core: only detections in there count."""

    left: int
    top: int
    width: int
    height: int
    core: Box

    def crop(self, image: Image) -> Image:
        """The pixels of the region, as a view."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def owns(self, box: Box) -> bool:
        """Whether a face belongs to this region: its centre is in the core."""
        x, y = box.centre
        return self.core.x1 <= x < self.core.x2 and self.core.y1 <= y < self.core.y2

    def truncates(self, box: Box) -> bool:
        """Whether a face of this region may extend beyond its edge."""
        return self.owns(box) and (
            (box.x1 <= self.left < self.core.x1)
            or (box.y1 <= self.top < self.core.y1)
            or (box.x2 >= self.left + self.width > self.core.x2)
            or (box.y2 >= self.top + self.height > self.core.y2)
        )


class MotionDetector:
    """Finds the regions of one stream's images, all of one size, that changed.

    Args:
        shares: the shapes of regions, as in ``SHAPES``.

    Attributes:
        shapes: width and height of the regions in pixels, smallest first.
    """

    def __init__(
        self, width: int, height: int, shares: Sequence[tuple[float, float]] = SHAPES
    ) -> None:
        self.width, self.height = width, height
        shapes = [self._shape(*shape) for shape in shares]
        self.shapes = [(w, h) for w, h in shapes if w * h <= MAX_AREA * width * height]
        self._reference: Image | None = None

    def regions(self, cells: Image, faces: Iterable[Box]) -> list[MotionRegion] | None:
        """The regions that changed: none in a still image; None stands for the whole image.

        Args:
            cells: the image, by ``to_cells``.
            faces: the known ones; a face that changed in part counts as changed.
        """
        return self.regions_outside(cells, faces, ())[0]

    def regions_outside(
        self, cells: Image, faces: Iterable[Box], covers: Sequence[Box]
    ) -> tuple[list[MotionRegion] | None, list[int]]:
        """The regions of ``regions`` without changes that lie completely under one of the covers.

        A face that moves changes what it moves over. So as long as all changes around it lie under
        its cover, it does, too, and so does whatever else is new there.

        Returns:
            The regions, and the indices of the covers with changes under them.
        """
        changed = self._changed(cells)
        if changed is None:
            return None, []
        covering = _take_covered(changed, covers) if covers else []
        for face in faces:
            _extend_to_face(changed, face)
        return (self._regions_around(changed) if changed.any() else []), covering

    def mark_scanned(self, cells: Image, regions: list[MotionRegion] | None) -> None:
        """Remember what went to the network: the cores of regions, or the whole image (None)."""
        if regions is None or self._reference is None:
            self._reference = cells
            return
        for region in regions:
            core = _cells_of(region.core)
            self._reference[core] = cells[core]

    def _changed(self, cells: Image) -> Mask | None:
        """Cells that changed, 0 or 1; None where noise hides changes, or most of them changed."""
        if self._reference is None:
            return None
        red, green, blue = cv2.split(cv2.absdiff(cells, self._reference))
        largest = cv2.max(cv2.max(red, green), blue).astype(np.float32)
        around = cv2.blur(largest, (3, 3))
        if np.median(around[::3, ::3]) > MAX_NOISE:
            return None
        return np.asarray(around > MIN_CHANGE, np.uint8)

    def _regions_around(self, changed: Mask) -> list[MotionRegion] | None:
        """A few regions that hold all changes with their context; None for too large an area."""
        reach = 2 * CONTEXT // CELL + 1
        near = cv2.dilate(changed, np.ones((reach, reach), np.uint8))
        parts = cv2.connectedComponentsWithStats(near)[2][1:].tolist()
        boxes = [Box(x, y, x + w, y + h).scaled(CELL, CELL) for x, y, w, h, _ in parts]
        regions: list[MotionRegion] = []
        for box in sorted(boxes, key=lambda box: -box.area):
            if any(_contains(region.core, box) for region in regions):
                continue
            region = self._smallest_around(box)
            if region is None:
                return None
            regions.append(region)
        area = sum(region.width * region.height for region in regions)
        return regions if area <= MAX_AREA * self.width * self.height else None

    def _smallest_around(self, box: Box) -> MotionRegion | None:
        """The smallest region with ``box`` in its core, or None."""
        for width, height in self.shapes:
            left, right, x1, x2 = _span(box.x1, box.x2, width, self.width)
            top, bottom, y1, y2 = _span(box.y1, box.y2, height, self.height)
            core = Box(x1, y1, x2, y2)
            if _contains(core, box):
                return MotionRegion(left, top, right - left, bottom - top, core)
        return None

    def _shape(self, width: float, height: float) -> tuple[int, int]:
        down = self.height if height == 1 else min(self.height, self.width * height)
        return _on_grid(self.width * width), _on_grid(down)


def to_cells(image: Image) -> Image:
    """The mean colour of each cell of an image, (H // 4, W // 4, 3); at least one cell."""
    rows, columns = (max(1, side // CELL) for side in image.shape[:2])
    whole = image[: rows * CELL, : columns * CELL]
    for size in ((2 * columns, 2 * rows), (columns, rows)):  # in two steps: a third of the time
        whole = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)
    return whole


def _cells_of(box: Box) -> tuple[slice, slice]:
    """The cells that lie completely in a box."""
    return (
        slice(-(-int(box.y1) // CELL), int(box.y2) // CELL),
        slice(-(-int(box.x1) // CELL), int(box.x2) // CELL),
    )


def _take_covered(changed: Mask, covers: Sequence[Box]) -> list[int]:
    """Remove the changes that lie under one cover; returns the indices of those covers."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(changed)
    covering: set[int] = set()
    for label in range(1, count):
        x, y, width, height = (int(value) for value in stats[label][:4])
        change = Box(x, y, x + width, y + height).scaled(CELL, CELL)
        under = [index for index, cover in enumerate(covers) if _contains(cover, change)]
        if under:
            changed[labels == label] = 0
            covering.update(under)
    return sorted(covering)


def _extend_to_face(changed: Mask, face: Box) -> None:
    """Mark a whole face as changed when a part of it, or what is right beside it, changed."""
    x1, y1, x2, y2 = (max(0, round(side / CELL)) for side in face.grown(0.25))
    part = changed[y1 : y2 + 1, x1 : x2 + 1]
    if part.any():
        part[...] = 1


def _contains(outer: Box, inner: Box) -> bool:
    return (
        outer.x1 <= inner.x1
        and outer.y1 <= inner.y1
        and outer.x2 >= inner.x2
        and outer.y2 >= inner.y2
    )


def _span(low: float, high: float, length: int, whole: int) -> tuple[int, int, int, int]:
    """A span of this length around low..high: its start and end, and those of its core.

    It begins on the network's grid and has low..high near its middle. At the edge of the image it
    has no margin: beyond the edge the detector pads it, as it does a whole image.
    """
    last = max(0, _on_grid(whole) - length)
    start = min(max(0, round((low + high - length) / 2 / GRID) * GRID), last)
    end = min(start + length, whole)
    return start, end, start + MARGIN if start else 0, end - MARGIN if end < whole else whole


def _on_grid(side: float) -> int:
    return -(-int(side) // GRID) * GRID
