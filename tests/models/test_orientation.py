"""The orientation of encoded images, whatever else their headers contain."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image as Pillow

from app.models.orientation import orientation_of
from app.models.plates.photo import pixels
from app.pipeline.sources.push import decode

ORIENTATION, X_RESOLUTION = 0x0112, 0x011A


def encoded(kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    Pillow.new("RGB", (64, 32), "red").save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> Pillow.Exif:
    data = Pillow.Exif()
    data[ORIENTATION] = orientation
    return data


def segment(body: bytes) -> bytes:
    """An APP1 segment of a JPEG."""
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def behind_long_xmp() -> bytes:
    jpeg = encoded(exif=exif(6))
    return jpeg[:2] + segment(b"http://ns.adobe.com/xap/1.0/\0" + b" " * 9000) + jpeg[2:]


def with_text_for_a_resolution() -> bytes:
    """A resolution of type ASCII (2), where the standard requires RATIONAL (5)."""
    tiff = b"II*\0" + struct.pack("<IH", 8, 2)
    tiff += struct.pack("<HHIHH", ORIENTATION, 3, 1, 6, 0)
    tiff += struct.pack("<HHI4s", X_RESOLUTION, 2, 4, b"72\0\0") + bytes(4)
    jpeg = encoded()
    return jpeg[:2] + segment(b"Exif\0\0" + tiff) + jpeg[2:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_four_formats_is_read(kind: str, orientation: int) -> None:
    assert orientation_of(encoded(kind, exif=exif(orientation))) == orientation


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_uploads_and_pushed_frames_are_turned_alike(kind: str) -> None:
    data = encoded(kind, exif=exif(6))
    assert pixels(data, 10_000).shape == (64, 32, 3)
    frame = decode(data, 10_000)
    assert (frame.width, frame.height) == (32, 64)


@pytest.mark.parametrize("make", [behind_long_xmp, with_text_for_a_resolution])
def test_other_header_data_does_not_matter(make: Callable[[], bytes]) -> None:
    data = make()
    assert orientation_of(data) == 6
    assert pixels(data, 10_000).shape == (64, 32, 3)
    assert decode(data, 10_000).width == 32


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "GIF"])
def test_no_orientation_means_upright(kind: str) -> None:
    assert orientation_of(encoded(kind)) == 1


@pytest.mark.parametrize("value", [0, 9, 255, 65535])
def test_an_orientation_that_does_not_exist_means_upright(value: int) -> None:
    assert orientation_of(encoded(exif=exif(value))) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_damaged_headers_never_raise(kind: str) -> None:
    rng = np.random.default_rng(5)
    good = encoded(kind, exif=exif(6))
    seen = set()
    for _ in range(300):
        data = bytearray(good)
        for at in rng.integers(4, len(data), 1 + int(rng.integers(6))):
            data[at] = int(rng.integers(256))
        length = len(data) if rng.random() < 0.9 else int(rng.integers(len(data)))
        seen.add(orientation_of(bytes(data[:length])))
    assert {1, 6} <= seen <= set(range(1, 9))
