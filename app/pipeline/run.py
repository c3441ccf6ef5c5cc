"""One collection job in progress: what is recorded, what is lost, and what is said about it.

A task a source takes, loses and takes again; one loop tells how far it is. The lines are kept,
so that whoever comes late hears all of them.

A job's time is the clock's for what is live: a minute of a camera is over after a minute, with a
gap in it where the camera was away. A file is over when its own time is.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from app import urls
from app.config import CollectSettings, StreamSettings
from app.errors import SinkError, StoreError, WatchpostError
from app.jobs import Facts, Gap, Job, JobState, Line, LineType, Part, Recording
from app.pipeline import reasons
from app.pipeline.manager import StreamManager
from app.pipeline.pace import Backoff
from app.pipeline.retention import Space
from app.pipeline.sinks.probe import examine, length_of, trim
from app.pipeline.sinks.segments import GROWING, Segment, SegmentFiles, finished_name, stem_of
from app.pipeline.takes import CopyTake, OpenTake, StreamTake, Take, Wanted
from app.pipeline.totals import JobTotals

logger = logging.getLogger(__name__)

POLL_S = 0.25
SAVE_EVERY_S = 2.0
STARTED = "Collection started with Job ID: {job_id}"
PROGRESS = "Progress: Step {step}/{steps}"
COMPLETED = "Collection completed for Job ID: {job_id}"
FAILED = "Error with Job ID {job_id}: {error}"
NOTHING_THERE = (
    "no stream or camera is running. Start one (POST /api/streams/{id}/start), or name sources."
)
NO_SOUND = "the recordings have no sound: it is left out where faces are covered"
RESTARTED = "the server was restarted"
NO_PICTURE = "no picture"
DISK_FULL = (
    "the disk is full: {free} bytes are free, and {floor} are to stay free. Remove what is not "
    "needed, or lower WATCHPOST_SPACE__MIN_FREE"
)
EARLY_ENDS = {
    JobState.CANCELLED: "cancelled",
    JobState.INTERRUPTED: "interrupted by a restart of the server",
}
LOST_S = 1.0  # shorter than this nobody misses anything


class JobStore(Protocol):
    """Where jobs are kept. Blocking; raises StoreError."""

    def save(self, job: Job) -> None: ...

    def delete(self, job_id: str) -> None: ...

    def unfinished(self) -> list[Job]: ...

    def add_line(self, line: Line) -> None: ...

    def lines(self, job_id: str) -> list[Line]: ...

    def log(self, job_id: str, level: str, text: str) -> None: ...

    def add_recording(self, recording: Recording) -> None: ...

    def all_recordings(self) -> list[Recording]: ...

    def recordings(self, job_id: str) -> list[Recording]: ...

    def mark_removed(self, file_id: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all jobs work with.

    Attributes:
        folder: below it, each job has a folder of its own.
        totals: of all jobs.
    """

    manager: StreamManager
    store: JobStore
    space: Space
    settings: CollectSettings
    streams: StreamSettings
    folder: Path
    totals: JobTotals = field(default_factory=JobTotals)


