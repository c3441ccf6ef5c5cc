"""When repeated jobs run, and when they don't."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from app.errors import InvalidRequest, ScheduleNotFound, StoreError, TooManyJobs
from app.jobs import Job, JobSpec, Schedule
from app.recording.job_manager import JobManager
from app.recording.schedules import Scheduler, next_run

pytestmark = pytest.mark.anyio


class Jobs:
    """What a scheduler asks of a job manager, and of its running jobs."""

    def __init__(self) -> None:
        self.running = self
        self.started: list[str] = []
        self.busy: set[str] = set()
        self.full = False

    def plan(self, spec: JobSpec) -> list[Any]:
        if "wrong" in spec.sources:
            raise InvalidRequest(field="sources.0", reason="no such file")
        return []

    def job(self, job_id: str) -> Job | None:
        return Job(job_id, JobSpec()) if job_id in self.busy else None

    async def start_scheduled(
        self, spec: JobSpec, schedule_id: str, problem: str | None = None
    ) -> Job:
        if self.full:
            raise TooManyJobs(count=1)
        self.started.append(schedule_id)
        return Job(f"job-{len(self.started)}", spec)


class Rows:
    def __init__(self) -> None:
        self.saved: dict[str, Schedule] = {}
        self.fails = False

    def save(self, schedule: Schedule) -> None:
        if self.fails:
            raise StoreError(reason="disk full")
        self.saved[schedule.schedule_id] = replace(schedule)

    def all(self) -> list[Schedule]:
        return [replace(schedule) for schedule in self.saved.values()]

    def delete(self, schedule_id: str) -> None:
        self.saved.pop(schedule_id)


class Now:
    def __init__(self, text: str) -> None:
        self.ts = datetime.fromisoformat(text).timestamp()

    def __call__(self) -> float:
        return self.ts

    def later(self, minutes: float) -> None:
        self.ts += 60 * minutes


@pytest.fixture
def now() -> Now:
    return Now("2026-11-22T10:00:30+00:00")


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def scheduler(jobs: Jobs, now: Now) -> Scheduler:
    made = Scheduler(cast(JobManager, jobs), Rows(), now)
    made._loaded.set()
    return made


def at(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("cron", "zone", "after", "due"),
    [
        ("0 3 * * *", "UTC", "2026-11-22T10:00", "2026-11-23T03:00"),
        ("*/15 * * * *", "UTC", "2026-11-22T10:00", "2026-11-22T10:15"),
        ("0 9 * * MON", "Asia/Seoul", "2026-11-22T10:00", "2026-11-23T09:00"),
        # 02:30 does not exist on the day when clocks go forward: Debian's cron runs it at once
        ("30 2 * * *", "Europe/Paris", "2026-03-28T12:00", "2026-03-29T03:00"),
    ],
)
def test_expressions_are_read_in_their_time_zone(
    cron: str, zone: str, after: str, due: str
) -> None:
    assert next_run(cron, zone, at(after, zone)) == at(due, zone)


@pytest.mark.parametrize(
    ("cron", "zone", "field"),
    [
        ("61 * * * *", "UTC", "cron"),
        ("* * * *", "UTC", "cron"),
        ("0 0 30 2 *", "UTC", "cron"),
        ("soon", "UTC", "cron"),
        ("0 0 * * *", "Mars/Base", "timezone"),
        ("0 0 * * *", "../../etc/passwd", "timezone"),
        ("0 0 * * *", "", "timezone"),
    ],
)
def test_an_expression_of_no_use_is_refused_by_name(cron: str, zone: str, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        next_run(cron, zone, 0)
    assert caught.value.details["field"] == field


async def test_a_job_starts_when_it_is_due_and_then_again(
    scheduler: Scheduler, jobs: Jobs, now: Now
) -> None:
    await scheduler.put(Schedule("s", "* * * * *", JobSpec()))
    await scheduler.tick()
    assert jobs.started == []
    now.later(1)
    await scheduler.tick()
    await scheduler.tick()
    assert jobs.started == ["s"]
    now.later(1)
    await scheduler.tick()
    assert jobs.started == ["s", "s"]
    assert (await scheduler.get("s")).last_job_id == "job-2"


async def test_runs_that_would_overlap_are_left_out_and_counted(
    scheduler: Scheduler, jobs: Jobs, now: Now
) -> None:
    await scheduler.put(Schedule("s", "* * * * *", JobSpec()))
    now.later(1)
    await scheduler.tick()
    jobs.busy.add("job-1")
    for _ in range(3):
        now.later(1)
        await scheduler.tick()
    assert jobs.started == ["s"]
    assert (await scheduler.get("s")).skipped == 3
    jobs.busy.clear()
    now.later(1)
    await scheduler.tick()
    assert jobs.started == ["s", "s"]


async def test_a_long_absence_is_one_run_and_not_a_hundred(
    scheduler: Scheduler, jobs: Jobs, now: Now
) -> None:
    await scheduler.put(Schedule("s", "* * * * *", JobSpec()))
    now.later(100)
    for _ in range(5):
        await scheduler.tick()
    assert jobs.started == ["s"]


async def test_too_many_jobs_and_a_full_disk_stop_no_schedule(
    scheduler: Scheduler, jobs: Jobs, now: Now
) -> None:
    await scheduler.put(Schedule("s", "* * * * *", JobSpec()))
    jobs.full = True
    cast(Any, scheduler)._store.fails = True
    now.later(1)
    await scheduler.tick()
    jobs.full = False
    now.later(1)
    await scheduler.tick()
    assert jobs.started == ["s"]
    assert (await scheduler.get("s")).skipped == 1


async def test_what_is_switched_off_or_removed_does_not_run(
    scheduler: Scheduler, jobs: Jobs, now: Now
) -> None:
    await scheduler.put(Schedule("off", "* * * * *", JobSpec(), enabled=False))
    await scheduler.put(Schedule("gone", "* * * * *", JobSpec()))
    await scheduler.remove("gone")
    now.later(5)
    await scheduler.tick()
    assert jobs.started == []
    assert scheduler.due("off") is None
    with pytest.raises(ScheduleNotFound):
        await scheduler.get("gone")


async def test_a_source_of_no_use_is_refused_when_the_schedule_is_made(
    scheduler: Scheduler,
) -> None:
    with pytest.raises(InvalidRequest):
        await scheduler.put(Schedule("s", "* * * * *", JobSpec(sources=("wrong",))))
    assert await scheduler.all() == []
