"""The metrics that are read for each scrape: from streams, queues, jobs, the database and the disk.

Counters and histograms are defined by the code that counts, and are in the server's registry.

The values of labels are bounded: states, types and outcomes are fixed words; networks are the few
that are loaded; streams, jobs and nodes are those that exist now (nodes also while they are lost),
streams ``MAX_STREAMS`` at most. No label holds a URL, a path or a secret, nor a name that people
entered, except of the zones and lines of streams with the rule ``objects``: 32 of each stream at
most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.utils import floatToGoString

from app import __version__
from app.analytics.rules import counted_kinds
from app.api.node_metrics import node_families
from app.api.place_metrics import PlaceFamilies
from app.jobs import Job, JobState
from app.metric_types import PREFIX, Collector, HistogramSnapshot
from app.models.batching import BatchingRunner
from app.notifications import Backlog
from app.pipeline.directory import NodeStatus
from app.pipeline.registry import ALIVE
from app.pipeline.stream_metrics import StreamGauges
from app.recording.retention import DiskUsage
from app.types import Reduced, StreamState, StreamStats, StreamStatus

MAX_STREAMS = 100
PROCESS = ProcessCollector(registry=None)
STREAM_COUNTERS = {
    "frames_in": ("frames_in", "Frames read from the source."),
    "frames_skipped": ("frames_skipped", "Frames that were not decoded: nobody needs them."),
    "frames_published": ("frames_published", "Frames delivered to the output."),
    "frames_dropped": ("frames_dropped", "Frames skipped because a newer one had arrived."),
    "frames_withheld": (
        "frames_withheld",
        "Frames not shown because their faces were not detected in time.",
    ),
    "reconnects": ("reconnects", "Times that input or output was lost after the stream had run."),
    "errors": ("error_count", "Failed attempts and failed frames."),
}
STREAM_GAUGES = {
    "input_fps": ("input_fps", "Frames per second from the source, over five seconds."),
    "output_fps": ("output_fps", "Frames per second at the output, over five seconds."),
    "uptime_seconds": ("uptime_s", "Time since the stream was last started."),
}


class NetworkCollector(Collector):
    """The metrics of all loaded networks, labelled with the network's name."""

    def __init__(self, networks: Mapping[str, BatchingRunner | None]) -> None:
        self._networks = networks

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        about = "Images waiting for inference."
        waiting = GaugeMetricFamily("watchpost_network_queue_length", about, labels=["network"])
        for name, runner in self._networks.items():
            if runner is None:
                continue
            waiting.add_metric([name], runner.waiting)
            own_metrics = runner.metrics
            for metric in (own_metrics.seconds, own_metrics.sizes, own_metrics.outcomes):
                for own in metric.collect():
                    family = Metric(own.name, own.documentation, own.type)
                    families.setdefault(own.name, family).samples += [
                        sample._replace(labels={"network": name, **sample.labels})
                        for sample in own.samples
                    ]
        yield from (*families.values(), waiting)


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """The values of one scrape.

    Attributes:
        jobs_by_state: stored jobs; None if the database does not answer.
        running: the jobs in progress.
        write_lag_s: how long the oldest unwritten event has waited for the database.
        disk: None if it cannot be read.
        stored_by_kind: bytes of what is stored, at the last sweep.
        nodes: of a cluster.
        lost_nodes: names of those that it has lost.
        node_of: the nodes of streams that run on one.
    """

    streams: Sequence[tuple[StreamStatus, StreamGauges | None]]
    jobs_by_state: Mapping[JobState, int] | None
    running: Sequence[Job]
    crops_waiting: int
    crops_skipped: int
    events_waiting: int
    events_lost: int
    write_lag_s: float
    disk: DiskUsage | None
    disk_floor: int
    stored_bytes: int
    stored_limit: int | None
    removed: int
    backlogs: Sequence[Backlog] = ()
    stored_by_kind: Mapping[str, int] = field(default_factory=dict)
    nodes: Sequence[NodeStatus] = ()
    lost_nodes: Sequence[str] = ()
    node_of: Mapping[str, str] = field(default_factory=dict)

    def collect(self) -> Iterator[Metric]:
        """All metric families; ``prometheus_client`` calls this."""
        yield _gauge("build_info", "The running version; always 1.", 1, {"version": __version__})
        yield from self._jobs()
        yield from _all_streams(self.streams)
        shown = _shown(self.streams)
        yield from _streams(shown)
        yield self._stream_nodes({status.spec.stream_id for status, _ in shown})
        yield from node_families(self.nodes, self.lost_nodes)
        yield from self._queues()
        yield from self._disk()
        yield from self._notifications()

    def _stream_nodes(self, shown: set[str]) -> Metric:
        about = "1 for the node that runs a stream."
        family = GaugeMetricFamily(f"{PREFIX}stream_node", about, labels=["stream", "node"])
        for stream, node in self.node_of.items():
            if stream in shown:
                family.add_metric([stream, node], 1)
        return family

    def _jobs(self) -> Iterator[Metric]:
        if self.jobs_by_state is not None:
            states = {state.value: count for state, count in self.jobs_by_state.items()}
            yield _gauges("jobs", "Stored jobs.", "state", states)
        about = "Share of a running job that is done."
        yield _gauges("job_progress_ratio", about, "job_id", self._running(lambda job: job.share))
        about = "Bytes that a running job has recorded."
        yield _gauges("job_written_bytes", about, "job_id", self._running(lambda job: job.bytes))
        about = "Gaps of a running job."
        yield _gauges("job_gaps", about, "job_id", self._running(lambda job: len(job.gaps)))

    def _running(self, value: Callable[[Job], float]) -> dict[str, float]:
        return {job.job_id: value(job) for job in self.running}

    def _queues(self) -> Iterator[Metric]:
        about = "Crops of passing plates that wait or are being read."
        yield _gauge("plate_queue_length", about, self.crops_waiting)
        about = "Crops not read because too many were waiting."
        yield _counter("plate_crops_skipped", about, self.crops_skipped)
        about = "Events that could not be stored in the database."
        yield _counter("events_lost", about, self.events_lost)
        answers = self.jobs_by_state is not None
        yield _gauge("database_up", "Whether the database answers.", answers)
        about = "How long the oldest unwritten event has waited."
        yield _gauge("database_write_lag_seconds", about, self.write_lag_s)
        yield _gauge("database_queue_length", "Events waiting to be written.", self.events_waiting)

    def _disk(self) -> Iterator[Metric]:
        if self.disk is not None:
            yield _gauge("disk_size_bytes", "Size of the recordings' disk.", self.disk.size)
            yield _gauge("disk_free_bytes", "Free space on the recordings' disk.", self.disk.free)
        about = "Space that must stay free; below it, recording stops."
        yield _gauge("disk_floor_bytes", about, self.disk_floor)
        about = "Size of recordings, snapshots and plate images at the last sweep."
        yield _gauge("kept_bytes", about, self.stored_bytes)
        yield _gauges("kept_kind_bytes", "The same by kind.", "kind", self.stored_by_kind)
        if self.stored_limit is not None:
            about = "Upper limit of kept_bytes."
            yield _gauge("kept_limit_bytes", about, self.stored_limit)
        yield _counter("kept_removed", "Files removed to free space.", self.removed)

    def _notifications(self) -> Iterator[Metric]:
        waiting = {one.kind: one.waiting for one in self.backlogs}
        yield _gauges("notifications_waiting", "Messages to deliver.", "kind", waiting)
        dead = {one.kind: one.dead for one in self.backlogs}
        yield _gauges("notifications_dead", "Messages that were given up.", "kind", dead)
        oldest = {one.kind: one.oldest_s for one in self.backlogs}
        about = "How long the oldest message has waited."
        yield _gauges("notifications_oldest_seconds", about, "kind", oldest)


