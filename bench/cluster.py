"""What the front of a cluster carries: many streams that do nothing but report, on four raylets.

Real are Ray, its placement and its failures, the front, the nodes' processes, their leases and
reports. Not real are the streams: no video is read, and each only says that it runs, and reports
an event now and then. They have the leases of their outputs, in an SQLite file. So this shows the
cost of the cluster, not that of the video.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psutil

from app.analytics.objects.daily_counts import DailyCounts
from app.api.camera_schemas import Camera
from app.config import ClusterSettings, RecordingSettings, Settings, SpaceSettings, StreamSettings
from app.db.engine import open_database
from app.db.node_files import NodeFileRepository
from app.db.snapshots import SnapshotFolder
from app.db.stream_sessions import StreamSessionRepository
from app.events import RuleEvent
from app.pipeline.event_log import EventLog
from app.pipeline.manager import StreamManager
from app.pipeline.registry import NullStreamStore
from app.pipeline.sinks import Output
from app.startup.cluster import open_cluster
from app.types import StoredStream, StreamSpec, StreamState, StreamStats, StreamStatus
from bench.table import show

if TYPE_CHECKING:
    from app.cluster.node import NodeParts
    from app.cluster.streams import ClusterStreams

COUNTS = (100, 1000)
RAYLETS = 4
ROOM = 1.5
"""Times as much room as the streams need: three raylets have room for all. It is all in one core
for each raylet, since Ray starts as many processes as a raylet has cores."""
EVENT_EVERY_S = 10.0
STEADY_S = 20.0
PATIENCE_S = 300.0
HEALTH = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


@dataclass
class Run:
    """Stands in for a stream, its entry in the registry and its handle."""

    spec: StreamSpec
    session_id: str | None = None
    recorded = False
    alive = True

    def gauges(self) -> None:
        return None

    def status(self) -> StreamStatus:
        stats = StreamStats(output_fps=15.0, session_id=self.session_id)
        return StreamStatus(self.spec, StreamState.RUNNING, stats)


class Reporting:
    """Stands in for a ``StreamManager`` and its registry."""

    has_analytics = False

    def __init__(self, log: EventLog) -> None:
        self.registry: dict[str, Run] = {}
        self._log = log

    def all(self) -> list[StreamStatus]:
        return [run.status() for run in self.registry.values()]

    def stream(self, stream_id: str) -> Run:
        return self.registry[stream_id]

    def start_ephemeral(self, spec: StreamSpec) -> None:
        self.registry.setdefault(spec.stream_id, Run(spec))

    async def disconnect(self, stream_id: str) -> None:
        self.registry.pop(stream_id, None)

    async def report(self) -> None:
        """Report an event of each stream now and then."""
        while True:
            for stream_id in tuple(self.registry):
                self._log.report(stream_id, RuleEvent("object_appeared"), time.time(), None, None)
            await asyncio.sleep(EVENT_EVERY_S)


@asynccontextmanager
async def open_reporting(_: Output) -> AsyncIterator[NodeParts]:
    """Open a node whose streams only report."""
    from app.cluster.node import NodeParts
    from app.cluster.node_files import open_files
    from app.cluster.node_jobs import NodeJobs
    from app.cluster.node_store import NodeWatchlist

    log = EventLog(asyncio.get_running_loop())
    folder = Path(tempfile.mkdtemp(prefix="bench-node-"))
    streams = Reporting(log)
    async with open_files(
        folder, folder.name, SnapshotFolder, log, RecordingSettings(), SpaceSettings()
    ) as files:
        events = asyncio.create_task(streams.report())
        manager = cast(StreamManager, streams)
        jobs = NodeJobs(manager, files, StreamSettings(), folder / "recordings")
        try:
            yield NodeParts(manager, log, files, {}, NodeWatchlist(), jobs)
        finally:
            events.cancel()


class Rows(NullStreamStore):
    """The streams that are stored."""

    def __init__(self, count: int) -> None:
        self._specs = [
            StreamSpec(f"cam-{n}", f"rtsp://192.0.2.1/{n}", f"rtsp://192.0.2.2/{n}")
            for n in range(count)
        ]

    def load(self) -> list[StoredStream]:
        return [StoredStream(spec, StreamState.RUNNING, None, True) for spec in self._specs]


@contextlib.contextmanager
def raylets() -> Iterator[list[Any]]:
    """Four raylets, and a head without room."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ.update(HEALTH)
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield [cluster.add_node(num_cpus=1) for _ in range(RAYLETS)]
    finally:
        ray.shutdown()
        cluster.shutdown()


def family(raylet: Any) -> list[psutil.Process]:
    """A raylet and its workers."""
    process = psutil.Process(raylet.all_processes["raylet"][0].process.pid)
    return [process, *process.children(recursive=True)]


