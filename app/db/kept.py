"""What the database keeps: how much of each kind, and how old the oldest is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, func, select

from app.db.access_tables import ApiTokenTable, AuditTable, UserSessionTable, UserTable
from app.db.engine import opened
from app.db.plate_tables import ClaudeCallTable, PlateTable, SessionTable, WatchTable
from app.db.tables import EventTable, FootageTable, JobFileTable, JobTable, StreamTable

KINDS: Mapping[str, Any] = {
    "streams": StreamTable.created_at,
    "events": EventTable.ts,
    "plates": PlateTable.timestamp,
    "plate sessions": SessionTable.timestamp,
    "watch list": WatchTable.created_at,
    "calls to Claude": ClaudeCallTable.timestamp,
    "clips of events": FootageTable.begin_ts,
    "continuous recordings": FootageTable.begin_ts,
    "jobs": JobTable.created_ts,
    "recordings": JobFileTable.started_ts,
    "users": UserTable.created_ts,
    "sign-ins": UserSessionTable.created_ts,
    "API tokens": ApiTokenTable.created_ts,
    "audit log": AuditTable.ts,
}
"""The time of each kind of row."""
ONLY: Mapping[str, Any] = {
    "clips of events": FootageTable.kind == "event",
    "continuous recordings": FootageTable.kind == "continuous",
    "recordings": JobFileTable.removed_ts.is_(None),
}
"""Which rows of a table count."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One kind of data; ``oldest_ts`` is None if there is none."""

    what: str
    count: int
    oldest_ts: float | None


class KeptRepository:
    """Counts what is kept. Blocking; raises StoreError when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> list[Kept]:
        """Every kind of data."""
        with opened(self._engine) as session:
            found = []
            for what, column in KINDS.items():
                query = select(func.count(), func.min(column))
                if what in ONLY:
                    query = query.where(ONLY[what])
                count, oldest = session.execute(query).one()
                ts = oldest.timestamp() if isinstance(oldest, datetime) else oldest
                found.append(Kept(what, count, ts))
            return found
