"""Queries about the files of collection jobs."""

from __future__ import annotations

import time
from dataclasses import asdict

from sqlalchemy import Engine, select, update

from app.db.engine import opened
from app.db.jobs import job_row
from app.db.tables import JobFileTable, JobTable
from app.db.vault import Vault
from app.errors import FileNotFound
from app.jobs import FileFacts, Recording


class RecordingRepository:
    """The files of jobs as rows. Raises StoreError when the database fails."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def add(self, recording: Recording) -> None:
        with opened(self._engine) as session:
            session.add(
                JobFileTable(
                    job_id=recording.job_id,
                    source=self._vault.seal(recording.source),
                    path=recording.path,
                    started_ts=recording.started_ts,
                    facts=asdict(recording.facts),
                )
            )

    def of_job(self, job_id: str) -> list[Recording]:
        """All files of a job, in order, the removed ones too. Raises JobNotFound."""
        with opened(self._engine) as session:
            flagged = job_row(session, job_id).flagged
            wanted = select(JobFileTable).where(JobFileTable.job_id == job_id)
            rows = session.scalars(wanted.order_by(JobFileTable.file_id))
            return [self._recording(row, flagged) for row in rows]

    def get(self, job_id: str, file_id: int) -> Recording:
        """Raises JobNotFound, and FileNotFound if the file is missing or was removed."""
        with opened(self._engine) as session:
            flagged = job_row(session, job_id).flagged
            row = session.get(JobFileTable, file_id)
            if row is None or row.job_id != job_id or row.removed_ts is not None:
                raise FileNotFound(job_id=job_id, file_id=file_id)
            return self._recording(row, flagged)

    def all(self) -> list[Recording]:
        """Every file that was not removed."""
        wanted = select(JobFileTable, JobTable.flagged).join(
            JobTable, JobTable.job_id == JobFileTable.job_id
        )
        with opened(self._engine) as session:
            rows = session.execute(wanted.where(JobFileTable.removed_ts.is_(None)))
            return [self._recording(row, flagged) for row, flagged in rows]

    def mark_removed(self, file_id: int) -> None:
        with opened(self._engine) as session:
            session.execute(
                update(JobFileTable)
                .where(JobFileTable.file_id == file_id)
                .values(removed_ts=time.time())
            )

    def _recording(self, row: JobFileTable, flagged: bool) -> Recording:
        return Recording(
            row.job_id,
            self._vault.unseal(row.source),
            row.path,
            row.started_ts,
            FileFacts(**row.facts),
            row.file_id,
            row.removed_ts,
            flagged,
        )
