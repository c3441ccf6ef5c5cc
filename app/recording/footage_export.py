"""Footage of a period as one MP4 file; nothing is encoded again.

Continuous recordings are preferred; clips fill in where there are none. The video begins at the
keyframe before the period, up to two seconds early, and gaps are left out.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError, InvalidDataError
from av.packet import Packet
from av.video.stream import VideoStream

from app.errors import InvalidRequest, NoFootage, StoreError
from app.footage import Footage, Period
from app.pipeline.sinks.encode import TIME_BASE
from app.recording.footage_files import CONTINUOUS
from app.recording.packet_file import INDEX_FIRST, TYPICAL_STEP_S
from app.recording.segments import GROWING, finished_name

FOLDER = "exports"
KEPT_S = 3600.0
MAX_KEPT = 8
SHORTEST_S = 0.5
LONGEST_PAUSE_S = 5.0
"""A longer time between two files is a gap, of which only a moment is left."""
CHANGED = "the size of the video changes at {at}; export it in two parts"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of one file."""

    footage: Footage
    period: Period


def pieces_of(footage: Sequence[Footage], wanted: Period) -> list[Piece]:
    """The parts of files that show a period, in order, each moment once."""
    pieces: list[Piece] = []
    for one in sorted(footage, key=lambda one: (one.kind != CONTINUOUS, one.begin_ts)):
        begin, end = max(one.begin_ts, wanted.begin_ts), min(one.end_ts, wanted.end_ts)
        for part in _without(Period(begin, end), [piece.period for piece in pieces]):
            pieces.append(Piece(one, part))
    return sorted(pieces, key=lambda piece: piece.period.begin_ts)


def _without(period: Period, taken: Iterable[Period]) -> list[Period]:
    """What is left of a period; parts that are hardly longer than a frame are not."""
    left = [period]
    for other in taken:
        cut: list[Period] = []
        for part in left:
            cut.append(Period(part.begin_ts, min(part.end_ts, other.begin_ts)))
            cut.append(Period(max(part.begin_ts, other.end_ts), part.end_ts))
        left = [part for part in cut if part.end_ts - part.begin_ts > 0]
    return [part for part in left if part.end_ts - part.begin_ts >= SHORTEST_S]


class FootageExporter:
    """Makes files to download, which are kept for an hour. Blocking.

    Args:
        root: the folder of the footage.
        has_room: whether a number of bytes more may be written.
    """

    def __init__(self, root: Path, has_room: Callable[[int], bool]) -> None:
        self._root = root
        self._folder = root / FOLDER
        self._has_room = has_room

    def clear(self, kept: int = 0) -> None:
        """Delete old files; the newest ``kept`` may stay if they are not too old."""
        files = sorted(self._folder.glob("*.mp4"), key=_changed_ts, reverse=True)
        for place, path in enumerate(files):
            if place >= kept or time.time() - _changed_ts(path) > KEPT_S:
                path.unlink(missing_ok=True)

    def export(self, footage: Sequence[Footage], wanted: Period) -> Path:
        """One MP4 file with its index in front.

        Raises:
            NoFootage: nothing is recorded of the period.
            InvalidRequest: the video changes its size within it.
            StoreError: the disk is full, or a file cannot be read.
        """
        pieces = pieces_of(footage, wanted)
        if not pieces:
            raise NoFootage
        path = self._folder / f"{_key(pieces)}.mp4"
        if path.is_file():
            return path
        if not self._has_room(2 * sum(one.footage.bytes for one in pieces)):
            raise StoreError(reason="the disk is nearly full")
        part = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self.clear(kept=MAX_KEPT)
            with av.open(str(part), "w", format="mp4", options=INDEX_FIRST) as target:
                writer = _Joiner(target)
                for piece in pieces:
                    writer.add(self._root / piece.footage.path, piece)
                writer.finish()
            part.replace(path)
        except (FFmpegError, OSError) as error:
            raise StoreError(reason=f"export: {error.strerror}") from None
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        return path


