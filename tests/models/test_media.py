"""Images and videos from disk: upright, complete, and annotated."""

from __future__ import annotations

import os
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from support.rtsp import make_video

from app.errors import InvalidRequest, SetupError
from app.models.annotate import AnnotatedWriter, draw
from app.models.media import count_frames, frame_rate, frames, is_still, media_in, read_image
from app.types import Box, Detection

ENDINGS = ("jpg", "png", "webp", "bmp", "avif", "tiff")


def corner(height: int = 48, width: int = 64) -> np.ndarray:
    """A dark BGR image whose upper left quarter is red."""
    image = np.full((height, width, 3), 30, np.uint8)
    image[: height // 2, : width // 2] = 0, 0, 250
    return image


def red_quarter(image: np.ndarray) -> tuple[int, int]:
    """Row and column of the quarter of an RGB image that is red."""
    rows, columns = image.shape[0] // 2, image.shape[1] // 2
    quarters = {
        (row, column): image[row * rows :, column * columns :][:rows, :columns, 0].mean()
        for row in (0, 1)
        for column in (0, 1)
    }
    return max(quarters, key=lambda quarter: quarters[quarter])


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_image_is_one_frame_in_rgb(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a picture ü.{ending}"
    assert cv2.imwrite(str(path), corner())
    (image,) = frames(path)
    assert is_still(path)
    assert count_frames(path) == 1
    assert image.shape == (48, 64, 3)
    assert image.dtype == np.uint8
    assert red_quarter(image) == (0, 0)


def exif(orientation: int) -> bytes:
    """A JPEG segment with nothing but the orientation (EXIF 2.3, tag 0x0112)."""
    tag = b"\x12\x01\x03\x00\x01\x00\x00\x00" + orientation.to_bytes(2, "little") + b"\x00\x00"
    body = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00" + tag + b"\x00\x00\x00\x00"
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


@pytest.mark.parametrize(
    ("orientation", "quarter"),
    [
        *[(1, (0, 0)), (2, (0, 1)), (3, (1, 1)), (4, (1, 0))],
        *[(5, (0, 0)), (6, (0, 1)), (7, (1, 1)), (8, (1, 0))],
    ],
)
def test_exif_orientation_is_applied_as_in_browsers(
    orientation: int, quarter: tuple[int, int], tmp_path: Path
) -> None:
    data = cv2.imencode(".jpg", corner())[1].tobytes()
    path = tmp_path / "phone.jpg"
    path.write_bytes(data[:2] + exif(orientation) + data[2:])
    image = read_image(path)
    assert image.shape[:2] == ((64, 48) if orientation > 4 else (48, 64))
    assert red_quarter(image) == quarter


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.95])
def test_a_truncated_image_is_damaged(ending: str, share: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    data = cv2.imencode(f".{ending}", noise)[1].tobytes()
    path = tmp_path / f"half.{ending}"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InvalidRequest, match="half"):
        list(frames(path))


def test_data_after_a_photo_is_ignored(tmp_path: Path) -> None:
    """Phones append a short video."""
    data = cv2.imencode(".jpg", corner())[1].tobytes()
    (tmp_path / "motion.jpg").write_bytes(data + b"\xff\xda" + bytes(1000))
    assert read_image(tmp_path / "motion.jpg").shape == (48, 64, 3)


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image(tmp_path: Path) -> None:
    data = cv2.imencode(".jpg", corner())[1].tobytes()
    thumbnail = b"\xff\xe2" + (len(data) + 2).to_bytes(2, "big") + data
    (tmp_path / "cut.jpg").write_bytes(data[:2] + thumbnail + data[2:-40])
    with pytest.raises(InvalidRequest):
        read_image(tmp_path / "cut.jpg")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("media") / "pattern.mp4")


def test_a_video_yields_all_its_frames(video: Path) -> None:
    images = list(frames(video))
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        size, expected = (stream.height, stream.width), sum(1 for _ in container.decode(video=0))
    assert len(images) == expected == count_frames(video) > 5
    assert {image.shape for image in images} == {(*size, 3)}
    assert frame_rate(video) == 15
    assert not is_still(video)


def test_a_gif_is_a_video(tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("gif", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb8"
        for turn in range(4):
            image = np.ascontiguousarray(np.rot90(corner(), 2 * turn))
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="rgb8")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert [red_quarter(image) for image in frames(path)] == [(0, 0), (1, 1), (0, 0), (1, 1)]


def test_the_readable_part_of_a_damaged_video_is_read(tmp_path: Path) -> None:
    path = tmp_path / "half.ts"
    long = make_video(tmp_path / "whole.mp4")
    with av.open(str(long)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert 0 < len(list(frames(path))) < len(list(frames(long)))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"hello\n" * 40),
        ("picture.jpg", b"hello\n"),
        ("video.mp4", b""),
        ("weights.pt", b"PK\x03\x04" + bytes(400)),
    ],
)
def test_other_files_are_rejected_by_name(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidRequest, match=name):
        list(frames(tmp_path / name))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["secret.jpg", "secret.mp4"])
def test_an_unreadable_file_is_reported(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / name).chmod(0)
    with pytest.raises(InvalidRequest, match="ermission denied"):
        list(frames(tmp_path / name))


def test_a_playlist_opens_no_connection(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        path = tmp_path / "list.m3u8"
        path.write_text(
            f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n",
            encoding="utf-8",
        )
        with pytest.raises(InvalidRequest):
            list(frames(path))
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_folder_yields_its_images_and_videos_in_order(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "deep/c.mp4", "labels.txt", ".hidden.jpg", "deep/d.weights"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [str(path.relative_to(tmp_path)) for path in media_in(tmp_path)]
    assert names == ["a.png", "b.JPG", "deep/c.mp4"]


# ── annotated copies ─────────────────────────────────────────────────────────────────────────

DETECTIONS = [
    Detection("person", 0.8, Box(10, 10, 40, 60)),
    Detection("plate", 0.5, Box(0, 0, 5, 3)),
]


def test_boxes_are_drawn_into_a_copy() -> None:
    image = np.zeros((90, 120, 3), np.uint8)
    drawn = draw(image, DETECTIONS)
    assert not image.any()
    assert drawn[60, 25].any()
    assert drawn[35, 10].any()
    assert not drawn[80:, 80:].any()


def test_each_file_has_an_annotated_copy_with_a_unique_name(tmp_path: Path, video: Path) -> None:
    first, second = tmp_path / "one" / "a.jpg", tmp_path / "two" / "a.jpg"
    for path in (first, second):
        path.parent.mkdir()
        cv2.imwrite(str(path), corner(90, 120))
    annotated = AnnotatedWriter(tmp_path / "out", [first, second, video])
    for path in (first, video, second):
        for image in frames(path):
            annotated.add(path, image, DETECTIONS)
    annotated.close()
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a-2.jpg", "a.jpg", "pattern.mp4"]
    drawn = tmp_path / "out" / "pattern.mp4"
    assert count_frames(drawn) == count_frames(video)
    assert frame_rate(drawn) == frame_rate(video)


def test_originals_are_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), corner())
    with pytest.raises(SetupError, match="another folder"):
        AnnotatedWriter(tmp_path, [path])


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="--out"):
        AnnotatedWriter(tmp_path / "file", [])
