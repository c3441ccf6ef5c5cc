"""Copies a source to fragmented MP4 files without decoding its video.

This is the only output that is not blurred. It is used only when a caller asks for ``blur: false``
on a source of their own, and it goes to a file, never to a viewer.

Sound is kept: copied if MP4 players support its codec, otherwise encoded as AAC (many cameras send
G.711, which MP4 cannot hold).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from app import urls
from app.config import StreamSettings
from app.errors import SourceError, WatchpostError
from app.failure_reason import FailureReason
from app.models.orientation import UPRIGHT, display_matrix, orientation_of_frame, turned
from app.pipeline.sources.av import AvSource, open_file
from app.recording.segments import FRAGMENTED, RecordingProgress, SegmentFiles, SegmentWriter
from app.types import Rotation, StreamSpec

VIDEO = ("h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mjpeg")
AUDIO = ("aac", "mp3", "ac3", "eac3", "opus", "alac", "flac")
MAX_REORDERED = 16
EARLY_S = 0.1  # times are rounded: a keyframe must not come a millisecond too early
JUMP_S = 10.0  # a jump of the sender's clock by this much starts a new time base


class Remuxer:
    """One capture of one source; ``run`` is the body of its thread.

    Args:
        segment_s: length of a file; it ends at the next keyframe.
        gap_s: seconds without a frame that count as a gap; None for a file.
        skip_s, limit_s: the part of the source to keep, in seconds of its own time.
        rotate: degrees for players to turn it clockwise, after the orientation in the source.
    """

    def __init__(
        self,
        url: str,
        settings: StreamSettings,
        files: SegmentFiles,
        *,
        segment_s: float,
        gap_s: float | None,
        skip_s: float = 0.0,
        limit_s: float | None = None,
        rotate: Rotation = 0,
    ) -> None:
        self.written = RecordingProgress(skip_s)
        self.audio = "no sound"
        self.ended = False
        self._url = url
        self._settings = settings
        self._segment_s = segment_s
        self._gap_s = gap_s
        self._skip_s, self._limit_s = skip_s, limit_s
        self._rotate = rotate
        self._matrix: list[int] | None = None
        self._stop = threading.Event()
        self._segments: SegmentWriter[_RemuxedFile] = SegmentWriter(files, self.written)

    def stop(self) -> None:
        """Ask the thread to end; it does so at the next packet."""
        self._stop.set()

    def run(self) -> None:
        """Copy until the source ends or fails, the limit is reached, or ``stop``."""
        try:
            with self._reading():
                reader = AvSource(StreamSpec("copy", self._url), self._settings)
                reader.media = "audio+video"
                with reader.connect() as source:
                    self._copy(source)
            self.ended = True
        except WatchpostError as error:
            self.written.failure = error
        finally:
            self._segments.end()

    def _copy(self, source: InputContainer) -> None:
        if not source.streams.video:
            raise self._failure(FailureReason.NO_VIDEO)
        video = source.streams.video[0]
        if video.codec_context.name not in VIDEO:
            raise self._failure(FailureReason.UNFIT_CODEC)
        audio = source.streams.audio[0] if source.streams.audio else None
        if audio is not None:
            name = audio.codec_context.name
            self.audio = f"{name} copied" if name in AUDIO else f"{name} turned into aac"
        if self._rotate:
            self._matrix = display_matrix(turned(_stored_orientation(self._url), self._rotate))
        begun = _start_of(video)
        if self._skip_s:
            source.seek(int((begun + self._skip_s) * av.time_base))
        clock = _SourceClock(begun if self._gap_s is None else None)
        packets = source.demux(*filter(None, (video, audio)))
        for packet in _with_decode_times(packets, video):
            if self._stop.is_set() or self.written.full:
                return
            if packet.stream.index == video.index:
                self._video(packet, clock, video, audio)
            elif self._segments.file is not None:
                with self._segments.writing():
                    self._segments.file.audio(packet)

    def _video(
        self,
        packet: Packet[Any],
        clock: _SourceClock,
        video: VideoStream,
        audio: AudioStream | None,
    ) -> None:
        assert packet.dts is not None and packet.time_base is not None
        at = float(packet.dts * packet.time_base)
        jumped = clock.jumps(at)
        file = self._segments.file
        if packet.is_keyframe and (
            file is None or jumped or at - file.started_at >= self._segment_s - EARLY_S
        ):
            with self._segments.writing():
                file = self._segments.begin(
                    lambda path: _RemuxedFile(path, at, video, audio, self._matrix)
                )
        if file is None or (jumped and not packet.is_keyframe):
            return
        seconds = clock.seconds(at)
        if self._limit_s is not None and seconds >= self._limit_s:
            self.written.full = True
            return
        with self._segments.writing():
            file.video(packet)
        self.written.picture(time.time(), max(seconds - self._skip_s, 0.0), self._gap_s)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (FFmpegError, OSError) as error:
            reason = FailureReason.of(error)
            raise self._failure(
                FailureReason.STALLED
                if reason == FailureReason.TIMEOUT and self.written.frames
                else reason
            ) from None

    def _failure(self, reason: str) -> SourceError:
        return SourceError(end="input", reason=reason, url=urls.without_credentials(self._url))


def _stored_orientation(url: str) -> int:
    """The orientation that a file states; live sources state none."""
    if urls.is_network(url):
        return UPRIGHT
    with open_file(url) as container:
        first = next(container.decode(video=0), None)
        return UPRIGHT if first is None else orientation_of_frame(first)


def _start_of(video: VideoStream) -> float:
    """Seconds on the source's clock at which its video begins."""
    if video.start_time is None or video.time_base is None:
        return 0.0
    return float(video.start_time * video.time_base)


