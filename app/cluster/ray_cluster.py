"""The calls to Ray: connecting, nodes and their actors, and the placement groups of streams.

All of them block; ``ask_ray`` makes them from the event loop. A stream's placement group has one
bundle, of the CPU share that a stream takes and its site; Ray reserves it on a node, and on another
one when that node dies. Groups and actors are detached, and named, so that the next front finds
them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError
from ray.util import placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from app.cluster.node import NodeActor, OpenLeases, OpenNode
from app.config import ClusterSettings
from app.errors import NotReady, SetupError

logger = logging.getLogger(__name__)

T = TypeVar("T")

ANSWER_S = 10.0
_THREADS = ThreadPoolExecutor(8, "ray")
"""Of their own: calls that hang while Ray's head is away keep no other work from threads."""
SITE_SHARE = 0.001
"""Of a site's resource, for each stream: `ray start --resources='{"site:north": 1}'`."""
NODE_ID = "ray.io/node-id"
"""A label that Ray gives each node."""
CONCURRENT_CALLS = 1000
"""Calls of one actor at the same time; each viewer waits in one."""


async def ask_ray(call: Callable[..., T], *arguments: object) -> T:
    """Call Ray in a thread. Raises NotReady if it does not answer."""
    answer = asyncio.get_running_loop().run_in_executor(_THREADS, call, *arguments)
    try:
        return await asyncio.wait_for(answer, ANSWER_S)
    except (TimeoutError, RayError, ConnectionError) as error:
        raise NotReady(reason=f"Ray does not answer ({type(error).__name__}).") from None


@dataclass(frozen=True, slots=True)
class RayNode:
    """A node that Ray considers alive."""

    node_id: str
    name: str
    address: str


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
                include_dashboard=False if address == "local" else None,
                configure_logging=False,
            )
        except (ConnectionError, RuntimeError, ValueError, ImportError, RayError) as error:
            raise SetupError(
                reason=f"There is no Ray cluster at {address!r} to connect to. Start one with "
                f"`ray start --head`, or use --cluster local. ({_first_line(error)})"
            ) from None

    def close(self) -> None:
        """Disconnect; actors and their streams go on, unless the cluster is this process' own."""
        ray.shutdown()

    def nodes(self) -> dict[str, RayNode]:
        """The nodes that Ray considers alive, by id."""
        alive = [one for one in ray.nodes() if one["Alive"]]
        named = Counter(one["NodeName"] for one in alive)
        return {
            one["NodeID"]: RayNode(
                one["NodeID"],
                one["NodeName"] + (f"/{one['NodeID'][:8]}" if named[one["NodeName"]] > 1 else ""),
                one["NodeManagerAddress"],
            )
            for one in alive
        }

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
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False),
            )
            .remote(self._open_node, self._open_leases, node.name)
        )

    # ── streams ──────────────────────────────────────────────────────────────────────────

    def placed(self) -> dict[str, str | None]:
        """The node of each stream that has a placement group; None while it waits for one."""
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

    def place(self, stream_id: str, without: Collection[str] = ()) -> None:
        """Ask for room for a stream; ``placed`` says where it is, once there is some.

        Args:
            without: ids of nodes that it must not be on.
        """
        bundles, name = [self.asked_for(stream_id)], self._group(stream_id)
        elsewhere = [{NODE_ID: f"!in({','.join(sorted(without))})"}] if without else None
        placement_group(bundles, name=name, lifetime="detached", bundle_label_selector=elsewhere)

    def release(self, stream_id: str) -> None:
        """Give the room of a stream back."""
        with contextlib.suppress(ValueError):  # it has none
            remove_placement_group(ray.util.get_placement_group(self._group(stream_id)))

    def _group(self, stream_id: str) -> str:
        """The name of its placement group; the table of all groups has no namespaces."""
        return f"{self._namespace} {stream_id}"

    def asked_for(self, stream_id: str) -> dict[str, float]:
        """The resources that a stream asks for."""
        asked = {"CPU": self._settings.cpu_per_stream}
        for pattern, site in self._settings.sites.items():
            if fnmatchcase(stream_id, pattern):
                asked[f"site:{site}"] = SITE_SHARE
        return asked


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
