"""Where to begin in a file of which a part was read before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from av.packet import Packet
from av.video.stream import VideoStream

from app.pace import ContinuousClock


class Resumed(NamedTuple):
    """The packets from the last keyframe before a position on, up to that position.

    ``at_s`` is the time of the first of them on the file's continuous clock.
    """

    packets: list[Packet[Any]]
    at_s: float


def clock_of(video: VideoStream) -> ContinuousClock:
    """A continuous clock that knows the frame rate that the container states."""
    rate = video.guessed_rate or video.average_rate
    return ContinuousClock(float(1 / rate) if rate else None)


def decoded_at(packet: Packet[Any]) -> float | None:
    """The time in seconds at which a packet is to be decoded, on the source's own clock."""
    ticks = packet.pts if packet.dts is None else packet.dts
    if ticks is None or packet.time_base is None:
        return None
    return float(ticks * packet.time_base)


def skip_to(packets: Iterator[Packet[Any]], video: VideoStream, begin_s: float) -> Resumed:
    """Read the packets of a file up to a position, without decoding any.

    Reading on is the only way that is right: in a file whose clock jumps, a time says nothing
    about the place.

    Args:
        begin_s: on the file's continuous clock; nothing is left of a file that ends before.
    """
    clock = clock_of(video)
    kept, begun = Resumed([], 0.0), False
    for packet in packets:
        if packet.stream.index != video.index or not packet.size:
            kept.packets.append(packet)
            continue
        if not packet.is_keyframe and not begun:
            continue  # nothing that could be decoded, so nothing that was recorded
        begun = True
        at_s = clock.place(decoded_at(packet))
        arrived = at_s > begin_s - clock.step_s / 2
        if packet.is_keyframe and at_s < begin_s + clock.step_s / 2:
            kept = Resumed([], at_s)
        kept.packets.append(packet)
        if arrived:
            return kept
    return Resumed([], 0.0)
