"""Queries that write and read events; ``event_pruner.py`` deletes them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import ColumnElement, Engine, func, insert, select, tuple_, update
from sqlalchemy.exc import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.orm import Session

from app.db.engine import opened, store_errors
from app.db.event_conditions import conditions, of_plate
from app.db.footage import events_with_clip
from app.db.outbox import enqueue
from app.db.snapshots import SnapshotFolder
from app.db.tables import CounterTable, EventTable
from app.errors import EventNotFound, NodeGone, NoSnapshot, SnapshotRemoved
from app.events import EventComment, EventFilter, EventRow, plate_of
from app.local_time import DAY_S
from app.types import Box

logger = logging.getLogger(__name__)

LAST_DELETED = "last deleted event"
_IDENTITY = ("stream_id", "session_id", "type", "ts", "track_id", "person_id", "bag_id")
_COLUMNS = ("event_id", *_IDENTITY, "confidence", "duration_s", "node")
_SEARCHED = ("label", "zone", "line")
Order = Literal["id", "time"]
"""By number, which is the order in which events were reported, or by when they happened."""


@dataclass(frozen=True, slots=True)
class Page:
    """Events, newest first.

    Attributes:
        total: number of events that match the filter, on all pages; None if they were not counted.
        cursor: where the next page begins; None on the last one.
    """

    events: list[EventRow]
    total: int | None
    cursor: int | None


class EventRepository:
    """Events as rows. Blocking; raises StoreError when the database fails.

    Attributes:
        has_pending_clip: whether the clip of an event is still being recorded; from any thread.
        read_on_node: reads a snapshot of a node of a cluster: its name, and that of the file. None
            if it was removed; raises NodeGone. Blocks.
    """

    def __init__(self, engine: Engine, snapshots: SnapshotFolder) -> None:
        self._engine = engine
        self._snapshots = snapshots
        self.has_pending_clip: Callable[[int], bool] = lambda _: False
        self.read_on_node: Callable[[str, str], bytes | None] = _no_node

    # ── writing ──────────────────────────────────────────────────────────────────────────

    def add(self, rows: Sequence[EventRow]) -> int:
        """Write events; returns how many of them can never be written.

        What routes want to report of them is put into the outbox in the same transaction. What an
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
        """Insert all with one statement; a number that is taken fails before anything is read."""
        with Session(self._engine) as session, session.begin():
            if rows:
                session.execute(insert(EventTable), [_values(row) for row in rows])
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
                new, other = EventTable(**_values(row)), taken.get(row.event_id)
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
        query = select(EventTable).where(EventTable.event_id > event_id, *self._matching(wanted))
        return self._rows(query.order_by(EventTable.event_id).limit(limit))

    def page(
        self,
        wanted: EventFilter,
        limit: int,
        cursor: int | None = None,
        *,
        order: Order = "id",
        counted: bool = True,
    ) -> Page:
        """Events, newest first, starting at the ``cursor`` of the previous page.

        Args:
            counted: also count all that match, which takes longer than reading a page.
        """
        matching = self._matching(wanted)
        keys = [EventTable.event_id] if order == "id" else [EventTable.ts, EventTable.event_id]
        query = select(EventTable).where(*matching).order_by(*(key.desc() for key in keys))
        if cursor is not None:
            query = query.where(self._older(cursor, order))
        rows = self._rows(query.limit(limit + 1))
        more = len(rows) > limit
        total = self._count(matching) if counted else None
        return Page(rows[:limit], total, rows[limit - 1].event_id if more else None)

    def batches(self, wanted: EventFilter, size: int) -> Iterator[list[EventRow]]:
        """All events, newest first by time, each batch in a query of its own."""
        cursor = None
        while True:
            page = self.page(wanted, size, cursor, order="time", counted=False)
            yield page.events
            cursor = page.cursor
            if cursor is None:
                return

    def _older(self, cursor: int, order: Order) -> ColumnElement[bool]:
        """What comes after an event in a list; if it was removed, after the one that was next."""
        if order == "id":
            return EventTable.event_id < cursor
        nearest = select(EventTable.ts, EventTable.event_id).where(EventTable.event_id <= cursor)
        with opened(self._engine) as session:
            found = session.execute(nearest.order_by(EventTable.event_id.desc()).limit(1)).first()
        if found is None:
            return EventTable.event_id < cursor
        return tuple_(EventTable.ts, EventTable.event_id) < tuple_(found.ts, found.event_id)

    def _matching(self, wanted: EventFilter) -> list[ColumnElement[bool]]:
        begin_ts = 0.0
        if wanted.hours is not None:  # whose offset from UTC is needed for as long as there are any
            with opened(self._engine) as session:
                begin_ts = session.scalar(select(func.min(EventTable.ts))) or 0.0
        return conditions(wanted, begin_ts, time.time() + DAY_S)

    def _count(self, matching: list[ColumnElement[bool]]) -> int:
        with opened(self._engine) as session:
            count = select(func.count()).select_from(EventTable).where(*matching)
            return session.scalar(count) or 0

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
        """The picture of an event as JPEG.

        Raises EventNotFound, NoSnapshot, SnapshotRemoved, NodeGone.
        """
        with opened(self._engine) as session:
            wanted = select(EventTable.snapshot, EventTable.node).where(
                EventTable.event_id == event_id
            )
            found = session.execute(wanted).first()
        if found is None:
            raise EventNotFound(event_id=event_id)
        if found.snapshot is None:
            raise NoSnapshot(event_id=event_id)
        if found.node is None:
            jpeg = self._snapshots.read(found.snapshot)
        else:
            jpeg = self.read_on_node(found.node, found.snapshot)
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
        there = row.snapshot is not None and (
            row.node is not None or self._snapshots.exists(row.snapshot)
        )
        return EventRow(
            **{name: getattr(row, name) for name in _COLUMNS},
            box=None if row.box is None else Box(*row.box),
            details=row.details,
            snapshot=there,
            snapshot_file=row.snapshot if there else None,
            clip=clip,
            flagged=row.flagged,
            comment=_comment(row),
        )


def _no_node(node: str, _name: str) -> bytes | None:
    raise NodeGone(node=node)


def _comment(row: EventTable) -> EventComment | None:
    if row.comment is None:
        return None
    return EventComment(row.comment, row.comment_by or "", row.comment_ts or 0.0)


def _next_id(session: Session) -> int:
    newest = session.scalar(select(func.max(EventTable.event_id))) or 0
    return max(newest, last_deleted(session)) + 1


def last_deleted(session: Session) -> int:
    """The largest number of an event that was deleted; 0 if none was."""
    counter = session.get(CounterTable, LAST_DELETED)
    return counter.value if counter else 0


def _values(row: EventRow) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in _COLUMNS},
        **{name: _text(row.details, name) for name in _SEARCHED},
        "plate": plate_of(row.details),
        "box": None if row.box is None else list(row.box),
        "details": dict(row.details),
        "snapshot": row.snapshot_file,
    }


def _text(details: Mapping[str, Any], name: str) -> str | None:
    """A value of the details to be searched; PostgreSQL has no texts with a null character."""
    value = details.get(name)
    return value if isinstance(value, str) and "\x00" not in value else None
