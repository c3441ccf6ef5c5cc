"""One collection job in progress: what it records, and how it ends.

Each source has a task (``source_recorder.py``); one loop reports the progress of all.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from app.jobs import Job, JobLine, JobState
from app.recording.context import JobContext
from app.recording.disk_watch import why_full
from app.recording.elsewhere import PartRecorder
from app.recording.job_progress import JobProgress
from app.recording.source_recorder import POLL_S, RESTARTED, SourceRecorder
from app.recording.stop_signal import StopSignal

SAVE_EVERY_S = 2.0
STARTED = "Collection started with Job ID: {job_id}"
COMPLETED = "Collection completed for Job ID: {job_id}"
FAILED = "Error with Job ID {job_id}: {error}"
NOTHING_THERE = (
    "no stream or camera is running. Start one (POST /api/streams/{id}/start), or name sources."
)
NO_SOUND = "the recordings have no sound: it is left out where faces are covered"
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
        self._problem = problem
        self._stop = StopSignal(asyncio.Event())
        self._end: JobState | None = None
        self.ended = asyncio.Event()
        self._parts = [self._recorder(index) for index in range(len(job.parts))]
        self._frames, self._seconds = job.frames, job.seconds  # of files of earlier processes
        self.progress = JobProgress(ctx, job.spec.steps, self.now, lines)
        self._saved_at = 0.0

    def _recorder(self, index: int) -> PartRecorder:
        """What records a part: a node of a cluster, or this process."""
        elsewhere = self._ctx.elsewhere
        remote = elsewhere and elsewhere.recorder(self._ctx, self.job, index, self._stop)
        return remote or SourceRecorder(self._ctx, self.job, index, self._stop)

    # ── from the first line to the last ──────────────────────────────────────────────────

    async def run(self) -> None:
        """Record, then report how it ended."""
        if not self.progress.started:
            await self.progress.report("started", STARTED.format(job_id=self.job.job_id))
            if any(part.kind != "copy" for part in self.job.parts):
                await self._ctx.log(self.job.job_id, "info", NO_SOUND)
        elif self._end is None:
            await self._ctx.log(self.job.job_id, "info", f"resumed: {RESTARTED}")
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
        self._stop.leaving = self._end is JobState.RUNNING
        self._stop.asked.set()

    async def _record_all(self) -> None:
        """Record all parts at once and report the progress."""
        for part in self._parts:
            await part.measure()
        self.progress.resume_at(self._share())
        recording = [
            asyncio.create_task(part.record()) for part in self._parts if not part.part.done
        ]
        pending = set(recording)
        try:
            while pending:
                _, pending = await asyncio.wait(pending, timeout=POLL_S)
                await self._watch_disk()
                await self.progress.report_steps(self._share())
                if time.monotonic() - self._saved_at > SAVE_EVERY_S:
                    await self._save()
        finally:
            self._stop.asked.set()
            await asyncio.gather(*recording)

    async def _watch_disk(self) -> None:
        """End the job with what is recorded, if the disk of this machine is full."""
        if self._problem is None and any(part.here for part in self._parts):
            self._problem = await why_full(self._ctx.space, self._stop)

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
            await self.progress.report_steps(1.0)
        job.state, job.error, job.ended_ts = state, error, time.time()
        self._ctx.metrics.end(job)
        if job.gaps:
            gaps = f"{len(job.gaps)} gaps in the recordings: see the job"
            await self._ctx.log(job.job_id, "warning", gaps)
        for part in self._parts:
            await part.close()
        await self._save()  # before the last line: its reader may ask for the job at once
        if error is None:
            await self.progress.report("completed", COMPLETED.format(job_id=job.job_id))
        else:
            await self.progress.report("error", FAILED.format(job_id=job.job_id, error=error))

    async def give_up(self) -> None:
        """It is not launched after all."""
        for part in self._parts:
            await part.close()

    async def recover(self) -> None:
        """Count the files that a killed process left, and find the positions to resume at."""
        for part in self._parts:
            await part.recover()
        self._frames, self._seconds = self.job.frames, self.job.seconds

    # ── its numbers ──────────────────────────────────────────────────────────────────────

    def now(self) -> Job:
        """The job with its newest numbers."""
        over = self.job.ended_ts is not None  # then only finished files count
        frames = self._frames + sum(part.frames for part in self._parts)
        seconds = self._seconds + sum(part.seconds for part in self._parts)
        return replace(
            self.job,
            frames=self.job.frames if over else frames,
            seconds=round(self.job.seconds if over else seconds, 3),
            bytes=self.job.bytes + sum(part.growing_bytes() for part in self._parts),
            parts=[replace(part) for part in self.job.parts],
            gaps=list(self.job.gaps),
        )

    def _share(self) -> float:
        """How much of the run is done, 0 to 1: that of the part that is farthest behind.

        Parts that were given up do not count, unless all were.
        """
        going = [part for part in self._parts if part.part.error is None]
        return min(part.share() for part in going or self._parts)

    async def _save(self) -> None:
        self._saved_at = time.monotonic()
        parts = [replace(part) for part in self.job.parts]
        job = replace(self.job, parts=parts, gaps=list(self.job.gaps))
        await self._ctx.store_row(job.job_id, self._ctx.jobs.save, job)
