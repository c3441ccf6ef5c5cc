"""All streams of the cluster, as the API lists, starts and stops them.

Rows are in the front's database. Streams that belong to a client's connection or to the front, such
as pushed ones and the demo, run in the front's own manager.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence

from app.analytics.objects.daily_counts import DailyCounts
from app.cluster.front_counts import FrontCounts
from app.cluster.front_files import FrontFiles, NodeRows
from app.cluster.front_jobs import FrontJobs
from app.cluster.front_photos import FrontPhotos
from app.cluster.front_role import FrontRole
from app.cluster.job_rooms import JobRooms
from app.cluster.nodes import ClusterNodes
from app.cluster.placed import PlacedStream
from app.cluster.placed_streams import PlacedStreams
from app.cluster.placement import Placement
from app.cluster.ray_cluster import RayCluster
from app.cluster.remote_node import TELL_TIMEOUT_S, RemoteNode
from app.cluster.remote_stream import RemoteStream
from app.cluster.rounds import FrontRounds
from app.cluster.run_numbers import RunNumbers
from app.cluster.stream_shares import StreamShares
from app.config import StreamSettings
from app.errors import (
    CameraExists,
    NodeNotFound,
    NoOtherNode,
    NoPicture,
    StreamConflict,
    StreamNotFound,
    WatchpostError,
)
from app.footage import KeepDays
from app.pipeline import outputs
from app.pipeline.directory import NodeStatus, StreamAccess
from app.pipeline.event_log import EventLog
from app.pipeline.manager import StreamManager
from app.pipeline.registry import StreamStore
from app.pipeline.stream_locks import StreamLocks
from app.pipeline.stream_metrics import StreamGauges
from app.plates import WatchEntry
from app.types import StreamSpec, StreamState, StreamStatus


class ClusterStreams:
    """A ``StreamDirectory`` of the streams on all nodes, and of the front's own.

    Args:
        role: whether this server is the front; if not, nothing is changed.
        own: the manager of what runs in the front.
        store: the rows of the cluster's streams.
        log: takes the events of all nodes, and numbers them.
        rows: of what nodes store.
        keep_days: how long the films of streams are kept that have limits of their own; blocks.
        watched: the watch-list of number plates; blocks.
        shares: what streams ask Ray for.
        new_session: the next number of a run; blocks, and raises StoreError.
        daily_counts: what streams have counted since midnight; what changes there is stored.

    Attributes:
        files: what nodes store.
        jobs: what nodes record for jobs.
        photos: uploads that nodes read.
        rounds: keep what runs on the nodes as it should be.
    """

    def __init__(
        self,
        cluster: RayCluster,
        role: FrontRole,
        own: StreamManager,
        store: StreamStore,
        log: EventLog,
        settings: StreamSettings,
        rows: NodeRows,
        keep_days: Callable[[], Mapping[str, KeepDays]],
        watched: Callable[[], Sequence[WatchEntry]],
        shares: StreamShares,
        new_session: Callable[[], str],
        daily_counts: DailyCounts,
    ) -> None:
        self._role = role
        self._own = own
        self._settings = settings
        self._locks = StreamLocks(store.fingerprint)
        self._placed = PlacedStreams(store)
        self.files = FrontFiles(rows, keep_days, watched, self._running_on)
        self._nodes = ClusterNodes(cluster, role, self.files, measured=shares.needs_costs)
        self._placement = Placement(
            cluster, self._nodes, self._placed, shares, self._locks, settings.start_timeout_s
        )
        rooms = JobRooms(cluster, self._nodes, shares, settings.start_timeout_s)
        self.jobs = FrontJobs(role, own, self._nodes, self._placed, rooms)
        self.photos = FrontPhotos(self._nodes, self.files.load)
        self.rounds = FrontRounds(
            cluster,
            role,
            self._nodes,
            self._placed,
            self._placement,
            self.files,
            self.jobs,
            log,
            RunNumbers(self._nodes, new_session),
            FrontCounts(self._nodes, self._placed, daily_counts),
        )

    # ── reading ──────────────────────────────────────────────────────────────────────────

    @property
    def closing(self) -> bool:
        """Whether the server is about to shut down."""
        return self._own.closing

    @property
    def has_analytics(self) -> bool:
        """Whether streams may ask for analytics."""
        return self._own.has_analytics

    async def load(self) -> None:
        """Read what is stored, once; every caller waits until this is done."""
        await self._placed.load()

    def all(self) -> list[StreamStatus]:
        """The status of every stream."""
        return [*(placed.status for placed in self._placed), *self._own.all()]

    def measured(self) -> list[tuple[StreamStatus, StreamGauges | None]]:
        """The status of every stream, and the measurements of those that run."""
        remote = [
            (placed.status, None if placed.remote is None else placed.remote.gauges)
            for placed in self._placed
        ]
        return [*remote, *self._own.measured()]

    def stream(self, stream_id: str) -> StreamAccess:
        """One stream. Raises StreamNotFound."""
        if stream_id not in self._placed:
            return self._own.stream(stream_id)
        return RemoteStream(lambda: self._placed.known(stream_id), self._runs_on)

    def here(self, stream_id: str) -> bool:
        """Whether a stream, if there is one, runs in this process."""
        return stream_id not in self._placed

    def node_of(self, stream_id: str) -> str | None:
        """The name of the node that runs a stream; None for one of this process, or none."""
        placed = self._placed.get(stream_id)
        return None if placed is None else placed.node

    def nodes(self) -> list[NodeStatus]:
        """The machines of the cluster, as of the last look."""
        return [self._node_status(node_id) for node_id in self._nodes.alive]

    def lost_nodes(self) -> list[str]:
        """The names of machines that the cluster lost, and that did not come back."""
        return self._nodes.lost

    def _node_status(self, node_id: str) -> NodeStatus:
        streams = self._placed.on_node(node_id)
        return self._nodes.status(node_id, streams, self.rounds.drain.waits)

    def _runs_on(self, placed: PlacedStream) -> RemoteNode:
        node = self._nodes.get(placed.node_id)
        if node is None:
            status = placed.status.state.value
            raise NoPicture(stream_id=placed.spec.stream_id, status=status)
        return node

    def _running_on(self, stream_id: str) -> RemoteNode | None:
        placed = self._placed.get(stream_id)
        return None if placed is None else self._nodes.get(placed.node_id)

    # ── changing ─────────────────────────────────────────────────────────────────────────

    async def start(self, spec: StreamSpec) -> StreamStatus:
        """Start a stream under its id and wait until it runs. Repeating the call has no effect.

        Raises:
            StreamConflict: it runs with another configuration.
            InvalidRequest: it asks for what does not work in a cluster.
            NotReady: no node has room, or its node does not answer.
        """
        await self._prepare(spec)
        async with self._locks.of(spec.stream_id):
            known = self._placed.get(spec.stream_id)
            if known is not None and known.wanted is StreamState.RUNNING:
                if not outputs.means_the_same(spec, known.spec, self._settings.output_base):
                    raise StreamConflict(stream_id=spec.stream_id)
                return known.status
            others = [placed.spec for placed in self._placed]
            spec = outputs.with_output(spec, others, self._settings.output_base)
            return await self._run(spec, known, "start")

    async def restart(self, stream_id: str) -> StreamStatus:
        """Stop, and start with the same configuration."""
        await self._ready()
        if stream_id not in self._placed:
            return await self._own.restart(stream_id)
        async with self._locks.of(stream_id):
            known = self._placed.decryptable(stream_id)
            if (node := self._nodes.get(known.node_id)) is not None:
                await node.ask("disconnect", stream_id, timeout_s=TELL_TIMEOUT_S)
            # As "start" gives a stream without an output one, a camera must not be started so.
            method = "put_camera" if known.spec.output is None else "start"
            return await self._run(known.spec, known, method)

    async def stop(self, stream_id: str) -> None:
        """Stop a stream but keep it."""
        await self._ready()
        if stream_id not in self._placed:
            await self._own.stop(stream_id)
            return
        async with self._locks.next_generation(stream_id):
            known = self._placed.known(stream_id)
            known.wanted = StreamState.STOPPED
            await self._placement.end(known)
            await self._placed.save(known)

    async def disconnect(self, stream_id: str) -> None:
        """Stop and remove a stream. An unknown id is not an error."""
        await self._ready()
        if stream_id not in self._placed:
            await self._own.disconnect(stream_id)
            return
        async with self._locks.next_generation(stream_id):
            known = self._placed.drop(stream_id)
            if known is not None:
                await self._placement.end(known)
                await self._placed.delete(stream_id)

    async def find_or_create(self, source: str) -> tuple[StreamStatus, bool]:
        """The stream of an input, and whether it was created."""
        await self._ready()
        async with self._locks.of_input(source):
            for placed in self._placed.of_input(source):
                return placed.status, False
            return await self.start(StreamSpec(f"auto-{secrets.token_hex(4)}", source)), True

    async def register(self, source: str) -> StreamStatus:
        """Disconnect every stream of an input and start a new one."""
        await self._ready()
        async with self._locks.of_input(source):
            for placed in self._placed.of_input(source):
                await self.disconnect(placed.spec.stream_id)
            return await self.start(StreamSpec(f"auto-{secrets.token_hex(4)}", source))

    async def put_camera(self, spec: StreamSpec, *, replace: bool) -> StreamStatus:
        """Start a new camera, or replace one.

        Raises:
            CameraExists: the id is taken; StreamNotFound: there is no camera to replace.
            InvalidRequest, NotReady: as ``start``; errors of the input, if it is on the node.
        """
        await self._prepare(spec)
        async with self._locks.of(spec.stream_id):
            known = self._placed.get(spec.stream_id)
            if known is not None and not replace:
                raise CameraExists(camera_id=spec.stream_id)
            if known is None and replace:
                raise StreamNotFound(stream_id=spec.stream_id)
            return await self._run(spec, known, "put_camera")

    async def run_again(self, camera_id: str) -> StreamStatus:
        """Start a known camera once more, with the settings it has."""
        await self._ready()
        return await self.put_camera(self._placed.decryptable(camera_id).spec, replace=True)

    async def drain(self, node_id: str, *, drain: bool) -> NodeStatus:
        """Empty a node, or use it again.

        Raises:
            NodeNotFound: there is none that answers; NoOtherNode: none could take its streams.
        """
        await self._ready()
        node = self._nodes.get(node_id)
        if node is None:
            raise NodeNotFound(node_id=node_id)
        others = {other for other, _ in self._nodes.items()} - self._nodes.avoided - {node_id}
        if drain and not others:
            raise NoOtherNode(node_id=node_id)
        await node.drain(drain)
        return self._node_status(node_id)

    @property
    def _start_limit_s(self) -> float:
        """For a node that starts a stream: it checks addresses, waits for the lease of the output,
        and then for the first frame."""
        return 2 * self._settings.start_timeout_s + self._role.lease_s + TELL_TIMEOUT_S

    def start_ephemeral(self, spec: StreamSpec) -> None:
        """Start a stream of the front, such as the demo."""
        self._own.start_ephemeral(spec)

    async def _ready(self) -> None:
        """Wait until all is read. Raises NotReady if another server is the front."""
        await self.load()
        self._role.check()

    async def _prepare(self, spec: StreamSpec) -> None:
        """Refuse a spec that cannot run. Raises InvalidRequest, AddressNotAllowed, NotReady."""
        await self._ready()
        await self._own.prepare(spec)

    async def _run(self, spec: StreamSpec, known: PlacedStream | None, method: str) -> StreamStatus:
        """Place a stream and run it. One that cannot is removed, or goes on as it was."""
        before = None if known is None else (known.spec, known.wanted)
        placed = known or PlacedStream(spec)
        placed.spec, placed.wanted, placed.decryptable = spec, StreamState.RUNNING, True
        placed.starting = True
        self._placed.add(placed)
        try:
            node = await self._placement.room_for(placed)
            status: StreamStatus = await node.ask(method, spec, timeout_s=self._start_limit_s)
        except WatchpostError:
            await self._undo(placed, before)
            raise
        finally:
            placed.starting = False
        await self._nodes.refresh_one(node)
        self._placement.read_reports()
        await self._placed.save(placed)
        return status

    async def _undo(
        self, placed: PlacedStream, before: tuple[StreamSpec, StreamState] | None
    ) -> None:
        if before is not None:
            placed.spec, placed.wanted = before
            return
        self._placed.drop(placed.spec.stream_id)
        await self._placement.end(placed)
