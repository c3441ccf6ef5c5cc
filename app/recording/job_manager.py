"""Collection jobs: started, followed, cancelled, and resumed after a restart."""

from __future__ import annotations

import asyncio
import logging
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

from app import urls
from app.errors import (
    InvalidRequest,
    RequestError,
    ShuttingDown,
    StoreError,
    TooManyJobs,
)
from app.jobs import Job, JobLine, JobSpec, JobState, Part
from app.pipeline.registry import ALIVE
from app.pipeline.sources.named import source_url
from app.recording.captures import OWN_IDS
from app.recording.context import JobContext, JobStore
from app.recording.job_metrics import JobMetrics
from app.recording.job_run import JobRun
from app.recording.retention import Prunable, StoredItem

logger = logging.getLogger(__name__)

BY_ITSELF = "a running stream is recorded as it shows itself"
FOR_URLS = "is for URLs and files"
NOT_COPIED = "only RTSP URLs and files can be copied as they are"
NO_STREAM = "no stream or camera has this id (GET /cameras lists them)"
COPIED = (*urls.RTSP, "file")


class PrunableRecordings(Prunable):
    """Recordings, removed one file at a time; the row stays and says that the file is removed."""

    def __init__(self, folder: Path, store: JobStore) -> None:
        self._folder = folder
        self._store = store

    def items(self) -> Iterable[StoredItem]:
        for recording in self._store.all_recordings():
            key = f"{recording.file_id}:{recording.path}"
            yield StoredItem(key, recording.facts.bytes, recording.started_ts, recording.flagged)

    def remove(self, item: StoredItem) -> None:
        file_id, _, path = item.key.partition(":")
        (self._folder / path).unlink(missing_ok=True)
        self._store.mark_removed(int(file_id))


