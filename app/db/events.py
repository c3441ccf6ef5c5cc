"""Queries that write and read events; ``event_pruner.py`` deletes them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, func, select, update
from sqlalchemy.exc import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.orm import Session

from app import plate_text
from app.db.engine import opened, store_errors
from app.db.footage import events_with_clip
from app.db.outbox import enqueue
from app.db.snapshots import SnapshotFolder
from app.db.tables import CounterTable, EventTable
from app.errors import EventNotFound, NoSnapshot, SnapshotRemoved
from app.events import EventFilter, EventRow
from app.rights import PLATE_EVENTS, Access, Right
from app.types import Box

logger = logging.getLogger(__name__)

LAST_DELETED = "last deleted event"
_IDENTITY = ("stream_id", "session_id", "type", "ts", "track_id", "person_id", "bag_id")
_COLUMNS = ("event_id", *_IDENTITY, "confidence", "duration_s")


@dataclass(frozen=True, slots=True)
class Page:
    """Events, newest first.

    Attributes:
        total: number of events that match the filter, on all pages.
        cursor: where the next page begins; None on the last one.
    """

    events: list[EventRow]
    total: int
    cursor: int | None


class EventRepository:
    """Events as rows. Blocking; raises StoreError when the database fails.

    Attributes:
        has_pending_clip: whether the clip of an event is still being recorded; from any thread.
    """

    def __init__(self, engine: Engine, snapshots: SnapshotFolder) -> None:
        self._engine = engine
        self._snapshots = snapshots
        self.has_pending_clip: Callable[[int], bool] = lambda _: False

    # ── writing ──────────────────────────────────────────────────────────────────────────

    def add(self, rows: Sequence[EventRow]) -> int:
        """Write events; returns how many of them can never be written.

        What routes want to be told of them is put into the outbox in the same transaction. What an
        earlier attempt has written stays as it is. If the number of an event is taken by
        a different one, because two processes write to one database, it gets the next free one.
        """
        with store_errors():
            try:
                try:
                    self._insert(rows)
                except IntegrityError:
                    self._insert_around_taken(rows)
            except (OperationalError, InterfaceError):
                raise
            except (StatementError, TypeError):  # psycopg encodes JSON outside of a statement
                return sum(not self._add_alone(row) for row in rows)
        return 0

    def _add_alone(self, row: EventRow) -> bool:
        try:
            self._insert_around_taken([row])
        except (OperationalError, InterfaceError):
            raise
        except (SQLAlchemyError, TypeError) as error:
            logger.error("event %d (%s) cannot be written: %s", row.event_id, row.type, error)
            return False
        return True

    def _insert(self, rows: Sequence[EventRow]) -> None:
        with Session(self._engine) as session, session.begin():
            session.add_all(_table_row(row) for row in rows)
            session.flush()  # before anything is read: a number that is taken fails here
            enqueue(session, rows)

    def _insert_around_taken(self, rows: Sequence[EventRow]) -> None:
        """Insert where some event numbers are taken."""
        with Session(self._engine) as session, session.begin():
            counter = CounterTable.name == LAST_DELETED  # this write locks other writers out
            session.execute(update(CounterTable).where(counter).values(value=CounterTable.value))
            numbers = [row.event_id for row in rows]
            found = session.scalars(select(EventTable).where(EventTable.event_id.in_(numbers)))
            taken = {row.event_id: row for row in found}
            free = max(_next_id(session), *numbers) + 1
            added: list[EventRow] = []
            for row in rows:
                new, other = _table_row(row), taken.get(row.event_id)
                if other is not None:
                    if all(getattr(other, name) == getattr(new, name) for name in _IDENTITY):
                        continue
                    new.event_id, free = free, free + 1
                session.add(new)
                added.append(replace(row, event_id=new.event_id))
            session.flush()
            enqueue(session, added)

    # ── reading ──────────────────────────────────────────────────────────────────────────

    def next_id(self) -> int:
        """One above the largest number that was ever written."""
        with opened(self._engine) as session:
            return _next_id(session)

    def after(self, event_id: int, wanted: EventFilter, limit: int) -> list[EventRow]:
        """The first events with larger numbers, oldest first."""
        query = select(EventTable).where(EventTable.event_id > event_id, *_conditions(wanted))
        return self._rows(query.order_by(EventTable.event_id).limit(limit))

    def page(self, wanted: EventFilter, limit: int, cursor: int | None = None) -> Page:
        """Events, newest first, starting at the ``cursor`` of the previous page."""
        conditions = _conditions(wanted)
        query = select(EventTable).where(*conditions)
        if cursor is not None:
            query = query.where(EventTable.event_id < cursor)
        rows = self._rows(query.order_by(EventTable.event_id.desc()).limit(limit + 1))
        with opened(self._engine) as session:
            count = select(func.count()).select_from(EventTable).where(*conditions)
            total = session.scalar(count) or 0
        more = len(rows) > limit
        return Page(rows[:limit], total, rows[limit - 1].event_id if more else None)

    def of_plate(self, number: str) -> list[EventRow]:
        """The events that contain a plate's number, oldest first."""
        wanted = select(EventTable).where(of_plate(number))
        return self._rows(wanted.order_by(EventTable.event_id))

    def get(self, event_id: int) -> EventRow:
        """Raises EventNotFound."""
        found = self._rows(select(EventTable).where(EventTable.event_id == event_id))
        if not found:
            raise EventNotFound(event_id=event_id)
        return found[0]

    def snapshot(self, event_id: int) -> bytes:
        """The picture of an event as JPEG. Raises EventNotFound, NoSnapshot, SnapshotRemoved."""
        with opened(self._engine) as session:
            wanted = select(EventTable.snapshot).where(EventTable.event_id == event_id)
            found = session.execute(wanted).first()
        if found is None:
            raise EventNotFound(event_id=event_id)
        if found.snapshot is None:
            raise NoSnapshot(event_id=event_id)
        jpeg = self._snapshots.read(found.snapshot)
        if jpeg is None:
            raise SnapshotRemoved(event_id=event_id)
        return jpeg

    def _rows(self, query: Any) -> list[EventRow]:
        with opened(self._engine) as session:
            rows = list(session.scalars(query))
            clips = events_with_clip(session, [row.event_id for row in rows])
            return [
                self._row(row, clip=row.event_id in clips or self.has_pending_clip(row.event_id))
                for row in rows
            ]

    def _row(self, row: EventTable, *, clip: bool) -> EventRow:
        """The row as a value; a snapshot whose file was removed is none."""
        there = row.snapshot is not None and self._snapshots.exists(row.snapshot)
        return EventRow(
            **{name: getattr(row, name) for name in _COLUMNS},
            box=None if row.box is None else Box(*row.box),
            details=row.details,
            snapshot=there,
            snapshot_file=row.snapshot if there else None,
            clip=clip,
        )