def _with_decode_times(packets: Iterator[Packet[Any]], video: VideoStream) -> Iterator[Packet[Any]]:
    """Packets with decode times, which the first packets of a file may lack.

    If frames are stored in a different order than they are shown, libav knows the decode time only
    after a few of them. Those are held back until then, and get times just before it.
    """
    held: list[Packet[Any]] = []
    for packet in packets:
        if packet.pts is None:
            continue
        if packet.dts is None:
            if packet.stream.index == video.index and len(held) < MAX_REORDERED:
                held.append(packet)
            continue
        if packet.stream.index == video.index and held:
            step = packet.duration or 1
            for place, early in enumerate(held):
                early.dts = packet.dts - (len(held) - place) * step
                yield early
            held.clear()
        yield packet


class _SourceClock:
    """The elapsed time of a source, without the jumps of its clock."""

    def __init__(self, begun: float | None) -> None:
        self._begun = begun
        self._last: float | None = None
        self._before = 0.0

    def jumps(self, at: float) -> bool:
        """Whether the clock jumped between the previous time and this one."""
        last, self._last = self._last, at
        if self._begun is None:
            self._begun = at
        if last is None or -JUMP_S < at - last < JUMP_S:
            return False
        self._before += last - self._begun
        self._begun = at
        return True

    def seconds(self, at: float) -> float:
        assert self._begun is not None
        return self._before + at - self._begun


class _RemuxedFile:
    """An MP4 file that is being written. Raises FFmpegError or OSError."""

    def __init__(
        self,
        path: Path,
        at: float,
        video: VideoStream,
        audio: AudioStream | None,
        matrix: list[int] | None,
    ) -> None:
        self.path = path
        self.started_at = at
        self.started_ts = time.time()
        self._container = av.open(str(path), "w", format="mp4", options=FRAGMENTED)
        self._video = self._container.add_stream_from_template(video)
        if matrix is not None:
            self._video.set_display_matrix(matrix)
        self._audio: AudioStream | None = None
        self._encoder: AudioStream | None = None
        self._last: dict[int, int] = {}
        if audio is not None and audio.codec_context.name in AUDIO:
            self._audio = self._container.add_stream_from_template(audio)
        elif audio is not None:
            self._encoder = self._container.add_stream("aac", rate=audio.rate)
            self._encoder.codec_context.layout = "mono" if audio.channels == 1 else "stereo"

    def video(self, packet: Packet[Any]) -> None:
        self._put(packet, self._video)

    def audio(self, packet: Packet[Any]) -> None:
        if self._audio is not None:
            self._put(packet, self._audio)
            return
        if self._encoder is None:
            return
        for frame in packet.decode():
            assert isinstance(frame, av.AudioFrame)
            if frame.pts is None or frame.time_base is None:
                continue
            frame.pts -= _ticks(self.started_at, frame.time_base)
            if frame.pts >= 0:
                self._container.mux(self._encoder.encode(frame))

    def close(self) -> None:
        try:
            if self._encoder is not None:
                self._container.mux(self._encoder.encode(None))
        finally:
            self._container.close()

    def _put(self, packet: Packet[Any], stream: VideoStream | AudioStream) -> None:
        """Shift a packet to this file's time and write it; skip one that would go back in time."""
        assert packet.dts is not None and packet.pts is not None and packet.time_base is not None
        shift = _ticks(self.started_at, packet.time_base)
        packet.dts, packet.pts = packet.dts - shift, packet.pts - shift
        if packet.dts <= self._last.get(stream.index, -1):
            return
        self._last[stream.index] = packet.dts
        packet.stream = stream
        self._container.mux(packet)


def _ticks(seconds: float, time_base: Fraction) -> int:
    return round(seconds / time_base)
