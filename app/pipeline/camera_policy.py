"""Cameras: streams without an output, which have their own rules for a failed start.

A network camera is kept whatever its input does: it is tried again and again. An input on this
machine (a file, a webcam) works at once, or is refused.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from app import urls
from app.errors import CameraExists, SecretUnreadable, StartTimeout, StreamNotFound, WatchpostError
from app.pipeline.hub import outcome
from app.pipeline.registry import StreamEntry
from app.pipeline.starter import FAILED_START_STOP_S
from app.pipeline.stream import Stream
from app.types import StreamSpec, StreamState, StreamStatus

if TYPE_CHECKING:
    from app.pipeline.manager import StreamManager

START_POLL_S = 0.05


async def put_camera(manager: StreamManager, spec: StreamSpec, *, replace: bool) -> StreamStatus:
    """Start a camera and wait for its first frame.

    Args:
        replace: replace the camera with this id; False for a new one.

    Raises:
        CameraExists: the id is taken; StreamNotFound: there is no camera to replace.
        SourceError, StartTimeout: a local input gave no frame; the camera before it runs again.
    """
    await manager.prepare(spec)
    registry = manager.registry
    async with registry.locks.of(spec.stream_id):
        entry = registry.get(spec.stream_id)
        if entry is not None and not replace:
            raise CameraExists(camera_id=spec.stream_id)
        if entry is None and replace:
            raise StreamNotFound(stream_id=spec.stream_id)
        if urls.is_network(spec.source):
            stream = await _begin_camera(manager, spec, entry or StreamEntry(spec))
        else:
            stream = await _try_camera(manager, spec, entry)
        entry = registry[spec.stream_id]
        await registry.save(entry)
    deadline = time.monotonic() + manager.settings.start_timeout_s
    while stream.supervisor.state is StreamState.STARTING and time.monotonic() < deadline:
        await asyncio.sleep(START_POLL_S)
    return entry.status()


async def run_again(manager: StreamManager, camera_id: str) -> StreamStatus:
    """Start a known camera once more, with the settings it has.

    Raises:
        SecretUnreadable: the key for its URLs is lost.
        StreamNotFound, SourceError, StartTimeout: as ``put_camera``.
    """
    await manager.registry.load()
    entry = manager.registry[camera_id]
    if not entry.decryptable:
        raise SecretUnreadable(key_file="secret.key", stream_id=camera_id)
    return await put_camera(manager, entry.spec, replace=True)


async def _try_camera(
    manager: StreamManager, spec: StreamSpec, known: StreamEntry | None
) -> Stream:
    """Start a camera and wait for its first frame; without one, undo the start."""
    before = known.spec if known is not None and known.decryptable else None
    entry = known or StreamEntry(spec)
    timeout_s = manager.settings.start_timeout_s
    try:
        stream = await _begin_camera(manager, spec, entry)
        try:
            await outcome(stream.supervisor.started, timeout_s)
        except TimeoutError:
            raise StartTimeout(stream_id=spec.stream_id, timeout_s=timeout_s) from None
    except WatchpostError:
        if before is None:
            await manager.runner.halt(entry, FAILED_START_STOP_S)
            await manager.registry.remove(spec.stream_id)
        else:
            await _begin_camera(manager, before, entry)
        raise
    return stream


async def _begin_camera(manager: StreamManager, spec: StreamSpec, entry: StreamEntry) -> Stream:
    manager.registry.add(entry)
    await manager.runner.halt(entry)
    entry.spec, entry.decryptable, entry.established = spec, True, True
    return manager.runner.run(entry, keeps_trying=urls.is_network(spec.source))
