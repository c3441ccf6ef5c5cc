"""Resizes the decoder's frame, once for the networks and once for the output."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt
from av import VideoFrame

from app.analytics.motion import CELL
from app.models.colours import Colours, to_rgb_matrix
from app.pipeline.planes import FORMAT, PLANAR_420, Plane, copy_colours, pixels

BILINEAR = "FAST_BILINEAR"


def to_rgb(image: VideoFrame, longest: int) -> npt.NDArray[np.uint8]:
    """The frame as (H, W, 3) RGB with its longer side at most ``longest``, never enlarged.

    The planes are resized first and converted to RGB then: both at once takes libswscale two to
    three times as long.
    """
    small = to_output(image, min(1.0, longest / max(image.width, image.height)))
    return small.reformat(format="rgb24", threads=1).to_ndarray()  # type: ignore[return-value]


class ScaledFrame:
    """The frame at the size of a network, once somebody looks at it, and before that its cells.

    The cells are averaged from the decoder's planes themselves: so a frame in which nothing moves
    is never resized and converted.
    """

    def __init__(self, image: VideoFrame, longest: int) -> None:
        self._image, self._longest = image, longest
        self._scale = min(1.0, longest / max(image.width, image.height))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return _even(self._image.width * self._scale), _even(self._image.height * self._scale)

    @functools.cached_property
    def rgb(self) -> npt.NDArray[np.uint8]:
        """The frame as (H, W, 3) RGB."""
        halves = self._halves
        if halves is None:
            return to_rgb(self._image, self._longest)
        width, height = self.size
        cut = np.concatenate([half.reshape(-1) for half in halves])
        small = VideoFrame.from_ndarray(cut.reshape(height * 3 // 2, width), format=FORMAT)
        copy_colours(self._image, small)
        return small.reformat(format="rgb24", threads=1).to_ndarray()  # type: ignore[return-value]

    @functools.cached_property
    def _halves(self) -> list[Plane] | None:
        """The planes at half the size if that is the network's, as with most cameras.

        OpenCV makes them in a quarter of the time that libswscale takes, and from all pixels.
        """
        image, (width, height) = self._image, self.size
        if image.format.name != FORMAT or (image.width, image.height) != (2 * width, 2 * height):
            return None
        return [_halved(plane) for plane in map(pixels, image.planes)]

    @functools.cached_property
    def cells(self) -> npt.NDArray[np.uint8]:
        """The mean colour of each cell of 4 x 4 pixels, (H // 4, W // 4, 3) RGB."""
        image = self._image
        if image.format.name not in PLANAR_420:
            image = to_output(image, self._scale)
        width, height = self.size
        columns, rows = max(1, width // CELL), max(1, height // CELL)
        across, down = min(1.0, columns * CELL / width), min(1.0, rows * CELL / height)
        means = [
            _mean(
                plane[: round(len(plane) * down), : round(plane.shape[1] * across)], columns, rows
            )
            for plane in self._halves or map(pixels, image.planes)
        ]
        rgb = cv2.transform(cv2.merge(means), to_rgb_matrix(Colours.of(image)))
        return np.asarray(cv2.convertScaleAbs(np.maximum(rgb, 0)), np.uint8)


def _mean(plane: Plane, columns: int, rows: int) -> npt.NDArray[np.float32]:
    """A plane (H, W) at another size, each pixel the mean of those that it stands for.

    Halving it twice is far faster than all at once. The last step is not rounded: in the colours
    that would be more noise than a sensor's.
    """
    height, width = plane.shape
    while width >= 4 * columns and height >= 4 * rows and not (width % 2 or height % 2):
        plane = _halved(plane)
        height, width = plane.shape
    mean = cv2.resize(plane.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(mean, np.float32)


def _halved(plane: Plane) -> Plane:
    """A plane at half its size: each pixel the mean of four."""
    height, width = plane.shape
    half = cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(half, np.uint8)


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
