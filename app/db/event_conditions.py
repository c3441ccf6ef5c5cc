"""Filters of events as conditions of queries, and local time in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, ColumnElement, and_, case, or_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from app import plate_text
from app.db.tables import EventTable
from app.events import EventFilter
from app.local_time import DAY_S, DayHours, utc_offsets
from app.rights import PLATE_EVENTS, Access, Right

HIGHEST = "\U0010ffff"
"""Sorts behind every other character."""


class whole_seconds(GenericFunction[int]):
    """A time without its fraction."""

    type = BigInteger()
    inherit_cache = True


@compiles(whole_seconds)
def _floor(element: Any, compiler: Any, **options: Any) -> str:
    return f"CAST(FLOOR({compiler.process(element.clauses, **options)}) AS BIGINT)"


@compiles(whole_seconds, "sqlite")
def _cast(element: Any, compiler: Any, **options: Any) -> str:
    """SQLite has FLOOR only where it was built with it; times are positive."""
    return f"CAST({compiler.process(element.clauses, **options)} AS INTEGER)"


def local_seconds(ts: Any, zone: ZoneInfo, begin_ts: float, end_ts: float) -> ColumnElement[int]:
    """A column of Unix times in whole seconds of local time, exact within a period."""
    offsets = utc_offsets(zone, max(begin_ts, 0.0), end_ts)
    if len(offsets) == 1:
        return whole_seconds(ts + offsets[0][1])
    until = [from_ts for from_ts, _ in offsets[1:]]
    steps = [(ts < at, offset) for at, (_, offset) in zip(until, offsets, strict=False)]
    return whole_seconds(ts + case(*steps, else_=offsets[-1][1]))


def day_of(number: int) -> date:
    """The day with a number, counted from 1970-01-01."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + number)


def conditions(wanted: EventFilter, begin_ts: float, end_ts: float) -> list[ColumnElement[bool]]:
    """What the rows of wanted events have.

    Args:
        begin_ts, end_ts: a period that all events are in; needed only for hours of the day.
    """
    found: list[ColumnElement[bool]] = []
    for name in ("stream_id", "type", "label", "zone", "line", "flagged"):
        if (value := getattr(wanted, name)) is not None:
            found.append(getattr(EventTable, name) == value)
    if wanted.since > -float("inf"):
        found.append(EventTable.ts >= wanted.since)
    if wanted.until < float("inf"):
        found.append(EventTable.ts < wanted.until)
    if wanted.plate is not None:
        found += [EventTable.plate >= wanted.plate, EventTable.plate < wanted.plate + HIGHEST]
    if wanted.hours is not None:
        begin_ts, end_ts = max(begin_ts, wanted.since), min(end_ts, wanted.until)
        found.append(_in_hours(wanted.hours, begin_ts, max(begin_ts, end_ts)))
    return [*found, *_allowed(wanted.access)]


def _in_hours(hours: DayHours, begin_ts: float, end_ts: float) -> ColumnElement[bool]:
    """``DayHours.include`` as a condition."""
    second = local_seconds(EventTable.ts, hours.zone, begin_ts, end_ts) % DAY_S
    after, before = second >= hours.start_s, second < hours.end_s
    return and_(after, before) if hours.start_s < hours.end_s else or_(after, before)


def _allowed(access: Access) -> Iterator[ColumnElement[bool]]:
    """``Access.sees_event`` as conditions."""
    view, plates = access.cameras(Right.VIEW), access.cameras(Right.PLATES)
    if view is not None:
        yield EventTable.stream_id.in_(view)
    if plates is not None:
        yield EventTable.type.not_in(PLATE_EVENTS) | EventTable.stream_id.in_(plates)


def of_plate(number: str) -> ColumnElement[bool]:
    """The condition that an event contains a plate's number."""
    return and_(EventTable.type.in_(PLATE_EVENTS), EventTable.plate == plate_text.folded(number))
