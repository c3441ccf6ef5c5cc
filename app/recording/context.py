"""What all collection jobs share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from app.config import CollectSettings, StreamSettings
from app.errors import StoreError
from app.pipeline.manager import StreamManager
from app.recording.elsewhere import RecordersElsewhere
from app.recording.job_metrics import JobMetrics
from app.recording.retention import DiskSpace
from app.recording.stores import (
    JobEntryStore,
    JobLogStore,
    JobStore,
    NewRecordingStore,
    RecordingStore,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RecorderContext:
    """The services and settings with which sources are recorded, in a server or on a node.

    Attributes:
        folder: each job has a folder of its own in it.
        metrics: of all jobs.
    """

    manager: StreamManager
    job_log: JobEntryStore
    recordings: NewRecordingStore
    space: DiskSpace
    settings: CollectSettings
    streams: StreamSettings
    folder: Path
    metrics: JobMetrics = field(default_factory=JobMetrics)

    def may_write(self) -> bool:
        """Whether rows are written by this process now."""
        return True

    async def store_row(self, job_id: str, store: Callable[..., None], *values: object) -> bool:
        """Write a row; returns whether that worked. A failing database loses the row, not the
        recording."""
        if not self.may_write():
            return False
        try:
            await asyncio.to_thread(store, *values)
        except StoreError as error:
            logger.error("job %s: %s", job_id, error)
            return False
        return True

    async def log(self, job_id: str, level: str, text: str) -> None:
        """Write what happened in a job to the log and to the database."""
        logger.log(logging.getLevelName(level.upper()), "job %s: %s", job_id, text)
        await self.store_row(job_id, self.job_log.add_entry, job_id, level, text)


@dataclass(frozen=True, kw_only=True)
class JobContext(RecorderContext):
    """The services and settings that every job uses.

    Attributes:
        elsewhere: records sources on the nodes of a cluster; None without one.
    """

    jobs: JobStore
    job_log: JobLogStore
    recordings: RecordingStore
    elsewhere: RecordersElsewhere | None = None

    def may_write(self) -> bool:
        """Whether rows are written by this process now; another one may be the front."""
        return self.elsewhere is None or self.elsewhere.is_front()
