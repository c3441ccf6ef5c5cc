"""Encodes frames as JPEG, straight from their planes, in the colours that JPEG readers assume.

A JPEG cannot state its matrix and range: they are always BT.601 and full range (JFIF 1.02).
"""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
from av import VideoFrame
from av.video.reformatter import ColorRange

from app.models.colours import BT601, Colours, same_matrix, to_jpeg_matrix
from app.pipeline.planes import Plane, fill, pixels
from app.pipeline.scale import to_output
from app.types import BlurredFrame

QP_TO_LAMBDA = 118  # libav's FF_QP2LAMBDA
JPEG_QSCALE = 4  # libav's scale, 1 (best) to 31; 4 is close to quality 90 of other programs
FORMAT = "yuvj420p"
MIDDLE = 128


def encode_jpeg(frame: BlurredFrame, width: int | None = None) -> bytes:
    """Encode a frame as a baseline JPEG.

    Args:
        width: the most pixels that it may be wide; None for the frame's own size.
    """
    scale = 1.0 if width is None else min(1.0, width / frame.image.width)
    image = _in_jpeg_colours(to_output(frame.image, scale))
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = image.width, image.height, FORMAT
    encoder.time_base = Fraction(1, 90_000)
    encoder.thread_count = 1
    encoder.qscale, encoder.global_quality = True, JPEG_QSCALE * QP_TO_LAMBDA
    packets = encoder.encode(image)
    return b"".join(bytes(packet) for packet in [*packets, *encoder.encode(None)])


def _in_jpeg_colours(image: VideoFrame) -> VideoFrame:
    colours = Colours.of(image)
    fits = colours.range == ColorRange.JPEG and same_matrix(colours.matrix, BT601)
    if fits and image.format.name == FORMAT:
        return image
    result = VideoFrame(image.width, image.height, FORMAT)
    planes = [pixels(plane) for plane in image.planes]
    if fits:
        fill(result, planes)
    else:
        _convert(planes, [pixels(plane) for plane in result.planes], colours)
    return result


def _convert(source: list[Plane], target: list[Plane], colours: Colours) -> None:
    """Convert matrix and range in one linear map on whole planes; libswscale goes through RGB.

    For every matrix, chroma depends on chroma only; luma depends on all three planes.
    """
    to_y, to_blue, to_red = to_jpeg_matrix(colours).tolist()
    y, blue, red = source
    cv2.addWeighted(blue, to_blue[1], red, to_blue[2], to_blue[3], dst=target[1])
    cv2.addWeighted(blue, to_red[1], red, to_red[2], to_red[3], dst=target[2])
    # What chroma adds to luma, centred on 128 to fit a byte; each value is for 2 x 2 pixels.
    at_middle = MIDDLE * (1 - to_y[1] - to_y[2])
    added = cv2.addWeighted(blue, to_y[1], red, to_y[2], at_middle)
    added = cv2.merge([added, added]).reshape(added.shape[0], -1)
    for row in (0, 1):
        cv2.addWeighted(y[row::2], to_y[0], added, 1, to_y[3] - at_middle, dst=target[0][row::2])
