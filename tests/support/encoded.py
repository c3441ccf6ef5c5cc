"""Packets as the pipeline encodes them, from frames that tests can recognise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import av
import numpy as np

from app.pipeline.blur import conceal
from app.pipeline.packets import PacketRing, RingLimits, VideoPacket
from app.pipeline.sinks.encode import H264Encoder
from app.types import BlurredFrame
from support.doubles import luma

SIZE = (160, 96)
FPS = 5.0
FIRST_LUMA, LUMA_STEP, LUMAS = 30, 4, 48
PLENTY = RingLimits(1e9, 1 << 40)


def numbered(number: int, size: tuple[int, int] = SIZE) -> BlurredFrame:
    """A grey frame whose brightness is its number, modulo ``LUMAS``."""
    planes = np.full((size[1] * 3 // 2, size[0]), 128, np.uint8)
    planes[: size[1]] = FIRST_LUMA + LUMA_STEP * (number % LUMAS)
    return conceal(av.VideoFrame.from_ndarray(planes, format="yuv420p"), [], "off", 0)


def number_of(image: av.VideoFrame) -> int:
    """The number of a decoded frame."""
    return round((float(luma(image).mean()) - FIRST_LUMA) / LUMA_STEP)


def encoded(
    times: Iterable[float],
    *,
    run: int = 1,
    first: int = 0,
    size: tuple[int, int] = SIZE,
    fps: float = FPS,
) -> Iterator[VideoPacket]:
    """A packet for each time, as one encoder makes them; frames are numbered from ``first``."""
    encoder = H264Encoder(*size, fps=fps, encoder="libx264", threads=1, timed_keyframes=True)
    begin: float | None = None
    for place, at in enumerate(times):
        begin = at if begin is None else begin
        for packet in encoder.encode(numbered(first + place, size), round((at - begin) * 90_000)):
            yield VideoPacket(packet.data, at, packet.is_keyframe, run, first + place + 1)


def filled(packets: Iterable[VideoPacket], limits: RingLimits = PLENTY) -> PacketRing:
    """A ring with these packets."""
    ring = PacketRing(limits)
    for packet in packets:
        ring.add(
            packet.data,
            packet.captured_at,
            packet.run,
            is_keyframe=packet.is_keyframe,
            by_output=False,
        )
    return ring


def seconds(count: int, begin: float = 1000.0, fps: float = FPS) -> list[float]:
    """The times of this many frames."""
    return [begin + place / fps for place in range(count)]
