"""A Ray cluster as ``ClusterStreams`` calls it, whose nodes are objects in this process."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from ray.exceptions import RayActorError

from app.analytics.objects.daily_counts import DailyCounts
from app.cameras.shared import SharedManagers
from app.cluster.front_role import FrontRole
from app.cluster.lease_keeper import LeaseKeeper
from app.cluster.node import NodeActor, OpenNode
from app.cluster.ray_cluster import RayCluster, RayNode
from app.cluster.stream_shares import StreamShares
from app.cluster.streams import ClusterStreams
from app.config import ClusterSettings, Settings
from app.db.engine import open_database
from app.db.leases import open_leases
from app.db.node_files import NodeFileRepository
from app.db.stream_sessions import StreamSessionRepository
from app.pipeline.channel import Channel
from app.pipeline.event_log import EventLog
from app.pipeline.manager import StreamManager
from app.pipeline.registry import NullStreamStore
from app.startup.node import open_node

LEASE_S = 30.0
"""Nothing here is about a lease that ends, and a busy machine may stand still for seconds."""


class LocalRay:
    """Nodes with room for some streams each.

    Attributes:
        failure: what every call raises.
        alive: the nodes, by id.
        room: how many streams fit on each.
        asked: how often each node's actor was asked for.
        asked_for: the resources of each stream.
    """

    def __init__(self, rooms: dict[str, int]) -> None:
        self.failure: Exception | None = None
        self.alive = {name: RayNode(name, name, "10.0.0.1", name) for name in rooms}
        self.room = rooms
        self.asked = dict.fromkeys(rooms, 0)
        self.asked_for: dict[str, Mapping[str, float]] = {}
        self._on: dict[str, str | None] = {}
        self._without: dict[str, Collection[str]] = {}
        self._actors: dict[str, NodeActor] = {}
        self.stack = AsyncExitStack()
        self._loop = asyncio.get_running_loop()

    def add(self, name: str, room: int) -> None:
        self.alive[name] = RayNode(name, name, "10.0.0.1", name)
        self.room[name], self.asked[name] = room, 0

    def split(self, machine: str, count: int) -> None:
        """Let a machine have several nodes."""
        del self.alive[machine]
        for number in range(1, count + 1):
            name = f"{machine}-{number}"
            self.alive[name] = RayNode(name, name, "10.0.0.1", machine)
            self.asked[name] = 0

    def nodes(self) -> dict[str, RayNode]:
        self._check()
        return dict(self.alive)

    def actor(self, node: RayNode) -> Any:
        self._check()
        self.asked[node.node_id] += 1
        if node.node_id not in self._actors:
            actor = NodeActor(opening(), open_leases, node.name)
            self._actors[node.node_id] = actor
            self._loop.call_soon_threadsafe(self.stack.push_async_callback, actor._stack.aclose)
        return SimpleNamespace(
            ask=SimpleNamespace(remote=functools.partial(self._ask, node.node_id))
        )

    async def _ask(self, name: str, *arguments: Any) -> object:
        if name not in self._actors:
            raise RayActorError
        # As with Ray: a call goes on when nobody waits for it any more.
        return await asyncio.shield(asyncio.ensure_future(self._actors[name].ask(*arguments)))

    async def restart(self, name: str) -> None:
        """End a node's process; Ray starts it again."""
        await self._actors.pop(name)._stack.aclose()
        self.actor(self.alive[name])

    async def lose(self, name: str) -> None:
        """End a node; what it ran gets room elsewhere, if there is some."""
        del self.alive[name]
        await self._actors.pop(name)._stack.aclose()
        for stream_id, node in self._on.items():
            if node == name:
                self._on[stream_id] = None

    def actor_of(self, node_id: str) -> NodeActor:
        """The actor itself."""
        return self._actors[node_id]

    def placed(self) -> dict[str, str | None]:
        self._check()
        for stream_id in [name for name, node in self._on.items() if node is None]:
            self._on[stream_id] = self._free(stream_id)
        return dict(self._on)

    def room_of(self, stream_id: str) -> dict[str, str | None]:
        return {name: node for name, node in self.placed().items() if name == stream_id}

    def place(
        self, stream_id: str, asked: Mapping[str, float], without: Collection[str] = ()
    ) -> None:
        self._check()
        self.asked_for[stream_id] = asked
        self._without[stream_id] = without
        self._on[stream_id] = self._free(stream_id)

    def _free(self, stream_id: str) -> str | None:
        taken, without = list(self._on.values()), self._without[stream_id]
        free = (
            name
            for name in dict.fromkeys(node.machine for node in self.alive.values())
            if name not in without and taken.count(name) < self.room[name]
        )
        return next(free, None)

    def release(self, stream_id: str) -> None:
        self._check()
        self._on.pop(stream_id, None)

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure


def opening() -> OpenNode:
    """What opens a node, with its own settings: ``WATCHPOST_DATA_DIR``."""
    parts = Settings()
    return functools.partial(
        open_node, parts.streams, parts.faces, parts.objects, parts.recording, parts.plates
    )


async def manager(stack: AsyncExitStack, folder: Path) -> StreamManager:
    """A manager of streams, until the stack is closed."""
    shared = SharedManagers(Settings(data_dir=folder), Channel(8, live=True))
    stack.push_async_callback(shared.close)
    return await shared.get(folder / "own.db", "cpu")


@asynccontextmanager
async def local_front(
    folder: Path, rooms: dict[str, int], asks: ClusterSettings | None = None
) -> AsyncIterator[tuple[ClusterStreams, LocalRay]]:
    """A front of such a cluster; its rounds are those that the test asks for.

    Args:
        asks: what streams ask for; one core by default.
    """
    ray = LocalRay(rooms)
    async with ray.stack, front_of(folder, ray, asks) as streams:
        yield streams, ray


@asynccontextmanager
async def front_of(
    folder: Path, ray: LocalRay, asks: ClusterSettings | None = None
) -> AsyncIterator[ClusterStreams]:
    """The same of a cluster that outlives it."""
    settings = Settings(data_dir=folder)
    url = settings.resolved_database_url()
    open_database(url).dispose()
    role = FrontRole(LeaseKeeper("front", LEASE_S, lambda: open_leases(url)), url, LEASE_S)
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(role.open)
        stack.push_async_callback(asyncio.to_thread, role.close)
        own = await manager(stack, folder / "front")
        log = EventLog(asyncio.get_running_loop())
        cluster = cast(RayCluster, ray)
        engine = open_database(url)
        stack.callback(engine.dispose)
        rows = NodeFileRepository(engine)
        shares = StreamShares(asks or ClusterSettings(cpu_per_stream=1.0), "auto", 5.0)
        streams = ClusterStreams(
            cluster,
            role,
            own,
            NullStreamStore(),
            log,
            settings.streams,
            rows,
            dict,
            list,
            shares,
            StreamSessionRepository(engine).next_today,
            DailyCounts(),
        )
        stack.callback(streams.files.close)
        stack.callback(streams.rounds.close)
        yield streams
