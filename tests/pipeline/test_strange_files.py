"""Files that are not usable as cameras: the error of each says what it is."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from app.config import StreamSettings
from app.errors import SourceError, UnusableSource, WatchpostError
from app.pipeline.sources import make_source
from app.recording.probe import length_of
from app.types import StreamSpec

Make = Callable[..., Path]


def frames_of(path: Path, *, paced: bool = False, max_pixels: int = 10**6) -> int:
    source = make_source(
        StreamSpec("s", f"file:{path}", paced=paced), StreamSettings(max_pixels=max_pixels)
    )
    try:
        source.open()
        return sum(frame is not None for frame in source.frames())
    finally:
        source.close()


def mjpeg_avi(path: Path, frames: int = 3) -> bytes:
    """A small AVI whose codec is a name of four letters in its header."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=50)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(frames):
            shade = np.full((48, 64, 3), 40 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(shade, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuvj420p")))
        container.mux(stream.encode(None))
    return path.read_bytes()


def still(kind: str) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 48), 80).convert("RGB").save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("paced", [True, False])
@pytest.mark.parametrize("codec", [b"ZZZZ", b"\xff\xfe\xfd\xfc"])
def test_an_unknown_codec_is_reported(tmp_path: Path, codec: bytes, paced: bool) -> None:
    path = tmp_path / "unknown.avi"
    path.write_bytes(mjpeg_avi(path).replace(b"MJPG", codec))
    with pytest.raises(UnusableSource, match="codec is not supported; use H"):
        frames_of(path, paced=paced)


@pytest.mark.parametrize("paced", [True, False])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_a_single_image_is_reported(tmp_path: Path, kind: str, paced: bool) -> None:
    path = tmp_path / f"still.{kind.lower()}"
    path.write_bytes(still(kind))
    with pytest.raises(UnusableSource, match="single image"):
        frames_of(path, paced=paced)


def test_a_file_of_many_images_plays(tmp_path: Path) -> None:
    path = tmp_path / "many.mjpeg"
    path.write_bytes(still("JPEG") * 40)
    assert frames_of(path) == 40


def test_metadata_in_another_encoding_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "latin.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Cafe au lait"
        stream = container.add_stream("mpeg4", rate=50)
        stream.width, stream.height = 64, 48
        for number in range(3):
            shade = np.full((48, 64, 3), 40 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shade, format="rgb24")))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"Cafe au", b"Caf\xe9 au"))
    assert frames_of(path) == 3
    assert length_of(f"file:{path}")


def test_sound_with_a_cover_has_no_video(tmp_path: Path, video: Make) -> None:
    path = tmp_path / "silence.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(SourceError):
        frames_of(path)


def test_huge_sizes_are_refused_by_the_header(tmp_path: Path, video: Make) -> None:
    with pytest.raises(SourceError, match="too large"):
        frames_of(video("small.mp4"), max_pixels=100)


def test_damaged_files_raise_only_expected_errors(tmp_path: Path, video: Make) -> None:
    """Truncated anywhere, with any bytes changed, including sizes and counts."""
    dice = random.Random(7)
    wholes = {"a.avi": mjpeg_avi(tmp_path / "a.avi"), "b.mp4": video("b.mp4").read_bytes()}
    wholes |= {f"still.{kind.lower()}": still(kind) for kind in ("JPEG", "PNG", "GIF")}
    reasons = []
    for name, whole in wholes.items():
        for number in range(30):
            data = bytearray(whole)
            for _ in range(dice.choice((1, 5, 40))):
                data[dice.randrange(min(len(data), dice.choice((200, 10**6))))] = dice.choice(
                    (0, 127, 128, 255, dice.randrange(256))
                )
            cut = dice.randrange(len(data)) if number % 3 == 0 else len(data)
            path = tmp_path / f"{number}-{name}"
            path.write_bytes(data[:cut])
            try:
                frames_of(path)
            except WatchpostError as error:
                reasons.append(str(error.details["reason"]))
            length_of(f"file:{path}")
    assert {"invalid_data", "single_picture"} <= set(reasons)
