"""An MP4 file of copied packets."""

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
# The header is written at once: it must not wait for sound, which may never begin. Each track has
# its own beginning, so that sound may begin later.
WITH_SOUND = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof+frag_discont+negative_cts_offsets",
    "flush_packets": "1",
}
# While one track has no packets, those of the other are held back for at most this long.
INTERLEAVE_US = {"max_interleave_delta": "1000000"}


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """The decoder configuration of one file.

    Attributes:
        template: the source's stream.
        matrix: display matrix to set; None for that of the template.
        extradata, size: None if they are those of the template.
        in_annex_b: packets must be converted to annex B.
    """

    template: VideoStream
    matrix: list[int] | None = None
    extradata: bytes | None = None
    size: tuple[int, int] | None = None
    in_annex_b: bool = False


class RemuxedFile:
    """An MP4 file that is being written. Raises FFmpegError or OSError.

    Args:
        at_s, shown_s: decode and presentation time of its first frame on the recording's clock. The
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
        if video.matrix is not None:
            stream.set_display_matrix(video.matrix)
        context = stream.codec_context
        if video.extradata is not None:
            context.extradata = video.extradata
        if video.size is not None:
            context.width, context.height = video.size
        if self._reader.codec in TAGS:
            context.codec_tag = TAGS[self._reader.codec]
        return stream

    def video(self, packet: Packet[Any], at_s: float, shown_s: float, step_s: float) -> None:
        """Write a packet of the video.

        Args:
            at_s, shown_s: its decode and presentation time on the recording's clock.
            step_s: the usual time to the next frame, for a packet without a duration.
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
        """Write a packet of sound at this time on the recording's clock.

        Returns:
            False for a damaged packet, which is left out.
        """
        if self._sound is None or at_s < self.shown_from:
            return True
        try:
            packets = list(self._sound.packets(packet, at_s - self.shown_from))
        except (FFmpegError, ValueError):  # damaged sound must not affect the video
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
        """Write the packets whose time does not go back."""
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
