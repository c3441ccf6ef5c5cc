"""Streams of callers that name an input and no id: found by its URL, or created with a new id."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from app.pipeline.registry import StreamEntry
from app.types import StreamSpec, StreamStatus

if TYPE_CHECKING:
    from app.pipeline.manager import StreamManager


async def find_or_create(manager: StreamManager, source: str) -> tuple[StreamStatus, bool]:
    """The stream of an input, whatever its state, or a new one; True when it is new."""
    await manager.registry.load()
    if found := manager.registry.find(source):
        return found[0].status(), False
    await manager.starter.check(source, source)
    async with manager.registry.locks.of_input(source):
        if found := manager.registry.find(source):
            return found[0].status(), False
        entry = await _launch_new(manager, source)
    return await manager.starter.wait_running(entry), True


async def register(manager: StreamManager, source: str) -> StreamStatus:
    """Disconnect every stream of an input and start a new one."""
    await manager.registry.load()
    await manager.starter.check(source, source)
    async with manager.registry.locks.of_input(source):
        for entry in manager.registry.find(source):
            await manager.disconnect(entry.spec.stream_id)
        entry = await _launch_new(manager, source)
    return await manager.starter.wait_running(entry)


async def _launch_new(manager: StreamManager, source: str) -> StreamEntry:
    spec = StreamSpec(f"auto-{secrets.token_hex(4)}", source)
    async with manager.registry.locks.of(spec.stream_id):
        return await manager.starter.launch(manager.starter.with_output(spec), None)
