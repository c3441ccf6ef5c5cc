"""Sources with frames stored sideways, or with non-square pixels, through a stream."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from fixtures import eventually
from PIL import Image as Pillow
from support.doubles import FaceNetwork, FarEnd, face_maps
from support.pictures import (
    COLOURS,
    Image,
    as_shown,
    difference,
    encoded_exactly,
    means,
    patches,
    write_clip,
)

from app.config import StreamSettings
from app.errors import SourceError
from app.models.network import Outputs
from app.models.orientation import display_matrix, upright
from app.pipeline.normalise import normalised
from app.pipeline.sources import make_source
from app.pipeline.sources.push import decode
from app.pipeline.stream import Stream
from app.types import Frame, ProcessedFrame, StreamSpec

CLOSE = 4  # with what a camera's own encoder loses
BACK = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
"""The orientation that undoes one."""


def stored(orientation: int, **options: object) -> av.VideoFrame:
    """The patches as a camera with this orientation stores them."""
    image = np.ascontiguousarray(upright(patches(), BACK[orientation]))
    return encoded_exactly(image, format="yuv420p", **options)  # type: ignore[arg-type]


def frames_of(path: Path, **options: object) -> Iterator[Frame]:
    spec = StreamSpec("s", f"file:{path}", **options)  # type: ignore[arg-type]
    source = make_source(spec, StreamSettings())
    source.open()
    try:
        yield from (frame for frame in source.frames() if frame is not None)
    finally:
        source.close()


def shown(frame: Frame) -> Image:
    return as_shown(normalised(frame.image, frame.orientation, frame.pixel_aspect))


@pytest.mark.parametrize("paced", [False, True], ids=["read", "played"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_clip_is_shown_as_its_display_matrix_says(
    tmp_path: Path, orientation: int, paced: bool
) -> None:
    matrix = display_matrix(orientation)
    clip = write_clip(tmp_path / "clip.mp4", stored(orientation), count=3, display_matrix=matrix)
    frames = list(frames_of(clip, paced=paced))
    assert len(frames) == 3
    assert all(difference(shown(frame)) <= CLOSE for frame in frames)


def with_exif(jpeg: bytes, orientation: int) -> bytes:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    body = exif.tobytes()
    return jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]


def as_jpeg(image: Image) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(image).save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.mark.parametrize("paced", [False, True], ids=["read", "played"])
def test_each_frame_of_motion_jpeg_may_have_another_orientation(
    tmp_path: Path, paced: bool
) -> None:
    jpegs = [
        with_exif(as_jpeg(np.ascontiguousarray(upright(patches(), BACK[n]))), n)
        for n in range(1, 9)
    ]
    clip = tmp_path / "clip.avi"
    with av.open(str(clip), "w") as container:
        stream = container.add_mux_stream("mjpeg", rate=25, width=512, height=288)
        stream.time_base = Fraction(1, 25)
        for number, jpeg in enumerate(jpegs):
            packet = av.Packet(jpeg)
            packet.stream, packet.time_base, packet.is_keyframe = stream, stream.time_base, True
            packet.pts = packet.dts = number
            container.mux(packet)
    frames = list(frames_of(clip, paced=paced))
    assert [frame.orientation for frame in frames] == list(range(1, 9))
    assert all(difference(shown(frame)) <= CLOSE for frame in frames)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_the_pixel_aspect_ratio_is_applied(tmp_path: Path, name: str) -> None:
    frame = encoded_exactly(patches(704, 576), format="yuv420p", matrix="bt601")
    clip = write_clip(tmp_path / name, frame, count=3, pixel_aspect=Fraction(16, 11))
    for found in frames_of(clip):
        image = shown(found)
        assert image.shape == (576, 1024, 3)
        assert difference(image) <= CLOSE


@pytest.mark.parametrize("stated", [Fraction(1, 200), Fraction(255, 1)])
def test_an_implausible_pixel_aspect_ratio_is_ignored(tmp_path: Path, stated: Fraction) -> None:
    frame = encoded_exactly(patches(), format="yuv420p")
    clip = write_clip(tmp_path / "clip.mp4", frame, count=1, pixel_aspect=stated)
    assert shown(next(frames_of(clip))).shape == (288, 512, 3)


def test_the_pixel_limit_applies_to_the_stretched_frame(tmp_path: Path) -> None:
    frame = encoded_exactly(patches(), format="yuv420p")
    clip = write_clip(tmp_path / "clip.mp4", frame, count=1, pixel_aspect=Fraction(8, 1))
    settings = StreamSettings(max_pixels=512 * 288 * 8 - 1)
    source = make_source(StreamSpec("s", f"file:{clip}"), settings)
    source.open()
    with pytest.raises(SourceError, match="too large"):
        next(iter(source.frames()))
    source.close()


def test_size_shape_range_and_matrix_may_change_midway(tmp_path: Path) -> None:
    """H.264 as some cameras send it: each keyframe with its own parameters."""
    pieces = [
        (encoded_exactly(patches(), format="yuv420p"), None),
        (encoded_exactly(patches(), format="yuv420p", full=True), None),
        (encoded_exactly(patches(), format="yuv420p", matrix="bt601"), Fraction(4, 3)),
        (encoded_exactly(patches(640, 352), format="yuv420p", matrix="bt601"), Fraction(1)),
        (encoded_exactly(patches(640, 352), format="yuv420p", matrix="bt709"), Fraction(12, 11)),
    ]
    data = b""
    for number, (frame, pixel_aspect) in enumerate(pieces):
        piece = tmp_path / f"{number}.h264"
        data += write_clip(piece, frame, count=5, pixel_aspect=pixel_aspect).read_bytes()
    clip = tmp_path / "all.h264"
    clip.write_bytes(data)
    images = [shown(frame) for frame in frames_of(clip)]
    sizes = [(image.shape[1], image.shape[0]) for image in images]
    expected = [(512, 288), (512, 288), (682, 288), (640, 352), (698, 352)]
    assert sizes == [size for size in expected for _ in range(5)]
    assert max(difference(image) for image in images) <= CLOSE


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "RGB", {"quality": 95}),
        ("JPEG", "RGB", {"quality": 95, "subsampling": 0}),
        ("PNG", "RGB", {}),
        ("PNG", "P", {}),
        ("PNG", "RGBA", {}),
        ("WEBP", "RGB", {"quality": 95}),
        ("WEBP", "RGB", {"lossless": True}),
    ],
)
@pytest.mark.parametrize("size", [(512, 288), (1280, 720)])
def test_pushed_stills_keep_their_colours(
    kind: str, mode: str, options: dict[str, Any], size: tuple[int, int]
) -> None:
    """Large ones as well: a still without a stated matrix is never BT.709."""
    file = io.BytesIO()
    image = Pillow.fromarray(patches(*size)).convert(mode)
    image.save(file, kind, **options)
    frame = decode(file.getvalue(), size[0] * size[1])
    assert difference(as_shown(normalised(frame, 1, Fraction(1)))) <= CLOSE


# ── through a whole stream ───────────────────────────────────────────────────────────────────

Start = Callable[..., Stream]


def next_image(far_end: FarEnd) -> tuple[ProcessedFrame, Image]:
    result = far_end.next()
    return result, as_shown(result.frame.image)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_the_network_and_all_viewers_get_the_same_upright_frame(
    start: Start, far_end: FarEnd, network: FaceNetwork, tmp_path: Path, rotate: int
) -> None:
    """Boxes are where viewers see them: the network's face is on the first patch."""
    held = {0: 1, 90: 6, 180: 3, 270: 8}[rotate]  # a camera that does not state it
    clip = write_clip(tmp_path / "clip.mp4", stored(held), count=5)
    network.sees = [(64, 72, 40, 40, 0.9)]
    start(source=f"file:{clip}", rotate=rotate, blur="solid", blur_margin=0.0)
    result, image = next_image(far_end)
    assert result.frame.size == (512, 288)
    assert network.batches[0][1:3] == (288, 512)
    assert image[60:84, 52:76].mean() < 60, "covered"
    assert np.abs(means(image)[1:] - np.array(COLOURS[1:])).max() <= CLOSE
    assert np.allclose(result.tracks[0].box, (44, 52, 84, 92), atol=1)


def test_the_network_gets_true_colours_and_square_pixels(
    start: Start, far_end: FarEnd, network: FaceNetwork, tmp_path: Path
) -> None:
    given = encoded_exactly(patches(352, 288), format="yuv422p", matrix="bt709", full=True)
    seen: list[Image] = []

    def look(images: Image) -> Outputs:
        seen.append(images[0].copy())
        return face_maps(images.shape, [])

    network.answers = look
    clip = write_clip(tmp_path / "clip.mp4", given, count=3, pixel_aspect=Fraction(12, 11))
    start(source=f"file:{clip}")
    far_end.next()
    assert seen[0].shape == (288, 384, 3)
    assert difference(seen[0]) <= CLOSE


def test_a_snapshot_is_upright_and_in_true_colours(start: Start, tmp_path: Path) -> None:
    given = stored(6, matrix="bt709")
    clip = write_clip(tmp_path / "clip.mp4", given, count=3, display_matrix=display_matrix(6))
    stream = start(source=f"file:{clip}", paced=True, loop=True)
    eventually(lambda: stream.preview.snapshot() is not None)
    jpeg = stream.preview.snapshot()
    assert jpeg is not None
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert difference(np.asarray(image, np.uint8)) <= CLOSE
