"""Queries about what happened in collection jobs."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Engine, func, select

from app.db.engine import opened
from app.db.jobs import job_row
from app.db.tables import JobLogTable
from app.db.vault import Vault
from app.jobs import JobLine, JobState, LogEntry


class JobLogRepository:
    """The logs of jobs as rows, with the lines that were reported to followers.

    Raises StoreError when the database fails.
    """

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def add_line(self, line: JobLine) -> None:
        level = "error" if line.type == "error" else "info"
        text = self._vault.seal(line.text)
        values = line.as_json() | {"state": line.state.value, "text": text}
        with opened(self._engine) as session:
            session.add(
                JobLogTable(job_id=line.job_id, ts=line.ts, level=level, text=text, line=values)
            )

    def lines(self, job_id: str) -> list[JobLine]:
        """The lines that were reported to followers of a job. Raises JobNotFound."""
        with opened(self._engine) as session:
            job_row(session, job_id)
            rows = session.scalars(_entries_of(job_id)).all()
            return [self._line(row.line) for row in rows if row.line]

    def add_entry(self, job_id: str, level: str, text: str) -> None:
        with opened(self._engine) as session:
            sealed = self._vault.seal(text)
            session.add(JobLogTable(job_id=job_id, ts=time.time(), level=level, text=sealed))

    def entries(self, job_id: str, *, limit: int, offset: int) -> tuple[list[LogEntry], int]:
        """What happened, in order, and how many entries there are. Raises JobNotFound."""
        with opened(self._engine) as session:
            job_row(session, job_id)
            total = session.scalar(select(func.count()).select_from(_entries_of(job_id).subquery()))
            rows = session.scalars(_entries_of(job_id).limit(limit).offset(offset)).all()
            entries = [LogEntry(row.ts, row.level, self._vault.unseal(row.text)) for row in rows]
            return entries, total or 0

    def _line(self, values: dict[str, Any]) -> JobLine:
        text = self._vault.unseal(values["text"])
        return JobLine(**(values | {"state": JobState(values["state"]), "text": text}))


def _entries_of(job_id: str) -> Any:
    return select(JobLogTable).where(JobLogTable.job_id == job_id).order_by(JobLogTable.log_id)
