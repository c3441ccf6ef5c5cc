"""Clips of events, and what is recorded of cameras: what there is, play, download, one picture.

The files of collection jobs have paths of their own, below ``/collect``.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, Response

from app.api.audit_middleware import note
from app.api.deps import (
    CallerDep,
    EventRepositoryDep,
    EventWriterDep,
    ExporterDep,
    FootageDep,
    FramesDep,
    ManagerDep,
)
from app.api.downloads import Download
from app.api.errors import ErrorReply, error_replies
from app.api.event_reports import LONGEST_DAYS
from app.api.events import TimeZone, zone_of
from app.api.recording_schemas import (
    FlagReply,
    FlagRequest,
    RecordedDay,
    RecordedDays,
    RecordedSpans,
    RequiredTime,
)
from app.api.remote_files import RemoteDownload, of_stream, only_node, why_not_recorded
from app.api.stored_events import EventId, find_event
from app.api.times import FORMATS
from app.errors import (
    ClipNotReady,
    Forbidden,
    InvalidRequest,
    NoClip,
    NoFootage,
    StreamNotFound,
)
from app.footage import FILMS, Footage, Period
from app.local_time import DAY_S
from app.pipeline.directory import StreamDirectory
from app.recording.footage_export import FootageExporter, pieces_of
from app.recording.footage_frames import file_at
from app.recording.footage_service import FootageService
from app.rights import Caller, Right
from app.types import Record

HOUR_S = 3600.0
LONGEST_LIST_S = 31 * 24 * HOUR_S
LONGEST_EXPORT_S = 24 * HOUR_S
LONGEST_PLAY_S = HOUR_S
VIDEO = "video/mp4"
FOREVER = {"Cache-Control": "private, max-age=3600"}
NOT_STORED = {"Cache-Control": "no-store"}
RANGE_REPLIES: dict[int | str, dict[str, Any]] = {
    200: {"content": {VIDEO: {}}},
    206: {"description": "A part of it"},
    416: {"model": ErrorReply, "description": "The range is not in the file"},
}

router = APIRouter(
    responses=error_replies(
        {
            400: "Wrong parameter",
            401: "Token needed",
            403: "The caller lacks the right",
            404: "No such stream or event, or nothing is recorded",
            503: "Not ready yet, or the disk or the database failed",
        }
    ),
)

Stream = Annotated[str, Query(description="The id of the stream or camera.", max_length=64)]
From = Annotated[RequiredTime, Query(alias="from", description=f"From this time on: {FORMATS}.")]
To = Annotated[RequiredTime, Query(alias="to", description=f"Before this time: {FORMATS}.")]


def _period(since: From, until: To) -> Period:
    """The period of a request. Raises InvalidRequest."""
    if since >= until:
        raise InvalidRequest(field="to", reason="is not later than `from`")
    return Period(since, until)


PeriodDep = Annotated[Period, Depends(_period)]

# ── clips ────────────────────────────────────────────────────────────────────────────────────


@router.head("/api/events/{event_id}/clip.mp4", include_in_schema=False)
@router.get(
    "/api/events/{event_id}/clip.mp4",
    tags=["events"],
    summary="An event's clip",
    response_class=FileResponse,
    responses=RANGE_REPLIES,
)
async def event_clip(
    event_id: EventId,
    event_repository: EventRepositoryDep,
    writer: EventWriterDep,
    footage: FootageDep,
    manager: ManagerDep,
    caller: CallerDep,
) -> Response:
    """The seconds around the event, with faces covered; supports `Range`. 503 with `Retry-After`
    while it is still being recorded."""
    await find_event(event_id, event_repository, writer, caller)
    found = await asyncio.to_thread(footage.store.clip_of, event_id)
    if found is not None and found.node is not None:
        node = manager.files.of(found.node)
        return await RemoteDownload.open(node, f"{FILMS}{found.path}", VIDEO, FOREVER)
    path = await asyncio.to_thread(footage.clip_of, event_id)
    if path is None:
        ready_ts = footage.clips.ready_ts(event_id) or manager.files.clip_ready_ts(event_id)
        if ready_ts is None:
            raise NoClip(event_id=event_id)
        ready_at = datetime.fromtimestamp(ready_ts, UTC).isoformat(timespec="seconds")
        wait_s = max(1, round(ready_ts - time.time()))
        raise ClipNotReady(event_id=event_id, ready_at=ready_at, retry_after_s=wait_s)
    return Download(path, media_type=VIDEO, headers=FOREVER)


# ── recordings ───────────────────────────────────────────────────────────────────────────────


@router.get("/api/recordings", tags=["recordings"], summary="What is recorded, and the gaps")
async def list_recordings(
    stream: Stream,
    period: PeriodDep,
    footage: FootageDep,
    manager: ManagerDep,
    caller: CallerDep,
) -> RecordedSpans:
    """Clips and continuous recordings of a stream in a period of at most 31 days."""
    _check(stream, period, caller, Right.VIEW, LONGEST_LIST_S)
    found = await of_stream(footage, manager, stream, period)
    record = _record(manager, stream)
    if record is None and not found:
        raise StreamNotFound(stream_id=stream)
    problem = None
    if record not in (None, "off"):
        problem = await why_not_recorded(footage, manager, stream)
    before = await asyncio.to_thread(footage.store.last_segment, stream, period.begin_ts)
    return RecordedSpans.of(stream, period, found, before=before, record=record, problem=problem)


@router.get("/api/recordings/days", tags=["recordings"], summary="Days that have recordings")
async def recording_days(
    stream: Stream,
    period: PeriodDep,
    footage: FootageDep,
    caller: CallerDep,
    timezone: TimeZone = "UTC",
) -> RecordedDays:
    """For a calendar: at most 400 days; a day counts if a file begins on it."""
    _check(stream, period, caller, Right.VIEW, LONGEST_DAYS * DAY_S)
    found = await asyncio.to_thread(footage.store.days, stream, period, zone_of(timezone))
    return RecordedDays(days=[RecordedDay(day=day, bytes=size) for day, size in found.items()])


@router.patch("/api/recordings", tags=["recordings"], summary="Flag recordings")
async def flag_recordings(
    body: FlagRequest, request: Request, footage: FootageDep, caller: CallerDep
) -> FlagReply:
    """Flagged clips and recordings have a limit in days of their own, and are the last to be
    removed for space."""
    period = _period(body.since, body.until)
    _check(body.stream, period, caller, Right.CONTROL, LONGEST_LIST_S)
    note(request, stream_id=body.stream, since=period.begin_ts, until=period.end_ts)
    files = await asyncio.to_thread(footage.store.flag, body.stream, period, flagged=body.flagged)
    return FlagReply(files=files)


@router.head("/api/recordings/export", include_in_schema=False)
@router.get(
    "/api/recordings/export",
    tags=["recordings"],
    summary="Download a recording",
    response_class=FileResponse,
    responses=RANGE_REPLIES,
)
async def export_recording(
    stream: Stream,
    period: PeriodDep,
    request: Request,
    footage: FootageDep,
    exporter: ExporterDep,
    manager: ManagerDep,
    caller: CallerDep,
) -> Response:
    """At most 24 hours as one MP4 file. It begins up to two seconds early, and gaps are left
    out."""
    _check(stream, period, caller, Right.EXPORT, LONGEST_EXPORT_S)
    found = await _found(stream, period, request, footage, manager)
    begin_ts = pieces_of(found, period)[0].period.begin_ts
    at = datetime.fromtimestamp(begin_ts, UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    return await _joined(found, period, exporter, manager, f"{stream}-{at}.mp4")


@router.head("/api/recordings/play.mp4", include_in_schema=False)
@router.get(
    "/api/recordings/play.mp4",
    tags=["recordings"],
    summary="Play a recording",
    response_class=FileResponse,
    responses=RANGE_REPLIES,
)
async def play_recording(
    stream: Stream,
    period: PeriodDep,
    request: Request,
    footage: FootageDep,
    exporter: ExporterDep,
    manager: ManagerDep,
    caller: CallerDep,
) -> Response:
    """At most an hour as MP4, for the `src` of a `<video>`; supports `Range`."""
    _check(stream, period, caller, Right.VIEW, LONGEST_PLAY_S)
    found = await _found(stream, period, request, footage, manager)
    return await _joined(found, period, exporter, manager)


@router.get(
    "/api/recordings/frame",
    tags=["recordings"],
    summary="One recorded picture",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
)
async def recorded_frame(
    stream: Stream,
    at: Annotated[RequiredTime, Query(description=f"The time: {FORMATS}.")],
    footage: FootageDep,
    frames: FramesDep,
    manager: ManagerDep,
    caller: CallerDep,
    width: Annotated[int | None, Query(ge=16, le=3840, description="At most, in pixels.")] = None,
    preview: Annotated[
        bool,
        Query(description="A keyframe instead: at most two seconds away, and quicker."),
    ] = False,
) -> Response:
    """The frame that was shown at a time, as JPEG."""
    _check(stream, Period(at, at), caller, Right.VIEW, 0.0)
    around = Period(at - 1.0, at + 1.0)

    found = await of_stream(footage, manager, stream, around)
    node = file_at(found, at).node
    if node is None:
        here = [one for one in found if one.node is None]
        jpeg = await asyncio.to_thread(frames.preview if preview else frames.exact, here, at, width)
    else:
        there = [one for one in found if one.node == node]
        jpeg = await manager.files.of(node).frame(there, at, width, preview=preview)
    return Response(jpeg, media_type="image/jpeg", headers=FOREVER)


def _check(stream: str, period: Period, caller: Caller, right: Right, longest_s: float) -> None:
    """Refuse another's camera, or too long a period.

    Raises StreamNotFound, Forbidden, InvalidRequest.
    """
    if not caller.access.may(Right.VIEW, stream):
        raise StreamNotFound(stream_id=stream)
    if not caller.access.may(right, stream):
        raise Forbidden(right=right.value)
    if period.end_ts - period.begin_ts > longest_s:
        hours = longest_s / HOUR_S
        raise InvalidRequest(field="to", reason=f"is more than {hours:g} hours after `from`")


async def _found(
    stream: str,
    period: Period,
    request: Request,
    footage: FootageService,
    manager: StreamDirectory,
) -> list[Footage]:
    """The files of a period. Raises NoFootage, StoreError."""
    note(request, stream_id=stream, since=period.begin_ts, until=period.end_ts)
    found = await of_stream(footage, manager, stream, period)
    if not pieces_of(found, period):
        raise NoFootage
    return found


async def _joined(
    found: list[Footage],
    period: Period,
    exporter: FootageExporter,
    manager: StreamDirectory,
    filename: str | None = None,
) -> Response:
    """Files as one. Raises NoFootage, InvalidRequest, StoreError, NodeGone."""
    node = only_node(found, period)
    if node is not None:
        files = manager.files.of(node)
        name = await files.export(found, period)
        return await RemoteDownload.open(files, name, VIDEO, NOT_STORED, filename)
    path = await asyncio.to_thread(exporter.export, found, period)
    return Download(path, media_type=VIDEO, filename=filename, headers=NOT_STORED)


def _record(manager: StreamDirectory, stream: str) -> Record | None:
    try:
        return manager.stream(stream).status.spec.record
    except StreamNotFound:
        return None
