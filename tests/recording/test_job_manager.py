"""Jobs on cameras that the tests hold in their hands: ends, losses, followers, failing stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.doubles import Camera, MemoryStore, source_error, threads_of

from app.analytics.analyzer import AnalyzerFactory
from app.config import (
    CollectSettings,
    FaceSettings,
    ObjectSettings,
    Settings,
    SpaceSettings,
    StreamSettings,
)
from app.errors import StoreError, TooManyJobs
from app.failure_reason import WORDS, FailureReason
from app.jobs import Job, JobLine, JobSpec, JobState, Recording
from app.models.faces import FaceDetector
from app.pipeline.event_log import EventLog
from app.pipeline.manager import StreamManager
from app.recording.context import JobContext
from app.recording.job_manager import JobManager
from app.recording.probe import examine
from app.recording.retention import DiskSpace, PrunableRecordings
from app.types import StreamSpec, StreamState

pytestmark = pytest.mark.anyio

URL = "rtsp://192.0.2.1/cam"
SPEC = JobSpec(sources=(URL,), duration_s=1.0, retries=3, backoff_s=0.1)


class MemoryJobs:
    """A ``JobStore``, ``JobLogStore`` and ``RecordingStore`` without a database."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.said: list[JobLine] = []
        self.logs: list[str] = []
        self.files: list[Recording] = []
        self.removed: list[int] = []
        self.fails: type[Exception] | None = None

    def _check(self) -> None:
        if self.fails is StoreError:
            raise StoreError(reason="disk full")
        if self.fails is not None:
            raise self.fails("a mistake")

    def save(self, job: Job) -> None:
        self._check()
        self.jobs[job.job_id] = replace(job)

    def delete(self, job_id: str) -> None:
        self.jobs.pop(job_id)

    def unfinished(self) -> list[Job]:
        self._check()
        return [job for job in self.jobs.values() if job.state is JobState.RUNNING]

    def add_line(self, line: JobLine) -> None:
        if self.fails is StoreError:
            raise StoreError(reason="disk full")
        self.said.append(line)

    def lines(self, job_id: str) -> list[JobLine]:
        return [line for line in self.said if line.job_id == job_id]

    def add_entry(self, job_id: str, level: str, text: str) -> None:
        self._check()
        self.logs.append(text)

    def add(self, recording: Recording) -> None:
        self._check()
        self.files.append(replace(recording, file_id=len(self.files) + 1))

    def add_once(self, recording: Recording) -> bool:
        mine = (recording.node, recording.path)
        if mine in [(one.node, one.path) for one in self.files]:
            return False
        self.add(recording)
        return True

    def add_late(self, recording: Recording, index: int) -> None:
        self.add_once(replace(recording, source=self.jobs[recording.job_id].parts[index].label))

    def of_job(self, job_id: str) -> list[Recording]:
        return [file for file in self.files if file.job_id == job_id]

    def all(self) -> list[Recording]:
        return [file for file in self.files if file.file_id not in self.removed]

    def mark_removed(self, file_id: int) -> None:
        self.removed.append(file_id)


Make = Callable[..., JobManager]


@pytest.fixture
def store() -> MemoryJobs:
    return MemoryJobs()


@pytest.fixture
def space(tmp_path: Path, store: MemoryJobs) -> DiskSpace:
    space = DiskSpace(tmp_path, SpaceSettings(min_free=100))
    space.register(PrunableRecordings(tmp_path / "recordings", store))
    return space


@pytest.fixture
async def make(
    settings: StreamSettings,
    face_settings: FaceSettings,
    faces: FaceDetector,
    store: MemoryJobs,
    space: DiskSpace,
    tmp_path: Path,
    camera: Camera,
) -> AsyncIterator[Make]:
    events = EventLog(asyncio.get_running_loop())
    analyzers = AnalyzerFactory(_objects_settings(), {}, None)
    manager = StreamManager(settings, face_settings, faces, MemoryStore(), analyzers, events)
    made: list[JobManager] = []

    def make(**values: object) -> JobManager:
        quick = {"gap_s": 0.6, "start_timeout_s": 20, **values}
        shop = JobContext(
            manager=manager,
            jobs=store,
            job_log=store,
            recordings=store,
            space=space,
            settings=CollectSettings(**quick),
            streams=settings,
            folder=tmp_path / "recordings",
        )
        made.append(JobManager(shop, lambda: [tmp_path]))
        return made[-1]

    yield make
    camera.release()
    for collector in made:
        await collector.close()
    await manager.close()


