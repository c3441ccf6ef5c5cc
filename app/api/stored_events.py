"""Stored events: lists, one event, its snapshot, flags and comments."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.api.audit_middleware import note
from app.api.deps import (
    AccessServiceDep,
    CallerDep,
    EventMarksDep,
    EventRepositoryDep,
    EventWriterDep,
)
from app.api.errors import ErrorReply, error_replies
from app.api.events import MAX_ID, EventMessage, Since, Until, Wanted
from app.db.events import EventRepository, Order
from app.db.writer import EventWriter
from app.errors import EventNotFound, Forbidden, UserNotFound
from app.events import EventComment, EventFilter, EventRow
from app.rights import Caller, Right

MAX_COMMENT = 2000
MISSING: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorReply, "description": "No such event"}
}

router = APIRouter(
    prefix="/api/events",
    tags=["events"],
    responses={
        400: {"model": ErrorReply, "description": "Wrong parameter"},
        401: {"model": ErrorReply, "description": "Token needed"},
    },
)

EventId = Annotated[int, Path(ge=0, le=MAX_ID, examples=[1024])]


class EventPage(BaseModel):
    """Events, newest first."""

    total: int | None = Field(
        description="Number of matching events, on all pages; null with `count=false`."
    )
    cursor: int | None = Field(description="The `cursor` of the next page; null on the last.")
    events: list[EventMessage]


class EventChange(BaseModel):
    """What to change of an event; a field that is not given stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"flagged": True, "comment": "the blue van again"}]},
    )

    flagged: bool = Field(False, strict=True, description="Flagged events are kept longer.")
    comment: (
        Annotated[
            str,
            StringConstraints(
                strict=True,
                strip_whitespace=True,
                max_length=MAX_COMMENT,
                pattern=r"^[^\x00-\x08\x0b-\x1f]*$",
            ),
        ]
        | None
    ) = Field(None, description="Replaces the comment; null or an empty text removes it.")


def _in_period(
    wanted: Wanted,
    since: Since = None,
    until: Until = None,
    flagged: Annotated[
        bool | None, Query(description="Only flagged events, or only others.")
    ] = None,
) -> EventFilter:
    return replace(
        wanted,
        since=-math.inf if since is None else since,
        until=math.inf if until is None else until,
        flagged=flagged,
    )


StoredWanted = Annotated[EventFilter, Depends(_in_period)]


@router.get("", summary="List events")
async def list_events(
    event_repository: EventRepositoryDep,
    wanted: StoredWanted,
    limit: Annotated[int, Query(ge=1, le=500, description="Most rows of the reply.")] = 50,
    cursor: Annotated[
        int | None,
        Query(ge=0, le=MAX_ID, description="That of the reply before, for the next page."),
    ] = None,
    order: Annotated[
        Order,
        Query(description="`id`: as they were reported; `time`: as they happened."),
    ] = "id",
    count: Annotated[bool, Query(description="Whether to count all that match.")] = True,
) -> EventPage:
    """Stored events, newest first. Further pages are quickest with `count=false`."""
    page = await asyncio.to_thread(
        event_repository.page, wanted, limit, cursor, order=order, counted=count
    )
    return EventPage(
        total=page.total,
        cursor=page.cursor,
        events=[EventMessage.of(record) for record in page.events],
    )


@router.get("/{event_id}", summary="Show an event", responses=MISSING)
async def show_event(
    event_id: EventId,
    event_repository: EventRepositoryDep,
    writer: EventWriterDep,
    caller: CallerDep,
) -> EventMessage:
    """One event; ids are those of the live events."""
    return EventMessage.of(await find_event(event_id, event_repository, writer, caller))


@router.patch(
    "/{event_id}",
    summary="Flag an event, or comment on it",
    responses={**MISSING, **error_replies({403: "The caller lacks the right"})},
)
async def change_event(
    event_id: EventId,
    body: EventChange,
    request: Request,
    event_repository: EventRepositoryDep,
    marks: EventMarksDep,
    writer: EventWriterDep,
    access: AccessServiceDep,
    caller: CallerDep,
) -> EventMessage:
    """Flagged events, their snapshots and clips have a limit in days of their own, and are the last
    to be removed for space."""
    row = await find_event(event_id, event_repository, writer, caller)
    if not caller.access.may(Right.CONTROL, row.stream_id):
        raise Forbidden(right=Right.CONTROL.value)
    note(request, stream_id=row.stream_id)
    given = body.model_fields_set
    if "flagged" in given:
        note(request, flagged=body.flagged)
        await asyncio.to_thread(marks.flag, event_id, flagged=body.flagged)
    if "comment" in given:
        note(request, commented=bool(body.comment))
        comment = None
        if body.comment:
            by = await asyncio.to_thread(_name_of, caller, access)
            comment = EventComment(body.comment, by, time.time())
        await asyncio.to_thread(marks.comment, event_id, comment)
    return EventMessage.of(await asyncio.to_thread(event_repository.get, event_id))


def _name_of(caller: Caller, access: AccessServiceDep) -> str:
    """The name of the caller's user, or what the caller is, such as ``this machine``."""
    if caller.user_id is None:
        return caller.name
    try:
        return access.users.get(caller.user_id).name
    except UserNotFound:
        return caller.name


@router.get(
    "/{event_id}/snapshot.jpg",
    summary="An event's snapshot",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}},
        404: {"model": ErrorReply, "description": "No such event, or it has no snapshot"},
    },
)
async def event_snapshot(
    event_id: EventId,
    event_repository: EventRepositoryDep,
    writer: EventWriterDep,
    caller: CallerDep,
) -> Response:
    """The blurred frame of the event, with boxes around its subjects."""
    await find_event(event_id, event_repository, writer, caller)
    jpeg = await asyncio.to_thread(event_repository.snapshot, event_id)
    return Response(
        jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"}
    )


async def find_event(
    event_id: int, event_repository: EventRepository, writer: EventWriter, caller: Caller
) -> EventRow:
    """An event that the caller may see. Raises EventNotFound."""
    await writer.settled(event_id)
    row = await asyncio.to_thread(event_repository.get, event_id)
    if not caller.access.sees_event(row.stream_id, row.type):
        raise EventNotFound(event_id=event_id)
    return row
