"""Where sources of jobs are recorded: Ray gives each one room on a node, as it does for streams."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.cluster.nodes import ClusterNodes
from app.cluster.placed import WAITS
from app.cluster.ray_cluster import RayCluster, ask_ray
from app.cluster.remote_node import RemoteNode
from app.cluster.stream_shares import StreamShares
from app.errors import NotReady
from app.jobs import Job

logger = logging.getLogger(__name__)

POLL_S = 0.1
ROOM = "job/"
"""Beginning of the ids of rooms, which no stream's id has."""


def part_key(job: Job, index: int) -> str:
    """The name of a source of a job in the reports of nodes."""
    return f"{job.job_id}/{index}"


@dataclass(frozen=True, slots=True)
class Room:
    """Room for a source of a job.

    Attributes:
        key: of the source.
        site: the name of the job, by which its site is chosen.
        copies: the source is only copied.
        spare: a second one, in which it goes on when its node is emptied.
    """

    key: str
    site: str
    copies: bool
    spare: bool = False

    @classmethod
    def of(cls, job: Job, index: int) -> Room:
        """The room of a source."""
        return cls(part_key(job, index), job.spec.name or "", job.parts[index].kind == "copy")

    @property
    def room_id(self) -> str:
        """By which Ray has it."""
        return f"{ROOM}{self.key}{'+' if self.spare else ''}"


class JobRooms:
    """Asks Ray for rooms.

    Args:
        shares: what sources ask for.
        start_timeout_s: how long a caller waits for a node with room.
    """

    def __init__(
        self,
        cluster: RayCluster,
        nodes: ClusterNodes,
        shares: StreamShares,
        start_timeout_s: float,
    ) -> None:
        self._cluster = cluster
        self._nodes = nodes
        self._shares = shares
        self._start_timeout_s = start_timeout_s

    async def reserve(self, rooms: Sequence[Room]) -> None:
        """Get all of these. Raises NotReady if there are not enough in time."""
        deadline = time.monotonic() + self._start_timeout_s
        for room in rooms:
            await self._place(room)
        for room in rooms:
            while await self.node_of(room) is None:
                if time.monotonic() > deadline:
                    raise NotReady(reason=f"The job: {self.waits(room)}.")
                await asyncio.sleep(POLL_S)

    async def node_of(self, room: Room) -> RemoteNode | None:
        """A node of the machine that Ray has chosen; None while there is none, or none is used yet.

        Raises NotReady.
        """
        where = await ask_ray(self._cluster.room_of, room.room_id)
        machine = where.get(room.room_id)
        if room.room_id not in where or (machine is not None and self._is_refused(machine)):
            if room.room_id in where:
                await ask_ray(self._cluster.release, room.room_id)
            await self._place(room)
            return None
        return None if machine is None else self._one_of(machine, room.key)

    def _one_of(self, machine: str, key: str) -> RemoteNode | None:
        """The node that records a source already, or the one that does least."""
        used = [node for one in self._nodes.on_machine(machine) if (node := self._nodes.get(one))]
        for node in used:
            if node.report is not None and key in node.report.recorded:
                return node
        return min((node for node in used if not node.draining), key=_work, default=None)

    def _is_refused(self, machine: str) -> bool:
        nodes = self._nodes.on_machine(machine)
        return bool(nodes) and self._nodes.refusals.avoided.issuperset(nodes)

    async def _place(self, room: Room) -> None:
        await ask_ray(
            self._cluster.place, room.room_id, self._asked(room), self._nodes.avoided_machines
        )

    def _asked(self, room: Room) -> dict[str, float]:
        return self._shares.of_job(room.site, self._nodes.costs, copies=room.copies)

    async def exists(self, room: Room) -> bool:
        """Whether it was asked for. Raises NotReady."""
        return room.room_id in await ask_ray(self._cluster.room_of, room.room_id)

    def waits(self, room: Room) -> str:
        """Why there is no room."""
        asked = self._asked(room)
        return WAITS.format(asked=", ".join(f"{share:g} {name}" for name, share in asked.items()))

    async def release(self, room: Room) -> None:
        """Give a room back; what fails is done by ``release_others``."""
        await self._release(room.room_id)

    async def release_others(self, known: Iterable[Room]) -> None:
        """Give all rooms back but these. Raises NotReady."""
        rooms = {one for one in await ask_ray(self._cluster.placed) if one.startswith(ROOM)}
        for room_id in rooms - {room.room_id for room in known}:
            await self._release(room_id)

    async def _release(self, room_id: str) -> None:
        try:
            await ask_ray(self._cluster.release, room_id)
        except NotReady as error:
            logger.warning("a job keeps its room for now: %s", error)


def _work(node: RemoteNode) -> int:
    """How much a node does."""
    return 0 if node.report is None else len(node.report.streams) + len(node.report.recorded)
