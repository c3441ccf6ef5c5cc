"""The sound of a copy: copied if MP4 players support its codec, else converted to AAC or left out.

Problems with the sound never affect the video.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

# Minimum size of each codec's configuration in an MP4 header, in bytes.
COPIED = {"aac": 2, "mp3": 0, "opus": 19, "alac": 24, "flac": 34}
AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
             8_000, 7_350)  # in the order of their index (ISO/IEC 14496-3, 1.6.3.4)  # fmt: skip
AAC_LC = 2
DEFAULT_RATE = 48_000
ADTS_SYNC, ADTS_BYTES = 0xFFF0, 7
NO_SOUND = "no sound"


@dataclass(frozen=True, slots=True)
class SoundPlan:
    """How the sound of a source is recorded.

    Attributes:
        text: the plan as text.
        stream: the source's sound; None if it is left out.
        copied: copied without re-encoding.
        config: for a copy, the codec's configuration in the header.
    """

    text: str
    stream: AudioStream | None = None
    copied: bool = False
    config: bytes = b""

    @classmethod
    def of(cls, stream: AudioStream | None) -> SoundPlan:
        """The plan from what is known when the source is opened."""
        if stream is None:
            return cls(NO_SOUND)
        context = stream.codec_context
        if context is None:
            return cls("the sound is left out: its codec is unknown")
        name = context.codec.canonical_name
        config = context.extradata or (_adts_config(stream) if name == "aac" else b"")
        if name in COPIED and len(config) >= COPIED[name] and context.sample_rate > 0:
            return cls(f"{name} copied", stream, True, config)
        return cls(f"{name} turned into aac", stream)

    def after(self, packet: Packet[Any]) -> SoundPlan:
        """The plan for files that begin after this packet, whose header overrides the source's."""
        if self.stream is None or not self.copied or self.stream.codec_context.extradata:
            return self
        header = _adts_header(bytes(packet))
        if header is None or header.config == self.config:
            return self
        return replace(self, config=header.config)

    def open(self, container: OutputContainer) -> CopiedSound | EncodedSound | None:
        """Add the sound to a file before its header is written."""
        if self.stream is None:
            return None
        return CopiedSound(self, container) if self.copied else EncodedSound(self, container)


def known_sound(source: InputContainer) -> AudioStream | None:
    """The first audio stream that can be decoded, else the first; None if there is none."""
    streams = source.streams.audio
    known = (stream for stream in streams if stream.codec_context is not None)
    return next(known, streams[0] if streams else None)


class SoundClock:
    """Puts sound on the recording's clock, even if its own clock differs from the video's or jumps.

    Sound and video that belong together arrive together, so the time of a packet of sound is never
    far from that of the newest video.
    """

    APART_S = 3.0
    SEAMLESS_S = 0.2  # a packet this close to the end of the last one follows it
    STEADY_S = 1.0  # how far a pause of the sound may differ from the video's progress

    def __init__(self) -> None:
        self.corrections = 0
        self._offset_s: float | None = None
        self._last_s: float | None = None
        self._end_s = self._lead_s = 0.0

    def place(
        self, media_s: float, length_s: float, video_s: float, video_offset_s: float
    ) -> float:
        """The time of a packet of sound on the recording's clock.

        Args:
            media_s, length_s: its timestamp and its length.
            video_s: the time of the newest video on the recording's clock.
            video_offset_s: is added to timestamps of the video.
        """
        for offset_s in (self._offset_s, video_offset_s):
            if offset_s is not None and self._fits(media_s + offset_s, video_s):
                break
        else:
            self.corrections += 1
            offset_s = self._next(video_s) - media_s
        at_s = media_s + offset_s
        self._offset_s, self._last_s, self._end_s = offset_s, at_s, at_s + length_s
        self._lead_s = at_s - video_s
        return at_s

    def _fits(self, at_s: float, video_s: float) -> bool:
        lead_s = at_s - video_s
        if abs(lead_s) > self.APART_S:
            return False
        if self._last_s is None or abs(at_s - self._end_s) <= self.SEAMLESS_S:
            return True
        return at_s > self._last_s and abs(lead_s - self._lead_s) <= self.STEADY_S

    def _next(self, video_s: float) -> float:
        """Where sound continues if its own clock is wrong."""
        if self._last_s is None or abs(self._end_s - video_s) > self.APART_S:
            return video_s
        return self._end_s


