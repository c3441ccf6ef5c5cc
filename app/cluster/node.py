"""The actor that runs the streams of one Ray node.

It is detached: it outlives the front that created it, and its streams go on. Events wait here
until a front has taken them. Outputs need a lease of the database, see ``fence.py``, so a node
that is cut off stops publishing before another one begins. Expected errors are returned, not
raised, since Ray would wrap them in texts with tracebacks.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, closing
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from app import __version__
from app.anpr.photos import PhotoReader
from app.cluster import node_jobs
from app.cluster.core_share import take_share
from app.cluster.fence import OutputFence
from app.cluster.lease_keeper import LeaseKeeper
from app.cluster.node_costs import NodeCosts
from app.cluster.node_counts import NewCounts, NodeCounts
from app.cluster.node_files import CALLS, FilesReport, NodeFiles
from app.cluster.node_load import load_of
from app.cluster.node_store import NodeWatchlist, Orders
from app.cluster.reports import Followed, FrontFacts, NextValue, NodeFacts, NodeReport, RemoteStatus
from app.cluster.security import has_tls, has_token
from app.doctor.measure import Costs
from app.errors import NotReady, StoreError, WatchpostError
from app.events import Event
from app.leases import LeaseStore
from app.models.batching import BatchingRunner
from app.models.plates.reader import ReadPlate
from app.pipeline.event_log import EventLog
from app.pipeline.handle import StreamHandle
from app.pipeline.hub import Subscription
from app.pipeline.manager import StreamManager
from app.pipeline.sinks import Output
from app.places import DayCounts
from app.recording.captures import OWN_ID
from app.types import FrameMetadata, StreamSpec, StreamStatus, WithheldFrame

logger = logging.getLogger(__name__)

MAX_EVENTS = 10_000
"""Events that wait for a front; the oldest are dropped beyond that."""
SENT_AT_ONCE = 1000
"""In one report, which would otherwise take too long where no front was for some time."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What runs on a node."""

    manager: StreamManager
    log: EventLog
    files: NodeFiles
    networks: Mapping[str, BatchingRunner | None]
    watchlist: NodeWatchlist
    jobs: node_jobs.NodeJobs
    costs: NodeCosts | None = None
    counts: NodeCounts | None = None
    photos: PhotoReader | None = None


OpenNode = Callable[[Output], AbstractAsyncContextManager[NodeParts]]
OpenLeases = Callable[[str], LeaseStore]

SUPERSEDED = "Another server took over as the front of the cluster."
NO_PHOTOS = "No photo is read here."
OTHER_DATABASE = "the one of its URL here does not know the front"


