"""The asyncio side of streams: start, stop, list, find by input URL.

Every router calls this and nothing below it. One lock for each stream keeps its changes in order;
it is not held while a caller waits for a start, so that a stop never waits for one.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

from app.analytics.analyzer import AnalyzerFactory
from app.config import FaceSettings, StreamSettings
from app.errors import (
    SecretUnreadable,
    ShuttingDown,
    StartCancelled,
    StartTimeout,
    StreamConflict,
    WatchpostError,
)
from app.models.faces import FaceDetector
from app.pipeline import outputs
from app.pipeline.event_log import EventLog
from app.pipeline.handle import StreamHandle
from app.pipeline.hub import outcome
from app.pipeline.registry import StreamEntry, StreamRegistry, StreamStore
from app.pipeline.runner import StreamRunner
from app.pipeline.sinks import Output, make_output
from app.pipeline.stream import Stream
from app.pipeline.stream_metrics import StreamGauges
from app.types import StreamSpec, StreamState, StreamStatus

logger = logging.getLogger(__name__)

NO_FRAME = "no frame has come; if the camera is slow, set start_timeout_s"
FAILED_START_STOP_S = 0.5
"""How long to wait for the threads of a start that failed: its caller has waited long enough."""


class StreamManager:
    """All streams of this process.

    Args:
        faces: detector on the shared network.
        store: keeps streams over a restart.
        analyzers: makes the analytics of streams that ask for them.
        events: takes what the analytics report.
        new_session: gives the number of a run; blocks, raises StoreError.

    Attributes:
        registry, runner: what rules of their own, such as those of cameras, build on.
    """

    def __init__(
        self,
        settings: StreamSettings,
        face_settings: FaceSettings,
        faces: FaceDetector,
        store: StreamStore,
        analyzers: AnalyzerFactory,
        events: EventLog,
        new_session: Callable[[], str] | None = None,
    ) -> None:
        self.settings = settings
        self.registry = StreamRegistry(store)
        self.runner = StreamRunner(settings, face_settings, faces, analyzers, events, new_session)
        self._analyzers = analyzers
        self._late: dict[Stream, asyncio.Task[None]] = {}

    # ── reading ──────────────────────────────────────────────────────────────────────────

    def all(self) -> list[StreamStatus]:
        """The status of every stream."""
        return [entry.status() for entry in self.registry]

    def stream(self, stream_id: str) -> StreamHandle:
        """One stream, to read, follow and feed it. Raises StreamNotFound."""
        return StreamHandle(self.registry, self.registry[stream_id].spec.stream_id)

    def gauges(self) -> list[tuple[StreamStatus, StreamGauges | None]]:
        """All streams with what their operator wants to know; None for those without a run."""
        return [
            (entry.status(), entry.stream.gauges() if entry.stream is not None else None)
            for entry in self.registry
        ]

    @property
    def closing(self) -> bool:
        """Whether the server is about to shut down."""
        return self.runner.closing

    @property
    def has_analytics(self) -> bool:
        """Whether streams may ask for analytics on this server."""
        return self._analyzers.available

    # ── changing ─────────────────────────────────────────────────────────────────────────

    async def start(self, spec: StreamSpec) -> StreamStatus:
        """Start under a given id and wait until it runs; the same again is the same stream.

        Raises:
            StreamConflict: it runs with another configuration.
            InvalidRequest: unknown analytics.
            SourceError, SinkError: an end refused; StartTimeout: no frame came out in time.
        """
        lock = self.registry.lock(spec.stream_id)
        await self.registry.load()
        generation = lock.generation
        await self.prepare(spec)
        async with lock:
            if lock.generation != generation:  # while a name was looked up
                raise StartCancelled(stream_id=spec.stream_id)
            entry = self.registry.get(spec.stream_id)
            if entry is None or not entry.alive:
                entry = await self._launch(self._with_output(spec), entry)
            elif not outputs.means_the_same(spec, entry.spec, self.settings.output_base):
                raise StreamConflict(stream_id=spec.stream_id)
        return await self._wait_running(entry)

    async def prepare(self, spec: StreamSpec) -> None:
        """Refuse what cannot run, before it ends what runs.

        Raises:
            InvalidRequest: unknown analytics; AddressNotAllowed, StartTimeout.
        """
        await self.registry.load()
        self._analyzers.create(spec)
        await self._check(spec.stream_id, spec.source, spec.output)

    async def restart(self, stream_id: str) -> StreamStatus:
        """Stop, and start with the same configuration."""
        await self.registry.load()
        spec = self.registry[stream_id].spec
        refusal: WatchpostError | None = None
        try:
            await self._check(stream_id, spec.source, spec.output)
        except WatchpostError as error:
            refusal = error
        async with self.registry.lock(stream_id):
            entry = self.registry[stream_id]
            if not entry.decryptable:
                raise SecretUnreadable(key_file="secret.key", stream_id=stream_id)
            await self.runner.halt(entry)
            if refusal is not None:
                await self.registry.save_failed(entry, str(refusal))
                raise refusal
            entry = await self._launch(entry.spec, entry)
        return await self._wait_running(entry)

    async def stop(self, stream_id: str) -> None:
        """Stop and remember; ``restart`` brings it back."""
        await self.registry.load()
        async with self.registry.next_generation(stream_id):
            entry = self.registry[stream_id]
            await self.runner.halt(entry)
            entry.ended, entry.established = StreamState.STOPPED, True
            await self.registry.save(entry)

    async def disconnect(self, stream_id: str) -> None:
        """Stop and forget. Forgetting what is not there is no error."""
        await self.registry.load()
        async with self.registry.next_generation(stream_id):
            entry = self.registry.get(stream_id)
            if entry is not None:
                await self.runner.halt(entry)
                await self.registry.remove(stream_id)

    async def find_or_create(self, source: str) -> tuple[StreamStatus, bool]:
        """The stream of an input, whatever its state, or a new one; True when it is new."""
        await self.registry.load()
        if found := self.registry.find(source):
            return found[0].status(), False
        await self._check(source, source)
        async with self.registry.lock_input(source):
            if found := self.registry.find(source):
                return found[0].status(), False
            entry = await self._launch_new(source)
        return await self._wait_running(entry), True

    async def register(self, source: str) -> StreamStatus:
        """Disconnect every stream of an input and start a new one."""
        await self.registry.load()
        await self._check(source, source)
        async with self.registry.lock_input(source):
            for entry in self.registry.find(source):
                await self.disconnect(entry.spec.stream_id)
            entry = await self._launch_new(source)
        return await self._wait_running(entry)

    # ── the life of the process ──────────────────────────────────────────────────────────

    async def resume(self) -> None:
        """Run again what ran when the last process ended, however long that takes.

        There is no caller to refuse: what cannot start at all is marked as failed.
        """
        await self.registry.load()
        for entry in self.registry:
            stream_id = entry.spec.stream_id
            async with self.registry.lock(stream_id):
                if entry.stream is None and entry.ended is StreamState.RUNNING:
                    logger.info("stream %s: resuming", stream_id)
                    try:
                        self.runner.run(entry, keeps_trying=True)
                    except WatchpostError as error:
                        entry.ended, entry.last_error = StreamState.FAILED, str(error)
                        logger.error("stream %s: %s", stream_id, error)

    def start_ephemeral(
        self, spec: StreamSpec, *, make_sink: Output = make_output, keeps_trying: bool = True
    ) -> None:
        """Start a stream that lives no longer than this process, such as the demo.

        Raises:
            InvalidRequest: unknown analytics; ShuttingDown.
        """
        if self.registry.get(spec.stream_id) is None:
            entry = StreamEntry(spec, established=True, persistent=False)
            self.runner.run(entry, keeps_trying=keeps_trying, make_sink=make_sink)
            self.registry.add(entry)

    def begin_shutdown(self) -> None:
        """End what callers wait for and watch: the server is about to shut down."""
        self.runner.closing = True
        for entry in self.registry:
            if entry.stream is not None:
                entry.stream.supervisor.begin_shutdown(ShuttingDown())

    async def close(self) -> None:
        """Stop everything at once; rows keep saying what should run again."""
        self.begin_shutdown()
        self.runner.close()
        for task in self._late.values():
            task.cancel()
        await asyncio.gather(*(self.runner.halt(entry) for entry in self.registry))

    # ── starting ─────────────────────────────────────────────────────────────────────────

    async def _check(self, name: str, *addresses: str | None) -> None:
        await outputs.check_addresses(name, addresses, self.settings.start_timeout_s)

    def _with_output(self, spec: StreamSpec) -> StreamSpec:
        others = [entry.spec for entry in self.registry]
        return outputs.with_output(spec, others, self.settings.output_base)

    async def _launch_new(self, source: str) -> StreamEntry:
        spec = StreamSpec(f"auto-{secrets.token_hex(4)}", source)
        async with self.registry.lock(spec.stream_id):
            return await self._launch(self._with_output(spec), None)

    async def _launch(self, spec: StreamSpec, known: StreamEntry | None) -> StreamEntry:
        """Begin a run. The id's lock is held."""
        entry = known or StreamEntry(spec)
        entry.spec, entry.decryptable = spec, True  # claims the output before anything is awaited
        self.registry.add(entry)
        await self.runner.halt(entry)
        try:
            self.runner.run(entry, keeps_trying=False)
        except WatchpostError:
            if known is None:
                self.registry.forget(spec.stream_id)
            raise
        return entry

    async def _wait_running(self, entry: StreamEntry) -> StreamStatus:
        """Wait for the first frame at the far end; clean up after a start that failed."""
        stream = entry.stream
        if stream is None:
            raise StartCancelled(stream_id=entry.spec.stream_id)
        limit_s = entry.spec.start_timeout_s or self.settings.start_timeout_s
        timeout_s = min(limit_s, self.settings.start_timeout_s)  # callers wait no longer
        try:
            await outcome(stream.supervisor.started, timeout_s)
        except (StartCancelled, ShuttingDown):
            raise
        except TimeoutError:
            if limit_s > timeout_s:
                self._keep_starting(entry, stream, limit_s - timeout_s)
            else:
                await self._start_failed(entry, stream)
            last_error = stream.status().stats.last_error or NO_FRAME
            raise StartTimeout(
                stream_id=entry.spec.stream_id, timeout_s=timeout_s, last_error=last_error
            ) from None
        except WatchpostError:
            await self._start_failed(entry, stream)
            raise
        await self._establish(entry, stream)
        return entry.status()

    async def _establish(self, entry: StreamEntry, stream: Stream) -> None:
        async with self.registry.lock(entry.spec.stream_id):
            if entry.stream is stream:
                entry.established = True
                await self.registry.save(entry)

    def _keep_starting(self, entry: StreamEntry, stream: Stream, left_s: float) -> None:
        """Give a slow source the rest of its time; its caller has been answered."""
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
            await self._start_failed(entry, stream)
        else:
            await self._establish(entry, stream)

    async def _start_failed(self, entry: StreamEntry, stream: Stream) -> None:
        """Remove a stream that never ran; keep the row of one that did, as failed."""
        async with self.registry.lock(entry.spec.stream_id):
            if entry.stream is not stream:  # it was restarted or stopped meanwhile
                return
            last_error = stream.status().stats.last_error
            await self.runner.halt(entry, FAILED_START_STOP_S)
            if entry.established:
                await self.registry.save_failed(entry, last_error)
            else:
                await self.registry.remove(entry.spec.stream_id)
