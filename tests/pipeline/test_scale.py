"""One resize, from whatever a decoder gives to what the pipeline takes."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from support.doubles import planes

from app.analytics.motion import to_cells
from app.pipeline.planes import pixels
from app.pipeline.scale import ScaledFrame, to_output, to_rgb

FORMATS = (
    "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "nv12", "gray", "rgb24",
    "yuv420p10le",
)  # fmt: skip


def half_and_half(width: int, height: int, name: str) -> av.VideoFrame:
    """Left black, right white."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, width // 2 :] = 255
    return av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=name)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("downscale", [1.0, 0.5, 0.3])
def test_every_format_becomes_8_bit_planar_420_that_shows_the_same(
    name: str, downscale: float
) -> None:
    out = to_output(half_and_half(320, 192, name), downscale)
    assert out.format.name in ("yuv420p", "yuvj420p")
    luma = planes(out)[0].astype(int)
    quarter = out.width // 4
    assert luma[:, :quarter].max() < 30
    assert luma[:, -quarter:].min() > 220


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "nv12", "rgb24"])
@pytest.mark.parametrize(
    ("size", "downscale", "expected"),
    [
        ((320, 192), 1.0, (320, 192)),
        ((320, 192), 0.5, (160, 96)),
        ((1920, 1080), 0.5, (960, 540)),
        ((1280, 720), 0.1, (128, 72)),
        ((321, 193), 1.0, (320, 192)),
        ((1023, 767), 0.5, (512, 384)),
        ((17, 9), 0.1, (2, 2)),
        ((1, 1), 1.0, (2, 2)),
    ],
)
def test_sides_are_even_and_scaled(
    name: str, size: tuple[int, int], downscale: float, expected: tuple[int, int]
) -> None:
    if size == (1, 1) and name == "nv12":
        pytest.skip("no such picture")
    out = to_output(av.VideoFrame(*size, name), downscale)
    assert abs(out.width - expected[0]) <= 2
    assert abs(out.height - expected[1]) <= 2
    assert (out.width % 2, out.height % 2) == (0, 0)
    assert out.width >= 2
    assert out.height >= 2


def test_what_fits_already_is_passed_on_without_a_copy() -> None:
    image = av.VideoFrame(320, 192, "yuv420p")
    assert to_output(image, 1.0) is image


@pytest.mark.parametrize("name", FORMATS)
def test_the_network_gets_rgb(name: str) -> None:
    small = to_rgb(half_and_half(1280, 720, name), 640)
    assert small.shape == (360, 640, 3)
    assert small.dtype == np.uint8
    assert small[:, :160].max() < 30
    assert small[:, -160:].min() > 225


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1920, 1080), (640, 360)),
        ((1080, 1920), (360, 640)),
        ((320, 240), (320, 240)),
        ((641, 481), (640, 480)),
        ((4000, 2), (640, 2)),
        ((2, 4000), (2, 640)),
    ],
)
def test_the_longer_side_is_limited_and_nothing_is_enlarged(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    height, width, _ = to_rgb(av.VideoFrame(*size, "yuv420p"), 640).shape
    assert (width, height) == expected


def test_colours_are_right() -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    image = av.VideoFrame.from_ndarray(red, format="rgb24").reformat(format="yuv420p")
    assert np.allclose(to_rgb(image, 64)[32, 32], (255, 0, 0), atol=6)


def coloured(width: int, height: int, name: str) -> av.VideoFrame:
    """Soft patches of all colours."""
    coarse = np.random.default_rng(1).integers(20, 235, (5, 8, 3)).astype(np.uint8)
    picture = np.asarray(cv2.resize(coarse, (width, height)), np.uint8)
    return av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=name)


@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p", "nv12", "yuv422p10le"])
@pytest.mark.parametrize(
    "size", [(1920, 1080), (1280, 720), (1080, 1920), (640, 480), (642, 482), (300, 1000)]
)
def test_cells_are_those_of_the_resized_image(size: tuple[int, int], name: str) -> None:
    scaled = ScaledFrame(coloured(*size, name), 640)
    expected = to_cells(scaled.rgb)
    assert scaled.size == (scaled.rgb.shape[1], scaled.rgb.shape[0])
    assert scaled.cells.shape == expected.shape
    difference = np.abs(scaled.cells.astype(int) - expected)
    assert difference.mean() <= 2.5
    assert difference.max() <= 14  # the resized image is shifted by up to a pixel


@pytest.mark.parametrize("size", [(4000, 2), (2, 4000), (2, 2), (6, 6), (17, 9)])
def test_even_a_narrow_image_has_cells(size: tuple[int, int]) -> None:
    scaled = ScaledFrame(av.VideoFrame(*size, "yuv420p"), 640)
    assert scaled.cells.shape == to_cells(scaled.rgb).shape


def test_a_change_of_a_few_pixels_of_the_camera_changes_its_cell() -> None:
    image = coloured(1920, 1080, "yuv420p")
    before = ScaledFrame(image, 960).cells
    pixels(image.planes[0])[800:808, 1200:1208] ^= 0x40
    change = np.abs(ScaledFrame(image, 960).cells.astype(int) - before).max(axis=2)
    assert change[100, 150] > 50
    assert np.count_nonzero(change) == 1


@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p"])
@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (1920, 1080), (644, 484)])
def test_a_frame_halved_or_not_shows_the_same(size: tuple[int, int], name: str) -> None:
    image = coloured(*size, name)
    longest = max(size) // 2
    scaled = ScaledFrame(image, longest).rgb
    expected = to_rgb(image, longest)
    assert scaled.shape == expected.shape
    assert np.abs(scaled.astype(int) - expected).mean() <= 2.5
