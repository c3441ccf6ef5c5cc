"""Images and videos on disk as RGB arrays, upright as a browser shows them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from app.errors import InvalidRequest
from app.models.colours import complete
from app.models.letterbox import Image
from app.models.orientation import orientation_of, orientation_of_frame, upright

STILLS = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".jp2", ".ppm"}
VIDEOS = {".gif", ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".ts", ".mpg", ".mpeg"}
VIDEOS |= {".h264", ".3gp", ".flv", ".wmv"}
ONLY_FILES = {"protocol_whitelist": "file"}
"""A playlist on disk must not open network connections."""
PNG, JPEG = b"\x89PNG", b"\xff\xd8"
START_OF_SCAN, END_OF_IMAGE = b"\xda", b"\xff\xd9"
AS_STORED = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
DEFAULT_RATE = Fraction(25)


def media_in(folder: Path) -> list[Path]:
    """Return all images and videos below a folder, by file extension, sorted."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in STILLS | VIDEOS)
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def is_still(path: Path) -> bool:
    """Whether a file is a still image, by its content; a GIF counts as a video."""
    return path.suffix.lower() != ".gif" and cv2.haveImageReader(str(path))


def frames(path: Path) -> Iterator[Image]:
    """Yield the frames of a video, or the one image, each (H, W, 3).

    Raises:
        InvalidRequest: when the file is neither, or the rest of it is damaged.
    """
    if is_still(path):
        yield read_image(path)
    else:
        yield from _video_frames(path)


def read_image(path: Path) -> Image:
    """Read a still image and apply its EXIF orientation.

    Raises:
        InvalidRequest: when it cannot be read.
    """
    try:
        data = path.read_bytes()
        image = cv2.imdecode(np.frombuffer(data, np.uint8), AS_STORED)
    except OSError as error:
        raise InvalidRequest(field=str(path), reason=error.strerror) from error
    except cv2.error:  # absurd sizes
        image = None
    if image is None or _is_truncated(data):
        raise InvalidRequest(field=str(path), reason="this image is damaged")
    return upright(np.asarray(image, np.uint8), orientation_of(data))


def count_frames(path: Path) -> int:
    """Return about how many frames a file has; 1 if unknown."""
    if path.suffix.lower() in STILLS:
        return 1
    try:
        with _open(path) as container:
            stream = container.streams.video[0]
            length_s = (container.duration or 0) / av.time_base
            return int(stream.frames or length_s * (stream.average_rate or 0)) or 1
    except (FFmpegError, OSError, IndexError):
        return 1


def frame_rate(path: Path) -> Fraction:
    """Return the frames per second of a video."""
    try:
        with _open(path) as container:
            return container.streams.video[0].average_rate or DEFAULT_RATE
    except (FFmpegError, OSError, IndexError):
        return DEFAULT_RATE


def _is_truncated(data: bytes) -> bool:
    """Whether the end is missing: decoders fill it with grey, in which nobody is detected."""
    if data.startswith(PNG):
        return b"IEND" not in data
    if not data.startswith(JPEG):
        return False  # decoders reject truncated files of the other formats
    at = 2
    while data[at + 1 : at + 2] != START_OF_SCAN and at + 4 <= len(data):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.find(END_OF_IMAGE, at) < 0


def _video_frames(path: Path) -> Iterator[Image]:
    count = 0
    try:
        with _open(path) as container:
            for frame in container.decode(video=0):
                complete(frame)
                image = np.asarray(frame.reformat(format="rgb24").to_ndarray(), np.uint8)
                yield upright(image, orientation_of_frame(frame))
                count += 1
    except (FFmpegError, OSError, IndexError) as error:
        reason = f"damaged after {count} frames" if count else _reason(error)
        raise InvalidRequest(field=str(path), reason=reason) from error
    if not count:
        raise InvalidRequest(field=str(path), reason="this video has no frames")


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "permission denied"
    return "not a readable image or video"


def _open(path: Path) -> InputContainer:
    return av.open(f"file:{path}", options=dict(ONLY_FILES), metadata_errors="replace")
