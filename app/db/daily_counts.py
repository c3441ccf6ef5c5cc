"""What streams have counted since midnight, so that a restart does not begin at 0."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import Engine, delete, select

from app.db.engine import opened
from app.db.tables import DailyCountsTable
from app.places import DayCounts

KEPT_DAYS = 2  # a stream's day may begin later or earlier than this process's


class DailyCountsRepository:
    """Counts as rows, one for each stream. Blocking; raises StoreError when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load(self, today: date) -> list[DayCounts]:
        """The counts that may be of today in some time zone; older ones are deleted."""
        oldest = (today - timedelta(days=KEPT_DAYS)).isoformat()
        with opened(self._engine) as session:
            session.execute(delete(DailyCountsTable).where(DailyCountsTable.day < oldest))
            return [_counts(row) for row in session.scalars(select(DailyCountsTable))]

    def save(self, changed: Sequence[DayCounts]) -> None:
        """Insert or replace the counts of these streams."""
        with opened(self._engine) as session:
            for one in changed:
                rows = [[*key, count] for key, count in one.counts.items()]
                session.merge(
                    DailyCountsTable(stream_id=one.stream_id, day=one.day.isoformat(), counts=rows)
                )


def _counts(row: DailyCountsTable) -> DayCounts:
    counts = {tuple(key): count for *key, count in row.counts}
    return DayCounts(row.stream_id, date.fromisoformat(row.day), counts)
