"""Ends recording before the disk is full."""

from __future__ import annotations

import asyncio

from app.recording.retention import DiskSpace
from app.recording.stop_signal import StopSignal

DISK_FULL = (
    "the disk is full: {free} bytes are free, and {floor} are to stay free. Remove what is not "
    "needed, or lower WATCHPOST_SPACE__MIN_FREE"
)


async def why_full(space: DiskSpace, stop: StopSignal) -> str | None:
    """Free space if there is too little; if that is not enough, end recording and say why."""
    if not stop.full and space.is_low():
        await asyncio.to_thread(space.sweep)
        stop.full = space.is_low()
    if not stop.full:
        return None
    stop.asked.set()
    return DISK_FULL.format(free=space.free(), floor=space.settings.min_free)
