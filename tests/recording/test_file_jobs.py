"""Jobs on video files: no frame is lost on a slow machine or at a jump of the clock."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from support.clips import FPS, boxes, join, numbers, write_clip
from support.doubles import FaceNetwork, face_maps

from app.config import FaceSettings
from app.jobs import Job, JobSpec, JobState
from app.recording import file_finisher
from app.recording.job_manager import JobManager
from app.recording.segments import stem_of
from recording.test_job_manager import (  # noqa: F401
    Make,
    MemoryJobs,
    heard,
    make,
    saved,
    space,
    store,
    until,
)

HALF_WRITTEN = "-0009.part.mp4.rewritten"

pytestmark = pytest.mark.anyio


@pytest.fixture
def face_settings() -> FaceSettings:
    """A time limit that a slow network exceeds."""
    return FaceSettings(width=640, timeout_s=0.2)


@pytest.fixture
async def collector(make: Make) -> JobManager:  # noqa: F811
    collector = make(start_timeout_s=0.3, gap_s=0.3)
    await collector.resume()
    return collector


async def recorded(collector: JobManager, store: MemoryJobs, spec: JobSpec) -> Job:  # noqa: F811
    job = await collector.start(spec)
    await heard(collector, job)
    await until(lambda: saved(store, job).ended_ts, "saved")
    return saved(store, job)


def paths(store: MemoryJobs, folder: Path) -> list[Path]:  # noqa: F811
    return [folder / "recordings" / one.path for one in store.files]


@pytest.mark.parametrize("blur", [True, False])
async def test_a_jump_of_the_clock_costs_no_frame_and_is_listed(
    collector: JobManager,
    store: MemoryJobs,  # noqa: F811
    tmp_path: Path,
    blur: bool,
) -> None:
    first = write_clip(tmp_path / "1.ts", frames=range(60))
    second = write_clip(tmp_path / "2.ts", frames=range(60, 90), clock=lambda s: s + 1000)
    join(tmp_path / "x.ts", first, second)
    spec = JobSpec(sources=(str(tmp_path / "x.ts"),), duration_s=600, blur=blur)

    job = await recorded(collector, store, spec)

    (path,) = paths(store, tmp_path)
    assert numbers(path) == list(range(90))
    assert job.frames == 90
    assert job.seconds == pytest.approx(90 / FPS, abs=0.02)
    assert job.state is JobState.COMPLETED_WITH_GAPS
    assert ["jumped ahead by 1000.0 s" in gap.reason for gap in job.gaps] == [True]
    assert [kind for kind in boxes(path) if kind != "free"] == ["ftyp", "moov", "mdat"]


async def test_a_slow_look_costs_a_file_no_frame(
    collector: JobManager,
    store: MemoryJobs,  # noqa: F811
    network: FaceNetwork,
    tmp_path: Path,
) -> None:
    """As the first inference is while the network is compiled; longer than the start timeout."""
    write_clip(tmp_path / "x.mp4", frames=range(41))
    network.answering.clear()
    running = asyncio.create_task(
        recorded(collector, store, JobSpec(sources=(str(tmp_path / "x.mp4"),)))
    )
    await asyncio.to_thread(network.busy.wait, 30)
    await asyncio.sleep(1)
    network.answering.set()

    job = await running

    assert (job.state, job.frames, job.gaps) == (JobState.COMPLETED, 41, [])
    assert numbers(paths(store, tmp_path)[0]) == list(range(41))


async def test_frames_whose_look_failed_are_counted_and_listed(
    collector: JobManager,
    store: MemoryJobs,  # noqa: F811
    network: FaceNetwork,
    tmp_path: Path,
) -> None:
    write_clip(tmp_path / "x.mp4", frames=range(41))
    looks = 0

    def fails_once(images: object) -> object:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise RuntimeError("out of memory")
        return face_maps(images.shape, [])  # type: ignore[attr-defined]

    network.answers = fails_once  # type: ignore[assignment]

    job = await recorded(collector, store, JobSpec(sources=(str(tmp_path / "x.mp4"),)))

    (gap,) = job.gaps
    assert "withheld" in gap.reason
    assert job.frames + int(gap.reason.split()[0]) == 41
    assert job.state is JobState.COMPLETED_WITH_GAPS


async def test_a_file_without_a_frame_that_can_be_decoded_is_no_success(
    collector: JobManager,
    store: MemoryJobs,  # noqa: F811
    network: FaceNetwork,
    tmp_path: Path,
) -> None:
    write_clip(tmp_path / "x.mp4")
    network.fails_with = RuntimeError("broken")
    job = await recorded(collector, store, JobSpec(sources=(str(tmp_path / "x.mp4"),)))
    assert (job.state, job.frames) == (JobState.FAILED, 0)
    assert job.error is not None


@pytest.mark.parametrize("blur", [True, False])
async def test_a_file_is_resumed_at_the_next_frame(
    collector: JobManager,
    store: MemoryJobs,  # noqa: F811
    make: Make,  # noqa: F811
    network: FaceNetwork,
    tmp_path: Path,
    blur: bool,
) -> None:
    first = write_clip(tmp_path / "1.ts", frames=range(60))
    second = write_clip(tmp_path / "2.ts", frames=range(60, 100), clock=lambda s: s - 2)
    join(tmp_path / "x.ts", first, second)

    def slowly(images: object) -> object:
        time.sleep(0.02)
        return face_maps(images.shape, [])  # type: ignore[attr-defined]

    network.answers = slowly  # type: ignore[assignment]
    source = str(tmp_path / "x.ts")
    job = await collector.start(JobSpec(sources=(source,), duration_s=600, blur=blur))
    await until(lambda: (collector.running.job(job.job_id) or job).frames > 5, "frames")
    await collector.close()
    before = sum(one.facts.frames for one in store.files)
    half_written = tmp_path / "recordings" / job.job_id / f"{stem_of(0, source)}{HALF_WRITTEN}"
    half_written.write_bytes(b"of a process that was killed")
    next_process = make()
    await next_process.resume()
    if next_process.running.job(job.job_id) is not None:
        await heard(next_process, job)
    await until(lambda: saved(store, job).ended_ts, "saved")

    shown = [number for path in paths(store, tmp_path) for number in numbers(path)]
    assert shown == list(range(100))
    assert saved(store, job).frames == 100
    assert not half_written.exists()
    assert before < 100 or not blur


async def test_a_disk_without_room_for_a_second_copy_keeps_the_fragmented_file(
    collector: JobManager,
    store: MemoryJobs,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_clip(tmp_path / "x.mp4")
    monkeypatch.setattr(file_finisher.FileFinisher, "_has_room", lambda *_: False)
    job = await recorded(collector, store, JobSpec(sources=(str(tmp_path / "x.mp4"),), blur=False))
    (path,) = paths(store, tmp_path)
    assert "moof" in boxes(path)
    assert numbers(path) == list(range(50))
    assert job.state is JobState.COMPLETED
    assert any("stays fragmented" in text for text in store.logs)
