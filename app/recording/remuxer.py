"""Copies a source to MP4 files without decoding its video.

This is the only output that is not blurred. It is used only when a caller asks for ``blur: false``
on a source of their own, and it goes to a file, never to a viewer.

Every packet of the video is written to a file, in order; those that cannot be written are counted
by reason. Jumps of the source's clock are removed.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from app import urls
from app.config import StreamSettings
from app.errors import SourceError, WatchpostError
from app.failure_reason import FailureReason
from app.models.orientation import UPRIGHT, display_matrix, orientation_of_frame, turned
from app.pipeline.sources.av import AvSource
from app.pipeline.sources.files import open_file
from app.pipeline.sources.skipping import skip_to
from app.recording.probe import begin_apart, side_by_side
from app.recording.remuxed_file import RemuxedFile, VideoFormat
from app.recording.segments import RecordingProgress, SegmentPlan, SegmentWriter
from app.recording.sound import NO_SOUND, SoundPlan, known_sound
from app.recording.track_writer import TrackWriter, codec_of
from app.types import Rotation, StreamSpec

VIDEO = ("h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mjpeg")
MAX_REORDERED = 16
GENERATE_PTS = 1  # AVFMT_FLAG_GENPTS
STOP_S = 2.0  # how long a file may be read further, to end before a keyframe


class Remuxer:
    """One capture of one source; ``run`` is the body of its thread.

    Args:
        rotate: degrees for players to turn it clockwise, after the orientation in the source.

    Attributes:
        audio: how the sound is recorded, as text.
        ended: the source was read to its end.
    """

    def __init__(
        self, url: str, settings: StreamSettings, plan: SegmentPlan, rotate: Rotation = 0
    ) -> None:
        self.written = RecordingProgress(plan.begin_s)
        self.audio = NO_SOUND
        self.ended = False
        self._url = url
        self._settings = settings
        self._plan = plan
        self._rotate = rotate
        self._stop = threading.Event()
        self._stopped_at = 0.0
        self._segments: SegmentWriter[RemuxedFile] = SegmentWriter(plan.files, self.written)

    def stop(self) -> None:
        """Ask the thread to end: at the next packet or, for a file, before the next keyframe."""
        self._stopped_at = time.monotonic()
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
        if codec_of(video) not in VIDEO:
            raise self._failure(FailureReason.UNFIT_CODEC)
        matrix: list[int] | None = None
        if self._rotate:
            matrix = display_matrix(turned(_stored_orientation(self._url), self._rotate))
        sound = SoundPlan.of(known_sound(source))
        form = VideoFormat(video, matrix)
        tracks = TrackWriter(form, sound, self._plan, self._segments, self.written)
        try:
            with self._packets(source, tracks) as packets:
                for packet in packets:
                    if self.written.full or self._is_over(packet, video):
                        break
                    with self._segments.writing():
                        if packet.stream.index == video.index:
                            tracks.video(packet)
                        else:
                            tracks.sound(packet)
        finally:
            self.audio = tracks.sound_text

    @contextmanager
    def _packets(
        self, source: InputContainer, tracks: TrackWriter
    ) -> Iterator[Iterator[Packet[Any]]]:
        """Packets of video and sound; a file continues where the last capture ended."""
        video, audio = tracks.template, tracks.sound_plan.stream
        with ExitStack() as opened:
            if self._plan.live or audio is None or not begin_apart(self._url, audio.index):
                packets: Iterator[Packet[Any]] = source.demux(*filter(None, (video, audio)))
            else:
                beside = opened.enter_context(open_file(self._url))
                sounds = beside.demux(beside.streams[audio.index])
                packets = side_by_side([source.demux(video), sounds])
            if not self._plan.live:
                source.flags |= GENERATE_PTS
            if self._plan.begin_s:
                resumed = skip_to(packets, video, self._plan.begin_s)
                tracks.resume(resumed.packets, resumed.at_s)
                packets = itertools.chain(resumed.packets, packets)
            yield _with_decode_times(packets, video)

    def _is_over(self, packet: Packet[Any], video: VideoStream) -> bool:
        """Whether to stop before this packet. A copy of a file can only resume at a keyframe."""
        if not self._stop.is_set():
            return False
        at_keyframe = packet.stream.index == video.index and packet.is_keyframe
        return self._plan.live or at_keyframe or time.monotonic() - self._stopped_at > STOP_S

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (FFmpegError, OSError) as error:
            is_file = urls.scheme_of(self._url) == "file"
            reason = FailureReason.of_file(error) if is_file else FailureReason.of(error)
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


def _with_decode_times(packets: Iterator[Packet[Any]], video: VideoStream) -> Iterator[Packet[Any]]:
    """Packets with decode times, which the first packets of a file may lack.

    If frames are stored in a different order than they are shown, libav knows the decode time only
    after a few of them. Those are held back until then, and get times just before it.
    """
    held: list[Packet[Any]] = []
    for packet in packets:
        if not packet.size:  # the end of a stream
            continue
        if packet.stream.index != video.index:
            yield packet
            continue
        if packet.dts is None and packet.pts is not None and len(held) < MAX_REORDERED:
            held.append(packet)
            continue
        step = packet.duration or 1
        for place, early in enumerate(held):
            if packet.dts is not None:
                early.dts = packet.dts - (len(held) - place) * step
            yield early
        held.clear()
        yield packet
    yield from held