def _objects_settings() -> ObjectSettings:
    return Settings(_env_file=None).objects


@pytest.fixture
async def collector(make: Make) -> JobManager:
    collector = make()
    await collector.resume()
    return collector


async def heard(collector: JobManager, job: Job) -> list[str]:
    """All that a job says until it is over."""
    lines = await collector.lines(job.job_id)
    assert lines is not None
    async with asyncio.timeout(60):
        return [line.text async for line in lines]


async def until(true: Callable[[], object], what: str) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.02)
    assert true(), what


def saved(store: MemoryJobs, job: Job) -> Job:
    return store.jobs[job.job_id]


async def test_a_job_says_what_the_contract_says(collector: JobManager, store: MemoryJobs) -> None:
    job = await collector.start(SPEC)
    job_id = job.job_id
    assert await heard(collector, job) == [
        f"Collection started with Job ID: {job_id}",
        *(f"Progress: Step {step}/5" for step in range(1, 6)),
        f"Collection completed for Job ID: {job_id}",
    ]
    await until(lambda: collector.running.job(job_id) is None, "it is over")
    done = saved(store, job)
    assert (done.state, done.gaps, done.error) == (JobState.COMPLETED, [], None)
    (file,) = store.files
    assert (done.frames, done.bytes) == (file.facts.frames, file.facts.bytes)


@pytest.mark.alone  # beside others, frames come so late that they leave gaps of their own
async def test_a_camera_that_breaks_is_taken_again(
    make: Make, camera: Camera, store: MemoryJobs
) -> None:
    collector = make(gap_s=1.5)  # a machine that pauses for a second makes no gap
    await collector.resume()
    job = await collector.start(replace(SPEC, duration_s=8.0, retries=50))
    await until(lambda: collector.running.job(job.job_id).frames > 5, "frames")  # type: ignore[union-attr]
    camera.refuses_with = camera.breaks_with = source_error(FailureReason.REFUSED)
    camera.count = 1
    await asyncio.sleep(2.5)
    camera.refuses_with = camera.breaks_with = camera.count = None
    said = await heard(collector, job)
    assert said[-1].startswith("Collection completed")
    await until(lambda: saved(store, job).ended_ts, "saved")
    done = saved(store, job)
    assert done.state is JobState.COMPLETED_WITH_GAPS
    assert len(done.gaps) == 1
    assert 1 < done.gaps[0].to_ts - done.gaps[0].from_ts < 5
    assert done.retries > 0
    assert len(store.files) == 2


async def test_a_camera_that_is_silent_for_a_while_leaves_a_gap(
    collector: JobManager, camera: Camera, store: MemoryJobs
) -> None:
    job = await collector.start(replace(SPEC, duration_s=4.0))
    await until(lambda: collector.running.job(job.job_id).frames > 5, "frames")  # type: ignore[union-attr]
    camera.stall()
    await asyncio.sleep(1.5)
    camera.showing.set()
    assert (await heard(collector, job))[-1].startswith("Collection completed")
    await until(lambda: saved(store, job).ended_ts, "saved")
    assert [gap.reason for gap in saved(store, job).gaps] == ["no picture"]


async def test_a_camera_that_refuses_is_given_up_after_its_retries(
    collector: JobManager, camera: Camera, store: MemoryJobs
) -> None:
    camera.refuses_with = source_error(FailureReason.UNAUTHORIZED)
    job = await collector.start(replace(SPEC, retries=2))
    said = await heard(collector, job)
    assert len(said) == 2
    assert said[1].startswith(f"Error with Job ID {job.job_id}: {URL}: ")
    assert WORDS[FailureReason.UNAUTHORIZED] in said[1]
    assert camera.opened == 3
    assert (saved(store, job).retries, store.files) == (2, [])


