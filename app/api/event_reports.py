"""Events in sum: counts by camera and type, days that have some, and all of them as a file."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from app.api.csv_lines import csv_line
from app.api.deps import CallerDep, EventCountsDep, EventRepositoryDep
from app.api.errors import error_replies
from app.api.events import EventMessage, TimeZone, zone_of
from app.api.stored_events import StoredWanted
from app.db.event_counts import EventCount
from app.db.events import EventRepository
from app.errors import InvalidRequest
from app.events import EventFilter
from app.local_time import DAY_S
from app.rights import Access, Caller, Right, common_cameras

LONGEST_DAYS = 400
BATCH = 500
COLUMNS = (
    *("id", "time", "camera_id", "event", "plate", "confidence", "duration_s"),
    *("track_id", "person_id", "bag_id", "flagged", "comment", "snapshot", "clip", "details"),
)

router = APIRouter(
    prefix="/api/events",
    tags=["events"],
    responses=error_replies({400: "Wrong parameter", 401: "Token needed"}),
)


class EventCountReply(BaseModel):
    """How many events of one type a camera had."""

    camera_id: str
    event: str = Field(description="The type of event.")
    count: int
    newest_ts: float = Field(description="When the last of them happened, Unix seconds.")

    @classmethod
    def of(cls, counted: EventCount) -> EventCountReply:
        return cls(
            camera_id=counted.stream_id,
            event=counted.type,
            count=counted.count,
            newest_ts=counted.newest_ts,
        )


class EventTotals(BaseModel):
    """Counts by camera and type, the highest first."""

    total: int
    counts: list[EventCountReply]


class EventDay(BaseModel):
    """A day with events."""

    day: date
    count: int


class EventDays(BaseModel):
    """The days of a period that have events, newest first."""

    days: list[EventDay]


@router.get("/counts", summary="Count by camera and type")
async def count_events(counts: EventCountsDep, wanted: StoredWanted) -> EventTotals:
    """What happened since a time: `since` is when the caller last looked."""
    found = await asyncio.to_thread(counts.by_camera, wanted)
    return EventTotals(
        total=sum(one.count for one in found), counts=[EventCountReply.of(one) for one in found]
    )


@router.get("/days", summary="Days that have events")
async def event_days(
    counts: EventCountsDep, wanted: StoredWanted, timezone: TimeZone = "UTC"
) -> EventDays:
    """For a calendar: at most 400 days; without `since`, the last 31."""
    zone = zone_of(timezone)
    until = time.time() + DAY_S if wanted.until == math.inf else wanted.until
    since = until - 31 * DAY_S if wanted.since == -math.inf else wanted.since
    if until - since > LONGEST_DAYS * DAY_S:
        raise InvalidRequest(field="since", reason=f"is more than {LONGEST_DAYS} days before")
    period = replace(wanted, since=since, until=max(since, until))
    found = await asyncio.to_thread(counts.by_day, period, zone)
    return EventDays(days=[EventDay(day=day, count=count) for day, count in found.items()])


# ── files ────────────────────────────────────────────────────────────────────────────────────


@router.get(
    "/export.csv",
    summary="Events as CSV",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}}},
)
async def export_events_csv(
    event_repository: EventRepositoryDep, wanted: StoredWanted, caller: CallerDep
) -> StreamingResponse:
    """All that match, newest first; texts that a spreadsheet would take for formulas begin with
    `'`."""
    rows = _csv(_messages(event_repository, exportable(wanted, caller)))
    return _file(rows, "text/csv; charset=utf-8", "events.csv")


EVENTS = {"type": "array", "items": {"$ref": "#/components/schemas/EventMessage"}}


@router.get(
    "/export.json",
    summary="Events as JSON",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/json": {"schema": EVENTS}}}},
)
async def export_events_json(
    event_repository: EventRepositoryDep, wanted: StoredWanted, caller: CallerDep
) -> StreamingResponse:
    """All that match, newest first, as one list."""
    rows = _json(_messages(event_repository, exportable(wanted, caller)))
    return _file(rows, "application/json", "events.json")


def exportable(wanted: EventFilter, caller: Caller) -> EventFilter:
    """Of the wanted events, those of cameras of which the caller may download lists."""
    rights = dict(caller.access.rights)
    rights[Right.VIEW] = common_cameras(
        caller.access.cameras(Right.VIEW), caller.access.cameras(Right.EXPORT)
    )
    return replace(wanted, access=Access(rights))


def _messages(events: EventRepository, wanted: EventFilter) -> Iterator[EventMessage]:
    for batch in events.batches(wanted, BATCH):
        yield from map(EventMessage.of, batch)


def _csv(messages: Iterator[EventMessage]) -> Iterator[str]:
    yield csv_line(COLUMNS)
    for message in messages:
        values = message.model_dump(mode="json", exclude={"comment"})
        values["comment"] = message.comment.text if message.comment else ""
        values["details"] = json.dumps(values["details"], ensure_ascii=False)
        yield csv_line([values.get(name, "") for name in COLUMNS])


def _json(messages: Iterator[EventMessage]) -> Iterator[str]:
    before = "[\n"
    for message in messages:
        yield before + message.model_dump_json()
        before = ",\n"
    yield "\n]\n" if before != "[\n" else "[]\n"


def _file(rows: Iterator[str], kind: str, name: str) -> StreamingResponse:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
    }
    return StreamingResponse(rows, media_type=kind, headers=headers)
