"""Faces to pixels. Pure functions, and the only place where a ``Picture`` is made.

The work happens in the Y, U and V planes that the encoder takes anyway: turning a 1080p frame
to BGR and back would cost more than everything else here together.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt
from av import VideoFrame

from app.types import BlurStyle, Box, Picture

PLANAR_420 = ("yuv420p", "yuvj420p")
CELLS = 5  # a covered face keeps so many independent samples across its shorter side
SOLID_YUV = (40, 128, 128)
MIN_SIDE = 8

Plane = npt.NDArray[np.uint8]


def conceal(image: VideoFrame, boxes: Iterable[Box], style: BlurStyle, margin: float) -> Picture:
    """Cover the boxes, grown by ``margin`` on each side, and return what may be shown.

    Args:
        image: planar YUV 4:2:0, 8 bit, even sides; its pixels may be written to or not: the
            decoder's own copy, which later frames are predicted from, is never touched.
        style: ``off`` covers nothing; the caller asked for that.
    """
    if image.format.name not in PLANAR_420:
        raise ValueError(f"conceal takes planar YUV 4:2:0, not {image.format.name}")
    regions = [region for box in boxes if (region := _region(box, margin, image)) is not None]
    if style == "off" or not regions:
        return Picture(image)
    image.make_writable()
    planes = [_pixels(plane) for plane in image.planes]
    for left, top, right, bottom in regions:
        for plane, value, shrink in zip(planes, SOLID_YUV, (1, 2, 2), strict=True):
            part = plane[top // shrink : bottom // shrink, left // shrink : right // shrink]
            _cover(part, style, value)
    return Picture(image)


def _region(box: Box, margin: float, image: VideoFrame) -> tuple[int, int, int, int] | None:
    """The box with margin in whole, even pixels inside the picture; None if it is outside."""
    grown = box.grown(margin)
    spare_x, spare_y = max(0.0, MIN_SIDE - grown.width) / 2, max(0.0, MIN_SIDE - grown.height) / 2
    left = max(0, int(grown.x1 - spare_x) // 2 * 2)
    top = max(0, int(grown.y1 - spare_y) // 2 * 2)
    right = min(image.width, -(-int(np.ceil(grown.x2 + spare_x)) // 2) * 2)
    bottom = min(image.height, -(-int(np.ceil(grown.y2 + spare_y)) // 2) * 2)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _pixels(plane: object) -> Plane:
    """A writable view (height, width) of a plane, without the padding at the end of its rows."""
    rows = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
    return rows.reshape(-1, plane.line_size)[: plane.height, : plane.width]  # type: ignore[attr-defined, no-any-return]


def _cover(part: Plane, style: BlurStyle, value: int) -> None:
    """Overwrite one plane's part of a face.

    Both blurs first average the face down to a few cells, so that no detail is left to be
    restored, however the cells are drawn afterwards.
    """
    if style == "solid":
        part[...] = value
        return
    height, width = part.shape
    cell = max(1, min(height, width) / CELLS)
    columns, rows = max(1, round(width / cell)), max(1, round(height / cell))
    cells = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    if style == "gaussian":
        cells = cv2.GaussianBlur(cells, (3, 3), 0)
    drawn = cv2.INTER_LINEAR if style == "gaussian" else cv2.INTER_NEAREST
    part[...] = cv2.resize(cells, (width, height), interpolation=drawn)
