"""Examines finished recordings, before they count."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from app.errors import SinkError
from app.failure_reason import PARSER_ERRORS, FailureReason
from app.jobs import FileFacts
from app.pipeline.sources.av import open_file

BLOCK = 2**20
BOX_HEAD = 8


def examine(path: Path) -> FileFacts:
    """Count the frames, check that one can be decoded, and compute the fingerprint. Blocks.

    Raises:
        SinkError: it holds no frame that can be decoded.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise _useless(path)
            seconds, frames = _measure(container)
            if not frames:
                raise _useless(path)
            container.seek(0)
            shown = next(container.decode(video=0))
            audio = container.streams.audio
            return FileFacts(
                seconds=round(seconds, 3),
                frames=frames,
                codec=container.streams.video[0].codec_context.name,
                width=shown.width,
                height=shown.height,
                bytes=path.stat().st_size,
                sha256=fingerprint(path),
                audio=audio[0].codec_context.name if audio else None,
            )
    except (FFmpegError, OSError, StopIteration):
        raise _useless(path) from None


def trim(path: Path) -> int:
    """Cut off an incomplete last fragment, as a kill or a full disk leaves it.

    An MP4 file is a row of boxes, each with its length (ISO/IEC 14496-12, 4.2); a fragment is
    a ``moof`` and the ``mdat`` after it. Returns how many bytes were cut off.
    """
    size = path.stat().st_size
    at = keep = 0
    with path.open("r+b") as file:
        while at + BOX_HEAD <= size:
            file.seek(at)
            head = file.read(2 * BOX_HEAD)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            at += length
            if length < BOX_HEAD or at > size:
                break
            if kind != b"moof":
                keep = at
        if keep:
            file.truncate(keep)
    return size - keep if keep else 0


def length_of(url: str) -> float | None:
    """Seconds of a video file (``file:/path``) by its container; None if it does not say."""
    try:
        with open_file(url) as container:
            return container.duration / av.time_base if container.duration else None
    except (FFmpegError, *PARSER_ERRORS):
        return None


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _measure(container: InputContainer) -> tuple[float, int]:
    """Length in seconds and number of frames; a truncated file counts up to its end."""
    stream: VideoStream = container.streams.video[0]
    times: list[int] = []
    with suppress(FFmpegError):
        for packet in container.demux(stream):
            if packet.pts is not None and not packet.is_corrupt:
                times.append(packet.pts)
    if not times or stream.time_base is None:
        return 0.0, 0
    span = max(times) - min(times)
    typical = span / (len(times) - 1) if len(times) > 1 else 0
    stated = stream.duration or 0  # includes the duration of the last frame
    length = stated if span < stated < span + 2 * typical else span + typical
    return float(length * stream.time_base), len(times)


def _useless(path: Path) -> SinkError:
    return SinkError(end="recording", reason=FailureReason.INVALID_DATA, url=path.name)
