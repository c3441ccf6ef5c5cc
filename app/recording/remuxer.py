"""Copies a source to MP4 files without decoding its video.

This is the only output that is not blurred. It is used only when a caller asks for ``blur: false``
on a source of their own, and it goes to a file, never to a viewer.

Each packet of the video that came is in a file, in order; what cannot be in one is counted as
dropped, by the reason. A jump of the source's clock is closed up.
"""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from app import urls
from app.config import StreamSettings
from app.errors import SourceError, WatchpostError
from app.failure_reason import FailureReason
from app.pace import ContinuousClock
from app.pipeline.sources.av import AvSource, open_file
from app.pipeline.sources.skipping import clock_of, decoded_at, skip_to
from app.recording.parameter_sets import KeyframeHead, NalReader, annex_b, picture_size
from app.recording.probe import begin_apart, side_by_side
from app.recording.remuxed_file import MAX_REORDER_S, RemuxedFile, VideoFormat
from app.recording.segments import RecordingProgress, SegmentPlan, SegmentWriter
from app.recording.sound import NO_SOUND, SoundClock, SoundPlan
from app.types import StreamSpec

VIDEO = ("h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mjpeg")
MAX_REORDERED = 16
GENERATE_PTS = 1  # AVFMT_FLAG_GENPTS
EARLY_S = 0.1  # times are rounded: a keyframe must not come a millisecond too early
OPEN_CUT = 2.0  # lengths of a file after which it ends even where that costs a frame
STOP_S = 2.0  # how long a file may be read on, to end before a keyframe
BEFORE_KEYFRAME = "before the first keyframe, so they could not be decoded"
LEADING = "they need a frame of the file before, so they could not be decoded"


class Remuxer:
    """One capture of one source; ``run`` is the body of its thread.

    Attributes:
        audio: what becomes of the sound, for people.
        ended: the source was read to its end.
    """

    def __init__(self, url: str, settings: StreamSettings, plan: SegmentPlan) -> None:
        self.written = RecordingProgress(plan.begin_s)
        self.audio = NO_SOUND
        self.ended = False
        self._url = url
        self._settings = settings
        self._plan = plan
        self._stop = threading.Event()
        self._stopped_at = 0.0
        self._segments: SegmentWriter[RemuxedFile] = SegmentWriter(plan.files, self.written)

    def stop(self) -> None:
        """Ask the thread to end: at the next packet, of a file before the next keyframe."""
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
        if _codec_of(video) not in VIDEO:
            raise self._failure(FailureReason.UNFIT_CODEC)
        sound = SoundPlan.of(source.streams.audio[0] if source.streams.audio else None)
        self.audio = sound.text
        tracks = _Tracks(video, sound, self._plan, self._segments, self.written)
        with self._packets(source, tracks) as packets:
            for packet in packets:
                if self.written.full or self._is_over(packet, video):
                    break
                with self._segments.writing():
                    if packet.stream.index == video.index:
                        tracks.video(packet)
                    else:
                        tracks.sound(packet)
        if tracks.sound_corrections:
            self.audio += "; its clock is another than that of the video, and was corrected"

    @contextmanager
    def _packets(self, source: InputContainer, tracks: _Tracks) -> Iterator[Iterator[Packet[Any]]]:
        """Packets of video and sound; of a file from where it was left before."""
        video, audio = tracks.template, tracks.sound_plan.stream
        with ExitStack() as opened:
            if self._plan.live or audio is None or not begin_apart(self._url):
                packets: Iterator[Packet[Any]] = source.demux(*filter(None, (video, audio)))
            else:
                beside = opened.enter_context(open_file(self._url))
                sounds = beside.demux(beside.streams.audio[0])
                packets = side_by_side([source.demux(video), sounds])
            if not self._plan.live:
                source.flags |= GENERATE_PTS
            if self._plan.begin_s:
                resumed = skip_to(packets, video, self._plan.begin_s)
                tracks.resume(resumed.packets, resumed.at_s)
                packets = itertools.chain(resumed.packets, packets)
            yield _with_decode_times(packets, video)

    def _is_over(self, packet: Packet[Any], video: VideoStream) -> bool:
        """Whether to stop before this packet. A copy can only resume with a keyframe."""
        if not self._stop.is_set():
            return False
        at_keyframe = packet.stream.index == video.index and packet.is_keyframe
        return self._plan.live or at_keyframe or time.monotonic() - self._stopped_at > STOP_S

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


