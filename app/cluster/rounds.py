"""The front's rounds: once a second, what runs on the nodes is made what it should be."""

from __future__ import annotations

import asyncio
import logging

from ray.exceptions import RayError

from app.cluster.drain import Drain
from app.cluster.front_counts import FrontCounts
from app.cluster.front_files import FrontFiles
from app.cluster.front_jobs import FrontJobs
from app.cluster.front_role import FrontRole
from app.cluster.nodes import ClusterNodes
from app.cluster.placed_streams import PlacedStreams
from app.cluster.placement import Placement
from app.cluster.ray_cluster import RayCluster, ask_ray
from app.cluster.run_numbers import RunNumbers
from app.errors import WatchpostError
from app.pipeline.event_log import EventLog

logger = logging.getLogger(__name__)

EVERY_S = 1.0


class FrontRounds:
    """Reads Ray's nodes and the nodes' reports, and acts on them, while this server is the front.

    Args:
        log: takes the events of all nodes, and numbers them.
        runs: gives runs their numbers.
        counts: of zones and lines since midnight.
    """

    def __init__(
        self,
        cluster: RayCluster,
        role: FrontRole,
        nodes: ClusterNodes,
        streams: PlacedStreams,
        placement: Placement,
        files: FrontFiles,
        jobs: FrontJobs,
        log: EventLog,
        runs: RunNumbers,
        counts: FrontCounts,
    ) -> None:
        self._cluster = cluster
        self._role = role
        self._nodes = nodes
        self._streams = streams
        self._placement = placement
        self._files = files
        self._jobs = jobs
        self._log = log
        self._runs = runs
        self._counts = counts
        self._not_front: str | None = None
        self._stale = False
        self.drain = Drain(placement.move)

    async def run(self) -> None:
        """One round after another, until cancelled."""
        try:
            while True:
                try:
                    await self._streams.load()
                    if await self._is_front():
                        await self.step()
                except (WatchpostError, RayError, OSError) as error:
                    logger.error("the cluster could not be read: %s", error)
                except Exception:  # a mistake here must not leave all streams to themselves
                    logger.exception("a round of the front failed")
                await asyncio.sleep(EVERY_S)
        finally:
            self._files.close()

    async def step(self) -> None:
        """One round. Raises NotReady if Ray does not answer."""
        self._nodes.meet(await ask_ray(self._cluster.nodes))
        await self._nodes.refresh()
        self._pass_events_on()
        await self._runs.step()
        await self._counts.step()
        await self._placement.correct()
        self._jobs.step()
        self.drain.step(self._nodes.draining, self._streams)

    def close(self) -> None:
        """Wait for no node any more, and move nothing."""
        self._nodes.close()
        self._jobs.close()
        self.drain.close()

    async def _is_front(self) -> bool:
        """Whether this server is the front; what another one changed is read again.

        Raises StoreError; until that is read, this server does nothing as the front.
        """
        why = self._role.why_not
        if why is not None and await asyncio.to_thread(self._role.take_over):
            why, self._stale = None, True
        if why is None and self._stale:
            self._nodes.forget_all()
            await self._streams.reload()
            self._jobs.taken_over()
            self._stale = False
        for placed in self._streams:
            placed.lost = why if why is not None else placed.lost
        if why != self._not_front:
            logger.warning("%s", why or "this server is the front of the cluster again")
        self._not_front = why
        return why is None

    def _pass_events_on(self) -> None:
        for node in self._nodes:
            for event in node.take_events():
                number = self._log.report(
                    event.stream_id,
                    event.rule_event,
                    event.ts,
                    None,
                    event.session_id,
                    has_clip=event.has_clip,
                    snapshot_file=event.snapshot_file,
                    node=event.node,
                )
                self._files.numbered(node, event.event_id, number, has_clip=event.has_clip)
