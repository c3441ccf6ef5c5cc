"""Blurs faces. Pure functions, and the only place that creates a ``BlurredFrame``.

The work happens in the Y, U and V planes that the encoder takes anyway: turning a 1080p frame
to BGR and back would cost more than everything else here together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import cv2
from av import VideoFrame

from app.pipeline.planes import PLANAR_420, Plane, pixels
from app.types import BlurredFrame, BlurStyle, Box

CELLS = 5  # a blurred face keeps this many independent samples along its longer side
MIN_CELL = 8  # pixels; also the smallest side that is blurred
SOLID_YUV = (40, 128, 128)
LEAST_SIDE = 1 / 60
"""Of the image's longer side: a smaller face has the margin of one as large. The network places it
a few of its pixels beside, however small it is; with the usual margin that makes four of 960."""


def conceal(
    image: VideoFrame, boxes: Iterable[Box], style: BlurStyle, margin: float
) -> BlurredFrame:
    """Blur the boxes and a margin around them, and return what may be shown.

    Args:
        image: planar YUV 4:2:0, 8 bit, even sides. The decoder's own copy, which later frames
            are predicted from, is never written to.
        margin: on each side, as a share of the box's, or of ``LEAST_SIDE`` if that is more.
        style: ``off`` blurs nothing, on request of the caller.
    """
    if image.format.name not in PLANAR_420:
        raise ValueError(f"conceal takes planar YUV 4:2:0, not {image.format.name}")
    least = LEAST_SIDE * max(image.width, image.height)
    covers = [_with_margin(box, margin, least) for box in boxes]
    regions = [region for cover in covers if (region := _Region.of(cover, image))]
    if style == "off" or not regions:
        return BlurredFrame(image)
    image.make_writable()
    planes = [pixels(plane) for plane in image.planes]
    for region in regions:
        for plane, value, shrink in zip(planes, SOLID_YUV, (1, 2, 2), strict=True):
            _blur(region.part(plane, shrink), style, value, region.cell / shrink)
    return BlurredFrame(image)


def _with_margin(box: Box, margin: float, least: float) -> Box:
    dx, dy = margin * max(box.width, least), margin * max(box.height, least)
    return Box(box.x1 - dx, box.y1 - dy, box.x2 + dx, box.y2 + dy)


class _Region(NamedTuple):
    """A region to blur, in whole, even pixels inside the image.

    ``cell`` is the side of a square that becomes one sample. It follows from the longer side: a
    face that is cut off by the edge must not keep more detail than a whole one.
    """

    left: int
    top: int
    right: int
    bottom: int
    cell: float

    @classmethod
    def of(cls, box: Box, image: VideoFrame) -> _Region | None:
        """The region of a box; None when it is outside the image."""
        spare_x = max(0.0, MIN_CELL - box.width) / 2
        spare_y = max(0.0, MIN_CELL - box.height) / 2
        left = max(0, int(box.x1 - spare_x) // 2 * 2)
        top = max(0, int(box.y1 - spare_y) // 2 * 2)
        right = min(image.width, -(-math.ceil(box.x2 + spare_x) // 2) * 2)
        bottom = min(image.height, -(-math.ceil(box.y2 + spare_y) // 2) * 2)
        if left >= right or top >= bottom:
            return None
        return cls(left, top, right, bottom, max(MIN_CELL, max(box.width, box.height) / CELLS))

    def part(self, plane: Plane, shrink: int) -> Plane:
        return plane[
            self.top // shrink : self.bottom // shrink, self.left // shrink : self.right // shrink
        ]


def _blur(part: Plane, style: BlurStyle, value: int, cell: float) -> None:
    """Blur a face in one plane.

    Both blurs first average the face to cells of ``cell`` pixels, so that no detail is left to
    restore, however the cells are drawn afterwards.
    """
    if style == "solid":
        part[...] = value
        return
    height, width = part.shape
    columns, rows = max(1, round(width / cell)), max(1, round(height / cell))
    cells = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    if style == "gaussian":
        cells = cv2.GaussianBlur(cells, (3, 3), 0)
    drawn = cv2.INTER_CUBIC if style == "gaussian" else cv2.INTER_NEAREST
    part[...] = cv2.resize(cells, (width, height), interpolation=drawn)
