"""Counts of events: by camera and type, and by day."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, func, select

from app.db.engine import opened
from app.db.event_conditions import conditions, day_of, local_seconds
from app.db.tables import EventTable
from app.events import EventFilter
from app.local_time import DAY_S


@dataclass(frozen=True, slots=True)
class EventCount:
    """How many events of one type a camera had; ``newest_ts`` is the time of the last."""

    stream_id: str
    type: str
    count: int
    newest_ts: float


class EventCounts:
    """Counts events. Blocking; raises StoreError when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def by_camera(self, wanted: EventFilter) -> list[EventCount]:
        """By camera and type, the cameras with most events of a type first."""
        columns = EventTable.stream_id, EventTable.type
        counted = func.count().label("counted")
        query = (
            select(*columns, counted, func.max(EventTable.ts))
            .where(*conditions(wanted, 0.0, time.time() + DAY_S))
            .group_by(*columns)
            .order_by(counted.desc(), *columns)
        )
        with opened(self._engine) as session:
            return [EventCount(*row) for row in session.execute(query)]

    def by_day(self, wanted: EventFilter, zone: ZoneInfo) -> dict[date, int]:
        """By local day, newest first; ``since`` and ``until`` must be finite."""
        second = local_seconds(EventTable.ts, zone, wanted.since, wanted.until)
        day = (second // DAY_S).label("day")
        query = (
            select(day, func.count())
            .where(*conditions(wanted, wanted.since, wanted.until))
            .group_by(day)
            .order_by(day.desc())
        )
        with opened(self._engine) as session:
            return {day_of(number): count for number, count in session.execute(query)}
