"""Encodes small frames for clips and recordings, while no output encodes any.

It costs about 4 % of a core for a 1080p stream; ``python -m bench record`` measures it.
"""

from __future__ import annotations

import time

from app.config import StreamSettings
from app.models.colours import Colours
from app.pace import RateLimit
from app.pipeline.draw import shrunk
from app.pipeline.packets import PacketRing
from app.pipeline.sinks.base import Delivered
from app.pipeline.sinks.encode import TIME_BASE, H264Encoder
from app.pipeline.sinks.ring_feed import RingFeed
from app.types import ProcessedFrame, StreamSpec

ENCODER_THREADS = 1  # small frames gain nothing from more


class RecordingEncoder:
    """A sink that fills a ``PacketRing``: at most ``record_height`` and ``record_fps``.

    It takes frames only if their faces were covered, and none while the output encodes. While an
    output is away, frames have its size: one file can only have one.
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
        return not self._packets.fed_by_output and self._pace.take(result.captured_at)

    def write(self, result: ProcessedFrame) -> None:
        picture = shrunk(result.frame, self._height)
        encoder = self._encoder
        if encoder is None or not encoder.takes(picture):
            encoder = self._encoder = H264Encoder(
                *picture.size,
                fps=self._fps,
                encoder=self._spec.encoder,
                colours=Colours.of(picture.image),
                threads=ENCODER_THREADS,
                timed_keyframes=True,
            )
            self._begun_at, self._last_pts = result.captured_at, -1
            self._feed.begin(result.captured_at)
        pts = round((result.captured_at - self._begun_at) / TIME_BASE)
        self._last_pts = pts = max(pts, self._last_pts + 1)
        for packet in encoder.encode(picture, pts):
            self._feed.packet(packet, encoder)
        self._delivered(result.captured_at, time.monotonic())

    def idle(self, seconds: float) -> None:
        """Free the encoder while the output encodes, and at a pause."""
        if seconds >= self._idle_s or self._packets.fed_by_output:
            self.close()

    def close(self) -> None:
        """Free the encoder; the next ``write`` opens another."""
        self._encoder = None
