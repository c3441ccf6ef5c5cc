"""Jobs whose sources nodes record, on a cluster within this process."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ParamSpec, cast

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'watchpost[cluster]'")

from support.doubles import Camera
from support.local_ray import LocalRay, front_of

from app.cluster import front_jobs, remote_recorder
from app.cluster.front_files import FrontFiles
from app.cluster.front_jobs import FrontJobs
from app.cluster.node_files import FilesReport, NodeFiles
from app.cluster.node_jobs import NodeJobs
from app.cluster.remote_node import RemoteNode
from app.cluster.streams import ClusterStreams
from app.config import CollectSettings, Settings, SpaceSettings, StreamSettings
from app.db.engine import open_database
from app.db.job_log import JobLogRepository
from app.db.jobs import JobRepository
from app.db.recordings import RecordingRepository
from app.db.vault import Vault
from app.errors import JobNotFound, NodeGone, NotReady, StoreError, WatchpostError
from app.footage import RECORDINGS
from app.jobs import Job, JobSpec, JobState, Recording
from app.pipeline.manager import StreamManager
from app.pipeline.sources import SOURCES
from app.process import background
from app.recording.context import JobContext
from app.recording.job_manager import JobManager
from app.recording.retention import DiskSpace
from app.recording.seekable import REWRITTEN
from app.types import StreamSpec

P = ParamSpec("P")
ROUND_S, PATIENCE_S = 0.05, 60.0
URL = "rtsp://admin:hidden@192.0.2.1/cam"
SPEC = JobSpec(sources=(URL,), duration_s=600.0, segment_s=1.0, retries=3, backoff_s=0.1)


def on_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test on an event loop."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHPOST_DATA_DIR", str(tmp_path / "nodes"))
    monkeypatch.setattr(remote_recorder, "POLL_S", 0.1)


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Camera:
    """The source of every ``rtsp:`` input."""
    camera = Camera(interval_s=0.1)
    monkeypatch.setitem(SOURCES, "rtsp", camera.source)
    return camera


@dataclass
class Front:
    """A front with jobs, which looks at its nodes all the time."""

    streams: ClusterStreams
    jobs: JobManager
    rows: JobRepository
    recordings: RecordingRepository

    def files(self, job: Job) -> list[Recording]:
        return self.recordings.of_job(job.job_id)

    def by_node(self, job: Job) -> dict[str | None, list[Recording]]:
        found: dict[str | None, list[Recording]] = {}
        for one in self.files(job):
            found.setdefault(one.node, []).append(one)
        return found

    def now(self, job: Job) -> Job:
        return self.jobs.running.job(job.job_id) or self.rows.get(job.job_id)


@asynccontextmanager
async def front(folder: Path, ray: LocalRay) -> AsyncIterator[Front]:
    async with AsyncExitStack() as stack:
        streams = await stack.enter_async_context(front_of(folder, ray))
        engine = open_database(Settings(data_dir=folder).resolved_database_url())
        stack.callback(engine.dispose)
        vault = Vault(b"0123456789abcdef")
        rows, recordings = JobRepository(engine, vault), RecordingRepository(engine, vault)
        ctx = JobContext(
            manager=streams._own,
            jobs=rows,
            job_log=JobLogRepository(engine, vault),
            recordings=recordings,
            space=DiskSpace(folder, SpaceSettings(min_free=0)),
            settings=CollectSettings(gap_s=0.6),
            streams=StreamSettings(),
            folder=folder / "recordings",
            elsewhere=streams.jobs,
        )
        jobs = JobManager(ctx, list)
        stack.push_async_callback(jobs.close)

        async def look() -> None:
            while True:
                await streams.rounds.step()
                await asyncio.sleep(ROUND_S)

        await stack.enter_async_context(background(look(), "rounds"))
        await jobs.resume()
        yield Front(streams, jobs, rows, recordings)


async def until(true: Callable[[], object], what: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(ROUND_S)
    assert true(), what


async def joined(one: Front, ray: LocalRay) -> None:
    await until(lambda: len(one.streams._nodes) == len(ray.alive), "all nodes are used")


@on_a_loop
async def test_a_source_is_recorded_on_a_node_and_its_files_are_read_there(
    tmp_path: Path, camera: Camera
) -> None:
    ray = LocalRay({"a": 1})
    async with ray.stack, front(tmp_path, ray) as one:
        await joined(one, ray)
        job = await one.jobs.start(replace(SPEC, duration_s=3.0))
        lines = await one.jobs.lines(job.job_id)
        assert lines is not None
        said = [line.text async for line in lines]
        assert said == [
            f"Collection started with Job ID: {job.job_id}",
            *(f"Progress: Step {step}/5" for step in range(1, 6)),
            f"Collection completed for Job ID: {job.job_id}",
        ]
        done = one.rows.get(job.job_id)
        assert (done.state, done.gaps, done.error) == (JobState.COMPLETED, [], None)
        assert [part.node for part in done.parts] == ["a"]
        files = one.files(job)
        assert len(files) >= 2
        assert (done.frames, done.bytes) == (
            sum(file.facts.frames for file in files),
            sum(file.facts.bytes for file in files),
        )
        assert not (tmp_path / "recordings" / job.job_id).exists()
        there = one.streams.files.of(str(files[0].node))
        name = f"{RECORDINGS}{files[0].path}"
        assert await there.size(name) == files[0].facts.bytes
        assert (await there.piece(name, 4, 4)) == b"ftyp"
        assert ray.placed() == {}
        (on_disk,) = (tmp_path / "nodes").glob(f"node-*/{name}")
        await one.jobs.remove(job.job_id)
        await until(lambda: not on_disk.exists(), "the node deletes it")


@on_a_loop
async def test_a_job_goes_on_elsewhere_with_the_gap_and_what_the_lost_node_has(
    tmp_path: Path, camera: Camera
) -> None:
    ray = LocalRay({"a": 1, "b": 0})
    async with ray.stack, front(tmp_path, ray) as one:
        await joined(one, ray)
        job = await one.jobs.start(SPEC)
        await until(lambda: one.files(job), "a file of the first node")
        (first,) = one.by_node(job)
        lost = "a"
        before = one.now(job).parts[0].position_s
        await ray.lose(lost)
        await until(lambda: one.now(job).parts[0].position_s > before + 2, "time passes")
        assert one.jobs.running.job(job.job_id) is not None
        ray.room["b"] = 1
        await until(lambda: len(one.by_node(job)) == 2, "a file of the other node")
        assert one.now(job).parts[0].node == "b"
        (gap,) = one.now(job).gaps
        assert gap.reason == f"node {lost} was lost"
        assert 1 < gap.to_ts - gap.from_ts < PATIENCE_S
        assert gap.source == "rtsp://192.0.2.1/cam"
        with pytest.raises(NodeGone):
            one.streams.files.of(str(first))
        known = len(one.by_node(job)[first])
        ray.add("c", room=0)  # the same machine as before, started again
        await until(lambda: len(one.by_node(job)[first]) > known, "the file that was cut off")
        assert await one.streams.files.of(str(first)).size(f"{RECORDINGS}{one.files(job)[0].path}")
        assert await one.jobs.cancel(job.job_id)
        ended, files = one.rows.get(job.job_id), one.files(job)
        assert ended.state is JobState.CANCELLED
        assert ended.frames == sum(file.facts.frames for file in files)
        assert len({file.path for file in files}) == len(files)
        assert {file.source for file in files} == {"rtsp://192.0.2.1/cam"}


@on_a_loop
async def test_recording_goes_on_without_a_front_and_the_next_one_finds_it(
    tmp_path: Path, camera: Camera
) -> None:
    ray = LocalRay({"a": 1, "b": 1})
    async with ray.stack:
        async with front(tmp_path, ray) as one:
            await joined(one, ray)
            job = await one.jobs.start(SPEC)
            await until(lambda: one.files(job), "a file")
            node = one.now(job).parts[0].node
        opened, files = camera.opened, len(one.files(job))
        async with front(tmp_path, ray) as one:
            await until(lambda: len(one.files(job)) > files + 1, "more files")
            now = one.now(job)
            assert (camera.opened, now.gaps, now.parts[0].node) == (opened, [], node)
            assert await one.jobs.cancel(job.job_id)
            ended = one.rows.get(job.job_id)
            assert ended.frames == sum(file.facts.frames for file in one.files(job))
            assert ended.frames > 10


@on_a_loop
async def test_what_no_job_wants_is_ended_and_its_files_are_kept(
    tmp_path: Path, camera: Camera
) -> None:
    ray = LocalRay({"a": 2})
    async with ray.stack:
        async with front(tmp_path, ray) as one:
            await joined(one, ray)
            ended, removed = await one.jobs.start(SPEC), await one.jobs.start(SPEC)
            await until(lambda: one.files(ended) and one.files(removed), "files")
            files = len(one.files(ended))
        job = one.rows.get(ended.job_id)
        one.rows.save(replace(job, state=JobState.INTERRUPTED))
        one.rows.delete(removed.job_id)
        async with front(tmp_path, ray) as one:
            await until(lambda: ray.placed() == {}, "the rooms are given back")
            await until(lambda: len(one.files(ended)) > files, "its last files")
            folder = tmp_path / "nodes" / "node-1" / RECORDINGS
            await until(lambda: not list(folder.glob(f"{removed.job_id}/*")), "erased")
            found = one.files(ended)
            assert one.rows.get(ended.job_id).frames == sum(file.facts.frames for file in found)
            with pytest.raises(JobNotFound):
                one.files(removed)


@on_a_loop
async def test_a_job_goes_on_when_the_process_of_its_node_is_started_again(
    tmp_path: Path, camera: Camera
) -> None:
    ray = LocalRay({"a": 1})
    async with ray.stack, front(tmp_path, ray) as one:
        await joined(one, ray)
        job = await one.jobs.start(replace(SPEC, segment_s=4.0))
        await until(lambda: one.files(job), "a file")
        await until(lambda: one.now(job).bytes > one.files(job)[0].facts.bytes, "a second one")
        await ray.restart("a")
        await until(lambda: len(one.files(job)) > 2, "the one that was cut off, and a new one")
        assert len(one.by_node(job)) == 1
        assert {gap.reason for gap in one.now(job).gaps} <= {
            "the process on node a was started again"
        }
        assert await one.jobs.cancel(job.job_id)
        ended, files = one.rows.get(job.job_id), one.files(job)
        assert ended.frames == sum(file.facts.frames for file in files)
        folder = tmp_path / "nodes" / "node-1"
        on_disk = {path.name for path in (folder / RECORDINGS / job.job_id).iterdir()}
        assert on_disk == {file.path.rpartition("/")[2] for file in files}


@on_a_loop
async def test_jobs_are_read_again_after_another_server_was_the_front(
    tmp_path: Path, camera: Camera
) -> None:
    ray = LocalRay({"a": 2})
    async with ray.stack, front(tmp_path, ray) as one:
        await joined(one, ray)
        stays, ended = await one.jobs.start(SPEC), await one.jobs.start(SPEC)
        await until(lambda: one.files(stays) and one.files(ended), "files")
        opened = camera.opened
        one.streams.jobs.taken_over()
        with pytest.raises(NotReady):
            await one.jobs.start(SPEC)
        one.rows.save(replace(one.rows.get(ended.job_id), state=JobState.CANCELLED))
        await until(lambda: len(ray.placed()) == 1, "the room of the ended one is given back")
        assert one.jobs.running.job(ended.job_id) is None
        assert one.rows.get(ended.job_id).state is JobState.CANCELLED
        files = len(one.files(stays))
        await until(lambda: len(one.files(stays)) > files + 1, "the other one goes on")
        assert camera.opened == opened
        assert await one.jobs.cancel(stays.job_id)


@on_a_loop
async def test_a_full_disk_of_a_node_ends_what_it_records(
    tmp_path: Path, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHPOST_SPACE__MIN_FREE", str(2**60))
    ray = LocalRay({"a": 1})
    async with ray.stack, front(tmp_path, ray) as one:
        await joined(one, ray)
        job = await one.jobs.start(SPEC)
        await until(lambda: one.jobs.running.job(job.job_id) is None, "the job ends")
        ended = one.rows.get(job.job_id)
        assert ended.state is JobState.FAILED
        assert "the disk is full" in str(ended.error)
        assert ray.placed() == {}


@on_a_loop
async def test_a_job_without_room_is_refused_and_leaves_nothing(
    tmp_path: Path, camera: Camera
) -> None:
    ray = LocalRay({"a": 1})
    async with ray.stack, front(tmp_path, ray) as one:
        await joined(one, ray)
        one.streams.jobs.rooms._start_timeout_s = 1.0
        two = replace(SPEC, sources=(URL, f"{URL}2"))
        with pytest.raises(NotReady, match="no node has room for it: it asks for 1 CPU"):
            await one.jobs.start(two)
        assert (len(one.jobs.running), ray.placed(), one.rows.find()) == (0, {}, ([], 0))
        await one.jobs.start(SPEC)


@on_a_loop
async def test_a_stream_is_recorded_where_it_runs_and_where_it_moves_to(
    tmp_path: Path, camera: Camera
) -> None:
    ray = LocalRay({"a": 1, "b": 1})
    async with ray.stack, front(tmp_path, ray) as one:
        await joined(one, ray)
        await one.streams.put_camera(StreamSpec("gate", URL, max_fps=10), replace=False)
        job = await one.jobs.start(replace(SPEC, sources=("gate",)))
        await until(lambda: one.files(job), "a file")
        first = one.streams.node_of("gate")
        assert one.now(job).parts[0].node == first
        assert first is not None
        await one.streams.drain(first, drain=True)
        await until(lambda: len(one.by_node(job)) == 2, "a file of the other node")
        assert one.streams.node_of("gate") == one.now(job).parts[0].node != first
        assert len(one.now(job).gaps) <= 1  # it may be too short to be one
        await one.streams.disconnect("gate")
        await until(lambda: one.jobs.running.job(job.job_id) is None, "the job has no source")
        assert one.rows.get(job.job_id).state is JobState.FAILED


@on_a_loop
async def test_a_drained_nodes_sources_go_on_once_another_node_has_room(
    tmp_path: Path, camera: Camera
) -> None:
    ray = LocalRay({"a": 1, "b": 0})
    async with ray.stack:
        async with front(tmp_path, ray) as one:
            await joined(one, ray)
            job = await one.jobs.start(SPEC)
            await until(lambda: one.files(job), "a file")
            await one.streams.drain("a", drain=True)
            files = len(one.files(job))
            await until(lambda: len(one.files(job)) > files + 1, "it stays while there is no room")
            assert [state(one, name) for name in "ab"] == ["draining", "ready"]
            ray.room["b"] = 1
            await until(lambda: len(one.by_node(job)) == 2, "a file of the other node")
            await until(lambda: state(one, "a") == "drained", "the node is empty")
            assert one.now(job).parts[0].node == "b"
            assert list(ray.placed().values()) == ["b"]
        async with front(tmp_path, ray) as one:  # the next one knows the room
            files, opened = len(one.files(job)), camera.opened
            await until(lambda: len(one.files(job)) > files + 1, "more files")
            assert camera.opened == opened
            await one.jobs.cancel(job.job_id)
            assert ray.placed() == {}


def state(one: Front, name: str) -> str:
    return next(node.state for node in one.streams.nodes() if node.name == name)


@on_a_loop
async def test_what_a_killed_process_has_left_is_looked_for_again_if_that_failed(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "recordings"
    in_the_way = folder / "job" / f"01-cam{REWRITTEN}"
    in_the_way.mkdir(parents=True)  # it cannot be removed as a file
    files = cast(NodeFiles, SimpleNamespace(name="a", space=None))
    jobs = NodeJobs(cast(StreamManager, None), files, StreamSettings(), folder)
    for _ in range(2):
        with pytest.raises(OSError, match=r"irectory|permitted|denied"):
            await jobs.recover(())
    in_the_way.rmdir()
    await asyncio.gather(jobs.recover(()), jobs.recover(()))
    assert jobs._finishing is not None
    await jobs._finishing
    await jobs.close()


class Silent:
    """Stands in for a ``RemoteNode`` that does not answer."""

    def __init__(self, files: str) -> None:
        self.name, self.files, self.incarnation, self.asked = "a", files, "", 0

    async def ask(self, *_: object, timeout_s: float) -> None:
        self.asked += 1
        raise NotReady(reason="Node a does not answer.")


def files_of_nodes() -> FrontFiles:
    rows: Any = SimpleNamespace(films=lambda _: set(), recordings=lambda _: set())
    return FrontFiles(rows, dict, list, lambda _: None)


@on_a_loop
async def test_events_are_erased_although_a_node_without_clips_of_them_does_not_answer() -> None:
    files = files_of_nodes()
    for name in ("one", "two"):
        files.meet(cast(RemoteNode, Silent(name)))
        files._nodes[name].report = FilesReport((), (), {}, (), 0, 0, 0)
    files._nodes["two"].pending = {7: 0.0}
    await files.forget_events({5, 6})
    with pytest.raises(NodeGone, match="two"):
        await files.forget_events({6, 7})
    files._nodes["one"].report = None  # as of a node of which nothing is known yet
    with pytest.raises(NodeGone, match="one"):
        await files.forget_events({5})
    files.close()


@on_a_loop
async def test_a_node_that_was_started_again_under_another_id_is_followed_once() -> None:
    files = files_of_nodes()
    first, second = Silent("a-1"), Silent("a-1")
    tasks = asyncio.all_tasks()
    files.meet(cast(RemoteNode, first))
    files.meet(cast(RemoteNode, second))
    files.forget(cast(RemoteNode, first))  # as Ray says it later
    (following,) = [one for one in asyncio.all_tasks() - tasks if not one.cancelling()]
    await asyncio.sleep(0.2)
    assert (first.asked, second.asked) == (0, 1)
    files.close()
    await asyncio.wait([following])


@on_a_loop
async def test_jobs_that_could_not_be_read_after_another_front_are_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(front_jobs, "READ_AGAIN_S", 0.01)
    nothing: Any = SimpleNamespace(why_not=None, check=lambda: None)
    jobs = FrontJobs(nothing, nothing, nothing, nothing, nothing)
    failures: list[WatchpostError] = [StoreError(reason="away"), NotReady(reason="not the front")]

    async def again() -> None:
        if failures:
            raise failures.pop()
        jobs.resumed(nothing, again)

    jobs.resumed(nothing, again)
    jobs.taken_over()
    assert not jobs.is_front()
    async with asyncio.timeout(PATIENCE_S):
        while not jobs.is_front():
            await asyncio.sleep(0.01)
    assert failures == []
    jobs.close()
