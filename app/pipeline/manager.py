"""The asyncio side of streams: start, stop, list, find by input URL.

Every router calls this and nothing below it. One lock a stream keeps its changes in order; it
is not held while somebody waits for a start, so that stop never waits for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Protocol
from weakref import WeakValueDictionary

from app import urls
from app.config import FaceSettings, StreamSettings
from app.errors import (
    NoPicture,
    OutputInUse,
    OutputIsInput,
    SecretUnreadable,
    ShuttingDown,
    StartCancelled,
    StartTimeout,
    StoreError,
    StreamConflict,
    StreamNotFound,
    WatchpostError,
)
from app.models.faces import FaceDetector
from app.pipeline.hub import Topic, outcome
from app.pipeline.stream import Stream
from app.types import StoredStream, StreamSpec, StreamState, StreamStats, StreamStatus

logger = logging.getLogger(__name__)

ALIVE = (StreamState.STARTING, StreamState.RUNNING, StreamState.RECONNECTING)


class StreamStore(Protocol):
    """Where streams are kept over a restart. Blocking; raises StoreError."""

    def fingerprint(self, source: str) -> str: ...

    def save(self, stored: StoredStream) -> None: ...

    def delete(self, stream_id: str) -> None: ...

    def load(self) -> list[StoredStream]: ...


@dataclass(slots=True)
class _Entry:
    """A stream that is known: the run in progress, or how the last one ended."""

    spec: StreamSpec
    stream: Stream | None = None
    ended: StreamState = StreamState.STOPPED
    last_error: str | None = None
    readable: bool = True
    kept: bool = False  # it ran once or was stopped by hand: it has a row and keeps it

    def status(self) -> StreamStatus:
        if self.stream is not None:
            return self.stream.status()
        return StreamStatus(self.spec, self.ended, StreamStats(last_error=self.last_error))

    @property
    def alive(self) -> bool:
        return self.stream is not None and self.stream.state in ALIVE


class StreamManager:
    """All streams of this process.

    Args:
        faces: detector on the shared network.
        store: keeps streams over a restart.
    """

    def __init__(
        self,
        settings: StreamSettings,
        face_settings: FaceSettings,
        faces: FaceDetector,
        store: StreamStore,
    ) -> None:
        self._settings = settings
        self._face_settings = face_settings
        self._faces = faces
        self._store = store
        self._entries: dict[str, _Entry] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._closing = False

    # ── reading ──────────────────────────────────────────────────────────────────────────

    def all(self) -> list[StreamStatus]:
        return [entry.status() for entry in self._entries.values()]

    def get(self, stream_id: str) -> StreamStatus:
        return self._entry(stream_id).status()

    async def snapshot(self, stream_id: str) -> bytes:
        """The newest picture as JPEG. Raises NoPicture unless the stream runs."""
        entry = self._entry(stream_id)
        status = entry.status()
        if entry.stream is not None and status.state is StreamState.RUNNING:
            jpeg = await asyncio.to_thread(entry.stream.preview.snapshot)
            if jpeg is not None:
                return jpeg
        raise NoPicture(stream_id=stream_id, status=status.state.value)

    def pictures(self, stream_id: str) -> AsyncIterator[bytes]:
        """JPEGs as they come, until the stream ends. Raises NoPicture when it has ended."""
        entry = self._entry(stream_id)
        if entry.stream is None or not entry.alive:
            raise NoPicture(stream_id=stream_id, status=entry.status().state.value)
        return entry.stream.topic.subscribe()

    # ── changing ─────────────────────────────────────────────────────────────────────────

    async def start(self, spec: StreamSpec) -> StreamStatus:
        """Start under a given id and wait until it runs; the same again is the same stream.

        Raises:
            StreamConflict: it runs with another configuration.
            SourceError, SinkError: an end refused; StartTimeout: no frame came out in time.
        """
        async with self._lock(spec.stream_id):
            spec = self._with_output(spec)
            entry = self._entries.get(spec.stream_id)
            if entry is None or not entry.alive:
                entry = await self._launch(spec, entry)
            elif entry.spec != spec:
                raise StreamConflict(stream_id=spec.stream_id)
        return await self._wait_running(entry)

    async def restart(self, stream_id: str) -> StreamStatus:
        """Stop, and start with the same configuration."""
        async with self._lock(stream_id):
            entry = self._entry(stream_id)
            if not entry.readable:
                raise SecretUnreadable(key_file="secret.key", stream_id=stream_id)
            await self._halt(entry)
            entry = await self._launch(entry.spec, entry)
        return await self._wait_running(entry)

    async def stop(self, stream_id: str) -> None:
        """Stop and remember; ``restart`` brings it back."""
        async with self._lock(stream_id):
            entry = self._entry(stream_id)
            await self._halt(entry)
            entry.ended, entry.kept = StreamState.STOPPED, True
            await self._save(entry)

    async def disconnect(self, stream_id: str) -> None:
        """Stop and forget. Forgetting what is not there is no error."""
        async with self._lock(stream_id):
            entry = self._entries.get(stream_id)
            if entry is not None:
                await self._remove(entry)

    async def find_or_create(self, source: str) -> tuple[StreamStatus, bool]:
        """The stream of an input, whatever its state, or a new one; True when it is new."""
        async with self._lock(f"input {self._store.fingerprint(source)}"):
            found = self._find(source)
            if found:
                return found[0].status(), False
            entry = await self._launch_new(source)
        return await self._wait_running(entry), True

    async def register(self, source: str) -> StreamStatus:
        """Disconnect every stream of an input and start a new one."""
        async with self._lock(f"input {self._store.fingerprint(source)}"):
            for entry in self._find(source):
                await self.disconnect(entry.spec.stream_id)
            entry = await self._launch_new(source)
        return await self._wait_running(entry)

    # ── the life of the process ──────────────────────────────────────────────────────────

    async def resume(self) -> None:
        """Bring back what the database knows; what ran runs again, however long that takes."""
        for stored in await asyncio.to_thread(self._store.load):
            spec = stored.spec
            if spec.stream_id in self._entries:
                continue
            entry = self._entries[spec.stream_id] = _Entry(
                spec,
                ended=stored.wanted,
                last_error=stored.last_error,
                readable=stored.readable,
                kept=True,
            )
            if not stored.readable:
                logger.error("stream %s: %s", spec.stream_id, stored.last_error)
            elif stored.wanted is StreamState.RUNNING:
                logger.info("stream %s: resuming", spec.stream_id)
                self._run(entry, keeps_trying=True)

    def run_unsaved(self, spec: StreamSpec) -> None:
        """Start a stream that this process has for itself, such as the demo."""
        self._entries[spec.stream_id] = entry = _Entry(spec)
        self._run(entry, keeps_trying=True)

    def tell_viewers(self) -> None:
        """End all open pictures: the server is about to go."""
        self._closing = True
        for entry in self._entries.values():
            if entry.stream is not None:
                entry.stream.topic.close()

    async def close(self) -> None:
        """Stop everything at once; rows keep saying what should run again."""
        self.tell_viewers()
        await asyncio.gather(*(self._halt(entry) for entry in list(self._entries.values())))

    # ── inside ───────────────────────────────────────────────────────────────────────────

    def _entry(self, stream_id: str) -> _Entry:
        try:
            return self._entries[stream_id]
        except KeyError:
            raise StreamNotFound(stream_id=stream_id) from None

    def _find(self, source: str) -> list[_Entry]:
        """Streams of an input that publish, the live ones first."""
        wanted = self._store.fingerprint(source)
        found = [
            entry
            for entry in self._entries.values()
            if entry.spec.output is not None
            and self._store.fingerprint(entry.spec.source) == wanted
        ]
        return sorted(found, key=lambda entry: not entry.alive)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def _launch_new(self, source: str) -> _Entry:
        spec = StreamSpec(f"auto-{secrets.token_hex(4)}", source)
        async with self._lock(spec.stream_id):
            return await self._launch(self._with_output(spec), None)

    def _with_output(self, spec: StreamSpec) -> StreamSpec:
        """The spec with an output that is its own: the caller's, or the default, made unique."""
        taken = {
            urls.normalised(entry.spec.output, query=False): entry.spec.stream_id
            for entry in self._entries.values()
            if entry.spec.output is not None and entry.spec.stream_id != spec.stream_id
        }
        output = spec.output
        if output is None:
            output = urls.default_output(spec.source, base=self._settings.output_base)
            if urls.normalised(output, query=False) in taken:
                output = urls.default_output(
                    spec.source, base=self._settings.output_base, unique=spec.stream_id
                )
        shown, place = urls.without_credentials(output), urls.normalised(output, query=False)
        if place == urls.normalised(spec.source, query=False):
            raise OutputIsInput(output_url=shown)
        if place in taken:
            raise OutputInUse(output_url=shown, used_by=taken[place])
        return replace(spec, output=output)

    async def _launch(self, spec: StreamSpec, known: _Entry | None) -> _Entry:
        """Begin a run, after the checks that can fail at once. The id's lock is held."""
        if self._closing:
            raise ShuttingDown
        entry = known or _Entry(spec)
        if known is not None:
            await self._halt(known)
        self._entries[spec.stream_id] = entry  # claims id and output while names are looked up
        try:
            for url in filter(None, (spec.source, spec.output)):
                await asyncio.to_thread(_check_addresses, url)
        except WatchpostError:
            if known is None:
                del self._entries[spec.stream_id]
            raise
        entry.spec, entry.readable = spec, True
        self._run(entry, keeps_trying=False)
        return entry

    def _run(self, entry: _Entry, *, keeps_trying: bool) -> None:
        entry.stream = Stream(
            entry.spec,
            self._settings,
            self._face_settings,
            self._faces,
            Topic(asyncio.get_running_loop()),
            keeps_trying=keeps_trying,
        )
        entry.stream.start()

    async def _wait_running(self, entry: _Entry) -> StreamStatus:
        """Wait for the first frame at the far end; clean up after a start that failed."""
        stream = entry.stream
        if stream is None:
            raise StartCancelled(stream_id=entry.spec.stream_id)
        timeout_s = self._settings.start_timeout_s
        try:
            await outcome(stream.started, timeout_s)
        except StartCancelled:
            raise
        except TimeoutError:
            await self._start_failed(entry, stream)
            last_error = stream.status().stats.last_error
            raise StartTimeout(
                stream_id=entry.spec.stream_id, timeout_s=timeout_s, last_error=last_error
            ) from None
        except WatchpostError:
            await self._start_failed(entry, stream)
            raise
        if not entry.kept:
            entry.kept = True
        await self._save(entry)
        return entry.status()

    async def _start_failed(self, entry: _Entry, stream: Stream) -> None:
        """A stream that never ran is removed; one that did keeps its row, as failed."""
        async with self._lock(entry.spec.stream_id):
            if entry.stream is not stream:  # somebody restarted or stopped it meanwhile
                return
            if not entry.kept:
                await self._remove(entry)
                return
            entry.last_error = stream.status().stats.last_error
            await self._halt(entry)
            entry.ended = StreamState.FAILED
            await self._save(entry)

    async def _halt(self, entry: _Entry) -> None:
        stream = entry.stream
        if stream is None:
            return
        ended = await asyncio.to_thread(stream.stop, self._settings.stop_timeout_s)
        if not ended:
            logger.warning("stream %s: a thread still waits for the network", stream.spec.stream_id)
        entry.stream = None

    async def _remove(self, entry: _Entry) -> None:
        await self._halt(entry)
        self._entries.pop(entry.spec.stream_id, None)
        try:
            await asyncio.to_thread(self._store.delete, entry.spec.stream_id)
        except StoreError as error:
            logger.error("stream %s: its row stays: %s", entry.spec.stream_id, error)

    async def _save(self, entry: _Entry) -> None:
        """Write the row. A database that fails costs the memory of a stream, not the stream."""
        wanted = StreamState.RUNNING if entry.stream is not None else entry.ended
        stored = StoredStream(entry.spec, wanted, entry.last_error, entry.readable)
        try:
            await asyncio.to_thread(self._store.save, stored)
        except StoreError as error:
            logger.error("stream %s will not survive a restart: %s", entry.spec.stream_id, error)


def _check_addresses(url: str) -> None:
    """Raise AddressNotAllowed early; a name nobody knows is for the source or sink to report."""
    with contextlib.suppress(OSError):
        urls.resolve(url)