def _next_id(session: Session) -> int:
    newest = session.scalar(select(func.max(EventTable.event_id))) or 0
    return max(newest, last_deleted(session)) + 1


def last_deleted(session: Session) -> int:
    """The largest number of an event that was deleted; 0 if none was."""
    counter = session.get(CounterTable, LAST_DELETED)
    return counter.value if counter else 0


def of_plate(number: str) -> ColumnElement[bool]:
    """The condition that an event contains a plate's number, which cameras read as its key."""
    read = plate_text.folded(number)
    named = EventTable.details["plate_number"].as_string() == read
    return and_(EventTable.type.in_(PLATE_EVENTS), named)


def _conditions(wanted: EventFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.stream_id is not None:
        conditions.append(EventTable.stream_id == wanted.stream_id)
    if wanted.type is not None:
        conditions.append(EventTable.type == wanted.type)
    if wanted.since > -float("inf"):
        conditions.append(EventTable.ts >= wanted.since)
    if wanted.until < float("inf"):
        conditions.append(EventTable.ts < wanted.until)
    for name, value in wanted.details.items():
        conditions.append(EventTable.details[name].as_string() == value)
    return [*conditions, *_allowed(wanted.access)]


def _allowed(access: Access) -> Iterator[ColumnElement[bool]]:
    """``Access.sees_event`` as conditions."""
    view, plates = access.cameras(Right.VIEW), access.cameras(Right.PLATES)
    if view is not None:
        yield EventTable.stream_id.in_(view)
    if plates is not None:
        yield EventTable.type.not_in(PLATE_EVENTS) | EventTable.stream_id.in_(plates)


def _table_row(row: EventRow) -> EventTable:
    return EventTable(
        **{name: getattr(row, name) for name in _COLUMNS},
        box=None if row.box is None else list(row.box),
        details=dict(row.details),
        snapshot=row.snapshot_file,
    )