# ── streams ──────────────────────────────────────────────────────────────────────────────────


def _shown(
    streams: Sequence[tuple[StreamStatus, StreamGauges | None]],
) -> list[tuple[StreamStatus, StreamGauges | None]]:
    """The streams with series of their own, ``MAX_STREAMS`` at most; active ones first."""
    ranked = sorted(streams, key=lambda one: (one[0].state not in ALIVE, one[0].spec.stream_id))
    return ranked[:MAX_STREAMS]


def _all_streams(streams: Sequence[tuple[StreamStatus, StreamGauges | None]]) -> Iterator[Metric]:
    states = {
        state.value: sum(status.state is state for status, _ in streams) for state in StreamState
    }
    yield _gauges("streams", "Streams, whichever API started them.", "state", states)
    hidden = max(0, len(streams) - MAX_STREAMS)
    about = f"Streams without series of their own, above the limit of {MAX_STREAMS}."
    yield _gauge("streams_hidden", about, hidden)


def _streams(streams: Iterable[tuple[StreamStatus, StreamGauges | None]]) -> Iterator[Metric]:
    counters = {
        attribute: CounterMetricFamily(f"watchpost_stream_{name}", about, labels=["stream"])
        for name, (attribute, about) in STREAM_COUNTERS.items()
    }
    gauges = {
        attribute: GaugeMetricFamily(f"watchpost_stream_{name}", about, labels=["stream"])
        for name, (attribute, about) in STREAM_GAUGES.items()
    }
    states = GaugeMetricFamily(
        "watchpost_stream_state", "1 for the stream's current state.", labels=["stream", "state"]
    )
    reduced = GaugeMetricFamily(
        "watchpost_stream_reduced",
        "1 for what the stream goes without because the machine cannot do everything.",
        labels=["stream", "what"],
    )
    tracked = GaugeMetricFamily(
        "watchpost_stream_followed", "Objects tracked now.", labels=["stream", "kind"]
    )
    places = PlaceFamilies()
    latency = HistogramMetricFamily(
        "watchpost_stream_latency_seconds", "From capture to the output.", labels=["stream"]
    )
    queues = GaugeMetricFamily(
        "watchpost_stream_queue_length",
        "Frames waiting between two threads of a stream.",
        labels=["stream", "queue"],
    )
    for status, gauges_of_run in streams:
        name, stats = status.spec.stream_id, status.stats
        for attribute, counter in counters.items():
            counter.add_metric([name], getattr(stats, attribute))
        for attribute, gauge in gauges.items():
            gauge.add_metric([name], getattr(stats, attribute))
        for state in StreamState:
            states.add_metric([name, state.value], state is status.state)
        for what, is_reduced in _reduced(stats.reduced).items():
            reduced.add_metric([name, what], is_reduced)
        for kind, count in _followed(stats).items():
            tracked.add_metric([name, kind], count)
        places.add(name, stats.places)
        if gauges_of_run is not None:
            _add_histogram(latency, name, gauges_of_run.latency)
            for queue, length in gauges_of_run.waiting.items():
                queues.add_metric([name, queue], length)
    yield from (*counters.values(), *gauges.values(), states, reduced, tracked, latency, queues)
    yield from places.all()


