"""Whose jobs are whose: a job belongs to the cameras that it records.

A job of URLs or files belongs to no camera; it takes the right for all cameras to start or see it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Path, Request

from app.api.clear_view import ClearView, check_clear_view, check_right
from app.api.deps import CallerDep, JobRepositoryDep, RunningJobsDep
from app.api.errors import error_replies
from app.errors import Forbidden, InvalidRequest, JobNotFound
from app.jobs import Job, JobSpec
from app.pipeline.directory import StreamDirectory
from app.pipeline.registry import ALIVE
from app.rights import Caller, Right

JOB_ERRORS = error_replies(
    {
        400: "Wrong field or value",
        401: "Token needed",
        403: "The caller lacks the right",
        404: "No such job, file or schedule",
        503: "Too many jobs, no room on the nodes, or the database or a node failed",
    }
)
NO_SOURCE = "name the cameras to record"
NONE_RUNS = "none of your cameras is running"

JobId = Annotated[
    str,
    Path(description="From `POST /collect`.", examples=["7d0e6f0c-3f0b-4d35-9a83-2a1f7c9be0d1"]),
]


def may_see_job(job: Job, caller: Caller, right: Right = Right.JOBS) -> bool:
    """Whether a caller has a right for all that a job records."""
    cameras = caller.access.cameras(right)
    if cameras is None:
        return True
    return bool(job.parts) and all(
        part.kind == "stream" and part.source in cameras for part in job.parts
    )


def may_see_spec(spec: JobSpec, caller: Caller) -> bool:
    """The same for a job that is not planned yet."""
    cameras = caller.access.cameras(Right.JOBS)
    return cameras is None or (bool(spec.sources) and set(spec.sources) <= cameras)


async def find_job(job_id: str, jobs: JobRepositoryDep, running: RunningJobsDep) -> Job:
    """A job as it is now. Raises JobNotFound."""
    job = running.job(job_id)
    return job if job is not None else await asyncio.to_thread(jobs.get, job_id)


async def _own_job(
    job_id: JobId, jobs: JobRepositoryDep, running: RunningJobsDep, caller: CallerDep
) -> Job:
    job = await find_job(job_id, jobs, running)
    if not may_see_job(job, caller):
        raise JobNotFound(job_id=job_id)
    return job


OwnJob = Annotated[Job, Depends(_own_job)]
"""A job that the caller may see, else JobNotFound."""


def own_spec(
    spec: JobSpec, caller: Caller, manager: StreamDirectory, *, may_choose: bool = True
) -> JobSpec:
    """A spec that records only cameras of the caller.

    Args:
        may_choose: without sources, take those of the caller's cameras that run now.

    Raises:
        Forbidden: a source is no camera of the caller; InvalidRequest: nothing to record.
    """
    cameras = caller.access.cameras(Right.JOBS)
    if cameras is None:
        return spec
    known = {one.spec.stream_id: one for one in manager.all()}
    if not spec.sources:
        running = [name for name in sorted(cameras & set(known)) if known[name].state in ALIVE]
        if not may_choose or not running:
            raise InvalidRequest(field="sources", reason=NONE_RUNS if may_choose else NO_SOURCE)
        return replace(spec, sources=tuple(running))
    if not set(spec.sources) <= cameras & set(known):
        raise Forbidden(right=Right.JOBS.value)
    return spec


def check_job(
    spec: JobSpec,
    clear_view: ClearView | None,
    caller: Caller,
    request: Request,
    manager: StreamDirectory,
) -> None:
    """Refuse a job that would record uncovered faces, without the right, a reason or an end.

    Raises:
        Forbidden, InvalidRequest.
    """
    until = check_clear_view(clear_view, caller, request, uncovered=not spec.blur)
    if until is not None and time.time() + spec.duration_s > until:
        raise InvalidRequest(field="clear_view.until", reason="is before the end of the job")
    now = time.time()
    for status in manager.all():
        name = status.spec.stream_id
        if status.spec.is_clear(now) and (not spec.sources or name in spec.sources):
            check_right(caller, name)
