"""Reads the parameter sets of H.264 and H.265, and where a stream may be cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

from app.pipeline.sources.nal_units import (
    CONFIGURED,
    H264_IDR,
    HEVC_IDR,
    START,
    NalUnits,
    by_length,
    by_start_code,
)

H264_SETS, HEVC_SETS = (7, 8), (32, 33, 34)  # SPS, PPS; VPS, SPS, PPS


@dataclass(frozen=True, slots=True)
class KeyframeHead:
    """The contents of a keyframe before its first slice.

    Attributes:
        sets: its parameter sets by NAL unit type, in order.
        closed: no later frame refers to an earlier one, so a file may begin here.
    """

    sets: dict[int, tuple[bytes, ...]]
    closed: bool


class NalReader:
    """Reads the NAL units of one stream.

    Args:
        codec: FFmpeg's name; only ``h264`` and ``hevc`` are supported.
        extradata: the container's decoder configuration, if any.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self.codec = codec
        self.set_types = {"h264": H264_SETS, "hevc": HEVC_SETS}.get(codec, ())
        self._units = NalUnits(codec, extradata)

    @property
    def has_start_codes(self) -> bool:
        return self._units.length_bytes is None

    def head(self, packet: Packet[Any]) -> KeyframeHead:
        """The head of a keyframe."""
        sets: dict[int, tuple[bytes, ...]] = {}
        if not self.set_types:
            return KeyframeHead(sets, closed=True)
        for unit in self._units.of(bytes(packet)):
            kind = self._units.kind(unit)
            if kind in self.set_types:
                sets[kind] = (*sets.get(kind, ()), unit)
            elif self._units.is_slice(kind):
                return KeyframeHead(sets, kind in (H264_IDR if self.codec == "h264" else HEVC_IDR))
        return KeyframeHead(sets, closed=False)

    def sets_in(self, extradata: bytes) -> tuple[bytes, ...]:
        """All parameter sets of annex B extradata or of a configuration record."""
        if not self.set_types:
            return ()
        if extradata[:1] == bytes([CONFIGURED]):
            return tuple(_configured(self.codec, extradata))
        return tuple(
            unit for unit in by_start_code(extradata) if self._units.kind(unit) in self.set_types
        )

    def with_start_codes(self, data: bytes) -> bytes:
        """The same packet in annex B form."""
        length_bytes = self._units.length_bytes
        return data if length_bytes is None else annex_b(by_length(data, length_bytes))


def annex_b(units: Iterator[bytes] | tuple[bytes, ...]) -> bytes:
    """NAL units, each after a start code."""
    return b"".join(b"\x00" + START + unit for unit in units)


def frame_size(codec: str, keyframe: bytes) -> tuple[int, int] | None:
    """Width and height of a keyframe in annex B form, by decoding it; None if that fails."""
    try:
        decoder = av.CodecContext.create(codec, "r")
        assert isinstance(decoder, VideoCodecContext)
        frames = [*decoder.decode(Packet(keyframe)), *decoder.decode(None)]
    except (FFmpegError, ValueError):
        return None
    sizes = [(frame.width, frame.height) for frame in frames]
    return sizes[0] if sizes else None


def _configured(codec: str, record: bytes) -> Iterator[bytes]:
    """The parameter sets of an ``avcC`` or ``hvcC`` record."""
    if codec == "h264":
        at, groups = 5, [31, 255]  # masks of the counts of SPS and PPS
        for mask in groups:
            count, at = (record[at] & mask if at < len(record) else 0), at + 1
            for _ in range(count):
                size = int.from_bytes(record[at : at + 2], "big")
                yield record[at + 2 : at + 2 + size]
                at += 2 + size
        return
    at = 23
    for _ in range(record[22] if len(record) > 22 else 0):
        count, at = int.from_bytes(record[at + 1 : at + 3], "big"), at + 3
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            yield record[at + 2 : at + 2 + size]
            at += 2 + size
