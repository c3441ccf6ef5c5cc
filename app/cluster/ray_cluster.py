"""The calls to Ray: connecting, nodes and their actors, and the placement groups of streams.

All of them block; ``ask_ray`` makes them from the event loop. A stream's placement group has one
bundle, of what the stream asks for; Ray reserves it on a node, and on another
one when that node dies. Groups and actors are detached, and named, so that the next front finds
them. A node has one actor, or as many as its resource ``workers`` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError
from ray.util import placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from app.cluster.node import NodeActor, OpenLeases, OpenNode
from app.cluster.stream_shares import WORKERS
from app.config import ClusterSettings
from app.errors import NotReady, SetupError

logger = logging.getLogger(__name__)

T = TypeVar("T")

ANSWER_S = 10.0
_THREADS = ThreadPoolExecutor(8, "ray")
"""Of their own: calls that hang while Ray's head is away keep no other work from threads."""
NODE_ID = "ray.io/node-id"
"""A label that Ray gives each node."""
CONCURRENT_CALLS = 1000
"""Calls of one actor at the same time; each viewer waits in one."""


class _Calls:
    """The calls that are in progress, in all threads.

    Attributes:
        connection: the number of the connection that calls are made over.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._number = 0
        self.connection = 1

    def make(self, connection: int, call: Callable[..., T], *arguments: object) -> T:
        """Make a call. Raises ConnectionError if its thread began after the connection's end.

        Ray would connect again for it, and the next connection would be refused.
        """
        with self._changed:
            if connection != self.connection:
                raise ConnectionError
            self._number += 1
        try:
            return call(*arguments)
        finally:
            with self._changed:
                self._number -= 1
                self._changed.notify_all()

    def end(self, timeout_s: float) -> None:
        """End the connection for calls, and wait until none is in progress."""
        with self._changed:
            self.connection += 1
            self._changed.wait_for(lambda: not self._number, timeout_s)


_CALLS = _Calls()


async def ask_ray(call: Callable[..., T], *arguments: object) -> T:
    """Call Ray in a thread. Raises NotReady if it does not answer."""
    loop = asyncio.get_running_loop()
    answer = loop.run_in_executor(_THREADS, _CALLS.make, _CALLS.connection, call, *arguments)
    try:
        async with asyncio.timeout(ANSWER_S):
            return await answer
    except (TimeoutError, RayError, ConnectionError) as error:
        raise NotReady(reason=f"Ray does not answer ({type(error).__name__}).") from None


@dataclass(frozen=True, slots=True)
class RayNode:
    """An actor's place on a node that Ray considers alive.

    Attributes:
        node_id: Ray's id of the node, and a number where it has several actors.
        machine: Ray's id of the node.
        share: the number of the actor, and how many the node has.
        has_cores: whether Ray may place anything there: it was not started with ``--num-cpus 0``.
    """

    node_id: str
    name: str
    address: str
    machine: str
    share: tuple[int, int] = (1, 1)
    has_cores: bool = True


class RayCluster:
    """A connection to a Ray cluster.

    Args:
        namespace: of one installation; the actors and streams of others are left alone.
        open_node: opens the networks and the manager on a node.
        open_leases: connects to the database of a URL on a node.
    """

    def __init__(
        self,
        settings: ClusterSettings,
        namespace: str,
        open_node: OpenNode,
        open_leases: OpenLeases,
    ) -> None:
        self._settings = settings
        self._namespace = namespace
        self._open_node = open_node
        self._open_leases = open_leases

    def connect(self) -> None:
        """Connect. Raises SetupError."""
        address = self._settings.address
        try:
            ray.init(
                address=address,
                namespace=self._namespace,
                log_to_driver=False,
                configure_logging=False,
                **(self._own_cluster() if address == "local" else {}),
            )
        except (ConnectionError, RuntimeError, ValueError, ImportError, RayError) as error:
            raise SetupError(
                reason=f"There is no Ray cluster at {address!r} to connect to. Start one with "
                f"`ray start --head`, or use --cluster local. ({_first_line(error)})"
            ) from None

    def _own_cluster(self) -> dict[str, Any]:
        """How to start one. It has no CPUs: Ray starts an idle process for each.

        Ray runs its workers behind all other programs (nice 15), which video cannot wait for.
        """
        return {
            "num_cpus": 0,
            "resources": {WORKERS: self._settings.workers},
            "include_dashboard": False,
            "_system_config": {"worker_niceness": 0},
        }

    def close(self) -> None:
        """Disconnect; actors and their streams go on, unless the cluster is this process' own.

        A call in progress ends first: without its cluster, it would hang for a minute.
        """
        _CALLS.end(ANSWER_S)
        ray.shutdown()

    def nodes(self) -> dict[str, RayNode]:
        """The places for actors on nodes that Ray considers alive, by id."""
        alive = [one for one in ray.nodes() if one["Alive"]]
        named = Counter(one["NodeName"] for one in alive)
        places = [
            place for one in alive for place in _places(one, is_alone=named[one["NodeName"]] == 1)
        ]
        return {place.node_id: place for place in places}

    def actor(self, node: RayNode) -> Any:
        """The actor of a node; it is created if there is none."""
        return (
            ray.remote(NodeActor)
            .options(
                name=f"watchpost node {node.node_id}",
                lifetime="detached",
                get_if_exists=True,
                max_restarts=-1,
                max_task_retries=0,
                num_cpus=0,
                max_concurrency=CONCURRENT_CALLS,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.machine, soft=False),
            )
            .remote(self._open_node, self._open_leases, node.name, node.share)
        )

    # ── streams ──────────────────────────────────────────────────────────────────────────

    def placed(self) -> dict[str, str | None]:
        """The machine of each stream with a placement group; None while it waits for one."""
        return {
            group["name"].removeprefix(self._group("")): self._node_of(group)
            for group in placement_group_table().values()
            if group["name"].startswith(self._group("")) and group["state"] != "REMOVED"
        }

    def room_of(self, stream_id: str) -> dict[str, str | None]:
        """As ``placed``, of one stream: the table of all groups takes long to read."""
        try:
            group = ray.util.get_placement_group(self._group(stream_id))
        except ValueError:
            return {}
        found = placement_group_table(group)
        return {} if found.get("state") == "REMOVED" else {stream_id: self._node_of(found)}

    @staticmethod
    def _node_of(group: Mapping[str, Any]) -> str | None:
        if group["state"] != "CREATED":
            return None
        return next(iter(group["bundles_to_node_id"].values()), None) or None

    def place(
        self, stream_id: str, asked: Mapping[str, float], without: Collection[str] = ()
    ) -> None:
        """Ask for room for a stream; ``placed`` says where it is, once there is some.

        Args:
            asked: its resources.
            without: machines that it must not be on.
        """
        bundles, name = [dict(asked)], self._group(stream_id)
        elsewhere = [{NODE_ID: f"!in({','.join(sorted(without))})"}] if without else None
        placement_group(bundles, name=name, lifetime="detached", bundle_label_selector=elsewhere)

    def release(self, stream_id: str) -> None:
        """Give the room of a stream back."""
        with contextlib.suppress(ValueError):  # it has none
            remove_placement_group(ray.util.get_placement_group(self._group(stream_id)))

    def _group(self, stream_id: str) -> str:
        """The name of its placement group; the table of all groups has no namespaces."""
        return f"{self._namespace} {stream_id}"


def _places(node: Mapping[str, Any], *, is_alone: bool) -> list[RayNode]:
    """The places for actors on one of Ray's nodes.

    Args:
        is_alone: no other node has its name.
    """
    machine, address = node["NodeID"], node["NodeManagerAddress"]
    name = node["NodeName"] + ("" if is_alone else f"/{machine[:8]}")
    count = int(node["Resources"].get(WORKERS, 1))
    if count <= 1:
        has_cores = any(node["Resources"].get(one) for one in ("CPU", WORKERS))
        return [RayNode(machine, name, address, machine, has_cores=has_cores)]
    return [
        RayNode(f"{machine}-{number}", f"{name}-{number}", address, machine, (number, count))
        for number in range(1, count + 1)
    ]


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
