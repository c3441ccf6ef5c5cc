"""Measures what a node does now, and what that costs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from app.cluster.node_files import FilesReport
from app.config import usable_cpus
from app.cpu_time import child_times, memory_bytes
from app.metric_types import HistogramSnapshot
from app.models.batching import BatchingRunner
from app.pipeline.node_load import NetworkLoad, NodeLoad


def load_of(networks: Mapping[str, BatchingRunner | None], report: FilesReport) -> NodeLoad:
    """The load of this process and its machine. Blocks for a moment."""
    return NodeLoad(
        cpus=usable_cpus(),
        cpu_s=time.process_time() + sum(one.seconds for one in child_times()),
        load_1m=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        memory_bytes=memory_bytes(),
        disk_size=report.size,
        disk_free=report.free,
        stored=report.used,
        events_waiting=0,
        events_lost=0,
        networks={
            name: _network(runner) for name, runner in networks.items() if runner is not None
        },
    )


def _network(runner: BatchingRunner) -> NetworkLoad:
    seconds = HistogramSnapshot.of(runner.metrics.seconds)
    return NetworkLoad(runner.waiting, seconds.count, seconds.total)
