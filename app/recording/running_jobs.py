"""The jobs in progress, each in a task of its own."""

from __future__ import annotations

import asyncio
import logging

from app.jobs import Job, JobState
from app.recording.job_run import JobRun

logger = logging.getLogger(__name__)


class RunningJobs:
    """Jobs in progress by their id; belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._runs: dict[str, JobRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._runs)

    def get(self, job_id: str) -> JobRun | None:
        """The run of a job, if it is in progress."""
        return self._runs.get(job_id)

    def job(self, job_id: str) -> Job | None:
        """A job in progress with its newest numbers; None if it is not running."""
        run = self._runs.get(job_id)
        return run.now() if run else None

    def all(self) -> list[Job]:
        """All jobs in progress, with their newest numbers."""
        running = (run for run in self._runs.values() if run.job.state is JobState.RUNNING)
        return [run.now() for run in running]

    def change(self, job: Job) -> None:
        """Apply a new name, tags and flag to a job in progress."""
        run = self._runs.get(job.job_id)
        if run is not None:
            run.job.name, run.job.tags, run.job.flagged = job.name, job.tags, job.flagged

    def add(self, run: JobRun) -> None:
        """Count a job and let it be followed, before it is launched."""
        self._runs[run.job.job_id] = run

    def discard(self, run: JobRun) -> None:
        """Remove a job that has ended, or that was not launched after all."""
        self._runs.pop(run.job.job_id, None)
        run.ended.set()

    def launch(self, run: JobRun) -> None:
        """Run a job to its end in a task."""
        self.add(run)
        task = asyncio.create_task(self._supervise(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all runs; the jobs stay unfinished, to be resumed."""
        for run in list(self._runs.values()):
            await run.progress.close_followers()
        for run in list(self._runs.values()):
            run.stop(JobState.RUNNING)
        await asyncio.gather(*self._tasks)

    async def _supervise(self, run: JobRun) -> None:
        """Run a job; whatever goes wrong, it gets an end."""
        running = asyncio.create_task(run.run())
        await asyncio.wait([running])
        try:
            if (error := running.exception()) is not None:
                logger.error("job %s crashed", run.job.job_id, exc_info=error)
                await run.crashed(error)
        finally:
            await run.progress.close_followers()
            self.discard(run)
