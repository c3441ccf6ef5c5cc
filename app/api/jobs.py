"""Collection jobs (contract ``docs/contracts/collector.md``, with its planned enhancements)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, WebSocket
from fastapi.responses import FileResponse, Response

from app.api.audit_middleware import note
from app.api.deps import (
    CallerDep,
    ClientSocketDep,
    JobLogRepositoryDep,
    JobManagerDep,
    JobRepositoryDep,
    ManagerDep,
    RecordingRepositoryDep,
    RecordingsFolderDep,
    RunningJobsDep,
)
from app.api.downloads import Download
from app.api.errors import ErrorReply
from app.api.events import MAX_ID, Since, Until
from app.api.job_deps import JOB_ERRORS, JobId, OwnJob, check_job, find_job, may_see_job, own_spec
from app.api.job_schemas import (
    CollectRequest,
    JobChange,
    JobEnded,
    JobFile,
    JobFiles,
    JobList,
    JobLogs,
    JobReply,
    JobStarted,
    LogReply,
)
from app.api.remote_files import RemoteDownload
from app.api.websockets import GOING_AWAY, NORMAL, NOT_FOUND, ClientSocket, json_text
from app.db.job_log import JobLogRepository
from app.errors import FileNotFound, JobNotFound, NodeGone, NoFootage
from app.footage import RECORDINGS
from app.jobs import JobLine, JobState, Recording
from app.pipeline.directory import StreamDirectory
from app.recording.job_manager import JobManager
from app.rights import Right
from app.urls import scrub

router = APIRouter(tags=["collection"], responses=JOB_ERRORS)

Limit = Annotated[int, Query(ge=1, le=500, description="Most rows of the reply.")]
Offset = Annotated[int, Query(ge=0, le=MAX_ID, description="Rows to leave out.")]


# ── jobs ─────────────────────────────────────────────────────────────────────────────────────


@router.post("/collect", summary="Start a collection job")
async def start_job(
    request: Request,
    job_manager: JobManagerDep,
    manager: ManagerDep,
    caller: CallerDep,
    body: CollectRequest | None = None,
) -> JobStarted:
    """Record video files. Without a body: all running streams, for a minute.

    Follow the job at `/ws/{job_id}`.
    """
    asked = body or CollectRequest()
    spec = own_spec(asked.to_spec(), caller, manager)
    check_job(spec, asked.clear_view, caller, request, manager)
    job = await job_manager.start(spec)
    note(request, job_id=job.job_id)
    message = f"Collection started with Job ID {job.job_id}"
    return JobStarted(job_id=job.job_id, message=message)


@router.get("/collect/jobs", summary="List jobs")
async def list_jobs(
    jobs: JobRepositoryDep,
    running: RunningJobsDep,
    caller: CallerDep,
    state: Annotated[JobState | None, Query(description="Only jobs in this state.")] = None,
    name: Annotated[str | None, Query(description="The name or a part of it.")] = None,
    tag: Annotated[str | None, Query(description="Only jobs with this tag.")] = None,
    schedule_id: Annotated[
        str | None, Query(description="Only jobs that this schedule has started.")
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> JobList:
    """Newest first; ``since`` and ``until`` select by the time of creation."""
    found, total = await asyncio.to_thread(
        jobs.find,
        state=state,
        name=name,
        tag=tag,
        schedule_id=schedule_id,
        since_ts=since,
        until_ts=until,
        limit=limit,
        offset=offset,
        cameras=caller.access.cameras(Right.JOBS),
    )
    shown = [JobReply.of(running.job(job.job_id) or job) for job in found]
    return JobList(total=total, limit=limit, offset=offset, jobs=shown)


@router.get("/collect/jobs/{job_id}", summary="Show a job")
async def show_job(job: OwnJob) -> JobReply:
    """State, sources, gaps and counters, which are current while it runs."""
    return JobReply.of(job)


@router.patch("/collect/jobs/{job_id}", summary="Name, tag or flag a job")
async def change_job(
    own: OwnJob, body: JobChange, jobs: JobRepositoryDep, running: RunningJobsDep
) -> JobReply:
    """Files of flagged jobs are the last to be removed when space is needed."""
    job = await asyncio.to_thread(jobs.get, own.job_id)
    for field in body.model_fields_set:
        value = getattr(body, field)
        setattr(job, field, tuple(value) if field == "tags" else value)
    await asyncio.to_thread(jobs.change, job)
    running.change(job)
    return JobReply.of(await find_job(own.job_id, jobs, running))


@router.delete("/collect/jobs/{job_id}", summary="Cancel a job, or remove a finished one")
async def end_job(job: OwnJob, jobs: JobRepositoryDep, job_manager: JobManagerDep) -> JobEnded:
    """A running job is cancelled and keeps its files; a finished one is removed with them."""
    if await job_manager.cancel(job.job_id):
        return JobEnded(job_id=job.job_id, result="cancelled")
    await asyncio.to_thread(jobs.get, job.job_id)
    await job_manager.remove(job.job_id)
    return JobEnded(job_id=job.job_id, result="removed")


@router.get("/collect/jobs/{job_id}/logs", summary="The log of a job")
async def job_logs(
    job: OwnJob, job_log: JobLogRepositoryDep, limit: Limit = 100, offset: Offset = 0
) -> JobLogs:
    """Oldest first; includes the lines that followers get."""
    entries, total = await asyncio.to_thread(
        job_log.entries, job.job_id, limit=limit, offset=offset
    )
    return JobLogs(
        total=total, limit=limit, offset=offset, logs=[LogReply.of(entry) for entry in entries]
    )


@router.get("/collect/jobs/{job_id}/files", summary="The files of a job")
async def job_files(
    job: OwnJob, recordings: RecordingRepositoryDep, manager: ManagerDep
) -> JobFiles:
    """Files that were checked and can be played; removed ones stay in the list, and so do those
    whose node does not answer."""
    found = await asyncio.to_thread(recordings.of_job, job.job_id)
    return JobFiles(files=[JobFile.of(one, available=_answers(one, manager)) for one in found])


def _answers(recording: Recording, manager: StreamDirectory) -> bool:
    """Whether a file is on this machine, or on a node that answers."""
    try:
        return recording.node is None or bool(manager.files.of(recording.node))
    except NodeGone:
        return False


@router.head("/collect/jobs/{job_id}/files/{file_id}", include_in_schema=False)
@router.get(
    "/collect/jobs/{job_id}/files/{file_id}",
    summary="Download a file",
    response_class=FileResponse,
    responses={
        200: {"content": {"video/mp4": {}}},
        206: {"description": "A part of it"},
        416: {"model": ErrorReply, "description": "The range is not in the file"},
    },
)
async def download_job_file(
    job_id: JobId,
    file_id: Annotated[str, Path(description="From the list of files.", examples=["12"])],
    jobs: JobRepositoryDep,
    running: RunningJobsDep,
    recordings: RecordingRepositoryDep,
    folder: RecordingsFolderDep,
    manager: ManagerDep,
    caller: CallerDep,
) -> Response:
    """The MP4 file; supports `Range`, so that players can seek in it."""
    if not may_see_job(await find_job(job_id, jobs, running), caller, Right.EXPORT):
        raise JobNotFound(job_id=job_id)
    if not file_id.isdecimal() or len(file_id) > 18:
        raise FileNotFound(job_id=job_id, file_id=file_id)
    recording = await asyncio.to_thread(recordings.get, job_id, int(file_id))
    path = folder / recording.path
    if recording.node is not None:
        node, there = manager.files.of(recording.node), f"{RECORDINGS}{recording.path}"
        try:
            return await RemoteDownload.open(node, there, "video/mp4", {}, path.name)
        except NoFootage:
            raise FileNotFound(job_id=job_id, file_id=file_id) from None
    if not path.is_file():
        raise FileNotFound(job_id=job_id, file_id=file_id)
    return Download(path, media_type="video/mp4", filename=path.name)


# ── following a job ──────────────────────────────────────────────────────────────────────────


@router.websocket("/ws/{job_id}")
async def follow(
    websocket: WebSocket,
    client: ClientSocketDep,
    job_id: str,
    jobs: JobRepositoryDep,
    running: RunningJobsDep,
    job_log: JobLogRepositoryDep,
    job_manager: JobManagerDep,
    caller: CallerDep,
) -> None:
    """Send every line of a job from the first on, then close. ``?format=json``: with numbers.

    This path matches every one-part name below /ws, so its router is the last.
    """
    await client.accept()
    try:
        lines = await _lines(job_id, job_log, job_manager)
        if not may_see_job(await find_job(job_id, jobs, running), caller):
            raise JobNotFound(job_id=job_id)
    except JobNotFound as error:
        await client.close(NOT_FOUND, scrub(str(error)))
        return
    as_json = websocket.query_params.get("format") == "json"
    await client.run(_send(client, lines, as_json=as_json))


async def _send(client: ClientSocket, lines: AsyncIterator[JobLine], *, as_json: bool) -> None:
    last = None
    async for line in lines:
        last = line
        await client.send(json_text(line.as_json()) if as_json else line.text)
    if last is not None and last.last:
        await client.close(NORMAL, "the job has ended")
    else:
        await client.close(GOING_AWAY, "the server is shutting down")


async def _lines(
    job_id: str, job_log: JobLogRepository, job_manager: JobManager
) -> AsyncIterator[JobLine]:
    """The lines of a running job, or of a finished one from the database. Raises JobNotFound."""
    running = await job_manager.lines(job_id)
    if running is not None:
        return running
    stored = await asyncio.to_thread(job_log.lines, job_id)

    async def replay() -> AsyncIterator[JobLine]:
        for line in stored:
            yield line

    return replay()
