"""Encodes small frames for clips, recordings and live video, while no output encodes any.

Without viewers it costs about 4 % of a core for a 1080p stream; ``python -m bench record``
measures it.
"""

from __future__ import annotations

import time

from app.config import StreamSettings
from app.models.colours import Colours
from app.pace import RateLimit
from app.pipeline.draw import shrunk
from app.pipeline.packets import PacketRing
from app.pipeline.sinks.base import Delivered
from app.pipeline.sinks.encode import TIME_BASE, H264Encoder, default_bitrate
from app.pipeline.sinks.ring_feed import RingFeed
from app.types import BlurredFrame, ProcessedFrame, StreamSpec

ENCODER_THREADS = 1  # small frames gain nothing from more
LIVE_FPS = 30.0
"""The rate that bits are shared out for; clients may push faster, and say that they may."""


class RecordingEncoder:
    """A sink that fills a ``PacketRing``: at most ``record_height`` and ``record_fps``.

    While somebody watches, it takes every frame, and so do clips and recordings. Each frame gets as
    many bits as before. It takes frames only if their faces were covered, none while the output
    encodes, and none that nobody wants. While an output is away, frames have its size: one file can
    only have one.
    """

    def __init__(
        self,
        spec: StreamSpec,
        settings: StreamSettings,
        packets: PacketRing,
        delivered: Delivered,
    ) -> None:
        self._spec = spec
        self._height = settings.record_height if spec.output is None else None
        self._fps = min(settings.record_fps, spec.max_fps)
        self._restart = False
        self._idle_s = settings.idle_output_s
        self._packets = packets
        self._delivered = delivered
        self._pace = RateLimit(self._fps)
        self._feed = RingFeed(packets, by_output=False)
        self._encoder: H264Encoder | None = None
        self._begun_at = 0.0
        self._last_pts = -1

    def wants(self, result: ProcessedFrame) -> bool:
        """Whether to queue a frame; called by the thread that makes them, so it must be quick."""
        if not result.covered:
            self._packets.skip()
            return False
        if self._packets.fed_by_output or not self._packets.wanted:
            self._restart = True  # there will be a gap, so a keyframe has to follow it
            return False
        return self._packets.watched or self._pace.take(result.captured_at)

    def write(self, result: ProcessedFrame) -> None:
        picture = shrunk(result.frame, self._height)
        encoder, restart = self._encoder, self._restart
        if encoder is None or restart or not encoder.takes(picture):
            encoder = self._encoder = self._open(picture)
            self._begun_at, self._last_pts, self._restart = result.captured_at, -1, False
            self._feed.begin(result.captured_at)
        pts = round((result.captured_at - self._begun_at) / TIME_BASE)
        self._last_pts = pts = max(pts, self._last_pts + 1)
        self._feed.frame(pts, covered=True, number=result.number)
        for packet in encoder.encode(picture, pts):
            self._feed.packet(packet, encoder)
        self._delivered(result.captured_at, time.monotonic())

    def idle(self, seconds: float) -> None:
        """Free the encoder at a pause, and while the output encodes or nobody wants packets."""
        packets = self._packets
        if seconds >= self._idle_s or packets.fed_by_output or not packets.wanted:
            self.close()

    def close(self) -> None:
        """Free the encoder; the next ``write`` opens another."""
        self._encoder = None

    def _open(self, picture: BlurredFrame) -> H264Encoder:
        """An encoder for frames like this one, at the rate that viewers get.

        libx264 gives each frame its share of a second's bits, however few frames come.
        """
        width, height = picture.size
        most = min(self._spec.max_fps, LIVE_FPS)
        bitrate = default_bitrate(width, height, self._fps) * most / self._fps
        return H264Encoder(
            width,
            height,
            fps=most,
            encoder=self._spec.encoder,
            bitrate=round(bitrate),
            colours=Colours.of(picture.image),
            threads=ENCODER_THREADS,
            timed_keyframes=True,
        )
