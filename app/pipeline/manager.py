"""The asyncio side of streams: start, stop, list.

Routers call this, and the policies that build on it. One lock for each stream keeps its changes
in order; it is not held while a caller waits for a start, so that a stop never waits for one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from app import urls
from app.analytics.analyzer import AnalyzerFactory
from app.config import FaceSettings, StreamSettings
from app.errors import (
    InvalidRequest,
    NodeNotFound,
    SecretUnreadable,
    ShuttingDown,
    StartCancelled,
    StreamConflict,
    WatchpostError,
)
from app.models.faces import FaceDetector
from app.pipeline import camera_policy, input_policy, outputs
from app.pipeline.directory import NodeStatus
from app.pipeline.elsewhere import FilesElsewhere, NothingElsewhere
from app.pipeline.event_log import EventLog
from app.pipeline.handle import StreamHandle
from app.pipeline.registry import StreamEntry, StreamRegistry, StreamStore
from app.pipeline.runner import NewPackets, StreamRunner
from app.pipeline.sinks import Output, make_output
from app.pipeline.starter import StreamStarter
from app.pipeline.stream_metrics import StreamGauges
from app.types import StreamSpec, StreamState, StreamStatus

logger = logging.getLogger(__name__)


class StreamManager:
    """All streams of this process.

    Args:
        faces: detector on the shared network.
        store: keeps streams over a restart.
        analyzers: creates the analytics of streams that ask for them.
        events: takes the events of the analytics.
        new_session: gives the number of a run; blocks, raises StoreError.
        new_packets: the ring for a run's encoded frames; None for one that is not recorded.
        make_output: creates the outputs of streams.

    Attributes:
        registry, runner, starter: what other policies, such as that of cameras, build on.
        files: what other nodes have stored: nothing.
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
        new_packets: NewPackets = lambda _: None,
        make_output: Output = make_output,
    ) -> None:
        self.files: FilesElsewhere = NothingElsewhere()
        self.settings = settings
        self.registry = StreamRegistry(store)
        self.runner = StreamRunner(
            settings,
            face_settings,
            faces,
            analyzers,
            events,
            new_session,
            new_packets,
            make_output,
        )
        self.starter = StreamStarter(self.registry, self.runner, settings)
        self._analyzers = analyzers

    # ── reading ──────────────────────────────────────────────────────────────────────────

    async def load(self) -> None:
        """Read what is stored, once; every caller waits until this is done."""
        await self.registry.load()

    def measured(self) -> list[tuple[StreamStatus, StreamGauges | None]]:
        """The status of every stream, and the measurements of those that run."""
        return [(entry.status(), entry.gauges()) for entry in self.registry]

    def all(self) -> list[StreamStatus]:
        """The status of every stream."""
        return [entry.status() for entry in self.registry]

    def stream(self, stream_id: str) -> StreamHandle:
        """One stream, to read, follow and feed it. Raises StreamNotFound."""
        return StreamHandle(self.registry, self.registry[stream_id].spec.stream_id)

    def here(self, stream_id: str) -> bool:  # noqa: ARG002
        """Whether a stream, if there is one, runs in this process: all of them do."""
        return True

    def node_of(self, stream_id: str) -> str | None:  # noqa: ARG002
        """The node of a cluster that runs a stream: none, since it runs in this process."""
        return None

    def nodes(self) -> list[NodeStatus]:
        """The machines of a cluster: there is none."""
        return []

    def lost_nodes(self) -> list[str]:
        """The names of machines that a cluster lost: there is none."""
        return []

    async def drain(self, node_id: str, *, drain: bool) -> NodeStatus:  # noqa: ARG002
        """Empty a machine of a cluster. Raises NodeNotFound."""
        raise NodeNotFound(node_id=node_id)

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
        """Start a stream under its id and wait until it runs. Repeating the call has no effect.

        Raises:
            StreamConflict: it runs with another configuration.
            InvalidRequest: unknown analytics.
            SourceError, SinkError: the input or output refused; StartTimeout: no frame in time.
        """
        lock = self.registry.locks.of(spec.stream_id)
        await self.registry.load()
        generation = lock.generation
        await self.prepare(spec)
        async with lock:
            if lock.generation != generation:  # it was ended while a name was resolved
                raise StartCancelled(stream_id=spec.stream_id)
            entry = self.registry.get(spec.stream_id)
            if entry is None or not entry.alive:
                entry = await self.starter.launch(self.starter.with_output(spec), entry)
            elif not outputs.means_the_same(spec, entry.spec, self.settings.output_base):
                raise StreamConflict(stream_id=spec.stream_id)
        return await self.starter.wait_running(entry)

    async def prepare(self, spec: StreamSpec) -> None:
        """Refuse a spec that cannot run, before a running stream is ended for it.

        Raises:
            InvalidRequest: unknown analytics, or a substream for another source than RTSP.
            AddressNotAllowed, StartTimeout: of an address.
        """
        await self.registry.load()
        self._analyzers.create(spec)
        if spec.detect_url is not None and urls.scheme_of(spec.source) not in urls.RTSP:
            raise InvalidRequest(field="detect_url", reason="it needs a source over RTSP")
        await self.starter.check(spec.stream_id, spec.source, spec.output, spec.detect_url)

    async def restart(self, stream_id: str) -> StreamStatus:
        """Stop, and start with the same configuration."""
        await self.registry.load()
        spec = self.registry[stream_id].spec
        refusal: WatchpostError | None = None
        try:
            await self.starter.check(stream_id, spec.source, spec.output, spec.detect_url)
        except WatchpostError as error:
            refusal = error
        async with self.registry.locks.of(stream_id):
            entry = self.registry[stream_id]
            if not entry.decryptable:
                raise SecretUnreadable(key_file="secret.key", stream_id=stream_id)
            await self.runner.halt(entry)
            if refusal is not None:
                await self.registry.save_failed(entry, str(refusal))
                raise refusal
            entry = await self.starter.launch(entry.spec, entry)
        return await self.starter.wait_running(entry)

    async def stop(self, stream_id: str) -> None:
        """Stop a stream but keep it; ``restart`` starts it again."""
        await self.registry.load()
        async with self.registry.locks.next_generation(stream_id):
            entry = self.registry[stream_id]
            await self.runner.halt(entry)
            entry.ended, entry.established = StreamState.STOPPED, True
            await self.registry.save(entry)

    async def disconnect(self, stream_id: str) -> None:
        """Stop and remove a stream. An unknown id is not an error."""
        await self.registry.load()
        async with self.registry.locks.next_generation(stream_id):
            entry = self.registry.get(stream_id)
            if entry is not None:
                await self.runner.halt(entry)
                await self.registry.remove(stream_id)

    async def put_camera(self, spec: StreamSpec, *, replace: bool) -> StreamStatus:
        """Start a new camera, or replace one: see ``camera_policy``."""
        return await camera_policy.put_camera(self, spec, replace=replace)

    async def run_again(self, camera_id: str) -> StreamStatus:
        """Start a known camera once more, with the settings it has."""
        return await camera_policy.run_again(self, camera_id)

    async def find_or_create(self, source: str) -> tuple[StreamStatus, bool]:
        """The stream of an input, and whether it was created: see ``input_policy``."""
        return await input_policy.find_or_create(self, source)

    async def register(self, source: str) -> StreamStatus:
        """Register an input: see ``input_policy``."""
        return await input_policy.register(self, source)

    # ── the life of the process ──────────────────────────────────────────────────────────

    async def resume(self) -> None:
        """Start the streams that ran when the last process ended, however long that takes.

        There is no caller to report to: a stream that cannot start is marked as failed.
        """
        await self.registry.load()
        for entry in self.registry:
            stream_id = entry.spec.stream_id
            async with self.registry.locks.of(stream_id):
                if entry.stream is None and entry.ended is StreamState.RUNNING:
                    logger.info("stream %s: resuming", stream_id)
                    try:
                        self.runner.run(entry, keeps_trying=True)
                    except WatchpostError as error:
                        entry.ended, entry.last_error = StreamState.FAILED, str(error)
                        logger.error("stream %s: %s", stream_id, error)

    def start_ephemeral(
        self, spec: StreamSpec, *, make_sink: Output | None = None, keeps_trying: bool = True
    ) -> None:
        """Start a stream that ends with this process, such as the demo.

        Raises:
            InvalidRequest: unknown analytics; ShuttingDown.
        """
        if self.registry.get(spec.stream_id) is None:
            entry = StreamEntry(spec, established=True, persistent=False)
            self.runner.run(entry, keeps_trying=keeps_trying, make_sink=make_sink)
            self.registry.add(entry)

    def begin_shutdown(self) -> None:
        """End what callers wait for and follow: the server is about to shut down."""
        self.runner.closing = True
        for entry in self.registry:
            if entry.stream is not None:
                entry.stream.supervisor.begin_shutdown(ShuttingDown())

    async def close(self) -> None:
        """Stop all streams at once; their rows still say which of them to resume."""
        self.begin_shutdown()
        self.starter.close()
        halts = (self.runner.halt(entry) for entry in self.registry)
        await asyncio.gather(self.runner.close(), *halts)
