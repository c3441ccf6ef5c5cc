"""Uploaded photos of a front: their plates are read on the nodes, with the networks of streams."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection
from weakref import WeakKeyDictionary

from app.cluster.nodes import ClusterNodes
from app.cluster.remote_node import RemoteNode
from app.cluster.reports import NodeReport
from app.errors import DetectorError, NotReady, TooManyUploads
from app.models.plates.reader import ReadPlate
from app.pipeline.node_load import NodeLoad

logger = logging.getLogger(__name__)

READ_TIMEOUT_S = 10.0
MAX_NODES = 2
"""Nodes that are asked to read a photo, before the front reads it."""


class FrontPhotos:
    """A ``PhotosElsewhere``; belongs to the event loop's thread.

    Rows and files are the front's, stored once it has an answer. So a photo that two nodes read,
    because the first one answered too late, is stored once.

    Args:
        load: what a node does, as it last reported; None before it has.
    """

    def __init__(self, nodes: ClusterNodes, load: Callable[[RemoteNode], NodeLoad | None]) -> None:
        self._nodes = nodes
        self._load = load
        self._reading: Counter[RemoteNode] = Counter()
        self._failed: WeakKeyDictionary[RemoteNode, NodeReport] = WeakKeyDictionary()

    def at_once(self) -> int:
        """How many can be read at the same time; 0 while no node can."""
        return sum(map(self._places, self._usable()))

    async def read(self, photo: bytes) -> list[ReadPlate] | None:
        """Find and read the plates of a photo on one of the nodes; None if none of them did.

        Raises BadUpload, NotAnImage, UploadTooLarge.
        """
        asked: list[RemoteNode] = []
        while len(asked) < MAX_NODES and (node := self._least_busy(asked)) is not None:
            asked.append(node)
            try:
                return await self._read_on(node, photo)
            except (NotReady, TooManyUploads, DetectorError) as error:
                logger.warning("node %s has not read a photo: %s", node.name, error)
        return None

    async def _read_on(self, node: RemoteNode, photo: bytes) -> list[ReadPlate]:
        report = node.report
        self._reading[node] += 1
        try:
            plates: list[ReadPlate] = await node.send("read_photo", photo, timeout_s=READ_TIMEOUT_S)
        except NotReady:
            if report is not None:
                self._failed[node] = report
            raise
        finally:
            self._reading[node] -= 1
            if not self._reading[node]:
                del self._reading[node]
        return plates

    def _usable(self) -> list[RemoteNode]:
        """The nodes with cores that answer, and have reported again since they last did not."""
        avoided = self._nodes.avoided
        return [
            node
            for node_id, node in self._nodes.items()
            if node_id not in avoided
            and self._nodes.has_cores(node_id)
            and node.report is not None
            and node.report is not self._failed.get(node)
        ]

    def _least_busy(self, asked: Collection[RemoteNode]) -> RemoteNode | None:
        """The node with the fewest photos for its cores, and then with the least load for them."""

        def busy(node: RemoteNode) -> tuple[float, float]:
            load, places = self._load(node), self._places(node)
            on_machine = 0.0 if load is None else load.load_1m or 0.0
            return self._reading[node] / places, on_machine / places

        free = (one for one in self._usable() if self._reading[one] < self._places(one))
        return min((one for one in free if one not in asked), key=busy, default=None)

    def _places(self, node: RemoteNode) -> int:
        """How many photos a node reads at the same time."""
        load = self._load(node)
        return 1 if load is None else load.cpus
