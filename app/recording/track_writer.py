"""Writes the packets of one source to MP4 files, at their times on the recording's clock."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from av.packet import Packet
from av.video.stream import VideoStream

from app.pace import ContinuousClock
from app.pipeline.sources.skipping import clock_of, decoded_at
from app.recording.parameter_sets import KeyframeHead, NalReader, annex_b, frame_size
from app.recording.remuxed_file import RemuxedFile, VideoFormat
from app.recording.segments import RecordingProgress, SegmentPlan, SegmentWriter
from app.recording.sound import SoundClock, SoundPlan

EARLY_S = 0.1  # times are rounded: a keyframe must not come a millisecond too early
JUMP_S, MAX_REORDERED = 1.0, 16  # maximum delay from decoding to presentation: seconds, frames
OPEN_CUT = 2.0  # lengths of a file after which it ends even if that costs frames
BEFORE_KEYFRAME = "before the first keyframe, so they could not be decoded"
LEADING = "they need a frame of the previous file, so they could not be decoded"


class TrackWriter:
    """Writes the packets of one source to files.

    Attributes:
        template: the source's video stream.
        sound_plan: the plan for the next files.
    """

    def __init__(
        self,
        video: VideoFormat,
        sound: SoundPlan,
        plan: SegmentPlan,
        segments: SegmentWriter[RemuxedFile],
        written: RecordingProgress,
    ) -> None:
        self.template = video.template
        self.sound_plan = sound
        self._plan = plan
        self._segments = segments
        self._written = written
        self._clock: ContinuousClock = clock_of(video.template)
        self._sound_clock = SoundClock()
        self._sounds = self._damaged_sounds = 0
        extradata = video.template.codec_context.extradata
        self._reader = NalReader(codec_of(video.template), extradata)
        self._known = set(self._reader.sets_in(extradata or b""))
        self._sets: dict[int, tuple[bytes, ...]] = {}
        self._format = video
        self._most_late_s = 0.0

    @property
    def sound_text(self) -> str:
        """How the sound was recorded, as text."""
        damaged = self._damaged_sounds
        if damaged and damaged == self._sounds:
            return "the sound is left out: it could not be decoded"
        text = self.sound_plan.text
        if damaged:
            text += f"; {damaged} of {self._sounds} packets could not be decoded"
        if self._sound_clock.corrections:
            text += "; its clock differs from the video's, and was corrected"
        return text

    def resume(self, packets: list[Packet[Any]], at_s: float) -> None:
        """Begin with these packets; the first one of the video is at this time."""
        for packet in packets:
            media_s = decoded_at(packet)
            if packet.stream.index == self.template.index and media_s is not None:
                self._clock.resume(media_s, at_s)
                return

    def video(self, packet: Packet[Any]) -> None:
        """Write a packet of the video, to a new file if one is due."""
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
        shown_s = at_s + self._late_s(packet, at_s)
        file = self._segments.file
        if packet.is_keyframe and self._is_due(packet, at_s):
            file = self._segments.begin(functools.partial(self._open, at_s, shown_s))
        assert file is not None
        if shown_s < file.shown_from - self._clock.TICK_S:
            written.dropped[LEADING] += 1
            return
        file.video(packet, at_s, shown_s, self._clock.step_s)
        written.picture(time.time(), max(at_s - plan.begin_s, 0.0), plan.gap_s)

    def _late_s(self, packet: Packet[Any], at_s: float) -> float:
        """Seconds from the decoding of a frame to its presentation.

        At a jump of the clock, a frame may be decoded before the jump and shown after it. Other
        frames depend on such a frame, so it gets the longest delay.
        """
        if packet.pts is None:
            return 0.0
        late_s = _seconds(packet, packet.pts) + self._clock.offset_s - at_s
        if not -JUMP_S < late_s < max(JUMP_S, MAX_REORDERED * self._clock.step_s):
            return self._most_late_s
        self._most_late_s = max(self._most_late_s, late_s)
        return max(late_s, 0.0)

    def _open(self, at_s: float, shown_s: float, path: Path) -> RemuxedFile:
        return RemuxedFile(path, at_s, shown_s, self._format, self._reader, self.sound_plan)

    def sound(self, packet: Packet[Any]) -> None:
        """Write a packet of the sound, aligned with the video."""
        self.sound_plan = self.sound_plan.after(packet)
        media_s, file = decoded_at(packet), self._segments.file
        if file is None or media_s is None:
            return
        length_s = _seconds(packet, packet.duration or 0)
        clock = self._clock
        at_s = self._sound_clock.place(media_s, length_s, clock.at_s, clock.offset_s)
        self._sounds += 1
        self._damaged_sounds += not file.sound(packet, at_s)

    def _is_due(self, packet: Packet[Any], at_s: float) -> bool:
        """Whether a new file must begin with this keyframe."""
        head = self._reader.head(packet)
        changed = self._has_changed(head, packet)
        file = self._segments.file
        if file is None or changed or file.sound_plan != self.sound_plan:
            return True
        length_s = at_s - file.started_at + EARLY_S
        segment_s = self._plan.segment_s
        return length_s >= segment_s * (1.0 if head.closed else OPEN_CUT)

    def _has_changed(self, head: KeyframeHead, packet: Packet[Any]) -> bool:
        """Whether decoders need a new configuration from this keyframe on; if so, set it."""
        if packet.has_sidedata("new_extradata"):
            extradata = bytes(packet.get_sidedata("new_extradata"))
            self._reader = NalReader(self._reader.codec, extradata)
            sets = self._reader.sets_in(extradata)
            self._known = set(sets)
            data = annex_b(sets) + self._reader.with_start_codes(bytes(packet))
            size = frame_size(self._reader.codec, data)
            self._format = replace(self._format, extradata=extradata, size=size, in_annex_b=False)
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
        size = frame_size(reader.codec, extradata + reader.with_start_codes(bytes(packet)))
        self._format = replace(
            self._format, extradata=extradata, size=size, in_annex_b=not reader.has_start_codes
        )
        return True


def codec_of(video: VideoStream) -> str:
    """FFmpeg's name of the codec, independent of the decoder; empty for an unknown codec."""
    context = video.codec_context
    return context.codec.canonical_name if context is not None else ""


def _seconds(packet: Packet[Any], ticks: int) -> float:
    return float(ticks * packet.time_base) if packet.time_base is not None else 0.0
