"""One collection job in progress: what it records, how it ends, and what is said about it.

A task a source (``part.py``); one loop tells how far all are. The lines are kept, so that whoever
comes late hears all of them.
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
        lines: what it has said already, before a restart.
        problem: why it cannot be done at all.
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
        self._let_go = False
        self.over = asyncio.Event()
        self._parts = [
            SourceRecorder(ctx, job, index, self._stop) for index in range(len(job.parts))
        ]
        self._frames, self._seconds = job.frames, job.seconds  # of files of earlier processes
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
        if self._problem is None and not self._stop.asked.is_set():
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
        self._stop.asked.set()

    async def _record_all(self) -> None:
        """Record all parts at once and tell how far they are."""
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
                await self._tell_steps(self._share())
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
        if self._stop.full and self._problem is None:  # there is no room: end with what is there
            floor = space.settings.min_free
            self._problem = DISK_FULL.format(free=space.free(), floor=floor)
            self._stop.asked.set()

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
        self._ctx.metrics.end(job)
        if job.gaps:
            await self._log("warning", f"{len(job.gaps)} gaps in the recordings: see the job")
        for part in self._parts:
            await part.write_rows()
        await self._save()  # before the last line: who hears that may ask at once
        if error is None:
            await self._say("completed", COMPLETED.format(job_id=job.job_id))
        else:
            await self._say("error", FAILED.format(job_id=job.job_id, error=error))

    async def recover(self) -> None:
        """Count what a process that was killed left behind, and find out where it was."""
        for part in self._parts:
            await part.recover()
        self._frames, self._seconds = self.job.frames, self.job.seconds

    # ── what it says ─────────────────────────────────────────────────────────────────────

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

    async def close_followers(self) -> None:
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
        going = [part for part in self._parts if part.part.error is None]
        return min(part.share() for part in going or self._parts)

    async def _say(self, kind: LineType, text: str, step: int | None = None) -> None:
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
        await self._ctx.keep(job.job_id, self._ctx.store.add_line, line)
        self._lines.append(line)
        async with self._more:
            self._more.notify_all()

    def _eta(self, share: float) -> float | None:
        """Seconds until the end, from the pace so far; None before there is one."""
        fresh = share - self._begun_with
        passed = time.monotonic() - self._begun_at
        return round(passed * (1 - share) / fresh, 1) if fresh > 0 else None

    async def _log(self, level: str, text: str) -> None:
        await self._ctx.log(self.job.job_id, level, text)

    async def _save(self) -> None:
        self._saved_at = time.monotonic()
        parts = [replace(part) for part in self.job.parts]
        job = replace(self.job, parts=parts, gaps=list(self.job.gaps))
        await self._ctx.keep(job.job_id, self._ctx.store.save, job)
