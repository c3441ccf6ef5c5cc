"""Jobs that repeat: when the next run is due, and that two runs of a schedule never overlap.

Cron expressions are parsed by cronsim, which follows Debian's cron, including clock changes. Runs
that were due while the server was down are not made up for: the past cannot be recorded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from cronsim import CronSim, CronSimError

from app.errors import InvalidRequest, ScheduleNotFound, StoreError, WatchpostError
from app.jobs import Schedule
from app.local_time import time_zone
from app.recording.job_manager import JobManager

logger = logging.getLogger(__name__)

LONGEST_SLEEP_S = 30.0  # the system clock may be changed


class ScheduleStore(Protocol):
    """Where schedules are stored. Blocking; raises StoreError."""

    def save(self, schedule: Schedule) -> None: ...

    def all(self) -> list[Schedule]: ...

    def delete(self, schedule_id: str) -> None: ...


def next_run(cron: str, timezone: str, after_ts: float) -> float:
    """When an expression is due next, Unix seconds.

    Raises:
        InvalidRequest: it cannot be parsed, is never due, or the time zone is unknown.
    """
    try:
        zone = time_zone(timezone)
    except ValueError as error:
        raise InvalidRequest(field="timezone", reason=str(error)) from None
    try:
        return next(CronSim(cron, datetime.fromtimestamp(after_ts, zone))).timestamp()
    except (CronSimError, StopIteration) as error:
        reason = str(error) or "it never happens"
        raise InvalidRequest(field="cron", reason=f"{reason}; five fields like 0 3 * * *") from None


class Scheduler:
    """All schedules; belongs to the event loop's thread.

    Args:
        now: Unix seconds.
    """

    def __init__(
        self, jobs: JobManager, store: ScheduleStore, now: Callable[[], float] = time.time
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._now = now
        self._schedules: dict[str, Schedule] = {}
        self._due: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._loaded = asyncio.Event()

    async def all(self) -> list[Schedule]:
        await self._loaded.wait()
        return list(self._schedules.values())

    async def get(self, schedule_id: str) -> Schedule:
        """Raises ScheduleNotFound."""
        await self._loaded.wait()
        try:
            return self._schedules[schedule_id]
        except KeyError:
            raise ScheduleNotFound(schedule_id=schedule_id) from None

    def due(self, schedule_id: str) -> float | None:
        """When the next run is due; None while the schedule is switched off."""
        return self._due.get(schedule_id)

    async def put(self, schedule: Schedule) -> None:
        """Add or replace. Raises InvalidRequest for an unusable expression or source."""
        next_run(schedule.cron, schedule.timezone, self._now())
        self._jobs.plan(schedule.spec)
        await self._loaded.wait()
        await asyncio.to_thread(self._store.save, schedule)
        self._schedules[schedule.schedule_id] = schedule
        self._plan(schedule)
        self._changed.set()

    async def remove(self, schedule_id: str) -> None:
        """Remove a schedule; its running job continues. Raises ScheduleNotFound."""
        await self.get(schedule_id)
        await asyncio.to_thread(self._store.delete, schedule_id)
        self._schedules.pop(schedule_id, None)
        self._due.pop(schedule_id, None)

    async def run(self) -> None:
        """Start jobs when they are due, until cancelled."""
        try:
            for schedule in await asyncio.to_thread(self._store.all):
                self._schedules[schedule.schedule_id] = schedule
                self._plan(schedule)
        except StoreError as error:
            logger.error("schedules cannot be read: %s", error)
        self._loaded.set()
        while True:
            await self.tick()
            left = min(self._due.values(), default=self._now() + LONGEST_SLEEP_S) - self._now()
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, LONGEST_SLEEP_S)):
                    await self._changed.wait()

    async def tick(self) -> None:
        """Start what is due now."""
        for schedule_id, due_ts in list(self._due.items()):
            schedule = self._schedules.get(schedule_id)
            if schedule is not None and due_ts <= self._now():
                self._plan(schedule)
                await self._start(schedule)

    def _plan(self, schedule: Schedule) -> None:
        self._due.pop(schedule.schedule_id, None)
        if schedule.enabled:
            try:
                due = next_run(schedule.cron, schedule.timezone, self._now())
            except InvalidRequest as error:  # a row that another program wrote
                logger.error("schedule %s: %s", schedule.schedule_id, error)
                return
            self._due[schedule.schedule_id] = due

    async def _start(self, schedule: Schedule) -> None:
        """Start a job; a run that would overlap the previous one is skipped and counted."""
        if schedule.last_job_id and self._jobs.running.job(schedule.last_job_id):
            schedule.skipped += 1
            logger.warning(
                "schedule %s: run skipped, the last job is still running", schedule.schedule_id
            )
        else:
            try:
                job = await self._jobs.start_scheduled(
                    schedule.spec, schedule.schedule_id, schedule.error
                )
            except WatchpostError as error:
                schedule.skipped += 1
                logger.error("schedule %s: %s", schedule.schedule_id, error)
            else:
                schedule.last_run_ts, schedule.last_job_id = job.created_ts, job.job_id
        try:
            await asyncio.to_thread(self._store.save, schedule)
        except StoreError as error:
            logger.error("schedule %s: %s", schedule.schedule_id, error)
