"""Session ids: the numbers of the runs of streams."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.engine import store_errors
from app.db.tables import CounterTable
from app.errors import StoreError


class StreamSessionRepository:
    """Session ids of streams, counted from 1 each day over all processes of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def next_id(self, day: date) -> str:
        """The next session id of a day: ``S_2026_02_03_0001``. Raises StoreError."""
        name = f"S_{day:%Y_%m_%d}"
        with store_errors():
            for _ in range(2):
                try:
                    return f"{name}_{self._count(f'session {name}'):04d}"
                except IntegrityError:  # another process inserted the day's row first
                    continue
        raise StoreError(reason="no session number")

    def next_today(self) -> str:
        """The next session id of today, by the machine's clock and time zone."""
        return self.next_id(date.today())

    def _count(self, name: str) -> int:
        """Count up and return; the first statement locks the row, so no number is used twice."""
        with Session(self._engine) as session, session.begin():
            counter = CounterTable.name == name
            counted = session.execute(
                update(CounterTable).where(counter).values(value=CounterTable.value + 1)
            )
            if not counted.rowcount:  # type: ignore[attr-defined]
                session.add(CounterTable(name=name, value=1))
                return 1
            return session.scalars(select(CounterTable.value).where(counter)).one()
