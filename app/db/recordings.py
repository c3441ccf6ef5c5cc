"""Queries about the files of collection jobs."""

from __future__ import annotations

import time
from dataclasses import asdict, replace

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from app.db.engine import opened
from app.db.jobs import job_row
from app.db.tables import JobFileTable, JobTable, NodeErasureTable
from app.db.vault import Vault
from app.errors import FileNotFound
from app.footage import RECORDINGS
from app.jobs import FileFacts, Recording


class RecordingRepository:
    """The files of jobs as rows. Raises StoreError when the database fails."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def add(self, recording: Recording) -> None:
        with opened(self._engine) as session:
            session.add(self._row(recording))

    def add_once(self, recording: Recording) -> bool:
        """Add a file of a node; False if it has a row already."""
        with opened(self._engine) as session:
            if _is_known(session, recording):
                return False
            session.add(self._row(recording))
            return True

    def add_late(self, recording: Recording, index: int) -> None:
        """Add a file of a node to a job that does not run, by the number of its part.

        If there is no such job any more, the node is to delete the file.
        """
        with opened(self._engine) as session:
            job = session.get(JobTable, recording.job_id)
            if job is None or index >= len(job.parts):
                path = f"{RECORDINGS}{recording.path}"
                session.add(NodeErasureTable(node=recording.node, path=path))
                return
            if _is_known(session, recording):
                return
            label = self._vault.unseal(job.parts[index]["label"])
            session.add(self._row(replace(recording, source=label)))
            job.frames += recording.facts.frames
            job.seconds += recording.facts.seconds
            job.total_bytes += recording.facts.bytes

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

    def erase(self, recording: Recording) -> None:
        """Mark a file as removed; if a node has it, that is to delete it."""
        with opened(self._engine) as session:
            row = session.get(JobFileTable, recording.file_id)
            if row is None:
                return
            row.removed_ts = time.time()
            if row.node is not None:
                session.add(NodeErasureTable(node=row.node, path=f"{RECORDINGS}{row.path}"))

    def _row(self, recording: Recording) -> JobFileTable:
        return JobFileTable(
            job_id=recording.job_id,
            source=self._vault.seal(recording.source),
            path=recording.path,
            started_ts=recording.started_ts,
            facts=asdict(recording.facts),
            node=recording.node,
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
            row.node,
        )


def _is_known(session: Session, recording: Recording) -> bool:
    mine = JobFileTable.node == recording.node, JobFileTable.path == recording.path
    return session.scalar(select(JobFileTable.file_id).where(*mine).limit(1)) is not None
