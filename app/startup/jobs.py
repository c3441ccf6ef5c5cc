"""Opens collection jobs, schedules and retention."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.anpr.files import CROPS, UPLOADS
from app.config import Settings
from app.data_folder import make_folder
from app.db.event_pruner import EventPruner
from app.db.job_log import JobLogRepository
from app.db.jobs import JobRepository
from app.db.plates import PlateRepository
from app.db.recordings import RecordingRepository
from app.db.schedules import ScheduleRepository
from app.db.vault import Vault
from app.pipeline.manager import StreamManager
from app.process import background
from app.recording.context import JobContext
from app.recording.elsewhere import RecordersElsewhere
from app.recording.event_retention import PrunableEvents
from app.recording.job_manager import JobManager
from app.recording.job_metrics import JobMetrics
from app.recording.retention import DiskSpace, PrunableFolder, PrunableRecordings
from app.recording.schedules import Scheduler
from app.startup.events import SNAPSHOTS

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class Jobs:
    """Collection jobs, their schedules, and the disk space for recordings."""

    repository: JobRepository
    log: JobLogRepository
    recordings: RecordingRepository
    metrics: JobMetrics
    manager: JobManager
    scheduler: Scheduler
    space: DiskSpace


@asynccontextmanager
async def open_jobs(
    settings: Settings,
    manager: StreamManager,
    engine: Engine,
    vault: Vault,
    events: EventPruner,
    plates: PlateRepository,
    space: DiskSpace,
    elsewhere: RecordersElsewhere | None = None,
) -> AsyncIterator[Jobs]:
    """Open collection jobs, schedules and retention; on leaving, the jobs' files are closed.

    Args:
        elsewhere: records sources on the nodes of a cluster.
    """
    folder = settings.recordings_dir()
    make_folder(folder)
    jobs, job_log = JobRepository(engine, vault), JobLogRepository(engine, vault)
    recordings = RecordingRepository(engine, vault)
    space.register(PrunableRecordings(folder, recordings))
    space.register(
        PrunableEvents(
            settings.data_dir / SNAPSHOTS, events, settings.space, settings.recording.flagged_days
        )
    )
    _register_plate_files(space, settings.data_dir, plates)
    ctx = JobContext(
        manager=manager,
        jobs=jobs,
        job_log=job_log,
        recordings=recordings,
        space=space,
        settings=settings.collect,
        streams=settings.streams,
        folder=folder,
        elsewhere=elsewhere,
    )
    async with AsyncExitStack() as stack:
        job_manager = JobManager(ctx, settings.allowed_folders)
        stack.push_async_callback(job_manager.close)
        scheduler = Scheduler(job_manager, ScheduleRepository(engine, vault))
        await stack.enter_async_context(background(space.run(), "retention"))
        await stack.enter_async_context(background(scheduler.run(), "schedules"))
        yield Jobs(jobs, job_log, recordings, ctx.metrics, job_manager, scheduler, space)


def _register_plate_files(space: DiskSpace, data_dir: Path, plates: PlateRepository) -> None:
    def verified() -> set[Path]:
        return {data_dir / path for path in plates.verified_pictures()}

    for folder in (CROPS, UPLOADS):
        space.register(PrunableFolder(data_dir / folder, "*", verified, "plate"))
