"""Queries about schedules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, select

from app.db.engine import opened
from app.db.job_specs import (
    decrypted_sources,
    decryption_error,
    encrypted_sources,
    spec_from,
    spec_options,
)
from app.db.tables import ScheduleTable
from app.db.vault import Vault
from app.errors import ScheduleNotFound
from app.jobs import Schedule

_COLUMNS = (
    "schedule_id",
    "cron",
    "timezone",
    "enabled",
    "created_ts",
    "last_run_ts",
    "last_job_id",
    "skipped",
)


class ScheduleRepository:
    """Schedules as rows. Raises StoreError when the database fails."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def save(self, schedule: Schedule) -> None:
        """Insert or replace."""
        with opened(self._engine) as session:
            row = session.get(ScheduleTable, schedule.schedule_id) or ScheduleTable()
            for name in _COLUMNS:
                setattr(row, name, getattr(schedule, name))
            if decryption_error(self._vault, row.secret) is None:
                row.options = spec_options(schedule.spec)
                complete = [list(schedule.spec.sources), []]
                row.secret = encrypted_sources(self._vault, complete, [row.options["sources"], []])
            session.add(row)

    def all(self) -> list[Schedule]:
        """All, oldest first."""
        with opened(self._engine) as session:
            rows = session.scalars(select(ScheduleTable).order_by(ScheduleTable.created_ts))
            return [self._schedule(row) for row in rows]

    def delete(self, schedule_id: str) -> None:
        """Raises ScheduleNotFound."""
        with opened(self._engine) as session:
            row = session.get(ScheduleTable, schedule_id)
            if row is None:
                raise ScheduleNotFound(schedule_id=schedule_id)
            session.delete(row)

    def _schedule(self, row: ScheduleTable) -> Schedule:
        spec = spec_from(row.options)
        if row.secret is not None:
            complete = decrypted_sources(self._vault, row.secret, [list(spec.sources), []])
            spec = replace(spec, sources=tuple(complete[0]))
        error = decryption_error(self._vault, row.secret)
        plain: dict[str, Any] = {name: getattr(row, name) for name in _COLUMNS}
        return Schedule(spec=spec, error=str(error) if error else None, **plain)