class Run:
    """One job in progress.

    Args:
        lines: what it has said already, before a restart.
        problem: why it cannot be done at all.
    """

    def __init__(
        self, shop: Workshop, job: Job, lines: list[Line], problem: str | None = None
    ) -> None:
        self.job = job
        self._shop = shop
        self._store = shop.store
        self._gap_s = shop.settings.gap_s
        self._folder = shop.folder / job.job_id
        self._lines = lines
        self._problem = problem
        self._more = asyncio.Condition()
        self._stopping = asyncio.Event()
        self._end: JobState | None = None
        self._let_go = False
        self.over = asyncio.Event()
        self._takes: dict[int, Take] = {}
        self._left_ts: dict[int, float] = {}
        self._clocks: dict[int, _Clock] = {}
        self._lengths: dict[int, float] = {}
        self._frames, self._seconds = job.frames, job.seconds  # of takes that are over
        self._begun_at, self._begun_with = time.monotonic(), 0.0
        self._saved_at = 0.0

    # ── from the first line to the last ──────────────────────────────────────────────────

    async def go(self) -> None:
        """Record, and say how it ended."""
        if not self._lines:
            await self._say("started", STARTED.format(job_id=self.job.job_id))
            if any(part.kind != "copy" for part in self.job.parts):
                await self._log("info", NO_SOUND)
        elif self._end is None:
            await self._log("info", f"goes on: {RESTARTED}")
        if self._problem is None and not self.job.parts:
            self._problem = NOTHING_THERE
        if self._problem is None and not self._stopping.is_set():
            await self._record_all()
        state, error = self._outcome()
        if state is JobState.RUNNING:  # the server ends; the next one goes on
            await self._save()
        else:
            await self._finish(state, error)

    async def crashed(self, error: BaseException) -> None:
        """A mistake in this program ended the job: say so, like every other end."""
        if self.job.state is JobState.RUNNING:
            await self._finish(JobState.FAILED, f"internal error: {type(error).__name__}")

    def stop(self, end: JobState) -> None:
        """End early, as this state; RUNNING means that the next process goes on."""
        self._end = self._end or end
        self._stopping.set()

    async def _record_all(self) -> None:
        """Record all parts at once and tell how far they are."""
        await self._measure_files()
        self._begun_with = self._share()
        recording = [
            asyncio.create_task(self._record(index, part))
            for index, part in enumerate(self.job.parts)
            if not part.done
        ]
        pending = set(recording)
        try:
            while pending:
                _, pending = await asyncio.wait(pending, timeout=POLL_S)
                await self._watch_disk()
                await self._tell_steps(self._share())
                if time.monotonic() - self._saved_at > SAVE_EVERY_S:
                    await self._save()
        finally:
            self._stopping.set()
            await asyncio.gather(*recording)

    async def _measure_files(self) -> None:
        for index, part in enumerate(self.job.parts):
            if not part.live:
                length = await asyncio.to_thread(length_of, part.source)
                self._lengths[index] = min(length or math.inf, self.job.spec.duration_s)

    async def _watch_disk(self) -> None:
        space = self._shop.space
        if self._problem is None and space.is_low():
            await asyncio.to_thread(space.sweep)
            if space.is_low():
                self._give_up()

    def _give_up(self) -> None:
        """There is no room: end with what is there."""
        space = self._shop.space
        floor = space.settings.min_free
        self._problem = self._problem or DISK_FULL.format(free=space.free(), floor=floor)
        self._stopping.set()

    def _outcome(self) -> tuple[JobState, str | None]:
        """How it ended, and the error if it is one."""
        if self._problem is not None:
            return JobState.FAILED, self._problem
        if self._end is not None:
            return self._end, EARLY_ENDS.get(self._end)
        lost = [part for part in self.job.parts if part.error is not None]
        if len(lost) == len(self.job.parts):
            return JobState.FAILED, "; ".join(f"{part.label}: {part.error}" for part in lost)
        gaps = bool(lost or self.job.gaps)
        return JobState.COMPLETED_WITH_GAPS if gaps else JobState.COMPLETED, None

    async def _finish(self, state: JobState, error: str | None) -> None:
        job = self.job
        if error is None:
            await self._tell_steps(1.0)
        job.state, job.error, job.ended_ts = state, error, time.time()
        self._shop.totals.end(job)
        if job.gaps:
            await self._log("warning", f"{len(job.gaps)} gaps in the recordings: see the job")
        await self._save()  # before the last line: who hears that may ask at once
        if error is None:
            await self._say("completed", COMPLETED.format(job_id=job.job_id))
        else:
            await self._say("error", FAILED.format(job_id=job.job_id, error=error))

    # ── one source ───────────────────────────────────────────────────────────────────────

    async def _record(self, index: int, part: Part) -> None:
        """Take a source, and again while it is lost, until the part is done or the job ends."""
        spec = self.job.spec
        backoff = Backoff(spec.backoff_s, self._shop.settings.backoff_max_s)
        if part.live and part.covered_ts is not None:
            self._clocks[index] = _Clock(part)
        lost = RESTARTED if part.covered_ts is not None else NO_PICTURE
        attempts = 0
        end_ts: float | None = None
        while not self._stopping.is_set():
            failure, worked = await self._take(index, part, lost)
            if self._stopping.is_set():
                return
            if not failure:
                end_ts = self._left_ts[index]
                break
            if worked:
                attempts = 0
                backoff.reset()
            if failure != lost or worked:
                await self._log("warning", f"{part.label}: {failure}")
            lost = failure
            if attempts >= spec.retries or not part.live:
                part.error = failure
                await self._log("error", f"{part.label}: given up, attempts made: {attempts + 1}")
                break
            attempts += 1
            self.job.retries += 1
            self._shop.totals.retries += 1
            await self._pause(min(backoff.next(), self._left(index, part)))
            if self._left(index, part) <= 0:
                break
        if self._stopping.is_set():
            return
        part.done = True
        if part.live and part.covered_ts is not None:
            least_s = self._gap_s if part.error is None else 0.0
            self._gap(part, part.covered_ts, end_ts or time.time(), lost, least_s)

    async def _take(self, index: int, part: Part, lost: str) -> tuple[str | None, bool]:
        """One take. Returns why it was lost (None or empty when all that was wanted is there),
        and whether any picture came."""
        failure: str | None = None
        take = self._takes[index] = self._make_take(index, part)
        try:
            take.begin()
            while not self._stopping.is_set():
                await self._pause(POLL_S)
                await self._account(index, part, take, lost)
                if take.written.full or self._left(index, part) <= 0:
                    break
                failure = take.over()
                if failure is not None:
                    break
        except WatchpostError as error:
            failure = str(error)
        finally:
            self._left_ts[index] = time.time()
            await take.end()
        await self._account(index, part, take, lost)
        self._takes.pop(index)
        self._frames += take.written.frames
        self._seconds += take.written.seconds
        if isinstance(take, CopyTake) and take.written.frames:
            await self._log("info", f"{part.label}: {take.copier.audio}")
        problem = take.written.failure
        if isinstance(problem, SinkError) and problem.details["reason"] == reasons.DISK_FULL:
            self._give_up()
        return urls.scrub(failure) if failure else None, take.written.frames > 0

    async def _account(self, index: int, part: Part, take: Take, lost: str) -> None:
        """Take over what a take has written since the last look."""
        written = take.written
        first_ts, last_ts = written.first_ts, written.last_ts
        if not part.live:
            part.position_s = max(part.position_s, written.skip_s + written.seconds)
        elif first_ts is not None and last_ts is not None:
            if part.covered_ts is not None:
                self._gap(part, part.covered_ts, first_ts, lost, LOST_S)
            while written.gaps:
                self._gap(part, *written.gaps.popleft(), NO_PICTURE, self._gap_s)
            part.covered_ts = max(part.covered_ts or 0.0, last_ts)
            if index not in self._clocks:
                self._clocks[index] = _Clock(part, time.time() - first_ts)
        while written.closed:
            await self._count(part, written.closed.popleft())

    def _gap(self, part: Part, from_ts: float, to_ts: float, reason: str, least_s: float) -> None:
        if to_ts - from_ts > least_s:
            self.job.gaps.append(Gap(part.label, round(from_ts, 3), round(to_ts, 3), reason))

    def _left(self, index: int, part: Part) -> float:
        """Seconds of the run that are left; a file's end is found by reading it."""
        if not part.live or index not in self._clocks:
            return math.inf
        return self.job.spec.duration_s - self._clocks[index].read(part)

    def _make_take(self, index: int, part: Part) -> Take:
        shop, spec = self._shop, self.job.spec
        wanted = Wanted(
            part,
            SegmentFiles(self._folder, stem_of(index, part.label)),
            segment_s=spec.segment_s,
            gap_s=self._gap_s,
            start_timeout_s=shop.settings.start_timeout_s,
            duration_s=spec.duration_s,
        )
        if part.kind == "stream":
            return StreamTake(wanted, shop.manager)
        if part.kind == "copy":
            return CopyTake(wanted, shop.streams)
        return OpenTake(wanted, shop.manager, self.job.job_id)

    # ── files ────────────────────────────────────────────────────────────────────────────

    async def _count(self, part: Part, segment: Segment) -> None:
        """Look into a finished file; only one that can be played counts."""
        try:
            facts = await asyncio.to_thread(_examine_whole, segment.path)
        except SinkError as error:
            segment.path.unlink(missing_ok=True)
            await self._log("error", f"{part.label}: a file was of no use: {error}")
            return
        path = finished_name(segment.path)
        await asyncio.to_thread(segment.path.rename, path)
        job = self.job
        job.frames += facts.frames
        job.seconds += facts.seconds
        job.bytes += facts.bytes
        self._shop.totals.file(facts)
        name = str(path.relative_to(self._shop.folder))
        recording = Recording(job.job_id, part.label, name, segment.started_ts, facts)
        await self._keep(self._store.add_recording, recording)

    async def recover(self) -> None:
        """Count what a process that was killed left behind, and find out where it was."""
        for index, part in enumerate(self.job.parts):
            stem = stem_of(index, part.label)
            for path in sorted(self._folder.glob(f"{stem}-*{GROWING}")):
                written_ts = path.stat().st_mtime
                await self._count(part, Segment(path, written_ts))
                await self._log("info", f"{part.label}: {path.name} was cut off; it is kept")
                if part.live and part.covered_ts is not None:
                    part.position_s += max(0.0, written_ts - part.covered_ts)
                part.covered_ts = max(part.covered_ts or 0.0, written_ts)
            if not part.live:
                found = await asyncio.to_thread(self._store.recordings, self.job.job_id)
                mine = [one.facts.seconds for one in found if one.source == part.label]
                part.position_s = sum(mine)
        self._frames, self._seconds = self.job.frames, self.job.seconds

    # ── what it says ─────────────────────────────────────────────────────────────────────

    def now(self) -> Job:
        """The job with its newest numbers."""
        takes = self._takes.values()
        growing = sum(take.written.growing_bytes() for take in takes)
        return replace(
            self.job,
            frames=self._frames + sum(take.written.frames for take in takes),
            seconds=round(self._seconds + sum(take.written.seconds for take in takes), 3),
            bytes=self.job.bytes + growing,
            parts=[replace(part) for part in self.job.parts],
            gaps=list(self.job.gaps),
        )

    async def follow(self) -> AsyncIterator[Line]:
        """Every line from the first on, as they come; ends with the last, or with the server."""
        told = 0
        while not self._let_go:
            async with self._more:
                while len(self._lines) == told and not self._let_go:
                    await self._more.wait()
            for line in self._lines[told:]:
                told += 1
                yield line
                if line.last:
                    return

    async def let_go(self) -> None:
        """End what followers wait for."""
        self._let_go = True
        async with self._more:
            self._more.notify_all()

    async def _tell_steps(self, share: float) -> None:
        """One line for each slice of the run that is over and was not told yet."""
        steps = self.job.spec.steps
        told = sum(line.type == "progress" for line in self._lines)
        for step in range(told + 1, math.floor(share * steps + 1e-9) + 1):
            await self._say("progress", PROGRESS.format(step=step, steps=steps), step)

    def _share(self) -> float:
        """How much of the run is over, 0 to 1: that of the part that is farthest behind.

        What was given up waits for nobody; where all is, nothing more is over.
        """
        parts = list(enumerate(self.job.parts))
        going = [(index, part) for index, part in parts if part.error is None]
        return min(self._share_of(index, part) for index, part in going or parts)

    def _share_of(self, index: int, part: Part) -> float:
        if part.done and part.error is None:
            return 1.0
        if not part.done:
            self._left(index, part)  # moves a live part's position on
        length = self._lengths.get(index, self.job.spec.duration_s)
        return min(1.0, part.position_s / length)

    async def _say(self, kind: LineType, text: str, step: int | None = None) -> None:
        job = self.now()
        if step is None:
            step = max((line.step for line in self._lines), default=0)
        share = step / job.spec.steps
        line = Line(
            type=kind,
            job_id=job.job_id,
            text=text,
            state=job.state,
            step=step,
            steps=job.spec.steps,
            percent=round(100 * share, 1),
            eta_s=None if job.ended_ts is not None else self._eta(share),
            bytes=job.bytes,
            frames=job.frames,
            seconds=job.seconds,
            ts=round(time.time(), 3),
        )
        await self._keep(self._store.add_line, line)
        self._lines.append(line)
        async with self._more:
            self._more.notify_all()

    def _eta(self, share: float) -> float | None:
        """Seconds until the end, from the pace so far; None before there is one."""
        fresh = share - self._begun_with
        passed = time.monotonic() - self._begun_at
        return round(passed * (1 - share) / fresh, 1) if fresh > 0 else None

    async def _log(self, level: str, text: str) -> None:
        logger.log(logging.getLevelName(level.upper()), "job %s: %s", self.job.job_id, text)
        await self._keep(self._store.log, self.job.job_id, level, text)

    async def _save(self) -> None:
        self._saved_at = time.monotonic()
        parts = [replace(part) for part in self.job.parts]
        await self._keep(self._store.save, replace(self.job, parts=parts, gaps=list(self.job.gaps)))

    async def _keep(self, store: Callable[..., None], *values: object) -> None:
        """Write a row. A database that fails costs the row, not the recording."""
        try:
            await asyncio.to_thread(store, *values)
        except StoreError as error:
            logger.error("job %s: %s", self.job.job_id, error)

    async def _pause(self, seconds: float) -> None:
        """Wait, or less when the job is to end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), max(0.0, seconds))


def _examine_whole(path: Path) -> Facts:
    """What is in a file, once a fragment that was cut short is off its end."""
    with suppress(OSError):  # not there at all: that is found next
        trim(path)
    return examine(path)


class _Clock:
    """The time of a live part: it goes on while the source is away.

    Args:
        age_s: so long ago it began.
    """

    def __init__(self, part: Part, age_s: float = 0.0) -> None:
        self._before = part.position_s
        self._started_at = time.monotonic() - age_s

    def read(self, part: Part) -> float:
        """Seconds of the run that are over; the part's position moves on with it."""
        part.position_s = self._before + time.monotonic() - self._started_at
        return part.position_s
