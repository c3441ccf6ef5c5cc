"""An MP4 file that packets are written to as they came."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from app.recording.parameter_sets import NalReader
from app.recording.segments import FRAGMENTED
from app.recording.sound import SoundPlan

TAGS = {"hevc": "hvc1"}  # Apple's players refuse FFmpeg's choice, hev1
# The header is written at once: if it waited for sound that never begins, so would the file. Each
# track has its own beginning, so sound may join later.
WITH_SOUND = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof+frag_discont+negative_cts_offsets",
    "flush_packets": "1",
}
# Where one track is silent, packets of the other are held back for this long at most.
INTERLEAVE_US = {"max_interleave_delta": "1000000"}


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """How the packets of one file are to be decoded.

    Attributes:
        template: the source's stream; the rest is where it differs, None where it does not.
        in_annex_b: packets have to be brought into that form.
    """

    template: VideoStream
    extradata: bytes | None = None
    size: tuple[int, int] | None = None
    in_annex_b: bool = False


class RemuxedFile:
    """An MP4 file that is being written. Raises FFmpegError or OSError.

    Args:
        at_s, shown_s: when its first frame is decoded and shown, on the recording's clock. The
            latter is 0 in the file.
    """

    def __init__(
        self,
        path: Path,
        at_s: float,
        shown_s: float,
        video: VideoFormat,
        reader: NalReader,
        sound: SoundPlan,
    ) -> None:
        self.path = path
        self.started_at, self.shown_from = at_s, shown_s
        self.started_ts = time.time()
        self.sound_plan = sound
        self._reader = reader
        self._format = video
        options = FRAGMENTED if sound.stream is None else WITH_SOUND
        self._container = av.open(
            str(path), "w", format="mp4", options=options, container_options=INTERLEAVE_US
        )
        self._video = self._open(video)
        self._sound = sound.open(self._container)
        self._last: dict[int, int] = {}

    def _open(self, video: VideoFormat) -> VideoStream:
        stream = self._container.add_stream_from_template(video.template, opaque=True)
        context = stream.codec_context
        if video.extradata is not None:
            context.extradata = video.extradata
        if video.size is not None:
            context.width, context.height = video.size
        if self._reader.codec in TAGS:
            context.codec_tag = TAGS[self._reader.codec]
        return stream

    def video(self, packet: Packet[Any], at_s: float, shown_s: float, step_s: float) -> None:
        """Write a packet that is to be decoded and shown at these seconds of the recording.

        Args:
            step_s: the usual time to the next frame, for a packet that does not tell its own.
        """
        assert packet.time_base is not None
        if self._format.in_annex_b:
            whole = Packet(self._reader.with_start_codes(bytes(packet)))
            whole.time_base, whole.duration = packet.time_base, packet.duration
            whole.is_keyframe = packet.is_keyframe
            packet = whole
        packet.duration = packet.duration or _ticks(step_s, packet.time_base)
        packet.dts = _ticks(at_s - self.shown_from, packet.time_base)
        packet.pts = packet.dts + _ticks(shown_s - at_s, packet.time_base)
        packet.stream = self._video
        self._put(packet)

    def sound(self, packet: Packet[Any], at_s: float) -> bool:
        """Write a packet of sound that belongs at this second of the recording.

        Returns:
            False for a damaged one, which is left out.
        """
        if self._sound is None or at_s < self.shown_from:
            return True
        try:
            packets = list(self._sound.packets(packet, at_s - self.shown_from))
        except (FFmpegError, ValueError):  # the picture does not suffer for it
            return False
        self._put_sound(packets)
        return True

    def close(self) -> None:
        try:
            self._put_sound(self._rest_of_sound())
        finally:
            self._container.close()

    def _rest_of_sound(self) -> list[Packet[Any]]:
        if self._sound is None:
            return []
        try:
            return list(self._sound.rest())
        except (FFmpegError, ValueError):
            return []

    def _put_sound(self, packets: Iterable[Packet[Any]]) -> None:
        """Write those that do not go back in time."""
        for packet in packets:
            last = self._last.get(packet.stream.index)
            if packet.size and packet.dts is not None and (last is None or packet.dts > last):
                self._put(packet)

    def _put(self, packet: Packet[Any]) -> None:
        assert packet.dts is not None and packet.pts is not None
        index = packet.stream.index
        packet.dts = max(packet.dts, self._last.get(index, packet.dts - 1) + 1)
        packet.pts = max(packet.pts, packet.dts)
        self._last[index] = packet.dts
        self._container.mux(packet)


def _ticks(seconds: float, time_base: Fraction) -> int:
    return round(seconds / time_base)