class NodeActor:
    """The streams of one node, with its networks. All methods run on the actor's event loop.

    Args:
        open_node: opens the networks and the manager on this machine; outputs are made as it says.
        open_leases: connects to the database with this URL.
        name: of the node, for people.
        share: its number among the nodes of this machine, and how many these are.
    """

    def __init__(
        self,
        open_node: OpenNode,
        open_leases: OpenLeases,
        name: str,
        share: tuple[int, int] = (1, 1),
    ) -> None:
        if share != (1, 1):
            take_share(*share)
        self._open_node = open_node
        self._open_leases = open_leases
        self._name = name
        self._front: FrontFacts | None = None
        self._fence = OutputFence()
        self._opening_fence = asyncio.Lock()
        self._leases_url: str | None = None
        self._opening: asyncio.Task[NodeParts] | None = None
        self._stack = AsyncExitStack()
        self._incarnation = secrets.token_hex(8)
        self._events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._lost = self._kept = 0
        self._feeds: dict[str, AsyncGenerator[Followed]] = {}
        self._waiting: dict[str, asyncio.Future[Followed | None]] = {}
        self._keeping: asyncio.Task[None] | None = None
        self._draining = False
        self._ending: set[asyncio.Task[None]] = set()

    async def _parts(self) -> NodeParts:
        """What runs on this node, opened once; after a failure the next call opens it again."""
        opening = self._opening
        if opening is None or (opening.done() and opening.exception() is not None):
            opening = self._opening = asyncio.create_task(
                self._stack.enter_async_context(self._open_node(self._fence.make_output))
            )
        parts = await asyncio.shield(opening)
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep_events(parts))
        return parts

    async def _manager(self) -> StreamManager:
        """The manager of this node's streams."""
        return (await self._parts()).manager

    async def _ready(self) -> StreamManager:
        """The same, once streams may be started. Raises NotReady."""
        parts = await self._parts()
        await parts.files.recovered()
        return parts.manager

    async def _keep_events(self, parts: NodeParts) -> None:
        """Save the snapshots of events, and let the events wait for a front."""
        with parts.log.with_frames() as events:
            async for event in events:
                self._lost += events.missed() + (len(self._events) == MAX_EVENTS)
                self._events.append(await parts.files.keep(event))
                self._kept = event.event_id

    async def ask(self, front: int, method: str, *arguments: object) -> object:
        """Call a method for a front, unless a later one was here.

        Args:
            front: the fencing number of its role.
        """
        if self._front is not None and front < self._front.number:
            return NotReady(reason=SUPERSEDED)
        return await getattr(self, method)(*arguments)

    # ── reading ──────────────────────────────────────────────────────────────────────────

    async def attach(self, front: FrontFacts) -> NodeFacts | WatchpostError:
        """What this node is. A new front calls it first: viewers of the last one are gone."""
        self._front = front
        for key in tuple(self._feeds):
            await self.unfollow(key)
        try:
            parts = await self._parts()
        except WatchpostError as error:
            return error
        await self._open_fence(front)
        return NodeFacts(__version__, has_token(), has_tls(), self._incarnation, parts.files.name)

    async def _open_fence(self, front: FrontFacts) -> None:
        async with self._opening_fence:
            if self._leases_url != front.database_url:
                await asyncio.to_thread(self._open_keeper, front)

    def _open_keeper(self, front: FrontFacts) -> None:
        """Begin to keep leases, if this machine reaches the front's own database."""
        try:
            with closing(self._open_leases(front.database_url)) as leases:
                if not leases.knows(front.session):
                    raise StoreError(reason=OTHER_DATABASE)
            opening = functools.partial(self._open_leases, front.database_url)
            if (keeper := self._fence.keeper) is not None:  # its password was changed, for example
                keeper.use(opening)
            else:
                keeper = LeaseKeeper(self._name, front.lease_s, opening)
                keeper.open()
        except StoreError as error:
            self._fence.problem = str(error.details["reason"])
            logger.error("streams cannot publish from here: %s", self._fence.problem)
        else:
            self._fence.keeper, self._leases_url = keeper, front.database_url

    async def costs(self) -> Costs | None:
        """What the parts of a frame's path cost here, once that is measured."""
        parts = await self._parts()
        return None if parts.costs is None else await parts.costs.get()

    async def report(self, incarnation: str, confirmed: int) -> NodeReport:
        """The state of all streams.

        Args:
            incarnation: of the process whose events the front has taken.
            confirmed: number of the last one.
        """
        parts = await self._parts()
        manager = parts.manager
        if incarnation != self._incarnation:
            confirmed = 0
        while self._events and self._events[0].event_id <= confirmed:
            self._events.popleft()
        self._end_lost(manager)
        streams = [
            _remote_status(manager, status)
            for status in manager.all()
            if not OWN_ID.fullmatch(status.spec.stream_id)
        ]
        return NodeReport(
            self._incarnation,
            streams,
            list(itertools.islice(self._events, SENT_AT_ONCE)),
            self._lost,
            _clock(),
            self._draining,
            parts.jobs.keys(),
        )

    # ── changing ─────────────────────────────────────────────────────────────────────────

    async def start(self, spec: StreamSpec) -> StreamStatus | WatchpostError:
        """Start a stream and wait until it runs."""
        return await self._with_lease(spec, self._wait_s, lambda manager: manager.start(spec))

    async def put_camera(self, spec: StreamSpec) -> StreamStatus | WatchpostError:
        """Start or replace a camera and wait for its first frame."""

        def put(manager: StreamManager) -> Coroutine[Any, Any, StreamStatus]:
            known = manager.registry.get(spec.stream_id) is not None
            return manager.put_camera(spec, replace=known)

        return await self._with_lease(spec, self._wait_s, put)

    async def exchange_counts(self, confirmed: int, totals: Sequence[DayCounts]) -> NewCounts:
        """Take note of what the front has counted since midnight; returns what is new here."""
        counts = (await self._parts()).counts
        return NewCounts(0, []) if counts is None else counts.exchange(confirmed, totals)

    async def number(self, sessions: Mapping[str, str]) -> None:
        """Give runs in progress their numbers, by the ids of their streams."""
        registry = (await self._manager()).registry
        for stream_id, session_id in sessions.items():
            entry = registry.get(stream_id)
            if entry is not None and entry.session_id is None:
                entry.session_id = session_id

    async def drain(self, drain: bool) -> None:
        """Remember, for the next front too, that this node is to be emptied."""
        self._draining = drain

    async def adopt(self, spec: StreamSpec, wait_s: float = 0.0) -> WatchpostError | None:
        """Run a stream that ran before, elsewhere: it is tried again and again.

        Args:
            wait_s: for the lease of its output.
        """

        async def begin(manager: StreamManager) -> None:
            manager.start_ephemeral(spec)

        return await self._with_lease(spec, wait_s, begin)

    async def disconnect(self, stream_id: str) -> WatchpostError | None:
        """Stop and remove a stream. An unknown id is not an error."""
        manager = await self._manager()
        error = await _returned(manager.disconnect(stream_id))
        self._keep_used_leases(manager)
        return error

    @property
    def _wait_s(self) -> float:
        """For a lease, while a caller waits: that of a node that died is over then."""
        return 0.0 if self._front is None else self._front.lease_s

    async def _with_lease(
        self,
        spec: StreamSpec,
        wait_s: float,
        start: Callable[[StreamManager], Coroutine[Any, Any, T]],
    ) -> T | WatchpostError:
        """Start a stream once this node has the lease of its output."""
        try:
            manager = await self._ready()
        except WatchpostError as error:
            return error
        if self._front is not None and spec.output is not None:
            await self._open_fence(self._front)
        try:
            with self._fence.starting(spec):
                await self._fence.take(spec, wait_s)
                return await start(manager)
        except WatchpostError as error:
            return error
        finally:
            self._keep_used_leases(manager)

    def _keep_used_leases(self, manager: StreamManager) -> None:
        self._fence.keep_only(status.spec for status in manager.all())

    def _end_lost(self, manager: StreamManager) -> None:
        """End streams whose output went to another node while this one was cut off."""
        for status in manager.all():
            if self._fence.lost(status.spec):
                stream_id = status.spec.stream_id
                logger.warning("stream %s: it went to another node", stream_id)
                task = asyncio.create_task(manager.disconnect(stream_id))
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)

    # ── files ────────────────────────────────────────────────────────────────────────────

    async def exchange_files(self, orders: Orders) -> FilesReport:
        """Do what the front says about files, and tell what is new."""
        oldest = self._events[0].event_id if self._events else self._kept + 1
        parts = await self._parts()
        parts.watchlist.follow(orders)
        report = await parts.files.exchange(orders, oldest)
        load = await asyncio.to_thread(load_of, parts.networks, report)
        counted = replace(
            load,
            events_waiting=len(self._events),
            events_lost=self._lost,
            photos=0 if parts.photos is None else parts.photos.read_photos,
        )
        return replace(report, load=counted)

    async def files_call(self, method: str, *arguments: object) -> object:
        """Call a method of ``NodeFiles`` that is in ``CALLS``."""
        if method not in CALLS:
            raise ValueError(method)
        files = (await self._parts()).files
        return await _returned(getattr(files, method)(*arguments))

    async def jobs_call(self, method: str, *arguments: object) -> object:
        """Call a method of ``NodeJobs`` that is in its ``CALLS``."""
        if method not in node_jobs.CALLS:
            raise ValueError(method)
        jobs = (await self._parts()).jobs
        return await _returned(getattr(jobs, method)(*arguments))

    async def read_photo(self, photo: bytes) -> list[ReadPlate] | WatchpostError:
        """Find and read the plates of a photo at once, or refuse to while others are read."""
        photos = (await self._parts()).photos
        if photos is None or self._draining:
            return NotReady(reason=NO_PHOTOS)
        return await _returned(photos.read(photo, 0.0))

    # ── following ────────────────────────────────────────────────────────────────────────

    async def snapshot(self, stream_id: str, width: int | None) -> bytes | WatchpostError:
        """The newest frame as JPEG."""
        manager = await self._manager()
        try:
            return await manager.stream(stream_id).snapshot(width)
        except WatchpostError as error:
            return error

    async def follow(self, kind: str, stream_id: str, backlog: int) -> str | WatchpostError:
        """Begin to follow a stream; ``next_value`` has the values.

        Args:
            kind: ``jpegs``, ``packets`` or ``outcomes``.
            backlog: of outcomes, how many may wait.
        """
        manager = await self._manager()
        try:
            feed = _feed(manager.stream(stream_id), kind, backlog)
        except WatchpostError as error:
            return error
        key = secrets.token_hex(8)
        self._feeds[key] = feed
        return key

    async def next_value(self, key: str) -> NextValue:
        """The next value, once there is one: as it was encoded here."""
        feed = self._feeds.get(key)
        if feed is None:
            return NextValue(None, _clock())
        self._waiting[key] = waiting = asyncio.ensure_future(anext(feed, None))
        await asyncio.wait([waiting])
        ended = waiting.cancelled() or isinstance(waiting.exception(), WatchpostError)
        return NextValue(None if ended else waiting.result(), _clock())

    async def unfollow(self, key: str) -> None:
        """End what ``follow`` began."""
        feed, waiting = self._feeds.pop(key, None), self._waiting.pop(key, None)
        if waiting is not None and not waiting.done():
            waiting.cancel()
            await asyncio.wait([waiting])
        if feed is not None:
            await feed.aclose()


def _feed(handle: StreamHandle, kind: str, backlog: int) -> AsyncGenerator[Followed]:
    if kind == "jpegs":
        return handle.jpegs()
    if kind == "packets":
        return handle.packets()
    handle.running()  # raises NoPicture now
    return _outcomes(handle, backlog)


async def _outcomes(
    handle: StreamHandle, backlog: int
) -> AsyncGenerator[FrameMetadata | WithheldFrame]:
    with handle.outcomes(backlog) as outcomes:
        waiting: Subscription[FrameMetadata | WithheldFrame] = outcomes
        async for outcome in waiting:
            yield outcome


async def _returned(work: Coroutine[Any, Any, T]) -> T | WatchpostError:
    """The result of a call, or its error."""
    try:
        return await work
    except WatchpostError as error:
        return error


def _remote_status(manager: StreamManager, status: StreamStatus) -> RemoteStatus:
    handle = manager.stream(status.spec.stream_id)
    entry = manager.registry[status.spec.stream_id]
    recorded = entry.alive and handle.recorded
    return RemoteStatus(status, entry.gauges(), entry.alive, recorded)


def _clock() -> float:
    """What to add to a monotonic time of this machine for a Unix time."""
    return time.time() - time.monotonic()
