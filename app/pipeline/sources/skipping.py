"""Resumes a file after the part that was read before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from av.packet import Packet
from av.video.stream import VideoStream

from app.pace import ContinuousClock


class Resumed(NamedTuple):
    """The packets of a file from the last keyframe before a position up to that position.

    ``at_s`` is the time of the first one on the file's continuous clock.
    """

    packets: list[Packet[Any]]
    at_s: float


def clock_of(video: VideoStream) -> ContinuousClock:
    """A continuous clock that starts with the container's frame rate."""
    rate = video.guessed_rate or video.average_rate
    return ContinuousClock(float(1 / rate) if rate else None)


def decoded_at(packet: Packet[Any]) -> float | None:
    """The decode time of a packet in seconds, on the source's own clock."""
    ticks = packet.pts if packet.dts is None else packet.dts
    if ticks is None or packet.time_base is None:
        return None
    return float(ticks * packet.time_base)


def skip_to(packets: Iterator[Packet[Any]], video: VideoStream, begin_s: float) -> Resumed:
    """Read the packets of a file up to a position, without decoding them.

    Seeking would not work: in a file whose clock jumps, a timestamp does not tell the position.

    Args:
        begin_s: the position on the file's continuous clock; if the file ends before it, the result
            is empty.
    """
    clock = clock_of(video)
    kept, begun = Resumed([], 0.0), False
    for packet in packets:
        if packet.stream.index != video.index or not packet.size:
            kept.packets.append(packet)
            continue
        if not packet.is_keyframe and not begun:
            continue  # cannot be decoded, so it was not recorded
        begun = True
        at_s = clock.place(decoded_at(packet))
        arrived = at_s > begin_s - clock.step_s / 2
        if packet.is_keyframe and at_s < begin_s + clock.step_s / 2:
            kept = Resumed([], at_s)
        kept.packets.append(packet)
        if arrived:
            return kept
    return Resumed([], 0.0)
