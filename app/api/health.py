"""Health and metrics of a server, for its operator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, NamedTuple

from fastapi import Depends
from fastapi.requests import HTTPConnection

from app.anpr.read_queue import PlateReadQueue
from app.anpr.service import PlateService
from app.api.metrics import PROCESS, MetricsSnapshot, NetworkCollector
from app.api.video_socket import VideoMetrics
from app.db.deliveries import DeliveryRepository
from app.db.jobs import JobRepository
from app.db.writer import EventWriter
from app.errors import StoreError
from app.jobs import JobState
from app.metric_types import Collector, CollectorRegistry
from app.models.batching import BatchingRunner
from app.notifications import NotifyMetrics
from app.pipeline.directory import StreamDirectory
from app.pipeline.event_log import EventLog
from app.recording.captures import OWN_IDS
from app.recording.footage_metrics import FootageMetrics
from app.recording.job_metrics import JobMetrics
from app.recording.retention import DiskSpace, DiskUsage
from app.recording.running_jobs import RunningJobs

DATABASE_PATIENCE_S = 3.0
LONGEST_LAG_S = 30.0


class HealthIssue(NamedTuple):
    """Something that the server needs and does not have now."""

    what: str
    reason: str


class DatabaseProbe:
    """Checks that the database answers, with one query at a time for all callers.

    Threads that wait for a database which does not answer must not pile up.
    """

    def __init__(self, jobs: JobRepository) -> None:
        self._jobs = jobs
        self._asking: asyncio.Task[dict[JobState, int]] | None = None

    async def jobs_by_state(self) -> dict[JobState, int]:
        """Raises StoreError when the database fails or takes too long."""
        asking = self._asking
        if asking is None or asking.done():
            asking = asyncio.create_task(asyncio.to_thread(self._jobs.count_by_state))
            asking.add_done_callback(lambda late: late.cancelled() or late.exception())
            self._asking = asking
        try:
            async with asyncio.timeout(DATABASE_PATIENCE_S):
                return await asyncio.shield(asking)
        except TimeoutError:
            raise StoreError(reason=f"no answer within {DATABASE_PATIENCE_S:g} s") from None


@dataclass(frozen=True)
class HealthService:
    """Reads the server's metrics and finds what it lacks; belongs to the event loop's thread.

    Attributes:
        networks: by purpose; None for one that is not installed.
    """

    manager: StreamDirectory
    job_metrics: JobMetrics
    footage_metrics: FootageMetrics
    running_jobs: RunningJobs
    events: EventLog
    writer: EventWriter
    space: DiskSpace
    plate_service: PlateService
    read_queue: PlateReadQueue
    networks: Mapping[str, BatchingRunner | None]
    database: DatabaseProbe
    notify_metrics: NotifyMetrics
    deliveries: DeliveryRepository
    video_metrics: VideoMetrics

    @cached_property
    def registry(self) -> CollectorRegistry:
        """The counters and histograms of this server, and the metrics of its process."""
        metrics: list[Collector] = [PROCESS, self.events.counts, self.writer.written]
        metrics += [self.plate_service.outcomes, *self.job_metrics.all()]
        metrics += self.footage_metrics.all()
        metrics += [self.notify_metrics.attempts, self.notify_metrics.latency]
        metrics += self.video_metrics.all()
        registry = CollectorRegistry()
        for metric in (*metrics, NetworkCollector(self.networks)):
            registry.register(metric)
        return registry

    async def read(self) -> MetricsSnapshot:
        """The current values that a scrape shows beside the registry."""
        try:
            jobs_by_state = await self.database.jobs_by_state()
            backlogs = await asyncio.to_thread(self.deliveries.backlog, time.time())
        except StoreError:
            jobs_by_state, backlogs = None, []
        disk = await self._disk()
        space = self.space
        # Streams that a job starts have a new id each time; the job's metrics cover them.
        streams = [
            (status, gauges)
            for status, gauges in self.manager.measured()
            if not status.spec.stream_id.startswith(OWN_IDS)
        ]
        names = [status.spec.stream_id for status, _ in streams]
        return MetricsSnapshot(
            streams=streams,
            jobs_by_state=jobs_by_state,
            running=self.running_jobs.all(),
            crops_waiting=self.read_queue.waiting,
            crops_skipped=self.read_queue.skipped,
            events_waiting=len(self.writer.unwritten()),
            events_lost=self.writer.lost,
            write_lag_s=self.writer.lag_s,
            disk=disk,
            disk_floor=space.settings.min_free,
            stored_bytes=space.used_bytes,
            stored_limit=space.settings.max_bytes,
            removed=space.removed,
            backlogs=backlogs,
            stored_by_kind=dict[str, int](space.bytes_of.items()),
            nodes=self.manager.nodes(),
            lost_nodes=self.manager.lost_nodes(),
            node_of={
                name: node for name in names if (node := self.manager.node_of(name)) is not None
            },
        )

    async def issues(self) -> list[HealthIssue]:
        """Everything that keeps the server from working fully; empty if all is well."""
        return [*await self._database_issues(), *self._network_issues(), *await self._disk_issues()]

    async def _database_issues(self) -> list[HealthIssue]:
        try:
            await self.database.jobs_by_state()
        except StoreError as error:
            return [HealthIssue("database", str(error.details["reason"]))]
        if self.writer.lag_s > LONGEST_LAG_S:
            waiting = len(self.writer.unwritten())
            return [HealthIssue("database", f"it accepts no events: {waiting} wait to be written")]
        return []

    def _network_issues(self) -> list[HealthIssue]:
        return [
            HealthIssue(f"network for {name}", "it is not installed" if network is None else why)
            for name, network in self.networks.items()
            if (why := network.trouble if network is not None else "") is not None
        ]

    async def _disk_issues(self) -> list[HealthIssue]:
        disk, floor = await self._disk(), self.space.settings.min_free
        if disk is None:
            return [HealthIssue("disk", "the data folder cannot be read")]
        if disk.free < floor:
            return [HealthIssue("disk", f"{disk.free} bytes are free, and {floor} must stay free")]
        return []

    async def _disk(self) -> DiskUsage | None:
        try:
            return await asyncio.to_thread(self.space.disk)
        except OSError:
            return None


def _health(connection: HTTPConnection) -> HealthService:
    health: HealthService = connection.state.health
    return health


HealthDep = Annotated[HealthService, Depends(_health)]
