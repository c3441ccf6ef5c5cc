"""Converts decoded frames to the one form that all later steps expect.

Frames are upright, have square pixels and even sides, are in 8-bit planar YUV 4:2:0, and state
their range and matrix. Most cameras send just that, and such a frame is passed on unchanged.

Pixels are made square here, once, instead of stating their shape in each output: JPEG and MJPEG
cannot state it, networks would get distorted faces, and boxes would not be where viewers see them.
Range and matrix are preserved, since each video output states them.
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
    """Return the frame as people should see it.

    Args:
        orientation: how the image is stored, as EXIF numbers it.
        pixel_aspect: width of a stored pixel divided by its height.
        rotate: degrees to turn it clockwise after that.
    """
    complete(image)
    size = square_size(image.width, image.height, pixel_aspect)
    if image.format.name != FORMAT or size != (image.width, image.height):
        image = _converted(image, *size)
    orientation = turned(orientation, rotate)
    return image if orientation == UPRIGHT else _turned(image, orientation)


def square_size(width: int, height: int, pixel_aspect: Fraction) -> tuple[int, int]:
    """Return the even width and height with square pixels; the shorter side is stretched."""
    if pixel_aspect > 1:
        return _even(width * pixel_aspect), _even(height)
    return _even(width), _even(height / pixel_aspect)


def _converted(image: VideoFrame, width: int, height: int) -> VideoFrame:
    """Scale to 8-bit planar YUV 4:2:0; a YUV frame keeps its range and matrix."""
    stated = image.color_range, image.colorspace
    if is_rgb(image):  # as in JPEG
        stated = int(ColorRange.JPEG), BT601
    # libswscale treats grey as full range, whatever is stated.
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
