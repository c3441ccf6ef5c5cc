"""Encodes frames to H.264 packets."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from fractions import Fraction

import av
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from app.config import usable_cpus
from app.errors import SinkError
from app.failure_reason import FailureReason
from app.first_time import FirstTime
from app.models.colours import Colours
from app.stream_options import HARDWARE_ENCODERS, SOFTWARE_ENCODER
from app.types import BlurredFrame

logger = logging.getLogger(__name__)

TIME_BASE = Fraction(1, 90_000)  # the clock of H.264 over RTP (RFC 6184)
KEYFRAME_SECONDS = 2
BITS_PER_PIXEL = 0.1
MIN_BITRATE = 300_000
UNSTATED = Colours()
_is_new = FirstTime()
_LOW_LATENCY = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"},
    "h264_nvenc": {"preset": "p2", "tune": "ull", "zerolatency": "1", "forced-idr": "1"},
    "h264_qsv": {"preset": "veryfast", "async_depth": "1"},
    "h264_videotoolbox": {"realtime": "1"},
    "h264_amf": {"usage": "ultralowlatency"},
}


@dataclass(frozen=True, slots=True)
class Packet:
    """One encoded frame in Annex B form. ``pts`` counts ``TIME_BASE``."""

    data: bytes
    pts: int
    is_keyframe: bool


class H264Encoder:
    """Encodes H.264 with low delay: a packet for each frame, a keyframe every two seconds.

    Args:
        encoder: FFmpeg name, or ``auto`` for hardware that works here, else libx264, which also
            continues when the hardware fails.
        bitrate: bits a second; None derives it from size and rate.
        colours: range, matrix, primaries and transfer of the frames, stated in the stream.
        threads: of libx264; None for what suits the machine.
        timed_keyframes: a keyframe every two seconds of the timestamps, too, however few frames
            come.

    Raises:
        SinkError: when the named encoder does not work on this machine.
    """

    def __init__(
        self,
        width: int,
        height: int,
        *,
        fps: float,
        pix_fmt: str = "yuv420p",
        encoder: str = "auto",
        bitrate: int | None = None,
        colours: Colours = UNSTATED,
        threads: int | None = None,
        timed_keyframes: bool = False,
    ) -> None:
        self.width, self.height, self._pix_fmt, self._colours = width, height, pix_fmt, colours
        self._threads = threads or max(1, min(4, usable_cpus() // 2))
        self._timed_keyframes, self._keyframe_pts = timed_keyframes, 0
        self._fps = fps
        self._bitrate = bitrate or default_bitrate(width, height, fps)
        self.name = best_encoder() if encoder == "auto" else encoder
        self._may_fall_back = encoder == "auto" and self.name != SOFTWARE_ENCODER
        try:
            self._context = self._open()
        except (FFmpegError, ValueError) as error:
            if not self._may_fall_back:
                failure = FailureReason.NO_ENCODER
                raise SinkError(end="output", reason=failure, url=self.name) from None
            self._fall_back(error)  # hardware may limit the number of encoders

    def takes(self, picture: BlurredFrame) -> bool:
        """Whether the frame has the size, format and colours that the encoder was opened for."""
        size, image = picture.size, picture.image
        return (
            size == (self.width, self.height)
            and image.format.name == self._pix_fmt
            and Colours.of(image) == self._colours
        )

    def encode(self, picture: BlurredFrame, pts: int) -> list[Packet]:
        image = picture.image
        image.pts, image.time_base = pts, TIME_BASE
        image.pict_type = 0  # keyframes of the input need not be keyframes of the output
        if self._timed_keyframes and pts - self._keyframe_pts >= KEYFRAME_SECONDS / TIME_BASE:
            self._keyframe_pts, image.pict_type = pts, PictureType.I
        try:
            packets = self._context.encode(image)
        except FFmpegError as error:
            if not self._may_fall_back:
                raise
            self._fall_back(error)
            packets = self._context.encode(image)
        return [Packet(bytes(packet), packet.pts or 0, packet.is_keyframe) for packet in packets]

    def _open(self) -> VideoCodecContext:
        return _open(
            self.name,
            self.width,
            self.height,
            self._fps,
            self._pix_fmt,
            self._bitrate,
            self._colours,
            self._threads,
        )

    def _fall_back(self, error: Exception) -> None:
        """Continue with libx264, beginning with a keyframe."""
        _report_failure(self.name, type(error).__name__)
        self.name, self._may_fall_back = SOFTWARE_ENCODER, False
        self._context = self._open()


def default_bitrate(width: int, height: int, fps: float) -> int:
    """Bits a second for frames of a size at a rate."""
    return max(MIN_BITRATE, int(width * height * fps * BITS_PER_PIXEL))


def _open(
    name: str,
    width: int,
    height: int,
    fps: float,
    pix_fmt: str,
    bitrate: int,
    colours: Colours,
    threads: int,
) -> VideoCodecContext:
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, pix_fmt
    colours.tag(context)
    context.time_base = TIME_BASE
    context.framerate = Fraction(fps).limit_denominator(1001)
    context.bit_rate = bitrate
    context.gop_size = max(1, round(fps * KEYFRAME_SECONDS))
    context.max_b_frames = 0
    context.thread_count = threads
    context.options = {
        **_LOW_LATENCY.get(name, {}),
        "maxrate": str(bitrate),
        "bufsize": str(bitrate),
    }
    context.open()
    return context


def _report_failure(name: str, reason: str) -> None:
    """Say once that a hardware encoder failed."""
    if _is_new((name, reason)):
        logger.warning("encoding with %s, because %s failed: %s", SOFTWARE_ENCODER, name, reason)


@functools.cache
def best_encoder() -> str:
    """The first hardware encoder that can encode a frame on this machine, else libx264."""
    for name in HARDWARE_ENCODERS:
        if name in av.codecs_available and _works(name):
            logger.info("encoding with %s", name)
            return name
    return SOFTWARE_ENCODER


def _works(name: str) -> bool:
    try:
        context = _open(name, 640, 384, 15, "yuv420p", 1_000_000, UNSTATED, threads=1)
        image = av.VideoFrame(640, 384, "yuv420p")
        image.pts, image.time_base = 0, TIME_BASE
        return bool(context.encode(image) or context.encode(None))
    except (FFmpegError, ValueError):
        return False
