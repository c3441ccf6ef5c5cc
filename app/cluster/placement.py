"""Where streams run: Ray gives each one room on a node, and that node is told to run it."""

from __future__ import annotations

import asyncio
import logging
import time

from app.cluster.job_rooms import ROOM
from app.cluster.nodes import ClusterNodes
from app.cluster.placed import LEAVES, MOVED, MOVES, WAITS, PlacedStream
from app.cluster.placed_streams import PlacedStreams
from app.cluster.ray_cluster import RayCluster, ask_ray
from app.cluster.remote_node import TELL_TIMEOUT_S, RemoteNode
from app.cluster.stream_shares import StreamShares
from app.cluster.workers import Rooms, Workers
from app.errors import NotReady, WatchpostError
from app.pipeline.stream_locks import StreamLocks
from app.types import StreamState

logger = logging.getLogger(__name__)

POLL_S = 0.1
LEAVES_WITHIN_S = 2.0
"""For a node that has ended a stream to give the lease of its output back."""


class Placement:
    """Compares what should run with Ray's placement and the nodes' reports.

    Args:
        shares: what streams ask for.
        start_timeout_s: how long a caller waits for a node with room.
    """

    def __init__(
        self,
        cluster: RayCluster,
        nodes: ClusterNodes,
        streams: PlacedStreams,
        shares: StreamShares,
        locks: StreamLocks,
        start_timeout_s: float,
    ) -> None:
        self._cluster = cluster
        self._nodes = nodes
        self._streams = streams
        self._shares = shares
        self._workers = Workers(nodes, streams)
        self._locks = locks
        self._start_timeout_s = start_timeout_s

    # ── one stream ───────────────────────────────────────────────────────────────────────

    async def room_for(self, placed: PlacedStream) -> RemoteNode:
        """The node that Ray gives a stream. Raises NotReady if there is none in time."""
        stream_id = placed.spec.stream_id
        deadline = time.monotonic() + self._start_timeout_s
        where = await self._room_of(stream_id)
        if where.get(stream_id) in self._nodes.avoided and not self._workers.runs_there(placed):
            await ask_ray(self._cluster.release, stream_id)
            del where[stream_id]
        if stream_id not in where:
            await self._place(placed)
        while time.monotonic() < deadline:
            where = await self._room_of(stream_id)
            node_id = where.get(stream_id)
            if (node := self._nodes.get(node_id)) is not None:
                placed.node_id, placed.node, placed.lost = node_id, node.name, None
                return node
            await asyncio.sleep(POLL_S)
        raise NotReady(reason=f"Stream {stream_id}: {self._waits(placed)}.")

    async def move(self, placed: PlacedStream) -> None:
        """Let a stream run on another node, because its own is to be emptied."""
        stream_id = placed.spec.stream_id
        async with self._locks.of(stream_id):
            node = self._nodes.get(placed.node_id)
            gone = self._streams.get(stream_id) is not placed
            if node is None or gone or placed.wanted is not StreamState.RUNNING:
                return
            leaves = LEAVES.format(node=node.name)
            logger.info("stream %s: %s", stream_id, leaves)
            placed.starting, placed.lost = True, leaves
            try:
                await node.ask("disconnect", stream_id, timeout_s=TELL_TIMEOUT_S)
                await ask_ray(self._cluster.release, stream_id)
                placed.node_id = placed.remote = None
                other = await self.room_for(placed)
                await other.ask("adopt", placed.spec, LEAVES_WITHIN_S, timeout_s=TELL_TIMEOUT_S)
            except WatchpostError as error:  # the next rounds start it
                placed.node, placed.lost = None, f"{leaves} ({error})"
                logger.warning("stream %s: %s", stream_id, placed.lost)
            finally:
                placed.starting = False

    async def end(self, placed: PlacedStream) -> None:
        """End the run of a stream and give its room back. A node that is lost needs no call."""
        node = self._nodes.get(placed.node_id)
        try:
            await ask_ray(self._cluster.release, placed.spec.stream_id)
        except NotReady as error:  # the next round does it
            logger.warning("stream %s keeps its room for now: %s", placed.spec.stream_id, error)
        placed.node_id = placed.node = placed.remote = placed.lost = None
        if node is not None:
            await node.tell("disconnect", placed.spec.stream_id)

    async def _place(self, placed: PlacedStream) -> None:
        stream_id, asked = placed.spec.stream_id, self._shares.of(placed, self._nodes.costs)
        await ask_ray(self._cluster.place, stream_id, asked, self._nodes.avoided_machines)

    async def _room_of(self, stream_id: str) -> Rooms:
        machines = await ask_ray(self._cluster.room_of, stream_id)
        return {name: self._workers.of(name, machine) for name, machine in machines.items()}

    async def _rooms(self) -> Rooms:
        return self._workers.rooms(await ask_ray(self._cluster.placed))

    def _waits(self, placed: PlacedStream) -> str:
        asked = self._shares.of(placed, self._nodes.costs)
        return WAITS.format(asked=", ".join(f"{share:g} {name}" for name, share in asked.items()))

    # ── all of them ──────────────────────────────────────────────────────────────────────

    async def correct(self) -> None:
        """Start what should run and does not, and end what should not. Raises NotReady."""
        where = await self._rooms()
        wanted = [
            placed
            for placed in self._streams
            if placed.wanted is StreamState.RUNNING and placed.decryptable and not placed.starting
        ]
        # The next round must not begin while this one still starts streams.
        outcomes = await asyncio.gather(
            *(self._keep_running(placed, where) for placed in wanted), return_exceptions=True
        )
        self.read_reports()
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        await self._end_strays(where)

    async def _keep_running(self, placed: PlacedStream, where: Rooms) -> None:
        """Run a stream on the node that Ray has chosen for it, if it does not run there."""
        stream_id = placed.spec.stream_id
        node_id = where.get(stream_id)
        if node_id in self._nodes.avoided and not self._workers.runs_there(placed):
            await ask_ray(self._cluster.release, stream_id)
            node_id = where.pop(stream_id, None)
        if stream_id not in where:
            await self._place(placed)
            node_id = None
        node = self._nodes.get(node_id)
        if node is None or node.report is None:
            away = placed.node is not None and node is None and node_id is None
            placed.lost = (
                MOVES.format(node=placed.node or "of this stream")
                if node_id is not None or away
                else self._waits(placed)
            )
            return
        reported = (one for one in node.report.streams if one.status.spec.stream_id == stream_id)
        if (remote := next(reported, None)) is not None:
            placed.node_id, placed.node, placed.lost = node_id, node.name, None
            placed.remote = remote  # not that of the node that was lost
            return
        moved = MOVED.format(node=placed.node or "of this stream", other=node.name)
        try:
            await node.ask("adopt", placed.spec, timeout_s=TELL_TIMEOUT_S)
        except WatchpostError as error:  # it may still be published elsewhere
            placed.lost = f"{moved} {error}"
        else:
            logger.warning("stream %s: starts on node %s", stream_id, node.name)
            placed.lost = moved

    def read_reports(self) -> None:
        """Take over what nodes say of their streams."""
        for node_id, node in self._nodes.items():
            for remote in () if node.report is None else node.report.streams:
                placed = self._streams.get(remote.status.spec.stream_id)
                if placed is not None and placed.node_id == node_id:
                    placed.remote = remote

    async def _end_strays(self, where: Rooms) -> None:
        """End runs of streams that were removed or moved while their node did not answer."""
        if not self._strays(where):
            return
        where = await self._rooms()  # it may have changed since
        for stream_id, node in self._strays(where):
            if node is None:
                await ask_ray(self._cluster.release, stream_id)
            else:
                await node.tell("disconnect", stream_id)

    def _strays(self, where: Rooms) -> list[tuple[str, RemoteNode | None]]:
        """Streams that are on a node but should not be; without a node, those that have room."""
        known = {one.spec.stream_id for one in self._streams if one.wanted is StreamState.RUNNING}
        busy = {one.spec.stream_id for one in self._streams if one.starting}
        strays: list[tuple[str, RemoteNode | None]] = [
            (stream_id, None)
            for stream_id in set(where) - known - busy
            if not stream_id.startswith(ROOM)  # of a job
        ]
        for node_id, node in self._nodes.items():
            for remote in () if node.report is None else node.report.streams:
                stream_id = remote.status.spec.stream_id
                stays = stream_id in known and where.get(stream_id, node_id) == node_id
                if not stays and stream_id not in busy:
                    strays.append((stream_id, node))
        return strays
