"""A decoded frame to the one form that everything after it takes.

Upright, of square pixels, in planar YUV 4:2:0 of 8 bit with even sides, its range and matrix
stated. Most cameras send just that, and such a frame is passed on as it is.

Pixels that are not square are made so here, once, and not stated in each output: JPEG and MJPEG
cannot state it, networks would see squeezed faces, and boxes would not be where viewers see them.
Range and matrix stay as they came, since each video output states them.
"""

from __future__ import annotations

from fractions import Fraction

from av import VideoFrame
from av.video.reformatter import ColorRange, Interpolation

from app.models.colours import BT601, complete, is_grey, is_rgb
from app.models.orientation import UPRIGHT, turned, upright
from app.pipeline.planes import FORMAT, copy_colours, fill, pixels

EXACT = Interpolation.FAST_BILINEAR | Interpolation.ACCURATE_RND


def normalised(
    image: VideoFrame, orientation: int, pixel_aspect: Fraction, rotate: int = 0
) -> VideoFrame:
    """The frame as people are meant to see it.

    Args:
        orientation: how it is stored, as EXIF numbers it.
        pixel_aspect: width of a stored pixel, as a share of its height.
        rotate: degrees clockwise, by which it is turned after that.
    """
    complete(image)
    size = square_size(image.width, image.height, pixel_aspect)
    if image.format.name != FORMAT or size != (image.width, image.height):
        image = _converted(image, *size)
    orientation = turned(orientation, rotate)
    return image if orientation == UPRIGHT else _turned(image, orientation)


def square_size(width: int, height: int, pixel_aspect: Fraction) -> tuple[int, int]:
    """Width and height, both even, with square pixels: the side that is too short is stretched."""
    if pixel_aspect > 1:
        return _even(width * pixel_aspect), _even(height)
    return _even(width), _even(height / pixel_aspect)


def _converted(image: VideoFrame, width: int, height: int) -> VideoFrame:
    """Scaled, and in planar YUV 4:2:0 of 8 bit: of the same range and matrix, where it has one."""
    stated = image.color_range, image.colorspace
    if is_rgb(image):  # as JPEG has it
        stated = int(ColorRange.JPEG), BT601
    # libswscale takes grey for full range, whatever is stated.
    full = is_grey(image) or stated[0] == ColorRange.JPEG
    result = image.reformat(
        width,
        height,
        FORMAT,
        dst_colorspace="ITU601" if is_rgb(image) else None,
        dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        interpolation=EXACT,
        threads=1,
    )
    result.color_range, result.colorspace = stated
    return result


def _turned(image: VideoFrame, orientation: int) -> VideoFrame:
    planes = [upright(pixels(plane), orientation) for plane in image.planes]
    height, width = planes[0].shape
    result = VideoFrame(width, height, FORMAT)
    fill(result, planes)
    copy_colours(image, result)
    return result


def _even(side: float | Fraction) -> int:
    return max(2, round(side) // 2 * 2)
