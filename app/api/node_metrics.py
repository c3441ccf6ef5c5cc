"""The metrics of the nodes of a cluster, as they report them, labelled with the node's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from app.metric_types import PREFIX
from app.pipeline.directory import NodeStatus
from app.pipeline.node_load import NodeLoad

GAUGES: dict[str, tuple[str, Callable[[NodeLoad], float | None]]] = {
    "node_cpus": ("CPUs that a node may use.", lambda load: load.cpus),
    "node_load_1m": ("Load of a node's machine.", lambda load: load.load_1m),
    "node_memory_bytes": ("Memory of a node's process.", lambda load: load.memory_bytes),
    "node_disk_size_bytes": ("Size of a node's disk.", lambda load: load.disk_size),
    "node_disk_free_bytes": ("Free space on a node's disk.", lambda load: load.disk_free),
    "node_kept_bytes": (
        "Size of a node's recordings and snapshots at its last sweep.",
        lambda load: load.stored,
    ),
    "node_events_waiting": (
        "Events of a node that the front has not taken.",
        lambda load: load.events_waiting,
    ),
}
COUNTERS: dict[str, tuple[str, Callable[[NodeLoad], float]]] = {
    "node_cpu_seconds": ("CPU time of a node's process.", lambda load: load.cpu_s),
    "node_events_lost": ("Events of a node that no front took.", lambda load: load.events_lost),
    "node_photos": ("Uploaded photos that a node has read.", lambda load: load.photos),
}


def node_families(nodes: Sequence[NodeStatus], lost: Sequence[str] = ()) -> Iterator[Metric]:
    """All families; without a cluster they have no series.

    Args:
        lost: names of nodes that the cluster has lost.
    """
    up = GaugeMetricFamily(f"{PREFIX}node_up", "Whether a node answers.", labels=["node"])
    streams = GaugeMetricFamily(f"{PREFIX}node_streams", "Streams of a node.", labels=["node"])
    for one in nodes:
        up.add_metric([one.name], one.answers)
        streams.add_metric([one.name], len(one.streams))
    for name in lost:
        up.add_metric([name], 0)
    yield from (up, streams)
    loads = [(one.name, one.load) for one in nodes if one.load is not None]
    for name, (about, value) in GAUGES.items():
        gauge = GaugeMetricFamily(PREFIX + name, about, labels=["node"])
        for node, load in loads:
            if (found := value(load)) is not None:
                gauge.add_metric([node], found)
        yield gauge
    for name, (about, count) in COUNTERS.items():
        counter = CounterMetricFamily(PREFIX + name, about, labels=["node"])
        for node, load in loads:
            counter.add_metric([node], count(load))
        yield counter
    yield from _networks(loads)


def _networks(loads: Sequence[tuple[str, NodeLoad]]) -> Iterator[Metric]:
    labels = ["node", "network"]
    waiting = GaugeMetricFamily(
        f"{PREFIX}node_network_queue_length", "Images that wait on a node.", labels=labels
    )
    seconds = SummaryMetricFamily(
        f"{PREFIX}node_network_batch_seconds", "Duration of a batch on a node.", labels=labels
    )
    for node, load in loads:
        for name, network in load.networks.items():
            waiting.add_metric([node, name], network.waiting)
            seconds.add_metric([node, name], network.batches, network.seconds)
    yield from (waiting, seconds)
