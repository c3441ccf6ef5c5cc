"""The newest encoded packets of a stream: encoded once, used by all.

    RTSP output ──┐                          ┌──▶ clip of an event, seconds after it happened
                  ├──packets──▶ PacketRing ──┼──▶ continuous recording, packet by packet
    small encoder ┘                          └──▶ live video of viewers, packet by packet

Whoever encodes adds its packets here. An RTSP output encodes anyway, so its packets are used while
there are any, and ``sinks/recording.py`` encodes small frames only while there are none: all the
time for a stream that is recorded, else only while somebody watches. Packets of frames whose faces
were not covered are never added.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

from app.pipeline.channel import Broadcast, Channel
from app.pipeline.hub import EventStream

OUTPUT_SILENT_S = 1.5
"""Seconds without a packet of the output after which the small encoder takes over."""


class RingLimits(NamedTuple):
    """How much a ring keeps."""

    seconds: float
    bytes: int


LIVE_LIMITS = RingLimits(seconds=5.0, bytes=16 * 2**20)
"""Enough for the frames since the last keyframe, with which a viewer begins."""


@dataclass(frozen=True, slots=True)
class VideoPacket:
    """One encoded frame, H.264 in Annex B form; keyframes contain the parameter sets.

    Attributes:
        captured_at: of its frame, monotonic.
        run: of the encoder; packets of two runs cannot be decoded together. Later ones are higher.
        number: counts the packets of the ring, so that a reader notices that it missed some.
        frame: the number of its frame, as ``ProcessedFrame`` has it.
    """

    data: bytes
    captured_at: float
    is_keyframe: bool
    run: int
    number: int = 0
    frame: int = 0


class PacketRing:
    """Keeps the newest packets of one run of a stream. Safe for every thread.

    Args:
        recorded: clips or recordings are made of the packets, so there must always be some.

    Attributes:
        viewers: gets every packet while somebody watches; the stream sets it.
        keyframe: the number of the newest keyframe; 0 before the first.
    """

    viewers: EventStream[VideoPacket] | None = None

    def __init__(self, limits: RingLimits, *, recorded: bool = True) -> None:
        self.recorded = recorded
        self.keyframe = 0
        self._limits = limits
        self._packets: deque[VideoPacket] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._runs = itertools.count(1)
        self._numbers = itertools.count(1)
        self._readers: Broadcast[VideoPacket] = Broadcast()
        self._needs_keyframe = True
        self._output_at: float | None = None
        self.closed = False

    # ── encoders ─────────────────────────────────────────────────────────────────────────

    def begin_run(self) -> int:
        """The number of a new encoder."""
        with self._lock:
            return next(self._runs)

    def add(
        self,
        data: bytes,
        captured_at: float,
        run: int,
        *,
        is_keyframe: bool,
        by_output: bool,
        frame: int = 0,
    ) -> None:
        """Add a packet. One that cannot be decoded with what is here, or is late, is left out.

        Args:
            by_output: the stream's RTSP output encoded it.
            frame: the number of its frame.
        """
        with self._lock:
            if by_output:
                self._output_at = time.monotonic()
            newest = self._packets[-1] if self._packets else None
            if newest is not None and run < newest.run:
                return
            if newest is None or run != newest.run:
                self._needs_keyframe = True
            if self._needs_keyframe and not is_keyframe:
                return
            self._needs_keyframe = False
            number = next(self._numbers)
            if is_keyframe:
                self.keyframe = number
            packet = VideoPacket(data, captured_at, is_keyframe, run, number, frame)
            self._packets.append(packet)
            self._bytes += len(data)
            self._drop_old(captured_at)
            self._readers.publish(packet)
            if self.viewers is not None:
                self.viewers.publish(packet)

    def skip(self) -> None:
        """Note that the encoder got a frame that must not be kept: wait for its next keyframe."""
        with self._lock:
            self._needs_keyframe = True

    @property
    def fed_by_output(self) -> bool:
        """Whether the RTSP output encodes now, so that nothing else has to."""
        at = self._output_at
        return at is not None and time.monotonic() - at < OUTPUT_SILENT_S

    @property
    def wanted(self) -> bool:
        """Whether its packets are for somebody, so that they are worth encoding."""
        return self.recorded or self.watched

    @property
    def watched(self) -> bool:
        """Whether somebody watches live video."""
        return self.viewers is not None and self.viewers.wanted

    def _drop_old(self, now: float) -> None:
        packets, (seconds, most) = self._packets, self._limits
        while packets and (now - packets[0].captured_at > seconds or self._bytes > most):
            self._bytes -= len(packets.popleft().data)

    def close(self) -> None:
        """End every subscription: the run is over. What was added can still be read."""
        self.closed = True
        self._readers.close()
        if self.viewers is not None:
            self.viewers.close()

    # ── readers ──────────────────────────────────────────────────────────────────────────

    @property
    def newest_at(self) -> float | None:
        """When the newest frame was captured, monotonic; None before the first."""
        with self._lock:
            return self._packets[-1].captured_at if self._packets else None

    @property
    def oldest_at(self) -> float | None:
        """When the oldest frame was captured, monotonic; None before the first."""
        with self._lock:
            return self._packets[0].captured_at if self._packets else None

    def between(self, begin_at: float, end_at: float) -> list[VideoPacket]:
        """The packets of a period that can be decoded together, from a keyframe on.

        They begin up to a keyframe's interval early. Where the encoder changed in the period, they
        are those of the encoder that has most of it.
        """
        with self._lock:
            kept = list(self._packets)
        runs: dict[int, list[VideoPacket]] = {}
        for packet in kept:
            if packet.captured_at <= end_at:
                runs.setdefault(packet.run, []).append(packet)
        found = [_from_keyframe(packets, begin_at) for packets in runs.values()]
        return max(found, key=lambda packets: _length_s(packets, begin_at), default=[])

    def subscribed(self, size: int) -> AbstractContextManager[Channel[VideoPacket]]:
        """Every packet from here on, for a thread; where more than ``size`` wait, some are lost."""
        return self._readers.subscribed(size)


def _from_keyframe(packets: list[VideoPacket], begin_at: float) -> list[VideoPacket]:
    """The packets from the last keyframe before a time on, else from the first keyframe on."""
    keyframes = [place for place, packet in enumerate(packets) if packet.is_keyframe]
    if not keyframes or packets[-1].captured_at < begin_at:
        return []
    early = [place for place in keyframes if packets[place].captured_at <= begin_at]
    return packets[early[-1] if early else keyframes[0] :]


def _length_s(packets: list[VideoPacket], begin_at: float) -> float:
    if not packets:
        return -1.0
    return packets[-1].captured_at - max(begin_at, packets[0].captured_at)