async def test_an_ordered_end_is_no_end_of_the_job(
    make: Make, collector: JobManager, store: MemoryJobs
) -> None:
    job = await collector.start(replace(SPEC, duration_s=3.0))
    await until(lambda: len(store.said) >= 3, "step 2")
    listening = asyncio.create_task(heard(collector, job))
    await asyncio.sleep(0)
    await collector.close()
    before = await listening
    assert not before[-1].startswith(("Collection completed", "Error"))
    assert saved(store, job).state is JobState.RUNNING
    assert saved(store, job).parts[0].position_s > 1
    next_process = make()
    await next_process.resume()
    said = await heard(next_process, job)
    assert said[: len(before)] == before
    assert said[-1].startswith("Collection completed")
    assert [text.split()[-1] for text in said[1:-1]] == [f"{n}/5" for n in range(1, 6)]
    await until(lambda: saved(store, job).ended_ts, "saved")
    assert len(store.files) == 2


async def test_interrupted_jobs_say_so(
    make: Make, collector: JobManager, store: MemoryJobs
) -> None:
    job = await collector.start(replace(SPEC, duration_s=60.0))
    await until(lambda: collector.running.job(job.job_id).frames > 5, "frames")  # type: ignore[union-attr]
    await collector.close()
    next_process = make(on_restart="interrupt")
    await next_process.resume()
    await until(lambda: store.said[-1].last, "the last line")
    assert saved(store, job).state is JobState.INTERRUPTED
    assert store.said[-1].text.startswith(f"Error with Job ID {job.job_id}: interrupted")


async def test_a_job_whose_last_row_could_not_be_written_is_not_done_again(
    make: Make, collector: JobManager, store: MemoryJobs, camera: Camera
) -> None:
    job = await collector.start(SPEC)
    await heard(collector, job)
    await until(lambda: collector.running.job(job.job_id) is None, "over")
    store.jobs[job.job_id].state = JobState.RUNNING
    opened, said = camera.opened, len(store.said)
    await make().resume()
    assert saved(store, job).state is JobState.COMPLETED
    assert (camera.opened, len(store.said)) == (opened, said)


async def test_more_jobs_than_allowed_are_refused(make: Make) -> None:
    collector = make(max_jobs=1)
    await collector.resume()
    job = await collector.start(replace(SPEC, duration_s=60.0))
    with pytest.raises(TooManyJobs):
        await collector.start(SPEC)
    assert await collector.cancel(job.job_id)
    await collector.start(SPEC)


async def test_cancelling_twice_and_unknown_jobs_is_harmless(collector: JobManager) -> None:
    job = await collector.start(replace(SPEC, duration_s=60.0))
    assert await asyncio.gather(*(collector.cancel(job.job_id) for _ in range(2))) == [True, True]
    assert not await collector.cancel(job.job_id)
    assert not await collector.cancel("none")


async def test_a_database_that_fails_costs_rows_and_no_recording(
    collector: JobManager, store: MemoryJobs, tmp_path: Path
) -> None:
    job = await collector.start(replace(SPEC, duration_s=2.0))
    store.fails = StoreError
    said = await heard(collector, job)
    assert said[-1].startswith("Collection completed")
    (path,) = (tmp_path / "recordings" / job.job_id).glob("*.mp4")
    assert examine(path).frames > 5


async def test_rows_of_files_are_written_when_there_is_room_again(
    collector: JobManager, store: MemoryJobs, tmp_path: Path
) -> None:
    job = await collector.start(replace(SPEC, duration_s=4.0, segment_s=1.0))
    store.fails = StoreError
    await until(lambda: list((tmp_path / "recordings").glob("*/*2.mp4")), "a file")
    store.fails = None
    await heard(collector, job)
    files = (tmp_path / "recordings").glob("*/*.mp4")
    assert sorted(one.path for one in store.files) == sorted(
        str(path.relative_to(tmp_path / "recordings")) for path in files
    )


async def test_files_whose_rows_were_never_written_count_after_a_restart(
    make: Make, collector: JobManager, store: MemoryJobs
) -> None:
    job = await collector.start(replace(SPEC, duration_s=30.0))
    await until(lambda: collector.running.job(job.job_id).frames > 5, "frames")  # type: ignore[union-attr]
    store.fails = StoreError
    await collector.close()
    assert store.files == []
    store.fails = None
    next_process = make(on_restart="interrupt")
    await next_process.resume()
    await until(lambda: store.said[-1].last, "the last line")
    assert len(store.files) == 1


