"""NAL units of H.264 and H.265 packets, and what other frames need of a packet.

In streams and MPEG-TS, each NAL unit of a packet follows a start code (ITU-T H.264, annex B); in
MP4, Matroska and FLV it follows its length (ISO/IEC 14496-15).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from av.packet import Packet

START = b"\x00\x00\x01"
CONFIGURED = 1  # the first byte of a decoder configuration record; annex B begins with zeros
CODECS = ("h264", "hevc")
H264_IDR, HEVC_IDR = (5,), (19, 20)
HEVC_LAST_NON_REFERENCE = 14  # below it, even types are not used by frames of their own layer


class SliceKind(NamedTuple):
    """What the first slice of a packet tells about its frame.

    Attributes:
        starts: no later frame refers to an earlier one, so decoding may start here.
        referenced: other frames may need this one to be decoded.
        layer: its temporal layer; frames refer to their own layer and lower ones.
    """

    starts: bool
    referenced: bool
    layer: int = 0


class NalUnits:
    """Splits the packets of one stream.

    Args:
        codec: FFmpeg's name; only those in ``CODECS`` are understood.
        extradata: the container's decoder configuration, if any.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self.codec = codec
        self.length_bytes = _length_bytes(codec, extradata or b"")

    def of(self, data: bytes) -> Iterator[bytes]:
        """The units of a packet, without start codes or lengths."""
        if self.length_bytes is None:
            return by_start_code(data)
        return by_length(data, self.length_bytes)

    def kind(self, unit: bytes) -> int:
        """The type of a unit; -1 for an empty one."""
        if not unit:
            return -1
        return unit[0] & 31 if self.codec == "h264" else unit[0] >> 1 & 63

    def is_slice(self, kind: int) -> bool:
        return 1 <= kind <= 5 if self.codec == "h264" else 0 <= kind < 32

    def slice_kind(self, packet: Packet[Any]) -> SliceKind | None:
        """What other frames need of a packet; None where that is not known.

        All slices of a frame are of one kind, so the first one is enough.
        """
        if self.codec not in CODECS:
            return None
        for unit in self.of(bytes(packet)):
            kind = self.kind(unit)
            if not self.is_slice(kind) or len(unit) < 2:
                continue
            if self.codec == "h264":
                return SliceKind(kind in H264_IDR, referenced=bool(unit[0] >> 5 & 3))
            spare = kind <= HEVC_LAST_NON_REFERENCE and kind % 2 == 0
            return SliceKind(kind in HEVC_IDR, not spare, layer=(unit[1] & 7) - 1)
        return None


def by_start_code(data: bytes) -> Iterator[bytes]:
    """The units of annex B data."""
    at = data.find(START)
    while at >= 0:
        begin = at + len(START)
        at = data.find(START, begin)
        yield data[begin : at if at >= 0 else len(data)].rstrip(b"\x00")


def by_length(data: bytes, length_bytes: int) -> Iterator[bytes]:
    """Units that follow their lengths, of this many bytes each."""
    at = 0
    while at + length_bytes < len(data):
        begin = at + length_bytes
        at = begin + int.from_bytes(data[at:begin], "big")
        yield data[begin:at]


def _length_bytes(codec: str, extradata: bytes) -> int | None:
    """Number of bytes of each length; None if there are start codes."""
    at = {"h264": 4, "hevc": 21}.get(codec)
    if at is None or len(extradata) <= at or extradata[0] != CONFIGURED:
        return None
    return (extradata[at] & 3) + 1
