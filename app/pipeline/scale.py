"""Resizes the decoder's frame, once for the networks and once for the output."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from av import VideoFrame

from app.pipeline.planes import FORMAT, PLANAR_420, copy_colours

BILINEAR = "FAST_BILINEAR"


def to_rgb(image: VideoFrame, longest: int) -> npt.NDArray[np.uint8]:
    """The frame as (H, W, 3) RGB with its longer side at most ``longest``, never enlarged.

    The planes are resized first and converted to RGB then: both at once takes libswscale two to
    three times as long.
    """
    small = to_output(image, min(1.0, longest / max(image.width, image.height)))
    return small.reformat(format="rgb24", threads=1).to_ndarray()  # type: ignore[return-value]


def part_to_rgb(image: VideoFrame, part: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    """A part of the frame (left, top, right, bottom in pixels) as (H, W, 3) RGB, unscaled.

    Its edges move outwards to even pixels where the colour planes need that.
    """
    image = to_output(image, 1.0)
    left, top = part[0] // 2 * 2, part[1] // 2 * 2
    right, bottom = min(-(-part[2] // 2) * 2, image.width), min(-(-part[3] // 2) * 2, image.height)
    pieces = []
    for plane, shrink in zip(image.planes, (1, 2, 2), strict=True):
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
        piece = rows[top // shrink : bottom // shrink, left // shrink : right // shrink]
        pieces.append(np.ascontiguousarray(piece).reshape(-1))
    cut = np.concatenate(pieces).reshape((bottom - top) * 3 // 2, right - left)
    small = VideoFrame.from_ndarray(cut, format=image.format.name)
    small.color_range, small.colorspace = image.color_range, image.colorspace
    return small.reformat(format="rgb24", threads=1).to_ndarray()  # type: ignore[return-value]


def to_output(
    image: VideoFrame, downscale: float, size: tuple[int, int] | None = None
) -> VideoFrame:
    """The frame as 8-bit planar YUV 4:2:0 with even sides, scaled by ``downscale``.

    A frame that already has this form is returned without a copy.

    Args:
        size: width and height of the result, instead of ``downscale``.
    """
    width, height = size or (_even(image.width * downscale), _even(image.height * downscale))
    if image.format.name in PLANAR_420:
        if (width, height) == (image.width, image.height):
            return image
        small = image.reformat(width, height, interpolation=BILINEAR, threads=1)
        copy_colours(image, small)  # libswscale knows only one of the two numbers of BT.601
        return small
    return image.reformat(width, height, FORMAT, interpolation=BILINEAR, threads=1)


def _even(side: float) -> int:
    return max(2, round(side) // 2 * 2)
