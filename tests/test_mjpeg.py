"""JPEG images, extracted from what cameras send as MJPEG."""

from __future__ import annotations

import io
import itertools

import pytest
from PIL import Image

from app.mjpeg import JpegSplitter


def jpeg(shade: int = 80, *, progressive: bool = False, thumbnail: bool = False) -> bytes:
    """A small image; with a thumbnail, it holds another JPEG in its EXIF data."""
    noise = Image.effect_noise((64, 48), shade).convert("RGB")
    inner, file = io.BytesIO(), io.BytesIO()
    noise.resize((16, 16)).save(inner, "JPEG")
    exif = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + inner.getvalue() if thumbnail else b""
    noise.save(file, "JPEG", progressive=progressive, exif=exif)
    return file.getvalue()


IMAGES = [jpeg(), jpeg(progressive=True), jpeg(thumbnail=True), jpeg(120)]


def split(data: bytes, size: int = 10**6) -> list[bytes]:
    splitter = JpegSplitter()
    chunks = (data[at : at + size] for at in range(0, len(data), size))
    return list(itertools.chain.from_iterable(map(splitter.feed, chunks)))


@pytest.mark.parametrize("size", [1, 2, 7, 1000, 10**6])
@pytest.mark.parametrize(
    "delimiter",
    [
        b"",
        b"--frame\r\nContent-Type: image/jpeg\r\n\r\n",
        b"\r\n--123456789000000000000987654321\r\nContent-Type: image/jpeg\r\n\r\n",
        b"\r\n--f\r\nContent-Type: image/jpeg\r\nContent-Length: 99999999\r\n\r\n",
        b"\n\nframe\nContent-Length: 3\n\n",
        b"\xff\xd9 \xff\x00",
    ],
)
def test_whatever_stands_between_them(delimiter: bytes, size: int) -> None:
    assert split(delimiter + delimiter.join(IMAGES) + delimiter, size) == IMAGES
    assert split(delimiter.join(IMAGES), size) == IMAGES  # without the first, as ESP32 does


@pytest.mark.parametrize("end", [3, 100, 500, 1500])
def test_what_was_cut_off_costs_nothing_else(end: int) -> None:
    first, second, third, _ = IMAGES
    data = first[:end] + b"\r\n--f\r\n\r\n" + second + third[:end] + first
    assert split(data) == [second, first]


def test_bytes_without_an_image_do_not_pile_up() -> None:
    splitter = JpegSplitter()
    for _ in range(10):
        assert splitter.feed(b"no image" * 1000) == []
    assert splitter.waiting < 10
