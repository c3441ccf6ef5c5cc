"""Examines finished recordings, before they count."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from app.errors import SinkError
from app.failure_reason import PARSER_ERRORS, FailureReason
from app.jobs import FileFacts
from app.pipeline.sources.files import open_file
from app.pipeline.sources.skipping import clock_of, decoded_at

BLOCK = 2**20
APART_S = 3.0
IN_ORDER_OF_ARRIVAL = {"mpegts", "mpeg", "flv", "live_flv"}  # other formats sort by time
UNSTATED = {"mpegts", "mpeg", "mpegvideo", "h264", "hevc", "mjpeg"}
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
                codec=container.streams.video[0].codec_context.codec.canonical_name,
                width=shown.width,
                height=shown.height,
                bytes=path.stat().st_size,
                sha256=fingerprint(path),
                audio=audio[0].codec_context.codec.canonical_name if audio else None,
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


def length_of(url: str, most_s: float = math.inf) -> float | None:
    """Real length of a video file (``file:/path``) in seconds; None if it cannot be read. Blocks.

    Some containers derive their length from the first and last timestamp, which is wrong if the
    clock jumps. Such a file is read to its end or to ``most_s``.
    """
    try:
        with open_file(url) as container:
            if container.duration and not UNSTATED & _formats(container):
                return container.duration / av.time_base
            return _passed(container, most_s)
    except (FFmpegError, *PARSER_ERRORS):
        return None


def _passed(container: InputContainer, most_s: float) -> float | None:
    """Length in seconds, from the packets of the video."""
    if not container.streams.video:
        return None
    video = container.streams.video[0]
    clock = clock_of(video)
    for packet in container.demux(video):
        if packet.size and clock.place(decoded_at(packet)) > most_s:
            break
    return clock.at_s + clock.step_s if clock.at_s else None


def begin_apart(url: str, audio: int) -> bool:
    """Whether one of a file's sound and video begins only after the other ends, by timestamps.

    Then their clocks differ, and packets cannot be read in the order of their times. Blocks; reads
    the file until both have begun.

    Args:
        audio: index of the audio stream.
    """
    with open_file(url) as container:
        if IN_ORDER_OF_ARRIVAL & _formats(container):
            return False
        packets = container.demux(container.streams.video[0], container.streams[audio])
        begins: dict[int, float] = {}
        for packet in packets:
            at_s = decoded_at(packet)
            if at_s is None or packet.stream.index in begins:
                continue
            begins[packet.stream.index] = at_s
            if len(begins) == 2:
                late, apart_s = packet.stream.index, max(begins.values()) - min(begins.values())
                return apart_s > APART_S and not any(
                    other.size and other.stream.index != late for other in packets
                )
    return False


def side_by_side(tracks: Iterable[Iterator[Packet[Any]]]) -> Iterator[Packet[Any]]:
    """Packets of several tracks in order of their time since the beginning of their track."""

    def timed(track: Iterator[Packet[Any]]) -> Iterator[tuple[float, Packet[Any]]]:
        begin_s: float | None = None
        for packet in track:
            at_s = decoded_at(packet)
            begin_s = at_s if begin_s is None else begin_s
            passed_s = math.inf if at_s is None or begin_s is None else at_s - begin_s
            yield passed_s, packet

    merged = heapq.merge(*(timed(track) for track in tracks), key=lambda pair: pair[0])
    return (packet for _, packet in merged)


def _formats(container: InputContainer) -> set[str]:
    return set(container.format.name.split(","))


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