class JobManager:
    """All jobs of this process; belongs to the event loop's thread.

    Args:
        media_dirs: where files may be read.
    """

    def __init__(self, ctx: JobContext, media_dirs: Callable[[], Sequence[Path]]) -> None:
        self._ctx = ctx
        self._store = ctx.store
        self._media_dirs = media_dirs
        self._runs: dict[str, JobRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = asyncio.Event()
        self._closing = False

    # ── for callers ──────────────────────────────────────────────────────────────────────

    async def start(self, spec: JobSpec) -> Job:
        """Start a job; its lines report how it goes.

        Raises:
            InvalidRequest: a source that cannot be used; TooManyJobs; ShuttingDown.
        """
        await self._ready.wait()
        return await self._begin(spec, self.plan(spec), None)

    async def start_scheduled(self, spec: JobSpec, schedule_id: str) -> Job:
        """Start a job without a caller: a wrong source becomes the error of the job."""
        await self._ready.wait()
        try:
            return await self._begin(spec, self.plan(spec), schedule_id)
        except RequestError as error:
            return await self._begin(spec, [], schedule_id, str(error))

    def plan(self, spec: JobSpec) -> list[Part]:
        """The sources of a spec. Raises InvalidRequest that names every wrong one."""
        if not spec.sources:
            if spec.rotate:
                raise InvalidRequest(field="rotate", reason=f"{BY_ITSELF}; rotate {FOR_URLS}")
            running = [status for status in self._ctx.manager.all() if status.state in ALIVE]
            ids = [status.spec.stream_id for status in running]
            return [Part("stream", one, one) for one in ids if not one.startswith(OWN_IDS)]
        parts: list[Part] = []
        problems: list[dict[str, str]] = []
        for number, source in enumerate(spec.sources):
            try:
                part = self._part(source, spec)
                parts += [] if part in parts else [part]
            except RequestError as error:
                reason = str(error.details.get("reason", error))
                problems.append({"field": f"sources.{number}", "reason": reason})
        if problems:
            raise InvalidRequest(**problems[0], errors=problems)
        return parts

    def running(self, job_id: str) -> Job | None:
        """A job in progress with its newest numbers; None if it is not running."""
        run = self._runs.get(job_id)
        return run.now() if run else None

    def count(self) -> int:
        """Number of running jobs."""
        return len(self._runs)

    def now(self) -> list[Job]:
        """All jobs in progress, with their newest numbers."""
        running = (run for run in self._runs.values() if run.job.state is JobState.RUNNING)
        return [run.now() for run in running]

    @property
    def metrics(self) -> JobMetrics:
        """The metrics of all jobs of this process."""
        return self._ctx.metrics

    async def cancel(self, job_id: str) -> bool:
        """End a job early and wait for its end; False if it is not running."""
        await self._ready.wait()
        run = self._runs.get(job_id)
        if run is None:
            return False
        run.stop(JobState.CANCELLED)
        await run.ended.wait()
        return True

    async def remove(self, job_id: str) -> None:
        """Delete a finished job and its files."""
        await asyncio.to_thread(self._store.delete, job_id)
        await asyncio.to_thread(shutil.rmtree, self._ctx.folder / job_id, ignore_errors=True)

    def change(self, job: Job) -> None:
        """Apply a new name, tags and flag to a job in progress."""
        run = self._runs.get(job.job_id)
        if run is not None:
            run.job.name, run.job.tags, run.job.flagged = job.name, job.tags, job.flagged

    async def lines(self, job_id: str) -> AsyncIterator[JobLine] | None:
        """The lines of a job in progress, from the first; None if it is not running."""
        await self._ready.wait()
        run = self._runs.get(job_id)
        return run.follow() if run else None

    # ── the life of the process ──────────────────────────────────────────────────────────

    async def resume(self) -> None:
        """Resume the jobs that ran when the last process ended, or mark them as interrupted."""
        try:
            await self._resume_all()
        except StoreError as error:
            logger.error("jobs cannot be resumed: %s", error)
        finally:
            self._ready.set()

    async def _resume_all(self) -> None:
        for job in await asyncio.to_thread(self._store.unfinished):
            if self._closing or job.job_id in self._runs:
                continue
            lines = await asyncio.to_thread(self._store.lines, job.job_id)
            if lines and lines[-1].last:  # it ended, but its row could not be written
                job.state, job.ended_ts = lines[-1].state, lines[-1].ts
                await asyncio.to_thread(self._store.save, job)
                continue
            run = JobRun(self._ctx, job, lines)
            await run.recover()
            if self._ctx.settings.on_restart == "interrupt":
                run.stop(JobState.INTERRUPTED)
            logger.info("job %s: %s", job.job_id, self._ctx.settings.on_restart)
            self._launch(run)

    async def close_followers(self) -> None:
        """End the iterations of all followers: the server is shutting down."""
        self._closing = True
        self._ready.set()
        for run in list(self._runs.values()):
            await run.close_followers()

    async def close(self) -> None:
        """Close all files; the rows of running jobs stay, to be resumed."""
        await self.close_followers()
        for run in list(self._runs.values()):
            run.stop(JobState.RUNNING)
        await asyncio.gather(*self._tasks)

    # ── inside ───────────────────────────────────────────────────────────────────────────

    def _part(self, source: str, spec: JobSpec) -> Part:
        known = any(status.spec.stream_id == source for status in self._ctx.manager.all())
        if known:
            if not spec.blur:
                raise InvalidRequest(field="blur", reason=f"{BY_ITSELF}; blur: false {FOR_URLS}")
            if spec.rotate:
                raise InvalidRequest(field="rotate", reason=f"{BY_ITSELF}; rotate {FOR_URLS}")
            return Part("stream", source, source)
        try:
            url = source_url(source, self._media_dirs())
        except InvalidRequest as error:
            if "://" in source:
                raise
            reason = f"{NO_STREAM}, and as a file: {error.details['reason']}"
            raise InvalidRequest(field="source", reason=reason) from None
        if not spec.blur and urls.scheme_of(url) not in COPIED:
            raise InvalidRequest(field="blur", reason=NOT_COPIED)
        return Part("open" if spec.blur else "copy", url, urls.without_credentials(url))

    async def _begin(
        self, spec: JobSpec, parts: list[Part], schedule_id: str | None, problem: str | None = None
    ) -> Job:
        if self._closing:
            raise ShuttingDown
        if len(self._runs) >= self._ctx.settings.max_jobs:
            raise TooManyJobs(count=len(self._runs))
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
        self._runs[job.job_id] = (
            run  # before the first await: it counts toward the limit and can be followed
        )
        try:
            await asyncio.to_thread(self._store.save, job)
        except StoreError:
            del self._runs[job.job_id]
            run.ended.set()
            raise
        self._ctx.metrics.started.inc()
        self._launch(run)
        return job

    def _launch(self, run: JobRun) -> None:
        self._runs[run.job.job_id] = run
        task = asyncio.create_task(self._supervise(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _supervise(self, run: JobRun) -> None:
        """Run a job; whatever goes wrong, it gets an end."""
        running = asyncio.create_task(run.run())
        await asyncio.wait([running])
        try:
            if (error := running.exception()) is not None:
                logger.error("job %s crashed", run.job.job_id, exc_info=error)
                await run.crashed(error)
        finally:
            await run.close_followers()
            self._runs.pop(run.job.job_id, None)
            run.ended.set()
