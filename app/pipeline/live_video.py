"""The encoded frames of a stream as one viewer gets them."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

from app.pipeline.hub import EventStream
from app.pipeline.packets import PacketRing, VideoPacket

BACKLOG = 64
BEHIND_S = 1.0
"""A viewer that is this far behind continues with the newest keyframe."""
STALE_S = 3.0


async def followed(
    ring: PacketRing, viewers: EventStream[VideoPacket]
) -> AsyncGenerator[VideoPacket]:
    """Yield packets until the stream ends, so that each can be decoded with those before it.

    The first is the newest keyframe, if there is one: a new viewer need not wait for the next. A
    viewer that is too slow misses everything up to the newest keyframe.
    """
    with viewers.subscribed(BACKLOG) as waiting:
        last = 0
        for packet in _since_keyframe(ring):
            last = packet.number
            yield packet
        skipping = False
        async for packet in waiting:
            if packet.number <= last:
                continue
            missed, last = packet.number != last + 1, packet.number
            skipping = skipping or missed or _is_behind(packet, ring)
            if skipping and not (packet.is_keyframe and packet.number >= ring.keyframe):
                continue
            skipping = False
            yield packet


def _since_keyframe(ring: PacketRing) -> list[VideoPacket]:
    """The newest packets from a keyframe on; none if they are old, because the encoder rests."""
    newest_at = ring.newest_at
    if newest_at is None or time.monotonic() - newest_at > STALE_S:
        return []
    return ring.between(newest_at, newest_at)


def _is_behind(packet: VideoPacket, ring: PacketRing) -> bool:
    """Whether a packet is old, and a keyframe to continue with is there."""
    newest_at = ring.newest_at
    old = newest_at is not None and newest_at - packet.captured_at > BEHIND_S
    return old and ring.keyframe > packet.number
