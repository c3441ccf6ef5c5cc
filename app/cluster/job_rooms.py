"""Where sources of jobs are recorded: Ray gives each one room on a node, as it does for streams."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence

from app.cluster.nodes import ClusterNodes
from app.cluster.placed import WAITS
from app.cluster.ray_cluster import RayCluster, ask_ray
from app.cluster.remote_node import RemoteNode
from app.errors import NotReady

logger = logging.getLogger(__name__)

POLL_S = 0.1
ROOM = "job/"
"""Beginning of the ids of rooms, which no stream's id has."""


def room_id(job_id: str, index: int, site: str | None, *, spare: bool = False) -> str:
    """The id of the room of a source.

    Args:
        site: the name of the job, by which its site is chosen.
        spare: a second one, in which it goes on when its node is emptied.
    """
    return f"{ROOM}{job_id}/{index}{'+' if spare else ''}/{(site or '').replace('/', '-')}"


class JobRooms:
    """Asks Ray for rooms.

    Args:
        start_timeout_s: how long a caller waits for a node with room.
    """

    def __init__(self, cluster: RayCluster, nodes: ClusterNodes, start_timeout_s: float) -> None:
        self._cluster = cluster
        self._nodes = nodes
        self._start_timeout_s = start_timeout_s

    async def reserve(self, rooms: Sequence[str]) -> None:
        """Get all of these. Raises NotReady if there are not enough in time."""
        deadline = time.monotonic() + self._start_timeout_s
        for room in rooms:
            await ask_ray(self._cluster.place, room, self._nodes.avoided)
        for room in rooms:
            while await self.node_of(room) is None:
                if time.monotonic() > deadline:
                    raise NotReady(reason=f"The job: {self.waits(room)}.")
                await asyncio.sleep(POLL_S)

    async def node_of(self, room: str) -> RemoteNode | None:
        """The node that Ray has chosen; None while there is none, or it is not used yet.

        Raises NotReady.
        """
        where = await ask_ray(self._cluster.room_of, room)
        node_id = where.get(room)
        if room not in where or node_id in self._nodes.refusals.avoided:
            if room in where:
                await ask_ray(self._cluster.release, room)
            await ask_ray(self._cluster.place, room, self._nodes.avoided)
            return None
        return self._nodes.get(node_id)

    async def exists(self, room: str) -> bool:
        """Whether it was asked for. Raises NotReady."""
        return room in await ask_ray(self._cluster.room_of, room)

    def waits(self, room: str) -> str:
        """Why there is no room."""
        asked = self._cluster.asked_for(room)
        return WAITS.format(asked=", ".join(f"{share:g} {name}" for name, share in asked.items()))

    async def release(self, rooms: Iterable[str]) -> None:
        """Give rooms back; what fails is done by ``release_others``."""
        for room in rooms:
            try:
                await ask_ray(self._cluster.release, room)
            except NotReady as error:
                logger.warning("a job keeps its room for now: %s", error)

    async def release_others(self, known: Iterable[str]) -> None:
        """Give all rooms back but these. Raises NotReady."""
        rooms = {one for one in await ask_ray(self._cluster.placed) if one.startswith(ROOM)}
        await self.release(rooms - set(known))