class _Tracks:
    """Puts the packets of one source into files, each at its place.

    Attributes:
        template: the video of the source.
        sound_plan: for the files that begin from now on.
    """

    def __init__(
        self,
        video: VideoStream,
        sound: SoundPlan,
        plan: SegmentPlan,
        segments: SegmentWriter[RemuxedFile],
        written: RecordingProgress,
    ) -> None:
        self.template = video
        self.sound_plan = sound
        self._plan = plan
        self._segments = segments
        self._written = written
        self._clock: ContinuousClock = clock_of(video)
        self._sound_clock = SoundClock()
        extradata = video.codec_context.extradata
        self._reader = NalReader(_codec_of(video), extradata)
        self._known = set(self._reader.sets_in(extradata or b""))
        self._sets: dict[int, tuple[bytes, ...]] = {}
        self._format = VideoFormat(video)

    @property
    def sound_corrections(self) -> int:
        """How often the place of the sound had to be found without its clock."""
        return self._sound_clock.corrections

    def resume(self, packets: list[Packet[Any]], at_s: float) -> None:
        """Begin with these packets, the first of whose video is at this second."""
        for packet in packets:
            media_s = decoded_at(packet)
            if packet.stream.index == self.template.index and media_s is not None:
                self._clock.resume(media_s, at_s)
                return

    def video(self, packet: Packet[Any]) -> None:
        """Write a packet of the video, into a new file where one is due."""
        plan, written = self._plan, self._written
        if self._segments.file is None and not packet.is_keyframe:
            if not plan.live:
                written.dropped[BEFORE_KEYFRAME] += 1
            return
        at_s = self._clock.place(decoded_at(packet), time.monotonic() if plan.live else None)
        if plan.limit_s is not None and at_s >= plan.limit_s - self._clock.TICK_S:
            written.full = True
            return
        written.jump(at_s, self._clock.jump_s)
        shown_s = at_s
        if packet.pts is not None:
            late_s = _seconds(packet, packet.pts) + self._clock.offset_s - at_s
            shown_s += min(max(late_s, 0.0), MAX_REORDER_S)
        file = self._segments.file
        if packet.is_keyframe and self._is_due(packet, at_s):
            file = self._segments.begin(functools.partial(self._open, at_s, shown_s))
        assert file is not None
        if shown_s < file.shown_from - self._clock.TICK_S:
            written.dropped[LEADING] += 1
            return
        file.video(packet, at_s, shown_s, self._clock.step_s)
        written.picture(time.time(), max(at_s - plan.begin_s, 0.0), plan.gap_s)

    def _open(self, at_s: float, shown_s: float, path: Path) -> RemuxedFile:
        return RemuxedFile(path, at_s, shown_s, self._format, self._reader, self.sound_plan)

    def sound(self, packet: Packet[Any]) -> None:
        """Write a packet of the sound, at its place beside the video."""
        self.sound_plan = self.sound_plan.after(packet)
        media_s, file = decoded_at(packet), self._segments.file
        if file is None or media_s is None:
            return
        length_s = _seconds(packet, packet.duration or 0)
        clock = self._clock
        file.sound(packet, self._sound_clock.place(media_s, length_s, clock.at_s, clock.offset_s))

    def _is_due(self, packet: Packet[Any], at_s: float) -> bool:
        """Whether a new file has to begin with this keyframe."""
        head = self._reader.head(packet)
        changed = self._has_changed(head, packet)
        file = self._segments.file
        if file is None or changed or file.sound_plan != self.sound_plan:
            return True
        length_s = at_s - file.started_at + EARLY_S
        segment_s = self._plan.segment_s
        return length_s >= segment_s * (1.0 if head.closed else OPEN_CUT)

    def _has_changed(self, head: KeyframeHead, packet: Packet[Any]) -> bool:
        """Whether decoders need a new configuration from this keyframe on; makes it, then."""
        if packet.has_sidedata("new_extradata"):
            extradata = bytes(packet.get_sidedata("new_extradata"))
            self._reader = NalReader(self._reader.codec, extradata)
            sets = self._reader.sets_in(extradata)
            self._known = set(sets)
            data = annex_b(sets) + self._reader.with_start_codes(bytes(packet))
            self._format = VideoFormat(
                self.template, extradata, picture_size(self._reader.codec, data)
            )
            return True
        units = {unit for units in head.sets.values() for unit in units}
        self._sets |= head.sets
        if units <= self._known:
            return False
        reader = self._reader
        self._known = {unit for units in self._sets.values() for unit in units}
        extradata = annex_b(
            tuple(unit for kind in reader.set_types for unit in self._sets.get(kind, ()))
        )
        size = picture_size(reader.codec, extradata + reader.with_start_codes(bytes(packet)))
        self._format = VideoFormat(self.template, extradata, size, not reader.has_start_codes)
        return True


def _codec_of(video: VideoStream) -> str:
    """FFmpeg's name of a codec, whichever decoder there is for it; empty for an unknown one."""
    context = video.codec_context
    return context.codec.canonical_name if context is not None else ""


def _seconds(packet: Packet[Any], ticks: int) -> float:
    return float(ticks * packet.time_base) if packet.time_base is not None else 0.0


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
