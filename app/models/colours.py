"""The YUV matrix and range of decoded frames.

Not all files and cameras state them. Missing values are assumed as players and browsers do: BT.601
up to the size of a PAL frame, BT.709 above, and limited range, except in formats that are full
range by definition (JPEG's formats, and grey).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

UNSPECIFIED = 2
BT709, BT601 = 1, 6
SD_WIDTH, SD_HEIGHT = 1024, 576
LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""Shares of red and blue in luma, by matrix (ITU-T H.273, table 4), if libswscale knows it."""
GREY = ("gray", "ya", "mono")
_PRIMARIES, _TRANSFERS = set(ColorPrimaries), set(ColorTrc)


class Colours(NamedTuple):
    """Range (as FFmpeg numbers it), matrix, primaries and transfer (as H.273 does) of a frame."""

    range: int = ColorRange.MPEG
    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @classmethod
    def of(cls, image: av.VideoFrame) -> Colours:
        primaries, transfer = image.color_primaries, image.color_trc
        assumed = ColorRange.JPEG if image.format.name.startswith("yuvj") else ColorRange.MPEG
        return cls(
            image.color_range or assumed,
            image.colorspace,
            primaries if primaries in _PRIMARIES else UNSPECIFIED,
            transfer if transfer in _TRANSFERS else UNSPECIFIED,
        )

    def tag(self, encoder: VideoCodecContext) -> None:
        """Make an encoder that is not open yet state them in its stream."""
        encoder.color_range, encoder.colorspace = self.range, self.matrix
        encoder.color_primaries, encoder.color_trc = self.primaries, self.transfer


def is_rgb(image: av.VideoFrame) -> bool:
    return image.format.is_rgb or image.format.has_palette


def is_grey(image: av.VideoFrame) -> bool:
    return image.format.name.startswith(GREY)


def complete(image: av.VideoFrame) -> None:
    """Set the matrix and range of a YUV frame that does not state them, or an unknown matrix."""
    if is_rgb(image):
        return
    if not image.color_range:
        full = image.format.name.startswith("yuvj") or is_grey(image)
        image.color_range = ColorRange.JPEG if full else ColorRange.MPEG
    if image.colorspace not in LUMA_WEIGHTS:
        large = image.width > SD_WIDTH or image.height > SD_HEIGHT
        image.colorspace = BT709 if large else BT601


def same_matrix(one: int, other: int) -> bool:
    """Whether two matrices are equal: BT.601 has two numbers, and unknown ones count as BT.601."""
    return _weights(one) == _weights(other)


@functools.cache
def to_jpeg_matrix(colours: Colours) -> npt.NDArray[np.float64]:
    """Return the (3, 4) matrix from (Y, Cb, Cr, 1) to JPEG's Y, Cb, Cr: BT.601, full range.

    All values are 0 to 255.
    """
    jpeg = np.linalg.inv(_to_rgb(BT601)) @ to_rgb_matrix(colours)
    jpeg[:, 3] += (0, 128, 128)
    return jpeg


@functools.cache
def to_rgb_matrix(colours: Colours) -> npt.NDArray[np.float64]:
    """Return the (3, 4) matrix from (Y, Cb, Cr, 1) to RGB. All values are 0 to 255."""
    limited = colours.range != ColorRange.JPEG
    scale = np.diag([255 / 219, 255 / 224, 255 / 224] if limited else [1.0, 1.0, 1.0])
    change = _to_rgb(colours.matrix) @ scale
    offset = -change @ np.array([16.0 if limited else 0.0, 128, 128])
    return np.column_stack([change, offset])


def _weights(matrix: int) -> tuple[float, float]:
    return LUMA_WEIGHTS.get(matrix, LUMA_WEIGHTS[BT601])


def _to_rgb(matrix: int) -> npt.NDArray[np.float64]:
    red, blue = _weights(matrix)
    green = 1 - red - blue
    return np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green],
            [1, 2 * (1 - blue), 0],
        ]
    )
