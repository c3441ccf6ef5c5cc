"""The metrics of nodes, as the front shows them."""

from __future__ import annotations

from prometheus_client.exposition import generate_latest

from app.api.node_metrics import node_families
from app.api.system_schemas import NodeLoadReply
from app.metric_types import Collector, CollectorRegistry
from app.pipeline.directory import NodeStatus
from app.pipeline.node_load import NetworkLoad, NodeLoad

LOAD = NodeLoad(8, 12.5, None, 500, 1000, 400, 50, 3, 2, {"faces": NetworkLoad(4, 10, 2.5)}, 6)
NODES = [
    NodeStatus("1", "north", "192.0.2.1", "ready", None, ("gate", "yard"), LOAD),
    NodeStatus("2", "south", "192.0.2.2", "no_answer", None, ()),
]


def text_of(nodes: list[NodeStatus], *lost: str) -> str:
    class All(Collector):
        def collect(self):  # type: ignore[no-untyped-def]
            return node_families(nodes, lost)

    registry = CollectorRegistry()
    registry.register(All())
    return generate_latest(registry).decode()


def test_what_nodes_report_has_their_name() -> None:
    text = text_of(NODES, "west")
    for line in (
        'watchpost_node_up{node="north"} 1.0',
        'watchpost_node_up{node="south"} 0.0',
        'watchpost_node_up{node="west"} 0.0',
        'watchpost_node_streams{node="north"} 2.0',
        'watchpost_node_cpus{node="north"} 8.0',
        'watchpost_node_cpu_seconds_total{node="north"} 12.5',
        'watchpost_node_disk_free_bytes{node="north"} 400.0',
        'watchpost_node_events_lost_total{node="north"} 2.0',
        'watchpost_node_photos_total{node="north"} 6.0',
        'watchpost_node_network_queue_length{network="faces",node="north"} 4.0',
        'watchpost_node_network_batch_seconds_sum{network="faces",node="north"} 2.5',
        'watchpost_node_network_batch_seconds_count{network="faces",node="north"} 10.0',
    ):
        assert line in text.splitlines()
    assert "watchpost_node_load_1m{" not in text  # nothing is told of what cannot be read
    assert 'node_cpus{node="south"}' not in text


def test_without_a_cluster_there_are_no_series() -> None:
    assert "{" not in text_of([])


def test_a_node_that_has_told_nothing_yet_has_no_numbers() -> None:
    south = NodeLoadReply.of(NODES[1])
    assert (south.answers, south.cpus, south.networks) == (False, None, [])
    assert NodeLoadReply.of(NODES[0]).networks[0].batches == 10