def _all_of(nodes: list[Any]) -> list[psutil.Process]:
    return [process for node in nodes for process in family(node)]


def cpu_s(processes: list[psutil.Process]) -> float:
    """The CPU time of processes so far."""
    return sum(sum(one.cpu_times()[:2]) for one in processes)


def states(streams: ClusterStreams) -> dict[str, StreamState]:
    """The state of each stream."""
    return {one.spec.stream_id: one.state for one in streams.all()}


async def all_run(streams: ClusterStreams) -> float:
    """Wait until all streams run; returns for how long."""
    begun = time.monotonic()
    while set(states(streams).values()) != {StreamState.RUNNING}:
        if time.monotonic() - begun > PATIENCE_S:
            raise TimeoutError("not all streams run")
        await asyncio.sleep(0.1)
    return time.monotonic() - begun


async def failover(streams: ClusterStreams, victim: list[psutil.Process]) -> list[float]:
    """Kill a raylet with its workers; when each of its streams ran again, after how long."""
    node = next(one for one in streams.nodes() if any(_is_of(one.node_id, p) for p in victim))
    waiting, ran = set(node.streams), list[float]()
    begun = time.monotonic()
    for process in victim:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    while waiting:
        if time.monotonic() - begun > PATIENCE_S:
            raise TimeoutError(f"{len(waiting)} streams do not run")
        await asyncio.sleep(0.05)
        back = {
            one
            for one in waiting
            if streams.stream(one).status.state is StreamState.RUNNING
            and streams.node_of(one) not in (None, node.name)
        }
        ran += [time.monotonic() - begun] * len(back)
        waiting -= back
    return ran


def _is_of(node_id: str, process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(node_id in word for word in process.cmdline())
    return False


async def measured(count: int, nodes: list[Any]) -> dict[str, str]:
    """What a front with so many streams takes."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            _env_file=None,
            data_dir=Path(folder),
            cluster=ClusterSettings(
                address="auto", cpu_per_stream=round(RAYLETS / ROOM / count, 4)
            ),
        )
        engine = open_database(settings.resolved_database_url())
        log, rows = EventLog(asyncio.get_running_loop()), NodeFileRepository(engine)
        own = cast(StreamManager, Reporting(log))
        front = psutil.Process()
        cpu, begun = cpu_s([front]), time.monotonic()
        numbers = StreamSessionRepository(engine).next_today
        async with open_cluster(
            settings, own, Rows(count), log, rows, numbers, DailyCounts(), opening=open_reporting
        ) as directory:
            streams = cast("ClusterStreams", directory)
            await streams.load()
            await all_run(streams)
            placed_s, placing = time.monotonic() - begun, cpu_s([front]) - cpu
            gcs = [p for p in front.children(recursive=True) if "gcs_server" in p.name()]
            before = [cpu_s([front]), cpu_s(gcs), cpu_s(_all_of(nodes))]
            await asyncio.sleep(STEADY_S)
            after = [cpu_s([front]), cpu_s(gcs), cpu_s(_all_of(nodes))]
            load = [(b - a) / STEADY_S for a, b in zip(before, after, strict=True)]
            lists = _lists_per_s(streams)
            ran = await failover(streams, family(nodes[0]))
        engine.dispose()
    return {
        "placing all after the front's start, s": f"{placed_s:.1f}",
        "the front's CPU for that, s": f"{placing:.1f}",
        "front, cores": f"{load[0]:.2f}",
        "Ray's head, cores": f"{load[1]:.2f}",
        "raylets and nodes together, cores": f"{load[2]:.2f}",
        "lists of all cameras per second of CPU": f"{lists:.1f}",
        "streams of the killed raylet": str(len(ran)),
        "first, median, last that runs elsewhere, s": (
            f"{min(ran):.1f}, {statistics.median(ran):.1f}, {max(ran):.1f}"
        ),
    }


def _lists_per_s(streams: ClusterStreams) -> float:
    """How often ``GET /cameras`` could be answered, without HTTP."""
    begun, lists = time.process_time(), 0
    while time.process_time() < begun + 1:
        replies = [
            Camera.of(one, "en", streams.node_of(one.spec.stream_id)).model_dump(mode="json")
            for one in streams.all()
        ]
        json.dumps(replies)
        lists += 1
    return lists / (time.process_time() - begun)


def run() -> None:
    """Measure with some and with many streams."""
    logging.disable(logging.WARNING)
    found = {}
    for count in COUNTS:
        with raylets() as nodes:
            found[count] = asyncio.run(measured(count, nodes))
    title = f"A cluster of {RAYLETS} raylets whose streams only report"
    rows = [[name, *(found[count][name] for count in COUNTS)] for name in found[COUNTS[0]]]
    show(title, ["streams", *map(str, COUNTS)], rows)
