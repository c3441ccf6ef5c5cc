"""Frames of every kind become upright, with square pixels and true colours."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps
from support.doubles import planes
from support.pictures import Image, as_shown, difference, encoded_exactly, patches

from app.models.colours import Colours
from app.pipeline.blur import conceal
from app.pipeline.normalise import normalised
from app.pipeline.scale import part_to_rgb, to_output, to_rgb
from app.pipeline.sinks.encode import H264Encoder
from app.pipeline.sinks.jpeg import encode_jpeg

SQUARE = Fraction(1)
FORMATS = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuv420p10le", "yuv422p10le")
CLOSE = 3


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", ["bt601", "smpte170m", "bt709", "bt2020"])
@pytest.mark.parametrize("format", FORMATS)
def test_all_outputs_preserve_colours(format: str, matrix: str, full: bool) -> None:
    if format.startswith("yuvj") and not full:
        pytest.skip("full range by its name")
    given = encoded_exactly(patches(), format=format, matrix=matrix, full=full)
    if format.startswith("yuvj"):
        given.color_range = 0  # as some decoders leave it
    frame = normalised(given, 1, SQUARE)
    assert frame.format.name == "yuv420p"
    assert difference(as_shown(frame)) <= CLOSE
    assert difference(to_rgb(frame, 960)) <= CLOSE
    assert difference(to_rgb(to_output(frame, 0.5), 960)) <= CLOSE
    assert difference(part_to_rgb(frame, (0, 0, 512, 288))) <= CLOSE
    assert difference(from_jpeg(frame)) <= CLOSE
    sent = from_h264(frame)
    assert (sent.color_range, sent.colorspace) == (2 if full else 1, frame.colorspace)
    assert difference(as_shown(sent)) <= CLOSE


def from_jpeg(frame: av.VideoFrame) -> Image:
    jpeg = encode_jpeg(conceal(frame, [], "off", 0))
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(image, np.uint8)


def from_h264(frame: av.VideoFrame) -> av.VideoFrame:
    picture = conceal(frame, [], "off", 0)
    colours = Colours.of(frame)
    encoder = H264Encoder(*picture.size, fps=25, encoder="libx264", colours=colours)
    assert encoder.takes(picture)
    decoder = av.CodecContext.create("h264", "r")
    packets = [av.Packet(packet.data) for packet in encoder.encode(picture, 0)]
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    assert isinstance(frames[0], av.VideoFrame)
    return frames[0]


@pytest.mark.parametrize("format", ["rgb24", "bgra", "gbrp", "rgb48le"])
def test_rgb_becomes_full_range_bt601_as_in_jpeg(format: str) -> None:
    given = av.VideoFrame.from_ndarray(patches(), format="rgb24").reformat(format=format)
    frame = normalised(given, 1, SQUARE)
    assert (frame.format.name, frame.color_range) == ("yuv420p", 2)
    assert difference(as_shown(frame)) <= CLOSE
    assert difference(from_jpeg(frame)) <= CLOSE


@pytest.mark.parametrize("stated", [0, 1, 2])
def test_grey_keeps_its_values_and_its_range(stated: int) -> None:
    given = av.VideoFrame.from_ndarray(np.full((64, 64), 200, np.uint8), format="gray")
    given.color_range = stated
    frame = normalised(given, 1, SQUARE)
    assert frame.color_range == (stated or 2)
    assert planes(frame)[0].mean() == pytest.approx(200, abs=1)
    assert planes(frame)[1].mean() == 128


@pytest.mark.parametrize("stated", [2, 3, 8, 14, 99])
@pytest.mark.parametrize(
    ("size", "matrix"), [((704, 576), 6), ((640, 480), 6), ((1280, 720), 1), ((720, 1280), 1)]
)
def test_an_unknown_matrix_is_assumed_by_size(
    size: tuple[int, int], matrix: int, stated: int
) -> None:
    given = av.VideoFrame(*size, "yuv420p")
    given.colorspace = stated
    frame = normalised(given, 1, SQUARE)
    assert (frame.colorspace, frame.color_range) == (matrix, 1)


def test_the_frames_of_most_cameras_are_passed_on_unchanged() -> None:
    given = encoded_exactly(patches(1920, 1080), format="yuv420p")
    assert normalised(given, 1, SQUARE) is given


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_frames_are_turned(orientation: int, rotate: int) -> None:
    """Pillow is the reference for the orientations."""
    photo = Pillow.fromarray(patches())
    photo.getexif()[0x0112] = orientation
    expected = np.rot90(np.asarray(ImageOps.exif_transpose(photo)), -rotate // 90)
    given = encoded_exactly(patches(), format="yuv420p", matrix="bt709")
    frame = normalised(given, orientation, SQUARE, rotate)
    assert (frame.width, frame.height) == (expected.shape[1], expected.shape[0])
    assert (frame.colorspace, frame.color_range) == (1, 1)
    # At the edges of patches, colours mix.
    assert np.median(np.abs(as_shown(frame).astype(int) - expected)) <= CLOSE


@pytest.mark.parametrize(
    ("size", "pixel_aspect", "orientation", "expected"),
    [
        ((704, 576), Fraction(16, 11), 1, (1024, 576)),
        ((704, 576), Fraction(12, 11), 1, (768, 576)),
        ((704, 576), Fraction(16, 11), 6, (576, 1024)),
        ((720, 480), Fraction(8, 9), 1, (720, 540)),
        ((352, 576), Fraction(32, 11), 1, (1024, 576)),
        ((320, 192), Fraction(1), 1, (320, 192)),
    ],
)
def test_pixels_become_square(
    size: tuple[int, int], pixel_aspect: Fraction, orientation: int, expected: tuple[int, int]
) -> None:
    given = encoded_exactly(patches(*size), format="yuv420p", matrix="bt601")
    frame = normalised(given, orientation, pixel_aspect)
    assert (frame.width, frame.height) == expected
    if orientation == 1:
        assert difference(as_shown(frame)) <= CLOSE


def test_odd_sides_become_even() -> None:
    frame = normalised(av.VideoFrame(321, 193, "yuv444p"), 8, SQUARE)
    assert (frame.width, frame.height) == (192, 320)


def test_other_colours_need_another_encoder() -> None:
    limited = encoded_exactly(patches(), format="yuv420p")
    full = encoded_exactly(patches(), format="yuv420p", full=True)
    encoder = H264Encoder(512, 288, fps=25, encoder="libx264", colours=Colours.of(limited))
    assert encoder.takes(conceal(limited, [], "off", 0))
    assert not encoder.takes(conceal(full, [], "off", 0))


def test_values_that_no_encoder_accepts_are_left_out() -> None:
    given = encoded_exactly(patches(), format="yuv420p")
    given.color_primaries, given.color_trc = 3, 77
    assert Colours.of(given)[2:] == (2, 2)
    assert difference(as_shown(from_h264(given))) <= CLOSE