async def test_a_job_that_cannot_be_stored_is_not_begun(
    collector: JobManager, store: MemoryJobs
) -> None:
    store.fails = StoreError
    with pytest.raises(StoreError):
        await collector.start(SPEC)
    assert len(collector.running) == 0


async def test_a_mistake_in_the_program_ends_the_job_with_an_error(
    collector: JobManager, store: MemoryJobs
) -> None:
    job = await collector.start(replace(SPEC, duration_s=30.0))
    await until(lambda: collector.running.job(job.job_id).frames > 5, "frames")  # type: ignore[union-attr]
    store.fails = RuntimeError  # at the next save

    def once() -> bool:
        if collector.running._runs[job.job_id]._stop.asked.is_set():
            store.fails = None
        return store.fails is None

    await until(once, "the mistake")
    said = await heard(collector, job)
    assert said[-1] == f"Error with Job ID {job.job_id}: internal error: RuntimeError"
    await until(lambda: collector.running.job(job.job_id) is None, "over")
    assert saved(store, job).state is JobState.FAILED
    assert len(store.files) == 1


async def test_a_full_disk_ends_the_job_and_room_is_made_first(
    collector: JobManager, store: MemoryJobs, space: DiskSpace, tmp_path: Path
) -> None:
    first = await collector.start(SPEC)
    await heard(collector, first)
    await until(lambda: collector.running.job(first.job_id) is None, "over")
    free = [0]
    space.free = lambda: free[0] if store.removed else 0  # type: ignore[method-assign]
    second = await collector.start(replace(SPEC, duration_s=30.0))
    said = await heard(collector, second)
    assert said[-1].startswith(f"Error with Job ID {second.job_id}: the disk is full: 0 bytes")
    assert store.removed[0] == store.files[0].file_id, "the oldest went first"
    assert not (tmp_path / "recordings" / store.files[0].path).exists()
    free[0] = 10**9
    third = await collector.start(SPEC)
    assert (await heard(collector, third))[-1].startswith("Collection completed")


async def test_followers_are_many_and_hear_the_same(collector: JobManager) -> None:
    job = await collector.start(SPEC)
    first = [asyncio.create_task(heard(collector, job)) for _ in range(20)]
    await asyncio.sleep(0.5)
    late = await heard(collector, job)
    assert all(said == late for said in await asyncio.gather(*first))


async def test_a_running_stream_is_recorded_and_goes_on_when_the_job_is_over(
    collector: JobManager, camera: Camera, store: MemoryJobs
) -> None:
    manager = collector._ctx.manager
    manager.start_ephemeral(StreamSpec("cam", URL))
    jobs = [await collector.start(replace(SPEC, sources=("cam",))) for _ in range(2)]
    said = await asyncio.gather(*(heard(collector, job) for job in jobs))
    ends = [f"Collection completed for Job ID: {job.job_id}" for job in jobs]
    assert [lines[-1] for lines in said] == ends
    assert [file.source for file in store.files] == ["cam", "cam"]
    assert all(file.facts.frames > 3 for file in store.files)
    assert camera.opened == 1
    assert manager.stream("cam").status.state is StreamState.RUNNING


async def test_a_stream_that_ends_ends_the_job_and_nothing_hangs(
    collector: JobManager, store: MemoryJobs
) -> None:
    manager = collector._ctx.manager
    manager.start_ephemeral(StreamSpec("cam", URL))
    job = await collector.start(replace(SPEC, sources=("cam",), duration_s=60.0, retries=0))
    await until(lambda: collector.running.job(job.job_id).frames > 3, "frames")  # type: ignore[union-attr]
    await manager.disconnect("cam")
    assert "Error with Job ID" in (await heard(collector, job))[-1]
    assert len(store.files) == 1
    assert threads_of("cam") == []


async def test_the_streams_of_jobs_are_no_sources_of_other_jobs(
    make: Make, collector: JobManager
) -> None:
    job = await collector.start(replace(SPEC, duration_s=60.0))
    await until(lambda: collector.running.job(job.job_id).frames > 2, "frames")  # type: ignore[union-attr]
    assert collector.plan(JobSpec()) == []
    manager = collector._ctx.manager
    manager.start_ephemeral(StreamSpec("cam", URL))
    assert [part.source for part in collector.plan(JobSpec())] == ["cam"]