class CopiedSound:
    """Sound that is copied without re-encoding."""

    def __init__(self, plan: SoundPlan, container: OutputContainer) -> None:
        assert plan.stream is not None
        self._config = plan.config
        self._stream = container.add_stream_from_template(plan.stream)
        self._stream.codec_context.extradata = plan.config or None
        self._is_aac = plan.stream.codec_context.codec.canonical_name == "aac"

    def packets(self, packet: Packet[Any], at_s: float) -> Iterator[Packet[Any]]:
        """The packets to write for a source's packet at this time in the file, seconds."""
        data = bytes(packet)
        if self._is_aac and (header := _adts_header(data)) is not None:
            if header.config != self._config[:2]:
                return  # it changed: the sound continues in the next file
            data = data[header.size :]
        assert packet.time_base is not None
        copy = Packet(data)
        copy.time_base, copy.duration, copy.is_keyframe = packet.time_base, packet.duration, True
        copy.pts = copy.dts = round(at_s / packet.time_base)
        copy.stream = self._stream
        yield copy

    def rest(self) -> Iterator[Packet[Any]]:
        return iter(())


class EncodedSound:
    """Sound that is decoded and encoded as AAC."""

    def __init__(self, plan: SoundPlan, container: OutputContainer) -> None:
        assert plan.stream is not None
        source = plan.stream.codec_context
        wanted = source.sample_rate or DEFAULT_RATE
        self._rate = min(AAC_RATES, key=lambda rate: abs(rate - wanted))
        self._layout = "mono" if source.channels == 1 else "stereo"
        self._stream = container.add_stream("aac", rate=self._rate)
        self._stream.codec_context.layout = self._layout
        self._resampler: AudioResampler | None = None
        self._resampled: tuple[object, ...] = ()

    def packets(self, packet: Packet[Any], at_s: float) -> Iterator[Packet[Any]]:
        """The packets to write for a source's packet at this time in the file, seconds."""
        base = Fraction(1, self._rate)
        for frame in packet.decode():
            if not isinstance(frame, AudioFrame):
                continue
            frame.pts, frame.time_base = round(at_s * self._rate), base
            at_s += frame.samples / (frame.sample_rate or self._rate)
            for one in self._convert(frame):
                yield from self._encode(one)

    def rest(self) -> Iterator[Packet[Any]]:
        """What the encoder still holds."""
        return self._encode(None)

    def _convert(self, frame: AudioFrame) -> list[AudioFrame]:
        """A frame in the encoder's format; the decoder's may change at any time."""
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._resampled:
            self._resampled = form
            self._resampler = AudioResampler("fltp", self._layout, self._rate)
        assert self._resampler is not None
        return self._resampler.resample(frame)

    def _encode(self, frame: AudioFrame | None) -> Iterator[Packet[Any]]:
        for packet in self._stream.encode(frame):
            if packet.pts is not None and packet.pts >= 0:  # before 0 is the encoder's padding
                yield packet


class AdtsHeader(NamedTuple):
    """The header of each AAC packet in a transport stream.

    ``config`` is the AudioSpecificConfig of the same sound (ISO/IEC 14496-3, 1.6.2.1).
    """

    size: int
    config: bytes


def _adts_header(data: bytes) -> AdtsHeader | None:
    """The header of a packet (ISO/IEC 13818-7, 6.2); None for a packet without one."""
    if len(data) < ADTS_BYTES or int.from_bytes(data[:2], "big") & 0xFFF6 != ADTS_SYNC:
        return None
    kind, rate_index = (data[2] >> 6) + 1, data[2] >> 2 & 15
    channels = (data[2] & 1) << 2 | data[3] >> 6
    return AdtsHeader(
        ADTS_BYTES if data[1] & 1 else ADTS_BYTES + 2, _config(kind, rate_index, channels)
    )


def _adts_config(stream: AudioStream) -> bytes:
    """The configuration of the headers, predicted before the first one has arrived."""
    context = stream.codec_context
    profile = str(context.profile or "")
    rate = context.sample_rate // 2 if profile.startswith("HE") else context.sample_rate
    channels = 1 if profile == "HE-AACv2" else context.channels
    if rate not in AAC_RATES or not 1 <= channels <= 8:
        return b""
    return _config(AAC_LC, AAC_RATES.index(rate), min(channels, 7))


def _config(kind: int, rate_index: int, channels: int) -> bytes:
    return (kind << 11 | rate_index << 7 | channels << 3).to_bytes(2, "big")
