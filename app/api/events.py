"""Live events (server-sent events, WebSocket), and the filters of all events."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Header, Query, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from app.analytics.bags.item import OBJECT as UNKNOWN_OBJECT
from app.analytics.rules import event_types
from app.api.deps import (
    CallerDep,
    ClientSocketDep,
    EventLogDep,
    EventWriterDep,
)
from app.api.errors import ErrorReply
from app.api.times import FORMATS, Time
from app.api.websockets import BAD_REQUEST, ClientSocket
from app.errors import InvalidRequest
from app.events import EventComment, EventFilter, EventRow, event_fields
from app.local_time import CLOCK, DayHours, time_zone
from app.pipeline.event_log import MissedEvents, follow
from app.plate_text import MAX_WRITTEN, folded
from app.types import LABELS

T = TypeVar("T")
HEARTBEAT_S = 15.0
RETRY_MS = 2000
MAX_ID = 2**63 - 1
EVENT_STREAM = "text/event-stream"

router = APIRouter(
    tags=["events"],
    responses={
        400: {"model": ErrorReply, "description": "Wrong parameter"},
        401: {"model": ErrorReply, "description": "Token needed"},
    },
)


class CommentReply(BaseModel):
    """What a person wrote about an event."""

    text: str
    by: str = Field(description="The name of the user, or what the caller was.")
    ts: float = Field(description="When it was written, Unix seconds.")

    @classmethod
    def of(cls, comment: EventComment) -> CommentReply:
        return cls(text=comment.text, by=comment.by, ts=comment.ts)


class EventMessage(BaseModel):
    """An event as every API sends it."""

    type: Literal["event"] = Field("event", description="The type of message.")
    version: Literal[1] = Field(1, description="Version of this format.")
    stream_id: str = Field(description="The stream in which it happened.")
    camera_id: str = Field(description="The same id: every stream is listed as a camera.")
    id: int = Field(description="Counts up over all streams and restarts.")
    event: str = Field(description="The type of event, such as `smoking_started`.")
    ts: float = Field(description="When it happened, Unix seconds; it may be reported later.")
    time: str = Field(description="The same time as ISO 8601, UTC.")
    track_id: int | None = Field(description="The main subject.")
    person_id: int | None = Field(description="The person involved, if any.")
    bag_id: int | None = Field(description="The bag involved, if any.")
    box: tuple[float, float, float, float] | None = Field(
        description="Box of the main subject: x1, y1, x2, y2 in pixels of the snapshot."
    )
    confidence: float | None = Field(description="0 to 1.")
    duration_s: float | None = Field(description="How long it lasted, for events that mark an end.")
    session_id: str | None = Field(description="The run of the stream in which it happened.")
    snapshot: str | None = Field(description="Path of the blurred frame, if one is stored.")
    clip: str | None = Field(
        description="Path of the video around it, which may not be ready yet; null for none."
    )
    details: dict[str, Any] = Field(description="Further values; they depend on the type.")
    plate: str | None = Field(
        None,
        exclude_if=lambda plate: plate is None,
        description="The number of a plate; else absent.",
    )
    flagged: bool = Field(
        False,
        exclude_if=lambda flagged: not flagged,
        description="A person marked it as important, and it is kept longer; else absent.",
    )
    comment: CommentReply | None = Field(
        None,
        exclude_if=lambda comment: comment is None,
        description="What a person wrote about it; else absent.",
    )

    @classmethod
    def of(cls, record: EventRow) -> EventMessage:
        return cls(
            **event_fields(record),
            plate=record.plate,
            flagged=record.flagged,
            comment=None if record.comment is None else CommentReply.of(record.comment),
        )


class MissedMessage(BaseModel):
    """This client was too slow and missed events; ``GET /api/events`` still has them."""

    type: Literal["missed"] = "missed"
    version: Literal[1] = 1
    events: int


Camera = Annotated[str | None, Query(description="Only of this camera or stream.", max_length=64)]
Kind = Annotated[str | None, Query(alias="type", description="Only of this type.", max_length=64)]
LabelName = Annotated[
    str | None, Query(description="Only of an object with this label, such as `person`.")
]
ZoneName = Annotated[str | None, Query(description="Only at this zone.", max_length=80)]
LineName = Annotated[str | None, Query(description="Only at this line.", max_length=80)]
PlateNumber = Annotated[
    str | None,
    Query(
        description="Only of this plate: its number or the beginning of it.",
        max_length=MAX_WRITTEN,
        pattern=r"^[^\x00]*$",
    ),
]
DayTime = Annotated[
    str | None,
    Query(
        description="Only in these hours of the day, such as `22:00-06:00`; see `timezone`.",
        max_length=11,
    ),
]
TimeZone = Annotated[
    str, Query(description="What `hours` and days mean: an IANA name.", max_length=64)
]
Since = Annotated[Time, Query(description=f"From this time on: {FORMATS}.")]
Until = Annotated[Time, Query(description=f"Before this time: {FORMATS}.")]
AfterId = Annotated[int | None, Query(ge=0, le=MAX_ID, description="Events after this one.")]
LastId = Annotated[str | None, Header(alias="last-event-id", description="As browsers send it.")]


def _wanted(
    caller: CallerDep,
    camera: Camera = None,
    kind: Kind = None,
    label: LabelName = None,
    zone: ZoneName = None,
    line: LineName = None,
    plate: PlateNumber = None,
    hours: DayTime = None,
    timezone: TimeZone = "UTC",
) -> EventFilter:
    """The filter of a request. Raises InvalidRequest for what does not exist."""
    return EventFilter(
        camera,
        _existing("type", kind, event_types()),
        access=caller.access,
        label=_existing("label", label, (*LABELS, UNKNOWN_OBJECT)),
        zone=zone,
        line=line,
        plate=folded(plate) or None if plate else None,
        hours=None if hours is None else _day_hours(hours, timezone),
    )


def zone_of(timezone: str) -> ZoneInfo:
    """The time zone with an IANA name. Raises InvalidRequest."""
    try:
        return time_zone(timezone)
    except ValueError as error:
        raise InvalidRequest(field="timezone", reason=str(error)) from None


def _day_hours(hours: str, timezone: str) -> DayHours:
    """``22:00-06:00`` as hours. Raises InvalidRequest."""
    if not re.fullmatch(f"{CLOCK}-{CLOCK}", hours):
        raise InvalidRequest(field="hours", reason="two times, such as 22:00-06:00")
    start, end = (60 * (60 * int(clock[:2]) + int(clock[3:])) for clock in hours.split("-"))
    return DayHours(start, end, zone_of(timezone))


def _existing(field: str, value: str | None, known: Sequence[str]) -> str | None:
    if value is not None and value not in known:
        raise InvalidRequest(field=field, reason=f"one of {', '.join(known)}")
    return value


Wanted = Annotated[EventFilter, Depends(_wanted)]


# ── live ─────────────────────────────────────────────────────────────────────────────────────


@router.get(
    "/events",
    summary="Follow (server-sent events)",
    response_class=StreamingResponse,
    responses={200: {"content": {EVENT_STREAM: {}}}},
)
async def follow_events(
    events: EventLogDep,
    writer: EventWriterDep,
    wanted: Wanted,
    last_event_id: AfterId = None,
    resume_after: LastId = None,
) -> StreamingResponse:
    """Live events. With `Last-Event-ID` (or `?last_event_id=`) those that were missed since then
    come first; `EventSource` in a browser sends the header by itself."""
    after_id = _last_id(resume_after) if resume_after else last_event_id
    items = follow(events, writer, wanted, after_id)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_lines(items), media_type=EVENT_STREAM, headers=headers)


async def _lines(items: AsyncIterator[EventRow | MissedEvents]) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    async for item in with_pauses(items, HEARTBEAT_S):
        if item is None:
            yield ": still here\n\n"
        elif isinstance(item, MissedEvents):
            yield f"data: {_missed(item)}\n\n"
        else:
            yield f"id: {item.event_id}\ndata: {EventMessage.of(item).model_dump_json()}\n\n"


@router.websocket("/ws/events")
async def socket(
    websocket: WebSocket,
    client: ClientSocketDep,
    events: EventLogDep,
    writer: EventWriterDep,
    caller: CallerDep,
) -> None:
    """Live events as JSON messages; takes the query of `GET /events`."""
    await client.accept()
    query = websocket.query_params
    try:
        after_id = _last_id(query["last_event_id"]) if "last_event_id" in query else None
        names = ("camera", "type", "label", "zone", "line", "plate", "hours")
        camera, kind, label, zone, line, plate, hours = (query.get(name) for name in names)
        timezone = query.get("timezone", "UTC")
        wanted = _wanted(caller, camera, kind, label, zone, line, plate, hours, timezone)
    except InvalidRequest as error:
        await client.refuse(error, BAD_REQUEST)
        return
    await client.run(_send(client, follow(events, writer, wanted, after_id)))


async def _send(client: ClientSocket, items: AsyncIterator[EventRow | MissedEvents]) -> None:
    async for item in items:
        if isinstance(item, MissedEvents):
            await client.send(_missed(item))
        else:
            await client.send(EventMessage.of(item).model_dump_json())
    await client.close(reason="the server is shutting down")


async def with_pauses(items: AsyncIterator[T], seconds: float) -> AsyncIterator[T | None]:
    """The items, and None each time that none came for ``seconds``."""
    coming = asyncio.ensure_future(anext(items))
    try:
        while True:
            done, _ = await asyncio.wait([coming], timeout=seconds)
            if not done:
                yield None
                continue
            try:
                item = coming.result()
            except StopAsyncIteration:
                return
            coming = asyncio.ensure_future(anext(items))
            yield item
    finally:
        coming.cancel()


def _missed(item: MissedEvents) -> str:
    return MissedMessage(events=item.events).model_dump_json()


def _last_id(text: str) -> int:
    """The id as a number. Raises InvalidRequest."""
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_ID):
        raise InvalidRequest(field="last_event_id", reason="the id of an event, a whole number")
    return int(text)
