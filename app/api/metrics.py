"""What the server counts, as Prometheus reads it: names, units and labels of every series.

Nothing is kept here. A scrape reads what streams, networks, jobs and the database count anyway.

Labels are bounded: states, types and outcomes are words of the program; networks are the few that
are loaded; streams and jobs are those that exist at the moment, ``MOST_STREAMS`` at most. No label
holds a URL, a path, a name that people gave, or anything secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from app import __version__
from app.analytics.rules import counted_kinds
from app.jobs import Job, JobState
from app.metric_types import HistogramSnapshot
from app.models.batching import BatchingRunner
from app.pipeline.registry import ALIVE
from app.pipeline.stream_metrics import StreamGauges
from app.recording.job_metrics import JobMetrics
from app.recording.retention import DiskUsage
from app.types import StreamState, StreamStats, StreamStatus

MOST_STREAMS = 100
STREAM_COUNTERS = {
    "frames_in": ("frames_in", "Frames that came from the source."),
    "frames_published": ("frames_published", "Frames that reached the far end."),
    "frames_dropped": ("frames_dropped", "Frames left out because newer ones were there."),
    "frames_withheld": ("frames_withheld", "Frames shown to nobody: their faces were not known."),
    "reconnects": ("reconnects", "Times an end was lost after the stream had run."),
    "errors": ("error_count", "Attempts and frames that failed."),
}
STREAM_GAUGES = {
    "input_fps": ("input_fps", "Frames a second from the source, over five seconds."),
    "output_fps": ("output_fps", "Frames a second at the far end, over five seconds."),
    "uptime_seconds": ("uptime_s", "Time since the stream was last started."),
}


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """What a scrape found.

    Attributes:
        networks: by what they are for.
        jobs_by_state: rows of the database; None when it does not answer.
        running: the jobs in progress.
        write_lag_s: for how long the oldest event has waited for the database.
        written: seconds from an event to its row.
        disk: None when it cannot be looked at.
    """

    streams: Sequence[tuple[StreamStatus, StreamGauges | None]]
    networks: Mapping[str, BatchingRunner]
    jobs_by_state: Mapping[JobState, int] | None
    running: Sequence[Job]
    totals: JobMetrics
    plates: Mapping[tuple[str, str], int]
    crops_waiting: int
    crops_skipped: int
    events: Mapping[str, int]
    events_waiting: int
    events_lost: int
    write_lag_s: float
    written: HistogramSnapshot
    disk: DiskUsage | None
    disk_floor: int
    kept_bytes: int
    kept_limit: int | None
    removed: int

    def collect(self) -> Iterator[Metric]:
        """Every family; ``prometheus_client`` calls this."""
        yield _gauge("build_info", "Which version runs; always 1.", {"version": __version__}, 1)
        yield from self._jobs()
        yield from _all_streams(self.streams)
        yield from _streams(_shown(self.streams))
        yield from self._networks()
        yield from self._plates()
        yield from self._events()
        yield from self._database()
        yield from self._disk()

    def _jobs(self) -> Iterator[Metric]:
        totals = self.totals
        if self.jobs_by_state is not None:
            family = GaugeMetricFamily("watchpost_jobs", "Kept jobs.", labels=["state"])
            for state, count in self.jobs_by_state.items():
                family.add_metric([state.value], count)
            yield family
        ended = CounterMetricFamily("watchpost_jobs_ended", "Jobs that ended.", labels=["state"])
        for state, count in totals.ended.read().items():
            ended.add_metric([state.value], count)
        yield ended
        yield _counter("jobs_started", "Jobs that were begun.", totals.started)
        yield _histogram(
            "job_duration_seconds", "From a job's start to its end.", totals.durations.read()
        )
        yield _counter("job_retries", "Attempts to get a lost source back.", totals.retries)
        yield _counter(
            "job_recorded_files", "Recordings that were finished and checked.", totals.files
        )
        yield _counter("job_recorded_bytes", "Bytes of finished recordings.", totals.bytes)
        yield _counter(
            "job_recorded_seconds", "Seconds of video in finished recordings.", totals.seconds
        )
        yield _counter("job_recorded_frames", "Frames of finished recordings.", totals.frames)
        progress = GaugeMetricFamily(
            "watchpost_job_progress_ratio",
            "Share of a running job that is over.",
            labels=["job_id"],
        )
        written = GaugeMetricFamily(
            "watchpost_job_written_bytes", "What a running job has recorded.", labels=["job_id"]
        )
        gaps = GaugeMetricFamily("watchpost_job_gaps", "Gaps of a running job.", labels=["job_id"])
        for job in self.running:
            progress.add_metric([job.job_id], job.share)
            written.add_metric([job.job_id], job.bytes)
            gaps.add_metric([job.job_id], len(job.gaps))
        yield from (progress, written, gaps)

    def _networks(self) -> Iterator[Metric]:
        seconds = HistogramMetricFamily(
            "watchpost_network_batch_seconds", "What a batch took.", labels=["network"]
        )
        sizes = HistogramMetricFamily(
            "watchpost_network_batch_size", "Pictures in a batch.", labels=["network"]
        )
        pictures = CounterMetricFamily(
            "watchpost_network_pictures",
            "Pictures that a network was shown.",
            labels=["network", "outcome"],
        )
        waiting = GaugeMetricFamily(
            "watchpost_network_queue_length", "Pictures that wait.", labels=["network"]
        )
        for name, runner in self.networks.items():
            _add(seconds, [name], runner.seconds.read())
            _add(sizes, [name], runner.batch_sizes.read())
            for outcome, count in runner.outcomes.read().items():
                pictures.add_metric([name, outcome], count)
            waiting.add_metric([name], runner.waiting)
        yield from (seconds, sizes, pictures, waiting)

    def _plates(self) -> Iterator[Metric]:
        plates = CounterMetricFamily(
            "watchpost_plates", "Plates that were kept.", labels=["source", "outcome"]
        )
        for labels, count in self.plates.items():
            plates.add_metric(labels, count)
        yield plates
        about = "Crops of passing plates that are read or wait for it."
        yield _gauge("plate_queue_length", about, {}, self.crops_waiting)
        about = "Crops that were not read because too many waited."
        yield _counter("plate_crops_skipped", about, self.crops_skipped)

    def _events(self) -> Iterator[Metric]:
        events = CounterMetricFamily(
            "watchpost_events", "Events that were reported.", labels=["type"]
        )
        for kind, count in self.events.items():
            events.add_metric([kind], count)
        yield events
        about = "Events that will never be in the database."
        yield _counter("events_lost", about, self.events_lost)

    def _database(self) -> Iterator[Metric]:
        answers = self.jobs_by_state is not None
        yield _gauge("database_up", "Whether the database answers.", {}, answers)
        about = "For how long the oldest event has waited to be written."
        yield _gauge("database_write_lag_seconds", about, {}, self.write_lag_s)
        yield _gauge("database_queue_length", "Events to be written.", {}, self.events_waiting)
        written = HistogramMetricFamily(
            "watchpost_database_write_seconds", "From an event to its row.", labels=[]
        )
        _add(written, [], self.written)
        yield written

    def _disk(self) -> Iterator[Metric]:
        if self.disk is not None:
            yield _gauge("disk_size_bytes", "The disk of the recordings.", {}, self.disk.size)
            yield _gauge("disk_free_bytes", "What is free on it.", {}, self.disk.free)
        about = "What is to stay free: below it, recording stops."
        yield _gauge("disk_floor_bytes", about, {}, self.disk_floor)
        about = "Recordings, snapshots and plate images, as of the last sweep."
        yield _gauge("kept_bytes", about, {}, self.kept_bytes)
        if self.kept_limit is not None:
            yield _gauge("kept_limit_bytes", "How much may be kept.", {}, self.kept_limit)
        yield _counter("kept_removed", "Files that were removed to make room.", self.removed)


# ── streams ──────────────────────────────────────────────────────────────────────────────────


def _shown(
    streams: Sequence[tuple[StreamStatus, StreamGauges | None]],
) -> list[tuple[StreamStatus, StreamGauges | None]]:
    """As many as may have series of their own: those that live first."""
    ranked = sorted(streams, key=lambda one: (one[0].state not in ALIVE, one[0].spec.stream_id))
    return ranked[:MOST_STREAMS]


def _all_streams(streams: Sequence[tuple[StreamStatus, StreamGauges | None]]) -> Iterator[Metric]:
    by_state = GaugeMetricFamily(
        "watchpost_streams", "Streams, whichever API started them.", labels=["state"]
    )
    for state in StreamState:
        by_state.add_metric([state.value], sum(status.state is state for status, _ in streams))
    yield by_state
    hidden = max(0, len(streams) - MOST_STREAMS)
    about = f"Streams without series of their own: there are more than {MOST_STREAMS}."
    yield _gauge("streams_hidden", about, {}, hidden)


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
        "watchpost_stream_state", "1 for the state that it is in.", labels=["stream", "state"]
    )
    followed = GaugeMetricFamily(
        "watchpost_stream_followed", "What is in view now.", labels=["stream", "kind"]
    )
    latency = HistogramMetricFamily(
        "watchpost_stream_latency_seconds", "From the camera to the far end.", labels=["stream"]
    )
    queues = GaugeMetricFamily(
        "watchpost_stream_queue_length",
        "Frames that wait between two threads of a stream.",
        labels=["stream", "queue"],
    )
    for status, measures in streams:
        name, stats = status.spec.stream_id, status.stats
        for attribute, counter in counters.items():
            counter.add_metric([name], getattr(stats, attribute))
        for attribute, gauge in gauges.items():
            gauge.add_metric([name], getattr(stats, attribute))
        for state in StreamState:
            states.add_metric([name, state.value], state is status.state)
        for kind, count in _followed(stats).items():
            followed.add_metric([name, kind], count)
        if measures is not None:
            _add(latency, [name], measures.latency)
            for queue, length in measures.waiting.items():
                queues.add_metric([name, queue], length)
    yield from (*counters.values(), *gauges.values(), states, followed, latency, queues)


def _followed(stats: StreamStats) -> dict[str, int]:
    """Objects by kind; a kind that a stream does not count is 0."""
    kinds = dict.fromkeys(counted_kinds(), 0)
    return {"face": stats.faces, **kinds, **stats.followed}


# ── families of one series ───────────────────────────────────────────────────────────────────


def _gauge(name: str, about: str, labels: Mapping[str, str], value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"watchpost_{name}", about, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def _counter(name: str, about: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"watchpost_{name}", about, value=value)


def _histogram(name: str, about: str, spread: HistogramSnapshot) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"watchpost_{name}", about, labels=[])
    _add(family, [], spread)
    return family


def _add(family: HistogramMetricFamily, labels: Sequence[str], spread: HistogramSnapshot) -> None:
    buckets = [(_bound(bound), float(count)) for bound, count in spread.buckets]
    family.add_metric(labels, buckets, spread.total)


def _bound(bound: float) -> str:
    return "+Inf" if bound == float("inf") else f"{float(bound)}"
