"""Collection jobs: started, followed, cancelled, and resumed after a restart."""

from __future__ import annotations

import asyncio
import logging
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from app.errors import RequestError, ShuttingDown, StoreError, TooManyJobs
from app.jobs import Job, JobLine, JobSpec, JobState, Part
from app.recording.context import JobContext
from app.recording.job_plan import plan_parts
from app.recording.job_run import JobRun
from app.recording.running_jobs import RunningJobs

logger = logging.getLogger(__name__)


class JobManager:
    """Starts, resumes and ends jobs; belongs to the event loop's thread.

    Args:
        media_dirs: where files may be read.

    Attributes:
        running: the jobs in progress.
    """

    def __init__(self, ctx: JobContext, media_dirs: Callable[[], Sequence[Path]]) -> None:
        self._ctx = ctx
        self._media_dirs = media_dirs
        self.running = RunningJobs()
        self._ready = asyncio.Event()
        self._closing = False

    # ── for callers ──────────────────────────────────────────────────────────────────────

    async def start(self, spec: JobSpec) -> Job:
        """Start a job; its lines report how it goes.

        Raises:
            InvalidRequest: a source that cannot be used; TooManyJobs; ShuttingDown; NotReady: no
                node of the cluster has room.
        """
        await self._ready.wait()
        return await self._begin(spec, self.plan(spec), None)

    async def start_scheduled(
        self, spec: JobSpec, schedule_id: str, problem: str | None = None
    ) -> Job:
        """Start a job without a caller: a wrong source becomes the error of the job.

        Args:
            problem: why the sources cannot be used, if that is known; none of them is tried then.
        """
        await self._ready.wait()
        if problem is not None:
            return await self._begin(spec, [], schedule_id, problem)
        try:
            return await self._begin(spec, self.plan(spec), schedule_id)
        except RequestError as error:
            return await self._begin(spec, [], schedule_id, str(error))

    def plan(self, spec: JobSpec) -> list[Part]:
        """The sources of a spec. Raises InvalidRequest that names every wrong one."""
        elsewhere = self._ctx.elsewhere
        streams = self._ctx.manager.all() if elsewhere is None else elsewhere.streams()
        return plan_parts(spec, streams, self._media_dirs())

    async def cancel(self, job_id: str) -> bool:
        """End a job early and wait for its end; False if it is not running."""
        await self._ready.wait()
        self._check_front()
        run = self.running.get(job_id)
        if run is None:
            return False
        run.stop(JobState.CANCELLED)
        await run.ended.wait()
        return True

    async def remove(self, job_id: str) -> None:
        """Delete a finished job and its files. Those on nodes are deleted when they answer."""
        await asyncio.to_thread(self._ctx.jobs.delete, job_id)
        await asyncio.to_thread(shutil.rmtree, self._ctx.folder / job_id, ignore_errors=True)

    async def lines(self, job_id: str) -> AsyncIterator[JobLine] | None:
        """The lines of a job in progress, from the first; None if it is not running."""
        await self._ready.wait()
        run = self.running.get(job_id)
        return run.progress.follow() if run else None

    # ── the life of the process ──────────────────────────────────────────────────────────

    async def resume(self) -> None:
        """Resume the jobs that ran when the last process ended, or mark them as interrupted."""
        elsewhere = self._ctx.elsewhere
        try:
            if elsewhere is not None:
                await elsewhere.load()
            await self._resume_all()
        except StoreError as error:
            logger.error("jobs cannot be resumed: %s", error)
        else:
            if elsewhere is not None:
                elsewhere.resumed(self._ctx, self._resume_again)
        finally:
            self._ready.set()

    async def _resume_again(self) -> None:
        """Read the jobs again, which another process has changed."""
        self._ready.clear()
        await self.running.close()
        await self.resume()

    async def _resume_all(self) -> None:
        for job in await asyncio.to_thread(self._ctx.jobs.unfinished):
            if self._closing or self.running.get(job.job_id) is not None:
                continue
            if job.state is not JobState.RUNNING:
                logger.error("job %s cannot be resumed: %s", job.job_id, job.error)
                await asyncio.to_thread(self._ctx.jobs.save, job)
                continue
            lines = await asyncio.to_thread(self._ctx.job_log.lines, job.job_id)
            if lines and lines[-1].last:  # it ended, but its row could not be written
                job.state, job.ended_ts = lines[-1].state, lines[-1].ts
                await asyncio.to_thread(self._ctx.jobs.save, job)
                continue
            run = JobRun(self._ctx, job, lines)
            await run.recover()
            if self._ctx.settings.on_restart == "interrupt":
                run.stop(JobState.INTERRUPTED)
            logger.info("job %s: %s", job.job_id, self._ctx.settings.on_restart)
            self.running.launch(run)

    async def close(self) -> None:
        """Close all files; the rows of running jobs stay, to be resumed."""
        self._closing = True
        self._ready.set()
        await self.running.close()

    def _check_front(self) -> None:
        """Raise NotReady if another process is the front of the cluster."""
        if self._ctx.elsewhere is not None:
            self._ctx.elsewhere.check()

    # ── inside ───────────────────────────────────────────────────────────────────────────

    async def _begin(
        self, spec: JobSpec, parts: list[Part], schedule_id: str | None, problem: str | None = None
    ) -> Job:
        if self._closing:
            raise ShuttingDown
        self._check_front()
        if len(self.running) >= self._ctx.settings.max_jobs:
            raise TooManyJobs(count=len(self.running))
        job = Job(
            str(uuid.uuid4()),
            spec,
            parts=parts,
            schedule_id=schedule_id,
            name=spec.name,
            tags=spec.tags,
            flagged=spec.flagged,
        )
        run = JobRun(self._ctx, job, [], problem)
        self.running.add(run)  # before the first await: it counts toward the limit
        begun = False
        try:
            if self._ctx.elsewhere is not None:
                await self._ctx.elsewhere.reserve(job)
            await asyncio.to_thread(self._ctx.jobs.save, job)
            begun = True
        finally:
            if not begun:
                self.running.discard(run)
                await run.give_up()
        self._ctx.metrics.started.inc()
        self.running.launch(run)
        return job