class _Joiner:
    """Copies packets of several files into one; raises FFmpegError, OSError, InvalidRequest."""

    def __init__(self, target: OutputContainer) -> None:
        self._target = target
        self._stream: VideoStream | None = None
        self._size: tuple[int, int] | None = None
        self._shift_s = 0.0  # from Unix time to time in the file
        self._last_ts: float | None = None
        self._last_ticks = -1
        self._held: Packet[Any] | None = None

    def add(self, path: Path, piece: Piece) -> None:
        source = _opened(path)
        if source is None:
            return
        with source:
            video = source.streams.video[0]
            self._check(video, piece)
            begins = True
            for packet, ts in _packets(source, piece, whole=self._stream is None):
                if self._stream is None:
                    self._stream = self._target.add_stream_from_template(video, opaque=True)
                    self._stream.time_base = TIME_BASE
                    self._shift_s = -ts
                self._put(packet, ts, begins=begins)
                begins = False

    def _check(self, video: VideoStream, piece: Piece) -> None:
        """Refuse another size. Other parameter sets are in the keyframes, too."""
        size = video.width, video.height
        if self._size is not None and size != self._size:
            at = datetime.fromtimestamp(piece.period.begin_ts, UTC).isoformat(timespec="seconds")
            raise InvalidRequest(field="to", reason=CHANGED.format(at=at))
        self._size = size

    def _put(self, packet: Packet[Any], ts: float, *, begins: bool) -> None:
        """Copy a packet; a gap before the first one of a file is left out."""
        if begins and self._last_ts is not None:
            pause_s = ts - self._last_ts
            if not 0 <= pause_s <= LONGEST_PAUSE_S:
                self._shift_s -= pause_s - TYPICAL_STEP_S
        self._last_ts = ts
        ticks = max(round((ts + self._shift_s) / TIME_BASE), self._last_ticks + 1)
        self._last_ticks = ticks
        self._flush(ticks)
        assert self._stream is not None
        out: Packet[Any] = Packet(bytes(packet))
        out.stream, out.time_base = self._stream, TIME_BASE
        out.pts = out.dts = ticks
        out.is_keyframe = packet.is_keyframe
        self._held = out

    def _flush(self, until: int) -> None:
        held, self._held = self._held, None
        if held is not None and held.pts is not None:
            held.duration = max(1, until - held.pts)
            self._target.mux_one(held)

    def finish(self) -> None:
        """Write the last packet. Raises NoFootage if there was none."""
        if self._held is None:
            raise NoFootage
        self._flush(self._last_ticks + round(TYPICAL_STEP_S / TIME_BASE))


def _opened(path: Path) -> InputContainer | None:
    """A film; None for one that grows and of which nothing is on disk yet.

    One that grew a moment ago may have its final name by now. Raises FFmpegError, OSError.
    """
    grows = path.name.endswith(GROWING)
    try:
        return av.open(str(path))
    except FileNotFoundError:
        if not grows:
            raise
        return av.open(str(finished_name(path)))
    except InvalidDataError:
        if not grows:
            raise
        return None


def _packets(
    source: InputContainer, piece: Piece, *, whole: bool
) -> Iterator[tuple[Packet[Any], float]]:
    """The packets of a piece with their Unix times; an incomplete end of the file is left out.

    Args:
        whole: begin at the keyframe before the piece, not after its beginning.
    """
    base, begin_s = piece.footage.begin_ts, piece.period.begin_ts - piece.footage.begin_ts
    video = source.streams.video[0]
    time_base = float(video.time_base or 1)
    if begin_s > 0:
        source.seek(round(begin_s / time_base), stream=video, backward=True)
    started = False
    with suppress(FFmpegError):
        for packet in source.demux(video):
            if packet.pts is None or not packet.size:
                continue
            ts = base + packet.pts * time_base
            if ts >= piece.period.end_ts:
                return
            early = ts < piece.period.begin_ts and not whole
            started = started or (packet.is_keyframe and not early)
            if started:
                yield packet, ts


def _key(pieces: Sequence[Piece]) -> str:
    """A name that is the same for the same video."""
    text = repr([(one.footage.path, one.footage.bytes, *one.period) for one in pieces])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _changed_ts(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
