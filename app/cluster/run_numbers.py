"""Gives each run of a stream on a node its number: the front's database counts them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from app.cluster.nodes import ClusterNodes
from app.cluster.remote_node import RemoteNode
from app.errors import StoreError

logger = logging.getLogger(__name__)


class RunNumbers:
    """Numbers the runs that nodes report without one.

    Args:
        new_session: the next number; blocks, and raises StoreError.
    """

    def __init__(self, nodes: ClusterNodes, new_session: Callable[[], str]) -> None:
        self._nodes = nodes
        self._new_session = new_session

    async def step(self) -> None:
        """Number what the last reports have. If the database fails, the next step does it."""
        try:
            await asyncio.gather(*(self._number(node) for node in self._nodes))
        except StoreError as error:
            logger.error("runs of streams have no number yet: %s", error)

    async def _number(self, node: RemoteNode) -> None:
        streams = () if node.report is None else node.report.streams
        runs = [
            one.status.spec.stream_id
            for one in streams
            if one.alive and one.status.stats.session_id is None
        ]
        if runs:
            await node.tell("number", await asyncio.to_thread(self._numbers, runs))

    def _numbers(self, runs: list[str]) -> dict[str, str]:
        return {stream_id: self._new_session() for stream_id in runs}
