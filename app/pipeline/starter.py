"""Starts of streams that somebody waits for, and what is left of those that fail."""

from __future__ import annotations

import asyncio

from app.config import StreamSettings
from app.errors import ShuttingDown, StartCancelled, StartTimeout, WatchpostError
from app.pipeline import outputs
from app.pipeline.hub import outcome
from app.pipeline.registry import StreamEntry, StreamRegistry
from app.pipeline.runner import StreamRunner
from app.pipeline.stream import Stream
from app.types import StreamSpec, StreamStatus

NO_FRAME = "no frame received yet; for a slow camera, raise start_timeout_s"
FAILED_START_STOP_S = 0.5
"""How long to wait for the threads of a start that failed: its caller has waited long enough."""


class StreamStarter:
    """Begins runs, waits for their first frame, and cleans up after those that have none."""

    def __init__(
        self, registry: StreamRegistry, runner: StreamRunner, settings: StreamSettings
    ) -> None:
        self._registry = registry
        self._runner = runner
        self._settings = settings
        self._late: dict[Stream, asyncio.Task[None]] = {}

    def close(self) -> None:
        """Wait for no more starts."""
        for task in self._late.values():
            task.cancel()

    async def check(self, name: str, *addresses: str | None) -> None:
        """Refuse addresses that lead where no stream may go; called before a lock is taken."""
        await outputs.check_addresses(name, addresses, self._settings.start_timeout_s)

    def with_output(self, spec: StreamSpec) -> StreamSpec:
        """The spec with an output that no other stream has. Raises OutputIsInput, OutputInUse."""
        others = [entry.spec for entry in self._registry]
        return outputs.with_output(spec, others, self._settings.output_base)

    async def launch(self, spec: StreamSpec, known: StreamEntry | None) -> StreamEntry:
        """Begin a run. The id's lock is held."""
        entry = known or StreamEntry(spec)
        entry.spec, entry.decryptable = spec, True  # claims the output before anything is awaited
        self._registry.add(entry)
        await self._runner.halt(entry)
        try:
            self._runner.run(entry, keeps_trying=False)
        except WatchpostError:
            if known is None:
                self._registry.forget(spec.stream_id)
            raise
        return entry

    async def wait_running(self, entry: StreamEntry) -> StreamStatus:
        """Wait for the first frame at the far end; clean up after a start that failed."""
        stream = entry.stream
        if stream is None:
            raise StartCancelled(stream_id=entry.spec.stream_id)
        limit_s = entry.spec.start_timeout_s or self._settings.start_timeout_s
        timeout_s = min(limit_s, self._settings.start_timeout_s)  # callers wait no longer
        try:
            await outcome(stream.supervisor.started, timeout_s)
        except (StartCancelled, ShuttingDown):
            raise
        except TimeoutError:
            if limit_s > timeout_s:
                self._keep_starting(entry, stream, limit_s - timeout_s)
            else:
                await self._clean_up(entry, stream)
            last_error = stream.status().stats.last_error or NO_FRAME
            raise StartTimeout(
                stream_id=entry.spec.stream_id, timeout_s=timeout_s, last_error=last_error
            ) from None
        except WatchpostError:
            await self._clean_up(entry, stream)
            raise
        await self._establish(entry, stream)
        return entry.status()

    async def _establish(self, entry: StreamEntry, stream: Stream) -> None:
        async with self._registry.locks.of(entry.spec.stream_id):
            if entry.stream is stream:
                entry.established = True
                await self._registry.save(entry)

    def _keep_starting(self, entry: StreamEntry, stream: Stream, left_s: float) -> None:
        """Give a slow source the rest of its time; its caller already has a reply."""
        if stream not in self._late:
            task = asyncio.create_task(self._wait_late(entry, stream, left_s))
            self._late[stream] = task
            task.add_done_callback(lambda _: self._late.pop(stream))

    async def _wait_late(self, entry: StreamEntry, stream: Stream, left_s: float) -> None:
        try:
            await outcome(stream.supervisor.started, left_s)
        except (StartCancelled, ShuttingDown):
            return
        except (TimeoutError, WatchpostError):
            await self._clean_up(entry, stream)
        else:
            await self._establish(entry, stream)

    async def _clean_up(self, entry: StreamEntry, stream: Stream) -> None:
        """Remove a stream that never ran; keep the row of one that did, as failed."""
        async with self._registry.locks.of(entry.spec.stream_id):
            if entry.stream is not stream:  # it was restarted or stopped meanwhile
                return
            last_error = stream.status().stats.last_error
            await self._runner.halt(entry, FAILED_START_STOP_S)
            if entry.established:
                await self._registry.save_failed(entry, last_error)
            else:
                await self._registry.remove(entry.spec.stream_id)
