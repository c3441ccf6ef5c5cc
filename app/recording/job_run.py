"""One collection job in progress: what it records, how it ends, and the lines it reports.

Each source has a task (``source_recorder.py``); one loop reports the progress of all. Lines are
stored, so that a late follower gets all of them.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from app.jobs import Job, JobLine, JobState, LineType
from app.recording.context import JobContext
from app.recording.source_recorder import POLL_S, RESTARTED, SourceRecorder, StopSignal

SAVE_EVERY_S = 2.0
STARTED = "Collection started with Job ID: {job_id}"
PROGRESS = "Progress: Step {step}/{steps}"
COMPLETED = "Collection completed for Job ID: {job_id}"
FAILED = "Error with Job ID {job_id}: {error}"
NOTHING_THERE = (
    "no stream or camera is running. Start one (POST /api/streams/{id}/start), or name sources."
)
NO_SOUND = "the recordings have no sound: it is left out where faces are covered"
DISK_FULL = (
    "the disk is full: {free} bytes are free, and {floor} are to stay free. Remove what is not "
    "needed, or lower WATCHPOST_SPACE__MIN_FREE"
)
EARLY_ENDS = {
    JobState.CANCELLED: "cancelled",
    JobState.INTERRUPTED: "interrupted by a restart of the server",
}


class JobRun:
    """One job in progress.

    Args:
        lines: what it reported before a restart.
        problem: why the job cannot run at all.
    """

    def __init__(
        self, ctx: JobContext, job: Job, lines: list[JobLine], problem: str | None = None
    ) -> None:
        self.job = job
        self._ctx = ctx
        self._lines = lines
        self._problem = problem
        self._more = asyncio.Condition()
        self._stop = StopSignal(asyncio.Event())
        self._end: JobState | None = None
        self._closed = False
        self.ended = asyncio.Event()
        self._parts = [
            SourceRecorder(ctx, job, index, self._stop) for index in range(len(job.parts))
        ]
        self._frames, self._seconds = job.frames, job.seconds  # of files of earlier processes
        self._begun_at, self._begun_with = time.monotonic(), 0.0
        self._saved_at = 0.0

    # ── from the first line to the last ──────────────────────────────────────────────────

    async def run(self) -> None:
        """Record, then report how it ended."""
        if not self._lines:
            await self._report("started", STARTED.format(job_id=self.job.job_id))
            if any(part.kind != "copy" for part in self.job.parts):
                await self._log("info", NO_SOUND)
        elif self._end is None:
            await self._log("info", f"resumed: {RESTARTED}")
        if self._problem is None and not self.job.parts:
            self._problem = NOTHING_THERE
        if self._problem is None and not self._stop.asked.is_set():
            await self._record_all()
        state, error = self._outcome()
        if state is JobState.RUNNING:  # the server stops; the next process resumes the job
            await self._save()
        else:
            await self._finish(state, error)

    async def crashed(self, error: BaseException) -> None:
        """Report that a bug in this program ended the job."""
        if self.job.state is JobState.RUNNING:
            await self._finish(JobState.FAILED, f"internal error: {type(error).__name__}")

    def stop(self, end: JobState) -> None:
        """End early in this state; RUNNING means that the next process resumes the job."""
        self._end = self._end or end
        self._stop.asked.set()

    async def _record_all(self) -> None:
        """Record all parts at once and report the progress."""
        for part in self._parts:
            await part.measure()
        self._begun_with = self._share()
        recording = [
            asyncio.create_task(part.record()) for part in self._parts if not part.part.done
        ]
        pending = set(recording)
        try:
            while pending:
                _, pending = await asyncio.wait(pending, timeout=POLL_S)
                await self._watch_disk()
                await self._report_steps(self._share())
                if time.monotonic() - self._saved_at > SAVE_EVERY_S:
                    await self._save()
        finally:
            self._stop.asked.set()
            await asyncio.gather(*recording)

    async def _watch_disk(self) -> None:
        space = self._ctx.space
        if not self._stop.full and space.is_low():
            await asyncio.to_thread(space.sweep)
            self._stop.full = space.is_low()
        if self._stop.full and self._problem is None:  # no space left: end with what is recorded
            floor = space.settings.min_free
            self._problem = DISK_FULL.format(free=space.free(), floor=floor)
            self._stop.asked.set()

    def _outcome(self) -> tuple[JobState, str | None]:
        """The final state, and the error if there is one."""
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
            await self._report_steps(1.0)
        job.state, job.error, job.ended_ts = state, error, time.time()
        self._ctx.metrics.end(job)
        if job.gaps:
            await self._log("warning", f"{len(job.gaps)} gaps in the recordings: see the job")
        for part in self._parts:
            await part.write_rows()
        await self._save()  # before the last line: its reader may ask for the job at once
        if error is None:
            await self._report("completed", COMPLETED.format(job_id=job.job_id))
        else:
            await self._report("error", FAILED.format(job_id=job.job_id, error=error))

    async def recover(self) -> None:
        """Count the files that a killed process left, and find the positions to resume at."""
        for part in self._parts:
            await part.recover()
        self._frames, self._seconds = self.job.frames, self.job.seconds

    # ── what it reports ──────────────────────────────────────────────────────────────────

    def now(self) -> Job:
        """The job with its newest numbers."""
        return replace(
            self.job,
            frames=self._frames + sum(part.frames for part in self._parts),
            seconds=round(self._seconds + sum(part.seconds for part in self._parts), 3),
            bytes=self.job.bytes + sum(part.growing_bytes() for part in self._parts),
            parts=[replace(part) for part in self.job.parts],
            gaps=list(self.job.gaps),
        )

    async def follow(self) -> AsyncIterator[JobLine]:
        """Every line from the first, as they come; ends with the last one or with the server."""
        sent = 0
        while not self._closed:
            async with self._more:
                while len(self._lines) == sent and not self._closed:
                    await self._more.wait()
            for line in self._lines[sent:]:
                sent += 1
                yield line
                if line.last:
                    return

    async def close_followers(self) -> None:
        """End the iterations of all followers."""
        self._closed = True
        async with self._more:
            self._more.notify_all()

    async def _report_steps(self, share: float) -> None:
        """Report each step of the run that is done and was not reported yet."""
        steps = self.job.spec.steps
        reported = sum(line.type == "progress" for line in self._lines)
        for step in range(reported + 1, math.floor(share * steps + 1e-9) + 1):
            await self._report("progress", PROGRESS.format(step=step, steps=steps), step)

    def _share(self) -> float:
        """How much of the run is done, 0 to 1: that of the part that is farthest behind.

        Parts that were given up do not count, unless all were.
        """
        going = [part for part in self._parts if part.part.error is None]
        return min(part.share() for part in going or self._parts)

    async def _report(self, kind: LineType, text: str, step: int | None = None) -> None:
        job = self.now()
        if step is None:
            step = max((line.step for line in self._lines), default=0)
        share = step / job.spec.steps
        line = JobLine(
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
        await self._ctx.store_row(job.job_id, self._ctx.job_log.add_line, line)
        self._lines.append(line)
        async with self._more:
            self._more.notify_all()

    def _eta(self, share: float) -> float | None:
        """Seconds until the end at the pace so far; None before there is a pace."""
        fresh = share - self._begun_with
        passed = time.monotonic() - self._begun_at
        return round(passed * (1 - share) / fresh, 1) if fresh > 0 else None

    async def _log(self, level: str, text: str) -> None:
        await self._ctx.log(self.job.job_id, level, text)

    async def _save(self) -> None:
        self._saved_at = time.monotonic()
        parts = [replace(part) for part in self.job.parts]
        job = replace(self.job, parts=parts, gaps=list(self.job.gaps))
        await self._ctx.store_row(job.job_id, self._ctx.jobs.save, job)
