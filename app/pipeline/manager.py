"""The asyncio side of streams: start, stop, list, find by input URL.

Every router calls this and nothing below it. One lock a stream keeps its changes in order; it
is not held while somebody waits for a start, so that stop never waits for that.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager
from weakref import WeakValueDictionary

from app import urls
from app.analytics.analyzer import AnalyzerFactory
from app.config import FaceSettings, StreamSettings
from app.errors import (
    BadFrame,
    CameraExists,
    NoPicture,
    NotPushable,
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
from app.pipeline import outputs
from app.pipeline.channel import Channel
from app.pipeline.event_log import EventLog
from app.pipeline.hub import Subscription, outcome
from app.pipeline.registry import StreamEntry, StreamStore
from app.pipeline.sinks import Output, make_output
from app.pipeline.sources.push import Pushed, PushSource
from app.pipeline.stream import Stream
from app.pipeline.stream_metrics import StreamGauges
from app.pipeline.subscribers import Subscribers
from app.types import (
    BlurredFrame,
    FrameMetadata,
    JpegFrame,
    ProcessedFrame,
    RuleEvent,
    StoredStream,
    StreamHealth,
    StreamSpec,
    StreamState,
    StreamStatus,
    WithheldFrame,
)

logger = logging.getLogger(__name__)

FIRST_LOOK_S = 0.05
HANGING_S = 0.5
"""How long a start that took too long is waited for: whoever asked has waited enough."""


class _StreamLock(asyncio.Lock):
    """The lock of one stream id, and how often its start was called off."""

    generation = 0


class StreamManager:
    """All streams of this process.

    Args:
        faces: detector on the shared network.
        store: keeps streams over a restart.
        analyst: understands streams that ask for analytics.
        events: takes what it understood.
        new_session: gives the number of a run; blocks, raises StoreError.
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
        self._settings = settings
        self._face_settings = face_settings
        self._faces = faces
        self._store = store
        self._analyzers = analyzers
        self._events = events
        self._new_session = new_session
        self._numbering: set[asyncio.Task[None]] = set()
        self._entries: dict[str, StreamEntry] = {}
        self._locks: WeakValueDictionary[str, _StreamLock] = WeakValueDictionary()
        self._loading: asyncio.Task[None] | None = None
        self._closing = False

    # ── reading ──────────────────────────────────────────────────────────────────────────

    def all(self) -> list[StreamStatus]:
        return [entry.status() for entry in self._entries.values()]

    def get(self, stream_id: str) -> StreamStatus:
        return self._entry(stream_id).status()

    def measured(self) -> list[tuple[StreamStatus, StreamGauges | None]]:
        """All streams with what their operator wants to know; None for those without a run."""
        return [
            (entry.status(), entry.stream.gauges() if entry.stream is not None else None)
            for entry in self._entries.values()
        ]

    async def snapshot(self, stream_id: str) -> bytes:
        """The newest picture as JPEG. Raises NoPicture unless the stream runs."""
        entry = self._entry(stream_id)
        status = entry.status()
        if entry.stream is not None and status.state is StreamState.RUNNING:
            jpeg = await asyncio.to_thread(entry.stream.preview.snapshot)
            if jpeg is not None:
                return jpeg
        raise NoPicture(stream_id=stream_id, status=status.state.value)

    def pictures(self, stream_id: str) -> AsyncGenerator[JpegFrame]:
        """Results with JPEGs as they come, until the stream ends; the newest wins.

        Raises:
            NoPicture: it has ended.
        """
        return self._alive(stream_id).subscribers.jpegs.subscribe()

    def results(
        self, stream_id: str, backlog: int
    ) -> AbstractContextManager[Subscription[FrameMetadata | WithheldFrame]]:
        """What becomes of every frame from here on, in order. Raises NoPicture as above."""
        return self._alive(stream_id).subscribers.outcomes.subscribed(backlog)

    def subscribe_processed(
        self, stream_id: str, size: int
    ) -> AbstractContextManager[Channel[ProcessedFrame]]:
        """Every result with its picture, for a thread. Raises NoPicture."""
        return self._alive(stream_id).subscribers.processed.subscribed(size)

    def reports(
        self, stream_id: str
    ) -> AbstractContextManager[Subscription[FrameMetadata | WithheldFrame]]:
        """What is seen in the frames that come through; the newest wins. Raises NoPicture."""
        feed = self._alive(stream_id).subscribers.outcomes
        return feed.subscribed(1, lambda outcome: isinstance(outcome, FrameMetadata))

    def pulse(self, stream_id: str) -> StreamHealth:
        """How a stream is. Cheap, unlike ``get``. Raises StreamNotFound."""
        entry = self._entry(stream_id)
        if entry.stream is not None:
            return entry.stream.supervisor.health
        return StreamHealth(entry.status().state, entry.last_error)

    @property
    def closing(self) -> bool:
        """Whether the server is about to go."""
        return self._closing

    @property
    def has_analytics(self) -> bool:
        """Whether streams may ask for analytics on this server."""
        return self._analyzers.available

    def push(self, stream_id: str, data: bytes, number: int) -> None:
        """Hand a stream an encoded picture. Raises NotPushable, NoPicture."""
        stream = self._alive(stream_id)
        source = stream.source
        if not isinstance(source, PushSource):
            raise NotPushable(stream_id=stream_id)

        def lost(error: BadFrame | None) -> None:
            stream.subscribers.outcomes.publish(WithheldFrame(number, error))

        source.push(Pushed(data, number, time.monotonic(), lost))

    # ── changing ─────────────────────────────────────────────────────────────────────────

    async def start(self, spec: StreamSpec) -> StreamStatus:
        """Start under a given id and wait until it runs; the same again is the same stream.

        Raises:
            StreamConflict: it runs with another configuration.
            InvalidRequest: analytics that are not known.
            SourceError, SinkError: an end refused; StartTimeout: no frame came out in time.
        """
        await self._load()
        self._analyzers.create(spec)  # what cannot be understood must not end what runs
        turn = self._lock(spec.stream_id)
        generation = turn.generation
        await self._check(spec.stream_id, spec.source, spec.output)
        async with turn:
            if turn.generation != generation:  # while a name was looked up
                raise StartCancelled(stream_id=spec.stream_id)
            entry = self._entries.get(spec.stream_id)
            if entry is None or not entry.alive:
                entry = await self._launch(self._with_output(spec), entry)
            elif not outputs.means_the_same(spec, entry.spec, self._settings.output_base):
                raise StreamConflict(stream_id=spec.stream_id)
        return await self._wait_running(entry)

    async def keep(self, spec: StreamSpec, *, known: bool) -> StreamStatus:
        """Run a camera: a stream that publishes nowhere. One at the other end of a network is
        kept whatever its input does; what is on this machine works now or never.

        Args:
            known: it takes the place of the camera of this id; False for a new one.

        Raises:
            CameraExists, StreamNotFound: the id is taken, or is not.
            SourceError, StartTimeout: a local input gave no picture; all is as it was before.
        """
        await self._load()
        self._analyzers.create(spec)  # what cannot be understood must not end what runs
        await self._check(spec.stream_id, spec.source)
        async with self._lock(spec.stream_id):
            entry = self._entries.get(spec.stream_id)
            if entry is not None and not known:
                raise CameraExists(camera_id=spec.stream_id)
            if entry is None and known:
                raise StreamNotFound(stream_id=spec.stream_id)
            if urls.is_network(spec.source):
                stream = await self._begin_camera(spec, entry or StreamEntry(spec))
            else:
                stream = await self._try_camera(spec, entry)
            entry = self._entries[spec.stream_id]
            await self._save(entry)
        deadline = time.monotonic() + self._settings.start_timeout_s
        while stream.supervisor.state is StreamState.STARTING and time.monotonic() < deadline:
            await asyncio.sleep(FIRST_LOOK_S)
        return entry.status()

    async def _try_camera(self, spec: StreamSpec, known: StreamEntry | None) -> Stream:
        """Run a camera and wait for its first picture; without one, undo that."""
        before = known.spec if known is not None and known.readable else None
        entry = known or StreamEntry(spec)
        timeout_s = self._settings.start_timeout_s
        try:
            stream = await self._begin_camera(spec, entry)
            try:
                await outcome(stream.supervisor.started, timeout_s)
            except TimeoutError:
                raise StartTimeout(stream_id=spec.stream_id, timeout_s=timeout_s) from None
        except WatchpostError:
            if before is None:
                await self._remove(entry, HANGING_S)
            else:
                await self._begin_camera(before, entry)
            raise
        return stream

    async def _begin_camera(self, spec: StreamSpec, entry: StreamEntry) -> Stream:
        self._entries[spec.stream_id] = entry
        await self._halt(entry)
        entry.spec, entry.readable, entry.kept = spec, True, True
        self._run(entry, keeps_trying=urls.is_network(spec.source))
        assert entry.stream is not None
        return entry.stream

    async def restart(self, stream_id: str) -> StreamStatus:
        """Stop, and start with the same configuration."""
        await self._load()
        spec = self._entry(stream_id).spec
        refusal: WatchpostError | None = None
        try:
            await self._check(stream_id, spec.source, spec.output)
        except WatchpostError as error:
            refusal = error
        async with self._lock(stream_id):
            entry = self._entry(stream_id)
            if not entry.readable:
                raise SecretUnreadable(key_file="secret.key", stream_id=stream_id)
            await self._halt(entry)
            if refusal is not None:
                await self._mark_failed(entry, str(refusal))
                raise refusal
            entry = await self._launch(entry.spec, entry)
        return await self._wait_running(entry)

    async def stop(self, stream_id: str) -> None:
        """Stop and remember; ``restart`` brings it back."""
        await self._load()
        async with self._next_generation(stream_id):
            entry = self._entry(stream_id)
            await self._halt(entry)
            entry.ended, entry.kept = StreamState.STOPPED, True
            await self._save(entry)

    async def disconnect(self, stream_id: str) -> None:
        """Stop and forget. Forgetting what is not there is no error."""
        await self._load()
        async with self._next_generation(stream_id):
            entry = self._entries.get(stream_id)
            if entry is not None:
                await self._remove(entry)

    async def find_or_create(self, source: str) -> tuple[StreamStatus, bool]:
        """The stream of an input, whatever its state, or a new one; True when it is new."""
        await self._load()
        if found := self._find(source):
            return found[0].status(), False
        await self._check(source, source)
        async with self._lock(f"input {self._store.fingerprint(source)}"):
            if found := self._find(source):
                return found[0].status(), False
            entry = await self._launch_new(source)
        return await self._wait_running(entry), True

    async def register(self, source: str) -> StreamStatus:
        """Disconnect every stream of an input and start a new one."""
        await self._load()
        await self._check(source, source)
        async with self._lock(f"input {self._store.fingerprint(source)}"):
            for entry in self._find(source):
                await self.disconnect(entry.spec.stream_id)
            entry = await self._launch_new(source)
        return await self._wait_running(entry)

    # ── the life of the process ──────────────────────────────────────────────────────────

    async def resume(self) -> None:
        """Run again what ran when the last process ended, however long that takes."""
        await self._load()
        for stream_id, entry in list(self._entries.items()):
            async with self._lock(stream_id):
                if entry.stream is None and entry.ended is StreamState.RUNNING:
                    logger.info("stream %s: resuming", stream_id)
                    self._run_or_fail(entry)

    def start_ephemeral(
        self, spec: StreamSpec, *, make_sink: Output = make_output, keeps_trying: bool = True
    ) -> None:
        """Start a stream that lives no longer than this process, such as the demo.

        Raises:
            InvalidRequest: its analytics are not known; ShuttingDown.
        """
        if spec.stream_id not in self._entries:
            entry = StreamEntry(spec, kept=True, saved=False)
            self._run(entry, keeps_trying=keeps_trying, make_sink=make_sink)
            self._entries[spec.stream_id] = entry

    def begin_shutdown(self) -> None:
        """End what callers wait for and watch: the server is about to go."""
        self._closing = True
        for entry in self._entries.values():
            if entry.stream is not None:
                entry.stream.supervisor.begin_shutdown(ShuttingDown())

    async def close(self) -> None:
        """Stop everything at once; rows keep saying what should run again."""
        self.begin_shutdown()
        for task in self._numbering:
            task.cancel()
        await asyncio.gather(*(self._halt(entry) for entry in list(self._entries.values())))

    # ── inside ───────────────────────────────────────────────────────────────────────────

    async def _load(self) -> None:
        """Know what the database knows. Whoever comes first does it, before anything else."""
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
                readable=stored.readable,
                kept=True,
            )
            if not stored.readable:
                logger.error("stream %s: %s", spec.stream_id, stored.last_error)

    def _alive(self, stream_id: str) -> Stream:
        entry = self._entry(stream_id)
        if entry.stream is None or not entry.alive:
            raise NoPicture(stream_id=stream_id, status=entry.status().state.value)
        return entry.stream

    def _entry(self, stream_id: str) -> StreamEntry:
        try:
            return self._entries[stream_id]
        except KeyError:
            raise StreamNotFound(stream_id=stream_id) from None

    def _find(self, source: str) -> list[StreamEntry]:
        """Streams of an input that publish, the live ones first."""
        wanted = self._store.fingerprint(source)
        found = [
            entry
            for entry in self._entries.values()
            if entry.spec.output is not None
            and self._store.fingerprint(entry.spec.source) == wanted
        ]
        return sorted(found, key=lambda entry: not entry.alive)

    def _lock(self, name: str) -> _StreamLock:
        return self._locks.setdefault(name, _StreamLock())

    def _next_generation(self, stream_id: str) -> _StreamLock:
        """The id's lock, for an end; a start that does not hold it yet will not happen."""
        turn = self._lock(stream_id)
        turn.generation += 1
        return turn

    async def _launch_new(self, source: str) -> StreamEntry:
        spec = StreamSpec(f"auto-{secrets.token_hex(4)}", source)
        async with self._lock(spec.stream_id):
            return await self._launch(self._with_output(spec), None)

    def _with_output(self, spec: StreamSpec) -> StreamSpec:
        others = [entry.spec for entry in self._entries.values()]
        return outputs.with_output(spec, others, self._settings.output_base)

    async def _check(self, name: str, *addresses: str | None) -> None:
        await outputs.check_addresses(name, addresses, self._settings.start_timeout_s)

    async def _launch(self, spec: StreamSpec, known: StreamEntry | None) -> StreamEntry:
        """Begin a run. The id's lock is held."""
        entry = known or StreamEntry(spec)
        entry.spec, entry.readable = spec, True  # claims the output before anything is awaited
        self._entries[spec.stream_id] = entry
        await self._halt(entry)
        try:
            self._run(entry, keeps_trying=False)
        except WatchpostError:
            if known is None:
                del self._entries[spec.stream_id]
            raise
        return entry

    def _run(
        self, entry: StreamEntry, *, keeps_trying: bool, make_sink: Output = make_output
    ) -> None:
        if self._closing:
            raise ShuttingDown

        def tell(rule_event: RuleEvent, ts: float, picture: BlurredFrame | None) -> None:
            self._events.tell(entry.spec.stream_id, rule_event, ts, picture, entry.session_id)

        entry.session_id = None
        self._number_soon(entry)
        entry.stream = Stream(
            entry.spec,
            self._settings,
            self._face_settings,
            self._faces,
            Subscribers.on(asyncio.get_running_loop(), tell),
            analyzer=self._analyzers.create(entry.spec),
            keeps_trying=keeps_trying,
            make_sink=make_sink,
        )
        entry.stream.start()

    def _number_soon(self, entry: StreamEntry) -> None:
        if self._new_session is not None:
            task = asyncio.create_task(self._number(entry, self._new_session))
            self._numbering.add(task)
            task.add_done_callback(self._numbering.discard)

    async def _number(self, entry: StreamEntry, new_session: Callable[[], str]) -> None:
        """Give a run its number. Without a database it has none: video is worth more."""
        try:
            entry.session_id = await asyncio.to_thread(new_session)
        except StoreError as error:
            logger.error("stream %s: no session number: %s", entry.spec.stream_id, error)

    def _run_or_fail(self, entry: StreamEntry) -> None:
        """Run without a caller who could be told: what cannot start at all is marked failed."""
        try:
            self._run(entry, keeps_trying=True)
        except WatchpostError as error:
            entry.ended, entry.last_error = StreamState.FAILED, str(error)
            logger.error("stream %s: %s", entry.spec.stream_id, error)

    async def _wait_running(self, entry: StreamEntry) -> StreamStatus:
        """Wait for the first frame at the far end; clean up after a start that failed."""
        stream = entry.stream
        if stream is None:
            raise StartCancelled(stream_id=entry.spec.stream_id)
        timeout_s = self._settings.start_timeout_s
        try:
            await outcome(stream.supervisor.started, timeout_s)
        except (StartCancelled, ShuttingDown):
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
        async with self._lock(entry.spec.stream_id):
            if entry.stream is stream:
                entry.kept = True
                await self._save(entry)
        return entry.status()

    async def _start_failed(self, entry: StreamEntry, stream: Stream) -> None:
        """A stream that never ran is removed; one that did keeps its row, as failed."""
        async with self._lock(entry.spec.stream_id):
            if entry.stream is not stream:  # somebody restarted or stopped it meanwhile
                return
            last_error = stream.status().stats.last_error
            if entry.kept:
                await self._halt(entry, HANGING_S)
                await self._mark_failed(entry, last_error)
            else:
                await self._remove(entry, HANGING_S)

    async def _mark_failed(self, entry: StreamEntry, last_error: str | None) -> None:
        entry.ended, entry.last_error = StreamState.FAILED, last_error
        await self._save(entry)

    async def _halt(self, entry: StreamEntry, patience_s: float | None = None) -> None:
        """End the run in progress; of threads that still hang after so long nothing is heard."""
        stream = entry.stream
        if stream is None:
            return
        if patience_s is None:
            patience_s = self._settings.stop_timeout_s
        ended = await asyncio.to_thread(stream.supervisor.stop, patience_s)
        if not ended:
            logger.warning("stream %s: a thread still waits for the network", stream.spec.stream_id)
        entry.stream = None

    async def _remove(self, entry: StreamEntry, patience_s: float | None = None) -> None:
        await self._halt(entry, patience_s)
        self._entries.pop(entry.spec.stream_id, None)
        try:
            await asyncio.to_thread(self._store.delete, entry.spec.stream_id)
        except StoreError as error:
            logger.error("stream %s: its row stays: %s", entry.spec.stream_id, error)

    async def _save(self, entry: StreamEntry) -> None:
        """Write the row. A database that fails costs the memory of a stream, not the stream."""
        if not entry.saved:
            return
        wanted = StreamState.RUNNING if entry.stream is not None else entry.ended
        stored = StoredStream(entry.spec, wanted, entry.last_error, entry.readable)
        try:
            await asyncio.to_thread(self._store.save, stored)
        except StoreError as error:
            logger.error("stream %s will not survive a restart: %s", entry.spec.stream_id, error)
