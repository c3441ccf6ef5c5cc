"""Every query about the watch-list, and the record of calls to Claude."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Literal, cast

from sqlalchemy import Engine, func, select

from app import plate_text
from app.db.engine import opened
from app.db.plate_tables import ClaudeCallTable, WatchTable
from app.errors import InvalidRequest, WatchNotFound
from app.plates import ClaudeCall, WatchEntry

ANSWERED = ("read", "unreadable")


class Watchlist:
    """The watch-list of plate numbers. Raises StoreError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def entries(self) -> list[WatchEntry]:
        """All of them, oldest first."""
        with opened(self._engine) as session:
            rows = session.scalars(select(WatchTable).order_by(WatchTable.id))
            return [_entry(row) for row in rows]

    def add(self, number: str, note: str, action: str) -> WatchEntry:
        """Raises InvalidRequest for a number that is on the list, however it was spelled."""
        key = plate_text.folded(number)
        with opened(self._engine) as session:
            listed = session.scalars(select(WatchTable.number))
            if any(plate_text.folded(other) == key for other in listed):
                raise InvalidRequest(field="number", reason=f"{number} is on the list already")
            row = WatchTable(number=number, note=note, action=action)
            session.add(row)
            session.flush()
            return _entry(row)

    def remove(self, watch_id: int) -> None:
        """Raises WatchNotFound."""
        with opened(self._engine) as session:
            row = session.get(WatchTable, watch_id)
            if row is None:
                raise WatchNotFound(watch_id=watch_id)
            session.delete(row)


class ClaudeCalls:
    """Calls to Claude: the record, the daily count and the answers to reuse."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counting = threading.Lock()

    def begin(self, crop_hash: str, model: str, daily: int) -> int | None:
        """Count a call; returns its number, or None if the day (UTC) already had ``daily``."""
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        since = ClaudeCallTable.timestamp >= midnight
        with self._counting, opened(self._engine) as session:
            query = select(func.count()).select_from(ClaudeCallTable).where(since)
            if (session.scalar(query) or 0) >= daily:
                return None
            row = ClaudeCallTable(crop_hash=crop_hash, model=model, outcome="asked")
            session.add(row)
            session.flush()
            return row.id

    def record_outcome(self, number: int, call: ClaudeCall) -> None:
        """Record the outcome of a call."""
        with opened(self._engine) as session:
            row = session.get_one(ClaudeCallTable, number)
            row.outcome, row.answer = call.outcome, call.answer
            row.input_tokens, row.output_tokens = call.input_tokens, call.output_tokens

    def assign(self, crop_hash: str, plate_id: int) -> None:
        """Record which plate the calls about a crop were for."""
        with opened(self._engine) as session:
            unassigned = (ClaudeCallTable.crop_hash == crop_hash) & (
                ClaudeCallTable.plate_id.is_(None)
            )
            for row in session.scalars(select(ClaudeCallTable).where(unassigned)):
                row.plate_id = plate_id

    def answer(self, crop_hash: str, model: str) -> ClaudeCall | None:
        """The answer that this model gave for the same crop, if any."""
        query = (
            select(ClaudeCallTable)
            .where(
                ClaudeCallTable.crop_hash == crop_hash,
                ClaudeCallTable.model == model,
                ClaudeCallTable.outcome.in_(ANSWERED),
            )
            .order_by(ClaudeCallTable.id.desc())
            .limit(1)
        )
        with opened(self._engine) as session:
            row = session.scalar(query)
            if row is None:
                return None
            return ClaudeCall(row.crop_hash, row.model, row.outcome, row.answer)


def _entry(row: WatchTable) -> WatchEntry:
    action = cast("Literal['allow', 'alert']", row.action)
    return WatchEntry(row.id, row.number, row.note, action)
