"""All known streams: their entries, locks and rows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from app.errors import StoreError, StreamNotFound
from app.pipeline.stream import Stream
from app.pipeline.stream_locks import StreamLocks
from app.pipeline.stream_metrics import StreamGauges
from app.types import StoredStream, StreamSpec, StreamState, StreamStats, StreamStatus
from app.urls import normalised

logger = logging.getLogger(__name__)

ALIVE = (StreamState.STARTING, StreamState.RUNNING, StreamState.RECONNECTING)


class StreamStore(Protocol):
    """Keeps streams over a restart. Blocking; raises StoreError."""

    def fingerprint(self, source: str) -> str: ...

    def save(self, stored: StoredStream) -> None: ...

    def delete(self, stream_id: str) -> None: ...

    def load(self) -> list[StoredStream]: ...


class NullStreamStore:
    """A ``StreamStore`` that stores nothing: whoever runs the streams knows them."""

    def fingerprint(self, source: str) -> str:
        return normalised(source)

    def save(self, stored: StoredStream) -> None:
        pass

    def delete(self, stream_id: str) -> None:
        pass

    def load(self) -> list[StoredStream]:
        return []


@dataclass(slots=True)
class StreamEntry:
    """A known stream: the run in progress, or how the last one ended.

    Attributes:
        ended: its state without a run; RUNNING if it is still to be resumed.
        decryptable: False when the key for the URLs in its row is lost.
        established: it has run or was stopped by a caller, so a failed start does not remove it.
        persistent: it has a row in the database (the demo has none).
        session_id: number of the run in progress, once the database has given one.
    """

    spec: StreamSpec
    stream: Stream | None = None
    ended: StreamState = StreamState.STOPPED
    last_error: str | None = None
    decryptable: bool = True
    established: bool = False
    persistent: bool = True
    session_id: str | None = None

    def status(self) -> StreamStatus:
        """Configuration, state and statistics."""
        if self.stream is not None:
            status = self.stream.status()
            return replace(status, stats=replace(status.stats, session_id=self.session_id))
        state = StreamState.STARTING if self.ended is StreamState.RUNNING else self.ended
        return StreamStatus(self.spec, state, StreamStats(last_error=self.last_error))

    def gauges(self) -> StreamGauges | None:
        """What an operator wants to know of the run in progress; None without one."""
        return self.stream.gauges() if self.stream is not None else None

    @property
    def alive(self) -> bool:
        """Whether it runs or is being started."""
        return self.stream is not None and self.stream.supervisor.state in ALIVE


class StreamRegistry:
    """All known streams, in memory and in the store.

    It belongs to the event loop's thread. A store that fails costs the memory of a stream, not
    the stream.

    Attributes:
        locks: keep changes of one stream in order.
    """

    def __init__(self, store: StreamStore) -> None:
        self._store = store
        self._entries: dict[str, StreamEntry] = {}
        self.locks = StreamLocks(store.fingerprint)
        self._loading: asyncio.Task[None] | None = None

    # ── entries ──────────────────────────────────────────────────────────────────────────

    def __iter__(self) -> Iterator[StreamEntry]:
        return iter(list(self._entries.values()))

    def __getitem__(self, stream_id: str) -> StreamEntry:
        try:
            return self._entries[stream_id]
        except KeyError:
            raise StreamNotFound(stream_id=stream_id) from None

    def get(self, stream_id: str) -> StreamEntry | None:
        """The entry of an id, if there is one."""
        return self._entries.get(stream_id)

    def find(self, source: str) -> list[StreamEntry]:
        """Streams with this input that have an output, those that run first."""
        wanted = self._store.fingerprint(source)
        found = [
            entry
            for entry in self
            if entry.spec.output is not None
            and self._store.fingerprint(entry.spec.source) == wanted
        ]
        return sorted(found, key=lambda entry: not entry.alive)

    def add(self, entry: StreamEntry) -> None:
        """Add an entry in memory only; ``save`` writes its row."""
        self._entries[entry.spec.stream_id] = entry

    def forget(self, stream_id: str) -> None:
        """Remove an entry from memory only."""
        self._entries.pop(stream_id, None)

    # ── rows ─────────────────────────────────────────────────────────────────────────────

    async def load(self) -> None:
        """Read all rows, once; every caller waits until this is done."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load_rows())
        await asyncio.shield(self._loading)

    async def _load_rows(self) -> None:
        for stored in await asyncio.to_thread(self._store.load):
            spec = stored.spec
            self._entries[spec.stream_id] = StreamEntry(
                spec,
                ended=stored.wanted,
                last_error=stored.last_error,
                decryptable=stored.decryptable,
                established=True,
            )
            if not stored.decryptable:
                logger.error("stream %s: %s", spec.stream_id, stored.last_error)

    async def save(self, entry: StreamEntry) -> None:
        """Write the row of an entry, if it has one."""
        if not entry.persistent:
            return
        wanted = StreamState.RUNNING if entry.stream is not None else entry.ended
        stored = StoredStream(entry.spec, wanted, entry.last_error, entry.decryptable)
        try:
            await asyncio.to_thread(self._store.save, stored)
        except StoreError as error:
            logger.error("stream %s will not survive a restart: %s", entry.spec.stream_id, error)

    async def save_failed(self, entry: StreamEntry, last_error: str | None) -> None:
        """Keep an entry as failed."""
        entry.ended, entry.last_error = StreamState.FAILED, last_error
        await self.save(entry)

    async def remove(self, stream_id: str) -> None:
        """Remove an entry and its row."""
        self.forget(stream_id)
        try:
            await asyncio.to_thread(self._store.delete, stream_id)
        except StoreError as error:
            logger.error("stream %s: its row was not deleted: %s", stream_id, error)