def _add_histogram(family: HistogramMetricFamily, stream: str, snapshot: HistogramSnapshot) -> None:
    buckets = [(floatToGoString(bound), float(count)) for bound, count in snapshot.buckets]
    family.add_metric([stream], buckets, snapshot.total)


def _reduced(reduced: Reduced | None) -> dict[str, bool]:
    """Whether each part of the work is reduced."""
    reduced = reduced or Reduced()
    return {
        "objects": reduced.objects is not None,
        "crops": reduced.no_crops,
        "faces": reduced.face_gap_s > 0,
        "frames": reduced.frames is not None,
    }


def _followed(stats: StreamStats) -> dict[str, int]:
    """Tracked objects by kind; 0 for kinds that the stream does not count."""
    kinds = dict.fromkeys(counted_kinds(), 0)
    return {"face": stats.faces, **kinds, **stats.followed}


# ── families with one series, or with one label ──────────────────────────────────────────────


def _gauge(
    name: str, about: str, value: float, labels: Mapping[str, str] | None = None
) -> GaugeMetricFamily:
    labels = labels or {}
    family = GaugeMetricFamily(PREFIX + name, about, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def _gauges(name: str, about: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(PREFIX + name, about, labels=[label])
    for word, value in values.items():
        family.add_metric([word], value)
    return family


def _counter(name: str, about: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, about, value=value)
