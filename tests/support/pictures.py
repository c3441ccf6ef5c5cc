"""Images with known colours and shape, as frames and clips of many kinds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream

Image = npt.NDArray[np.uint8]

COLOURS = (
    (235, 235, 235),
    (20, 20, 20),
    (190, 60, 50),
    (60, 170, 70),
    (50, 70, 180),
    (180, 170, 60),
    (60, 160, 170),
    (160, 70, 160),
)
COLUMNS, ROWS = 4, 2
EDGE = 8  # pixels at the edge of a patch where it mixes with its neighbour
NUMBERS = {"bt709": 1, "bt601": 5, "smpte170m": 6, "bt2020": 9}


def patches(width: int = 512, height: int = 288) -> Image:
    """Eight flat patches, (H, W, 3) RGB; every orientation of the image looks different."""
    image = np.empty((height, width, 3), np.uint8)
    for number, colour in enumerate(COLOURS):
        row, column = divmod(number, COLUMNS)
        image[
            row * height // ROWS : (row + 1) * height // ROWS,
            column * width // COLUMNS : (column + 1) * width // COLUMNS,
        ] = colour
    return image


def means(image: Image) -> npt.NDArray[np.float64]:
    """The mean of each patch of such an image of any size: (ROWS * COLUMNS, 3)."""
    height, width = image.shape[0] // ROWS, image.shape[1] // COLUMNS
    found = [
        image[
            row * height + EDGE : (row + 1) * height - EDGE,
            column * width + EDGE : (column + 1) * width - EDGE,
        ].mean((0, 1))
        for row in range(ROWS)
        for column in range(COLUMNS)
    ]
    return np.array(found)


def difference(image: Image) -> float:
    """The largest difference between a patch and its original colour, 0 to 255."""
    return float(np.abs(means(image) - np.array(COLOURS)).max())


def encoded_exactly(
    image: Image, *, format: str, matrix: str = "bt709", full: bool = False
) -> av.VideoFrame:
    """The image as YUV by the formulas of H.273, without libswscale, at 8 or 10 bit.

    Args:
        format: planar YUV of any subsampling.
    """
    red, blue = {"bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}.get(matrix, (0.299, 0.114))
    r, g, b = np.moveaxis(image.astype(float) / 255, -1, 0)
    y = red * r + (1 - red - blue) * g + blue * b
    values = y, (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
    frame = av.VideoFrame(image.shape[1], image.shape[0], format)
    bits = 10 if "10" in format else 8
    for index, (plane, value) in enumerate(zip(frame.planes, values, strict=True)):
        rows, columns = image.shape[0] // plane.height, image.shape[1] // plane.width
        value = value[::rows, ::columns]
        if full:
            value = value * 255 + (128 if index else 0)
        else:
            value = value * (224 if index else 219) + (128 if index else 16)
        kind = np.uint16 if bits == 10 else np.uint8
        target = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : plane.width]
        target[...] = np.clip(np.round(value * 2 ** (bits - 8)), 0, 2**bits - 1)
    frame.colorspace, frame.color_range = NUMBERS[matrix], 2 if full else 1
    return frame


def write_clip(
    path: Path,
    frame: av.VideoFrame,
    *,
    codec: str = "libx264",
    count: int = 25,
    tagged: bool = True,
    pixel_aspect: Fraction | None = None,
    display_matrix: list[int] | None = None,
) -> Path:
    """A file that repeats one frame, almost lossless.

    Args:
        tagged: state its matrix and range.
    """
    with av.open(str(path), "w") as container:
        options = {"libx264": {"qp": "4", "preset": "ultrafast"}, "mjpeg": {"qmin": "1"}}
        stream = container.add_stream(codec, rate=25, options=options.get(codec, {}))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = frame.width, frame.height
        stream.pix_fmt = frame.format.name
        if codec == "mjpeg":
            stream.codec_context.qscale, stream.codec_context.global_quality = True, 2 * 118
        if tagged:
            stream.codec_context.colorspace = frame.colorspace
            stream.codec_context.color_range = frame.color_range
            stream.codec_context.color_primaries = frame.color_primaries
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if display_matrix is not None:
            stream.set_display_matrix(display_matrix)
        for number in range(count):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def as_shown(frame: av.VideoFrame) -> Image:
    """The RGB image that a player makes of a decoded frame from its stated colours."""
    assert frame.color_range, "the range is stated"
    return np.asarray(frame.reformat(format="rgb24").to_ndarray(), np.uint8)
