"""Fragmented MP4 for Media Source Extensions: an initialisation segment, then one fragment a frame.

The library writes the segment. It writes a fragment only when it knows the next frame, which would
delay every frame by one, so ``fragment`` puts the few boxes together itself (ISO/IEC 14496-12,
8.8).
"""

from __future__ import annotations

import io
import struct

import av
from av.error import InvalidDataError
from av.video.stream import VideoStream

from app.pipeline.packets import VideoPacket
from app.pipeline.sinks.encode import TIME_BASE
from app.pipeline.sources.nal_units import by_start_code

TIMESCALE = TIME_BASE.denominator
HEADER_ONLY = {"movflags": "empty_moov+default_base_moof"}
SPS = 7
PARAMETER_SETS = (SPS, 8)
SHOWN_S = 1
"""How long a frame is said to last. When it comes, nobody knows when the next one will. Browsers
take a pause of more than twice this for a break that only a keyframe may follow, which is true
here: there is a keyframe every two seconds."""
SYNC, NOT_SYNC = 0x0200_0000, 0x0101_0000
BASE_IS_MOOF = 0x02_0000
OFFSET_DURATION_SIZE_FLAGS = 0x00_0701


class FragmentedVideo:
    """The packets of one encoder as fragmented MP4.

    Args:
        keyframe: one of its packets.

    Attributes:
        codec: as ``MediaSource.isTypeSupported`` expects it, such as ``avc1.42c01f``.
        size: width and height.
        header: the initialisation segment.

    Raises:
        FFmpegError: it is not a keyframe of H.264.
    """

    def __init__(self, keyframe: VideoPacket) -> None:
        self.codec = _codec(keyframe.data)
        with av.open(io.BytesIO(keyframe.data), format="h264") as source:
            if not source.streams.video:
                raise InvalidDataError(0, "no video in the packet")
            stream = source.streams.video[0]
            self.size = (stream.codec_context.width, stream.codec_context.height)
            self.header = _header(stream)

    @staticmethod
    def fragment(packet: VideoPacket, time: int) -> bytes:
        """One frame as a fragment.

        Args:
            time: when it is to be shown, in units of ``TIME_BASE``.
        """
        units = [unit for unit in by_start_code(packet.data) if _is_kept(unit)]
        sample = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
        flags = SYNC if packet.is_keyframe else NOT_SYNC
        movie = _moof(packet.number, time, len(sample), flags, offset=0)
        movie = _moof(packet.number, time, len(sample), flags, offset=len(movie) + 8)
        return movie + _box(b"mdat", sample)


def _is_kept(unit: bytes) -> bool:
    """Whether a unit belongs into a sample: parameter sets are in the header."""
    return bool(unit) and unit[0] & 31 not in PARAMETER_SETS


def _codec(keyframe: bytes) -> str:
    """Profile, constraints and level, as RFC 6381 writes them."""
    for unit in by_start_code(keyframe):
        if unit and unit[0] & 31 == SPS:
            return f"avc1.{unit[1:4].hex()}"
    raise InvalidDataError(0, "no parameter sets in the packet")


def _header(template: VideoStream) -> bytes:
    """An MP4 file with the template's track and without a frame."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options=HEADER_ONLY) as target:
        stream = target.add_stream_from_template(template, opaque=True)
        stream.time_base = TIME_BASE
        target.start_encoding()
        return file.getvalue()


def _moof(number: int, time: int, size: int, flags: int, *, offset: int) -> bytes:
    """The boxes before the frame: its place in time, its size and where it begins."""
    run = struct.pack(">IiIII", 1, offset, SHOWN_S * TIMESCALE, size, flags)
    track = _full(b"tfhd", BASE_IS_MOOF, struct.pack(">I", 1))
    track += _full(b"tfdt", 0, struct.pack(">Q", time), version=1)
    track += _full(b"trun", OFFSET_DURATION_SIZE_FLAGS, run)
    sequence = _full(b"mfhd", 0, struct.pack(">I", number & 0xFFFF_FFFF))
    return _box(b"moof", sequence + _box(b"traf", track))


def _full(name: bytes, flags: int, content: bytes, *, version: int = 0) -> bytes:
    return _box(name, struct.pack(">I", version << 24 | flags) + content)


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content
