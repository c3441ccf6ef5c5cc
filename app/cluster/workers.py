"""Which node of a machine runs a stream, where it has several: Ray only chooses the machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from app.cluster.nodes import ClusterNodes
from app.cluster.placed import PlacedStream
from app.cluster.placed_streams import PlacedStreams

Rooms = dict[str, str | None]
"""The node of each stream that has asked for room; None while it waits for some."""


class Workers:
    """Spreads the streams of each machine over its nodes; a stream stays where it runs."""

    def __init__(self, nodes: ClusterNodes, streams: PlacedStreams) -> None:
        self._nodes = nodes
        self._streams = streams
        self._chosen: dict[str, str] = {}

    def rooms(self, machines: Mapping[str, str | None]) -> Rooms:
        """The nodes of all streams.

        Args:
            machines: of all of them, as Ray has chosen.
        """
        self._chosen = {one: node for one, node in self._chosen.items() if one in machines}
        reported = {
            remote.status.spec.stream_id: node_id
            for node_id, node in self._nodes.items()
            for remote in (() if node.report is None else node.report.streams)
        }
        # Those that run first: the others are spread around them.
        ordered = sorted(machines, key=lambda one: one not in reported)
        return {one: self.of(one, machines[one], reported.get(one)) for one in ordered}

    def runs_there(self, placed: PlacedStream) -> bool:
        """Whether a stream runs, as far as is known, on the node that it was last on."""
        node = self._nodes.get(placed.node_id)
        if node is None or node.report is None:
            return node is not None
        return any(
            one.status.spec.stream_id == placed.spec.stream_id for one in node.report.streams
        )

    def of(self, stream_id: str, machine: str | None, reported: str | None = None) -> str | None:
        """The node of one stream; that of a machine that nobody knows is the machine itself.

        Args:
            reported: the node that says that it runs there.
        """
        if machine is None:
            return None
        nodes = self._nodes.on_machine(machine)
        if len(nodes) > 1:
            return self._one_of(nodes, stream_id, reported)
        return nodes[0] if nodes else machine

    def _one_of(self, nodes: list[str], stream_id: str, reported: str | None) -> str:
        placed, chosen = self._streams.get(stream_id), self._chosen.get(stream_id)
        refused = self._nodes.avoided | set(self._nodes.refusals.reasons)
        good = [one for one in nodes if one not in refused] or nodes
        if placed is not None and placed.node_id in nodes and self.runs_there(placed):
            chosen = placed.node_id
        elif reported in nodes and (placed is None or not placed.starting):
            chosen = reported
        elif chosen not in good:
            taken = Counter(node for one, node in self._chosen.items() if one != stream_id)
            chosen = min(good, key=taken.__getitem__)
        assert chosen is not None
        self._chosen[stream_id] = chosen
        return chosen
