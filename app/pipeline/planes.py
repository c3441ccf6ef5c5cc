"""The Y, U and V planes of frames as NumPy arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from av import VideoFrame

PLANAR_420 = ("yuv420p", "yuvj420p")
FORMAT = PLANAR_420[0]

Plane = npt.NDArray[np.uint8]


def pixels(plane: object) -> Plane:
    """A view (height, width) of a plane, without the padding at the end of its rows."""
    rows = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
    return rows.reshape(-1, plane.line_size)[: plane.height, : plane.width]  # type: ignore[attr-defined, no-any-return]


def copy_of(image: VideoFrame) -> VideoFrame:
    """A copy with the same pixels and colours, without timestamps."""
    copy = VideoFrame(image.width, image.height, image.format.name)
    fill(copy, [pixels(plane) for plane in image.planes])
    copy_colours(image, copy)
    return copy


def fill(image: VideoFrame, planes: list[Plane]) -> None:
    """Write pixels into the planes of a frame of the same size."""
    for target, source in zip(image.planes, planes, strict=True):
        pixels(target)[...] = source


def copy_colours(source: VideoFrame, target: VideoFrame) -> None:
    """Copy range, matrix, primaries and transfer from one frame to another."""
    target.color_range, target.colorspace = source.color_range, source.colorspace
    target.color_primaries, target.color_trc = source.color_primaries, source.color_trc
