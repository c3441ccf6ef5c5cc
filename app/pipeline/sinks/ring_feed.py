"""Hands an encoder's packets to a ``PacketRing``, but none of an uncovered frame."""

from __future__ import annotations

from collections import deque

from app.pipeline.packets import PacketRing
from app.pipeline.sinks.encode import TIME_BASE, H264Encoder, Packet

MAX_HELD = 32
"""Frames that an encoder may hold back; with low delay it is none or one."""


class RingFeed:
    """Feeds a ring from one encoder after another.

    Args:
        by_output: the encoder is that of the stream's RTSP output.
    """

    def __init__(self, ring: PacketRing, *, by_output: bool) -> None:
        self._ring = ring
        self._by_output = by_output
        self._begun_at = 0.0
        self._uncovered_pts = -1
        self._run, self._encoder = 0, ""
        self._frames: deque[tuple[int, int]] = deque(maxlen=MAX_HELD)  # pts, number

    def begin(self, at: float) -> None:
        """Note a new encoder, whose timestamps begin at a time, monotonic."""
        self._begun_at, self._uncovered_pts = at, -1
        self._encoder = ""
        self._frames.clear()

    def frame(self, pts: int, *, covered: bool, number: int = 0) -> None:
        """Note a frame before it is encoded."""
        self._frames.append((pts, number))
        if not covered:
            self._uncovered_pts = pts

    def packet(self, packet: Packet, encoder: H264Encoder) -> None:
        """Add a packet, unless its frame or one before the next keyframe shows uncovered faces."""
        if packet.pts <= self._uncovered_pts:
            self._ring.skip()
            return
        # A run begins with its first packet: an output has to connect before it has one. And when
        # hardware fails, libx264 continues.
        if encoder.name != self._encoder:
            self._run, self._encoder = self._ring.begin_run(), encoder.name
        at = self._begun_at + float(packet.pts * TIME_BASE)
        self._ring.add(
            packet.data,
            at,
            self._run,
            is_keyframe=packet.is_keyframe,
            by_output=self._by_output,
            frame=self._number_of(packet.pts),
        )

    def _number_of(self, pts: int) -> int:
        """The number of the frame with this timestamp; 0 if it was not noted."""
        while self._frames and self._frames[0][0] < pts:
            self._frames.popleft()
        return self._frames[0][1] if self._frames and self._frames[0][0] == pts else 0
