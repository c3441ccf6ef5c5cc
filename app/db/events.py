"""Every query about events, and about the numbers that count up."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Engine, delete, func, select, update
from sqlalchemy.exc import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.orm import Session

from app.db.snapshots import SnapshotFolder
from app.db.streams import cause
from app.db.tables import CounterTable, EventTable
from app.errors import EventNotFound, NoSnapshot, StoreError
from app.types import Box, EventFilter, EventRow

logger = logging.getLogger(__name__)

FORGOTTEN = "last deleted event"
_WHICH = ("stream_id", "session_id", "type", "ts", "track_id", "person_id", "bag_id")
_SAME = (
    "event_id",
    "stream_id",
    "session_id",
    "type",
    "ts",
    "track_id",
    "person_id",
    "bag_id",
    "confidence",
    "duration_s",
)


@dataclass(frozen=True, slots=True)
class Draft:
    """An event on its way into the database, with the name of its snapshot's file."""

    record: EventRow
    snapshot: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Events, newest first.

    Attributes:
        total: how many there are with this filter, on all pages.
        cursor: where the next page begins; None on the last one.
    """

    events: list[EventRow]
    total: int
    cursor: int | None


class EventRepository:
    """Events as rows. Blocking; raises StoreError when the database does not do its part."""

    def __init__(self, engine: Engine, snapshots: SnapshotFolder) -> None:
        self._engine = engine
        self._snapshots = snapshots

    # ── writing ──────────────────────────────────────────────────────────────────────────

    def add(self, drafts: Sequence[Draft]) -> int:
        """Write events; returns how many of them can never be written.

        What is written already, by an earlier attempt, stays as it is. An event whose number is
        taken by another one, because two processes write into one database, gets the next free.
        """
        try:
            try:
                self._insert(drafts)
            except IntegrityError:
                self._insert_beside(drafts)
        except (OperationalError, InterfaceError) as error:
            raise StoreError(reason=cause(error)) from None
        except (StatementError, TypeError):  # psycopg makes JSON by itself, outside of a statement
            return sum(not self._add_alone(draft) for draft in drafts)
        except SQLAlchemyError as error:
            raise StoreError(reason=cause(error)) from None
        return 0

    def _add_alone(self, draft: Draft) -> bool:
        try:
            self._insert_beside([draft])
        except (OperationalError, InterfaceError) as error:
            raise StoreError(reason=cause(error)) from None
        except (SQLAlchemyError, TypeError) as error:
            record = draft.record
            logger.error("event %d (%s) cannot be written: %s", record.event_id, record.type, error)
            return False
        return True

    def _insert(self, drafts: Sequence[Draft]) -> None:
        with Session(self._engine) as session, session.begin():
            session.add_all(_row(draft) for draft in drafts)

    def _insert_beside(self, drafts: Sequence[Draft]) -> None:
        """Insert where some numbers are taken."""
        with Session(self._engine) as session, session.begin():
            counter = CounterTable.name == FORGOTTEN  # writing first keeps other writers out
            session.execute(update(CounterTable).where(counter).values(value=CounterTable.value))
            numbers = [draft.record.event_id for draft in drafts]
            found = session.scalars(select(EventTable).where(EventTable.event_id.in_(numbers)))
            taken = {row.event_id: row for row in found}
            free = max(_next_id(session), *numbers) + 1
            for draft in drafts:
                row, other = _row(draft), taken.get(draft.record.event_id)
                if other is not None:
                    if all(getattr(other, name) == getattr(row, name) for name in _WHICH):
                        continue
                    row.event_id, free = free, free + 1
                session.add(row)

    def delete_oldest(self, count: int) -> tuple[int, int]:
        """Delete the oldest events with their snapshots; returns how many, and bytes freed."""
        try:
            with Session(self._engine) as session, session.begin():
                oldest = select(EventTable.event_id, EventTable.snapshot)
                rows = session.execute(oldest.order_by(EventTable.event_id).limit(count)).all()
                ids = [row.event_id for row in rows]
                session.execute(delete(EventTable).where(EventTable.event_id.in_(ids)))
                if ids:  # numbers are never given twice
                    session.merge(CounterTable(name=FORGOTTEN, value=ids[-1]))
        except SQLAlchemyError as error:
            raise StoreError(reason=cause(error)) from None
        freed = self._snapshots.delete(row.snapshot for row in rows if row.snapshot)
        return len(ids), freed

    # ── reading ──────────────────────────────────────────────────────────────────────────

    def next_id(self) -> int:
        """One above the largest number that was ever written."""
        try:
            with Session(self._engine) as session:
                return _next_id(session)
        except SQLAlchemyError as error:
            raise StoreError(reason=cause(error)) from None

    def after(self, event_id: int, wanted: EventFilter, limit: int) -> list[EventRow]:
        """The first events with larger numbers, oldest first."""
        query = select(EventTable).where(EventTable.event_id > event_id, *_conditions(wanted))
        return self._records(query.order_by(EventTable.event_id).limit(limit))

    def page(self, wanted: EventFilter, limit: int, cursor: int | None = None) -> Page:
        """Events, newest first, from ``cursor`` of the page before on."""
        conditions = _conditions(wanted)
        query = select(EventTable).where(*conditions)
        if cursor is not None:
            query = query.where(EventTable.event_id < cursor)
        records = self._records(query.order_by(EventTable.event_id.desc()).limit(limit + 1))
        try:
            with Session(self._engine) as session:
                count = select(func.count()).select_from(EventTable).where(*conditions)
                total = session.scalar(count) or 0
        except SQLAlchemyError as error:
            raise StoreError(reason=cause(error)) from None
        more = len(records) > limit
        return Page(records[:limit], total, records[limit - 1].event_id if more else None)

    def get(self, event_id: int) -> EventRow:
        """Raises EventNotFound."""
        found = self._records(select(EventTable).where(EventTable.event_id == event_id))
        if not found:
            raise EventNotFound(event_id=event_id)
        return found[0]

    def snapshot(self, event_id: int) -> bytes:
        """The picture of an event as JPEG. Raises EventNotFound, NoSnapshot."""
        try:
            with Session(self._engine) as session:
                row = session.get(EventTable, event_id)
        except SQLAlchemyError as error:
            raise StoreError(reason=cause(error)) from None
        if row is None:
            raise EventNotFound(event_id=event_id)
        jpeg = self._snapshots.read(row.snapshot) if row.snapshot else None
        if jpeg is None:
            raise NoSnapshot(event_id=event_id)
        return jpeg

    def _records(self, query: Any) -> list[EventRow]:
        try:
            with Session(self._engine) as session:
                return [_record(row) for row in session.scalars(query)]
        except SQLAlchemyError as error:
            raise StoreError(reason=cause(error)) from None


class StreamSessionRepository:
    """Runs of streams, numbered from 1 each day, over all processes that share the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def next_id(self, day: date) -> str:
        """The next session id of a day: ``S_2026_02_03_0001``. Raises StoreError."""
        name = f"S_{day:%Y_%m_%d}"
        for _ in range(2):
            try:
                return f"{name}_{self._count(f'session {name}'):04d}"
            except IntegrityError:  # another process made the day's row in this moment
                continue
            except SQLAlchemyError as error:
                raise StoreError(reason=cause(error)) from None
        raise StoreError(reason="no session number")

    def next_today(self) -> str:
        """The next session id of this day, by the machine's own clock and zone."""
        return self.next_id(date.today())

    def _count(self, name: str) -> int:
        """Count up and return; the first statement takes the row, so no two get one number."""
        with Session(self._engine) as session, session.begin():
            counter = CounterTable.name == name
            taken = session.execute(
                update(CounterTable).where(counter).values(value=CounterTable.value + 1)
            )
            if not taken.rowcount:  # type: ignore[attr-defined]
                session.add(CounterTable(name=name, value=1))
                return 1
            return session.scalars(select(CounterTable.value).where(counter)).one()


def _next_id(session: Session) -> int:
    kept = session.scalar(select(func.max(EventTable.event_id))) or 0
    forgotten = session.get(CounterTable, FORGOTTEN)
    return max(kept, forgotten.value if forgotten else 0) + 1


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
    return conditions


def _row(draft: Draft) -> EventTable:
    record = draft.record
    return EventTable(
        **{name: getattr(record, name) for name in _SAME},
        box=None if record.box is None else list(record.box),
        details=dict(record.details),
        snapshot=draft.snapshot,
    )


def _record(row: EventTable) -> EventRow:
    return EventRow(
        **{name: getattr(row, name) for name in _SAME},
        box=None if row.box is None else Box(*row.box),
        details=row.details,
        snapshot=row.snapshot is not None,
    )
