"""The machines of the cluster: which are used, which are not and why, which are to be emptied."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Iterator, Sequence

from app.cluster.front_files import FrontFiles
from app.cluster.front_role import FrontRole
from app.cluster.ray_cluster import RayCluster, RayNode, ask_ray
from app.cluster.refusals import Refusals
from app.cluster.remote_node import RemoteNode
from app.cluster.security import check_node
from app.doctor.capacity import USUAL
from app.doctor.measure import Costs
from app.errors import NodeNotFound, SetupError
from app.pipeline.directory import NodeState, NodeStatus

logger = logging.getLogger(__name__)

MAX_GONE = 100
"""Lost nodes that are still reported."""


class ClusterNodes:
    """The nodes by Ray's ids; belongs to the event loop's thread.

    Args:
        files: learns which nodes there are.
        measured: whether to ask nodes what streams cost there.
    """

    def __init__(
        self, cluster: RayCluster, role: FrontRole, files: FrontFiles, *, measured: bool
    ) -> None:
        self._cluster = cluster
        self._role = role
        self._files = files
        self._measured = measured
        self._measuring: set[asyncio.Task[None]] = set()
        self._used: dict[str, RemoteNode] = {}
        self._alive: dict[str, RayNode] = {}
        self._meeting: dict[str, asyncio.Task[None]] = {}
        self._gone: deque[str] = deque(maxlen=MAX_GONE)
        self.refusals = Refusals()

    def __contains__(self, node_id: str | None) -> bool:
        return node_id in self._used

    def __iter__(self) -> Iterator[RemoteNode]:
        return iter(list(self._used.values()))

    def __len__(self) -> int:
        return len(self._used)

    def items(self) -> list[tuple[str, RemoteNode]]:
        """The nodes that are used, with their ids."""
        return list(self._used.items())

    def get(self, node_id: str | None) -> RemoteNode | None:
        """A node that is used; None if there is none with this id."""
        return None if node_id is None else self._used.get(node_id)

    @property
    def alive(self) -> list[str]:
        """The ids of all that Ray considers alive."""
        return list(self._alive)

    @property
    def costs(self) -> list[Costs]:
        """What was measured on the nodes that are used, as far as they have said."""
        return [node.costs for node in self if node.costs is not None]

    @property
    def lost(self) -> list[str]:
        """The names of machines that the cluster lost, and that did not come back."""
        here = {node.name for node in self._alive.values()}
        return [name for name in dict.fromkeys(self._gone) if name not in here]

    @property
    def avoided(self) -> set[str]:
        """Ids of nodes on which nothing is started."""
        return self.refusals.avoided | self.draining

    @property
    def avoided_machines(self) -> set[str]:
        """Ray's ids of machines all of whose nodes are avoided."""
        avoided = self.avoided
        free = {node.machine for node in self._alive.values() if node.node_id not in avoided}
        return {node.machine for node in self._alive.values()} - free

    def has_cores(self, node_id: str) -> bool:
        """Whether Ray may place anything on a node."""
        node = self._alive.get(node_id)
        return node is not None and node.has_cores

    def on_machine(self, machine: str) -> list[str]:
        """The ids of the nodes of a machine, used or not yet; several with ``--workers``."""
        return [node.node_id for node in self._alive.values() if node.machine == machine]

    @property
    def draining(self) -> set[str]:
        """Ids of nodes that are to be emptied."""
        return {node_id for node_id, node in self._used.items() if node.draining}

    def status(self, node_id: str, streams: Sequence[str], waits: str | None) -> NodeStatus:
        """The state of a node that Ray considers alive.

        Args:
            streams: ids of those on it.
            waits: why nothing moves away from nodes that are to be emptied.

        Raises:
            NodeNotFound: there is no such node.
        """
        node = self._alive.get(node_id)
        if node is None:
            raise NodeNotFound(node_id=node_id)
        remote, reason = self._used.get(node_id), self.refusals.reasons.get(node_id)
        state: NodeState = "ready"
        if reason is not None:
            state = "refused"
        elif remote is None:
            state = "opening"
        elif remote.draining:
            records = remote.report is not None and remote.report.recorded
            state, reason = ("draining", waits) if streams or records else ("drained", None)
        elif remote.report is None:
            state = "no_answer"
        load = None if remote is None else self._files.load(remote)
        facts, costs = (None, None) if remote is None else (remote.facts, remote.costs)
        return NodeStatus(
            node_id,
            node.name,
            node.address,
            state,
            reason,
            streams,
            load,
            None if facts is None else facts.version,
            None if costs is None else USUAL.cameras(costs),
        )

    async def refresh(self) -> None:
        """Read the report of each."""
        await asyncio.gather(*(self.refresh_one(node) for node in self))

    async def refresh_one(self, node: RemoteNode) -> None:
        """Read the report of a node."""
        files = node.files
        await node.refresh()
        if node.files != files and any(one is node for one in self):
            self._files.forget(node)  # its process was started again, with another folder
            self._files.meet(node)

    def forget_all(self) -> None:
        """Meet every node again."""
        while self._used:
            self._files.forget(self._used.popitem()[1])

    def close(self) -> None:
        """Wait for no more nodes."""
        for task in (*self._meeting.values(), *self._measuring):
            task.cancel()

    # ── nodes that come and go ───────────────────────────────────────────────────────────

    def meet(self, alive: dict[str, RayNode]) -> None:
        """Use those that are new and may be used, and forget those that are gone.

        Args:
            alive: all that Ray considers alive.
        """
        for node_id in set(self._used) - set(alive):
            gone = self._used.pop(node_id)
            self._gone.append(gone.name)
            self._files.forget(gone)
            logger.warning("node %s is gone", gone.name)
        self.refusals.keep_only(alive)
        self._alive = alive
        hosts = len({node.address for node in alive.values()})
        for node_id, node in alive.items():
            if node_id in self._used:
                self._check_again(node, hosts)
            elif node_id not in self._meeting and self.refusals.is_due(node_id):
                # In the background: a node that loads its networks keeps no stream elsewhere.
                self._meeting[node_id] = meeting = asyncio.create_task(self._meet(node, hosts))
                meeting.add_done_callback(functools.partial(self._met, node))

    async def _meet(self, node: RayNode, hosts: int) -> None:
        """Open a node's actor. Raises SetupError, NotReady if it must not be used."""
        remote = RemoteNode(node.name, await ask_ray(self._cluster.actor, node), self._role)
        check_node(node.name, await remote.attach(), hosts)
        self._used[node.node_id] = remote
        self._files.meet(remote)
        if self._measured:
            self._measuring.add(measuring := asyncio.create_task(remote.measure()))
            measuring.add_done_callback(self._measuring.discard)
        logger.info("node %s joined", node.name)

    def _met(self, node: RayNode, meeting: asyncio.Task[None]) -> None:
        del self._meeting[node.node_id]
        error = None if meeting.cancelled() else meeting.exception()
        if error is None:
            self.refusals.lift(node.node_id, node.name)
        else:
            open_or_old = isinstance(error, SetupError)
            self.refusals.add(node.node_id, node.name, str(error), avoided=open_or_old)

    def _check_again(self, node: RayNode, hosts: int) -> None:
        """Start nothing more on a node that is open, once the cluster has a second host."""
        facts = self._used[node.node_id].facts
        assert facts is not None
        try:
            check_node(node.name, facts, hosts)
        except SetupError as error:
            if self.refusals.is_due(node.node_id):
                self.refusals.add(node.node_id, node.name, str(error), avoided=True)
        else:
            self.refusals.lift(node.node_id, node.name)
