"""The orientation of encoded images, whatever else their headers contain."""

from __future__ import annotations

import gc
import io
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as Pillow
from support.pictures import encoded_exactly, patches, write_clip

from app.models.orientation import (
    display_matrix,
    orientation_of,
    orientation_of_frame,
    turned,
    upright,
)
from app.models.plates.photo import pixels
from app.pipeline.normalise import normalised
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


def stated_twice() -> bytes:
    """As some editors write it: the first orientation counts, as in browsers."""
    jpeg = encoded(exif=exif(3))
    return jpeg[:2] + segment(exif(6).tobytes()) + jpeg[2:]


def shown(data: bytes) -> av.VideoFrame:
    """A pushed frame as it is processed."""
    return normalised(decode(data, 10_000), orientation_of(data), Fraction(1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_four_formats_is_read(kind: str, orientation: int) -> None:
    assert orientation_of(encoded(kind, exif=exif(orientation))) == orientation


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_uploads_and_pushed_frames_are_turned_alike(kind: str) -> None:
    data = encoded(kind, exif=exif(6))
    assert pixels(data, 10_000).shape == (64, 32, 3)
    frame = shown(data)
    assert (frame.width, frame.height) == (32, 64)


@pytest.mark.parametrize("make", [behind_long_xmp, with_text_for_a_resolution, stated_twice])
def test_other_header_data_does_not_matter(make: Callable[[], bytes]) -> None:
    data = make()
    assert orientation_of(data) == 6
    assert pixels(data, 10_000).shape == (64, 32, 3)
    assert shown(data).width == 32


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


# ── display matrices ─────────────────────────────────────────────────────────────────────────


def first_frame(path: Path) -> av.VideoFrame:
    with av.open(str(path)) as container:
        return next(container.decode(video=0))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", range(4))
def test_a_display_matrix_is_read_as_ffmpeg_writes_it(
    tmp_path: Path, quarters: int, mirrored: bool
) -> None:
    frame = encoded_exactly(patches(64, 32), format="yuv420p")
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.set_display_rotation(90 * quarters, hflip=mirrored)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    orientation = orientation_of_frame(first_frame(tmp_path / "clip.mp4"))
    stored = np.arange(12, dtype=np.uint8).reshape(3, 4)
    expected = np.rot90(stored, quarters)
    expected = expected[:, ::-1] if mirrored else expected
    assert np.array_equal(upright(stored, orientation), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_display_matrix_is_written_as_it_is_read(tmp_path: Path, orientation: int) -> None:
    frame = encoded_exactly(patches(64, 32), format="yuv420p")
    matrix = display_matrix(orientation)
    path = write_clip(tmp_path / "clip.mp4", frame, count=1, display_matrix=matrix)
    assert orientation_of_frame(first_frame(path)) == orientation


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ([0] * 9, 1),
        ([46_000, 47_000, 0, -47_000, 46_000, 0, 0, 0, 1 << 30], 6),
        ([0, 1, 0, -1, 0, 0, 0, 0, 1 << 30], 6),
        ([0, 2 << 16, 0, -(1 << 15), 0, 0, 99 << 16, 0, 1 << 30], 6),
        ([-(1 << 31), 0, 0, 0, -(1 << 31), 0, 0, 0, 1], 3),
    ],
    ids=["nothing", "slanted", "tiny", "stretched and moved", "huge"],
)
def test_the_nearest_orientation_counts(tmp_path: Path, matrix: list[int], expected: int) -> None:
    frame = encoded_exactly(patches(64, 32), format="yuv420p")
    path = write_clip(tmp_path / "clip.mp4", frame, count=1, display_matrix=matrix)
    assert orientation_of_frame(first_frame(path)) == expected


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turn_is_added_to_the_orientation(orientation: int, degrees: int) -> None:
    stored = np.arange(12, dtype=np.uint8).reshape(3, 4)
    expected = np.rot90(upright(stored, orientation), -degrees // 90)
    assert np.array_equal(upright(stored, turned(orientation, degrees)), expected)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_frame_with_side_data_that_pyav_does_not_know_is_turned_as_well(orientation: int) -> None:
    """FFmpeg gives the frames of such a JPEG their EXIF data, and a display matrix."""
    frame = decode(encoded(exif=exif(orientation)), 10_000)
    assert orientation_of_frame(frame) == orientation


def test_a_frame_whose_orientation_was_read_is_freed_at_once() -> None:
    """Else its pixels wait for the garbage collector: hundreds of megabytes at 1080p."""

    def frames_alive() -> int:
        return sum(type(thing) is av.VideoFrame for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = frames_alive()
        for _ in range(5):
            orientation_of_frame(av.VideoFrame(64, 48, "yuv420p"))
        assert frames_alive() == before
    finally:
        gc.enable()
