"""What streams of the cluster count since midnight: the front adds up what nodes count."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from app.analytics.objects.daily_counts import DailyCounts
from app.cluster.node_counts import NewCounts
from app.cluster.nodes import ClusterNodes
from app.cluster.placed_streams import PlacedStreams
from app.cluster.remote_node import TELL_TIMEOUT_S, RemoteNode
from app.errors import NotReady


class FrontCounts:
    """The counts of all streams of the cluster.

    Args:
        daily: the totals; what changes there is stored.
    """

    def __init__(self, nodes: ClusterNodes, streams: PlacedStreams, daily: DailyCounts) -> None:
        self._nodes = nodes
        self._streams = streams
        self._daily = daily
        self._confirmed: WeakKeyDictionary[RemoteNode, int] = WeakKeyDictionary()

    async def step(self) -> None:
        """Exchange counts with each node that has streams with zones or lines."""
        await asyncio.gather(*(self._exchange(key, node) for key, node in self._nodes.items()))

    async def _exchange(self, node_id: str, node: RemoteNode) -> None:
        counting = [
            one.spec.stream_id
            for one in self._streams
            if one.node_id == node_id and (one.spec.zones or one.spec.lines)
        ]
        if node.report is None or not (counting or node in self._confirmed):
            return
        found = (self._daily.newest(stream_id) for stream_id in counting)
        totals = [one for one in found if one is not None]
        confirmed = self._confirmed.get(node, -1)
        try:
            new: NewCounts = await node.ask(
                "exchange_counts", confirmed, totals, timeout_s=TELL_TIMEOUT_S
            )
        except NotReady:  # the next step has them
            return
        for one in new.counts:
            self._daily.merge(one)
        self._confirmed[node] = new.place
