"""Decoding in hardware: which kinds work on this machine, and a decoder that uses one of them.

PyAV's wheels are built for NVIDIA (``cuda``), Intel (``qsv``), AMD (``amf``) and the Raspberry Pi
(``v4l2m2m``) on Linux, and for ``videotoolbox`` on a Mac. Each is tried with a test frame.
"""

from __future__ import annotations

import functools
import logging
from collections import deque
from fractions import Fraction

import av
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from app.first_time import FirstTime

logger = logging.getLogger(__name__)

AS_DEVICE = ("cuda", "videotoolbox", "d3d11va")
"""Kinds that FFmpeg's own decoders use as a device."""
AS_DECODER = ("qsv", "amf", "v4l2m2m")
"""Kinds that have decoders of their own, such as ``h264_qsv``."""
KINDS = (*AS_DEVICE, *AS_DECODER)
FORMATS = ("h264", "hevc", "av1", "vp9")
TEST_SIZE = 640, 384
MAX_KEPT = 900
"""Packets that are kept to repeat them on the CPU: those since a keyframe, a minute at 15 fps."""
_is_new = FirstTime()
FAILURES = (FFmpegError, RuntimeError, NotImplementedError, ValueError)


@functools.cache
def available_decoders() -> tuple[str, ...]:
    """The kinds of hardware that decode H.264 here, the preferred one first."""
    working = tuple(kind for kind in KINDS if _decodes(kind))
    known = [kind for kind in KINDS if _is_built_in(kind)]
    logger.info(
        "hardware decoders: PyAV has %s; working here: %s",
        ", ".join(known) or "none",
        ", ".join(working) or "none",
    )
    return working


def hardware_for(setting: str) -> str | None:
    """The kind of hardware to decode with; None for the CPU.

    Args:
        setting: ``auto``, ``cpu`` or a kind. A kind that does not work here is not used.
    """
    if setting == "cpu":
        return None
    working = available_decoders()
    if setting == "auto":
        return working[0] if working else None
    if setting not in working:
        _report(setting, "it does not decode H.264 here")
        return None
    return setting


def _report(kind: str, reason: str) -> None:
    """Say once why a kind of hardware is not used."""
    if _is_new((kind, reason)):
        logger.warning("video is decoded on the CPU, not with %s: %s", kind, reason)


class Decoder:
    """Decodes the packets of a stream, in hardware as long as that works.

    When the hardware fails, the packets since the last keyframe are decoded again on the CPU, so
    that no frame is lost.

    Args:
        stream: the stream that the packets belong to; it decodes on the CPU.
        kind: the kind of hardware; None for the CPU.
    """

    def __init__(self, stream: VideoStream, kind: str | None) -> None:
        self.name = "cpu"
        self._stream = stream
        self._hardware: VideoCodecContext | None = None
        self._kept: deque[Packet[VideoStream]] = deque(maxlen=MAX_KEPT)
        self._shown_pts: int | None = None  # of the last frame from the hardware
        self._repeated = 0  # packets that are decoded again
        if kind is not None and stream.codec_context.name in FORMATS:
            try:
                self._hardware = _open(kind, stream.codec_context)
                self.name = kind
            except FAILURES as error:
                _report(kind, str(error))

    @property
    def context(self) -> VideoCodecContext:
        """The codec context that decodes now."""
        return self._hardware or self._stream.codec_context

    def decode(self, packet: Packet[VideoStream]) -> list[av.VideoFrame]:
        """The frames that this packet completes; raises what PyAV raises for damaged ones."""
        if self._hardware is None:
            return self._not_shown(packet.decode())
        if packet.size:
            self._kept.append(packet)
        try:
            frames = self._hardware.decode(packet)
        except FAILURES as error:
            return self._decode_again(packet, str(error))
        self._note(frames)
        return frames

    def _note(self, frames: list[av.VideoFrame]) -> None:
        """Note the last frame that was returned; what is older than its keyframe is not needed."""
        stamps = [frame.pts for frame in frames if frame.pts is not None]
        if not stamps:
            return
        shown = self._shown_pts = stamps[-1]
        begins = [
            number
            for number, packet in enumerate(self._kept)
            if packet.is_keyframe and packet.pts is not None and packet.pts <= shown
        ]
        for _ in range(begins[-1] if begins else 0):
            self._kept.popleft()

    def _decode_again(self, packet: Packet[VideoStream], reason: str) -> list[av.VideoFrame]:
        """Continue on the CPU: decode what is kept, and return the frames that are still owed."""
        _report(self.name, reason)
        self._hardware, self.name = None, "cpu"
        kept, self._kept = [*self._kept], deque()
        self._repeated = len(kept)
        packets = kept if packet.size else [*kept, packet]
        return self._not_shown([frame for one in packets for frame in one.decode()])

    def _not_shown(self, frames: list[av.VideoFrame]) -> list[av.VideoFrame]:
        """Leave out what the hardware has given already; a decoder may hold frames back."""
        shown = self._shown_pts
        if shown is None:
            return frames
        new = [frame for frame in frames if frame.pts is None or frame.pts > shown]
        self._repeated -= len(frames) - len(new)
        if new or self._repeated <= 0:
            self._shown_pts = None
        return new


def decoder_of(source: object) -> str | None:
    """What decodes the video of a source; None for one whose images are not video."""
    return getattr(source, "decoder", None) or None


def _is_built_in(kind: str) -> bool:
    if kind in AS_DEVICE:
        return kind in hwdevices_available()
    return f"h264_{kind}" in av.codecs_available


def _open(kind: str, source: VideoCodecContext | None, codec: str = "h264") -> VideoCodecContext:
    """Open a decoder on hardware, for what another context decodes; raises one of FAILURES."""
    codec = codec if source is None else source.name
    if kind in AS_DEVICE:
        device = HWAccel(kind, allow_software_fallback=False)
        context = av.CodecContext.create(codec, "r", hwaccel=device)
    else:
        context = av.CodecContext.create(f"{codec}_{kind}", "r")
    assert isinstance(context, VideoCodecContext)
    if source is not None:
        context.extradata = source.extradata
        context.width, context.height = source.width, source.height
    if kind in AS_DEVICE and not context.is_hwaccel:
        raise NotImplementedError(f"{kind} has no decoder for {codec}")
    return context


def _decodes(kind: str) -> bool:
    """Whether the hardware decodes a frame, without help from the CPU."""
    if not _is_built_in(kind):
        return False
    try:
        decoder = _open(kind, None)
        frames = [frame for packet in _test_packets() for frame in decoder.decode(packet)]
        return bool([*frames, *decoder.decode(None)])
    except FAILURES:
        return False


def _test_packets() -> list[Packet[VideoStream]]:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *TEST_SIZE, "yuv420p"
    encoder.time_base = Fraction(1, 15)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    frame = av.VideoFrame(*TEST_SIZE, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    frame.pts = 0
    return [*encoder.encode(frame), *encoder.encode(None)]
