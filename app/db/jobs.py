"""Queries about collection jobs; their files, log and schedules have modules of their own."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Engine, Text, cast, delete, func, select
from sqlalchemy.orm import Session

from app import urls
from app.db.engine import opened
from app.db.job_specs import (
    decrypted_sources,
    decryption_error,
    encrypted_sources,
    spec_from,
    spec_options,
)
from app.db.tables import JobFileTable, JobLogTable, JobTable, NodeErasureTable
from app.db.vault import Vault
from app.errors import JobNotFound
from app.footage import RECORDINGS
from app.jobs import Gap, Job, JobState, Part
from app.rights import Cameras

_PLAIN = (
    "job_id",
    "error",
    "schedule_id",
    "frames",
    "seconds",
    "retries",
    "created_ts",
    "ended_ts",
    "name",
    "flagged",
)


class JobRepository:
    """Jobs as rows. Raises StoreError when the database fails."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def save(self, job: Job) -> None:
        """Insert or replace."""
        with opened(self._engine) as session:
            row = session.get(JobTable, job.job_id) or JobTable(job_id=job.job_id)
            for name in _PLAIN:
                setattr(row, name, getattr(job, name))
            row.error = self._sealed(job.error)
            row.state, row.tags = job.state.value, list(job.tags)
            row.total_bytes = job.bytes
            if decryption_error(self._vault, row.secret) is None:
                self._fill(row, job)
            session.add(row)

    def _fill(self, row: JobTable, job: Job) -> None:
        row.options = spec_options(job.spec)
        row.parts = [self._part_row(part) for part in job.parts]
        row.gaps = [self._gap_row(gap) for gap in job.gaps]
        complete = [list(job.spec.sources), [part.source for part in job.parts]]
        stored = [row.options["sources"], [part["source"] for part in row.parts]]
        row.secret = encrypted_sources(self._vault, complete, stored)

    def get(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        with opened(self._engine) as session:
            return self._job(job_row(session, job_id))

    def change(self, job: Job) -> None:
        """Write name, tags and flag, and nothing else: the job may run. Raises JobNotFound."""
        with opened(self._engine) as session:
            row = job_row(session, job.job_id)
            row.name, row.tags, row.flagged = job.name, list(job.tags), job.flagged

    def find(
        self,
        *,
        state: JobState | None = None,
        name: str | None = None,
        tag: str | None = None,
        schedule_id: str | None = None,
        since_ts: float | None = None,
        until_ts: float | None = None,
        limit: int = 50,
        offset: int = 0,
        cameras: Cameras = None,
    ) -> tuple[list[Job], int]:
        """Jobs, newest first, and how many there are in all.

        Args:
            cameras: only jobs that record nothing but these cameras.
        """
        wanted = select(JobTable)
        if state is not None:
            wanted = wanted.where(JobTable.state == state.value)
        if name is not None:
            wanted = wanted.where(JobTable.name.icontains(name, autoescape=True))
        if tag is not None:
            tags = cast(JobTable.tags, Text)
            wanted = wanted.where(tags.contains(json.dumps(tag), autoescape=True))
        if schedule_id is not None:
            wanted = wanted.where(JobTable.schedule_id == schedule_id)
        if since_ts is not None:
            wanted = wanted.where(JobTable.created_ts >= since_ts)
        if until_ts is not None:
            wanted = wanted.where(JobTable.created_ts < until_ts)
        with opened(self._engine) as session:
            if cameras is not None:
                wanted = wanted.where(JobTable.job_id.in_(_ids_of(session, cameras)))
            total = session.scalar(select(func.count()).select_from(wanted.subquery())) or 0
            newest_first = wanted.order_by(JobTable.created_ts.desc(), JobTable.job_id)
            rows = session.scalars(newest_first.limit(limit).offset(offset)).all()
            return [self._job(row) for row in rows], total

    def count_by_state(self) -> dict[JobState, int]:
        """Number of jobs in each state, including states without jobs."""
        counted = select(JobTable.state, func.count().label("number")).group_by(JobTable.state)
        with opened(self._engine) as session:
            found = {row.state: row.number for row in session.execute(counted)}
        return {state: found.get(state.value, 0) for state in JobState}

    def unfinished(self) -> list[Job]:
        """Jobs that ran when the last process ended, oldest first.

        Those whose sources cannot be decrypted are given as failed: nothing is known of them but
        the hosts.
        """
        wanted = select(JobTable).where(JobTable.state == JobState.RUNNING.value)
        with opened(self._engine) as session:
            rows = session.scalars(wanted.order_by(JobTable.created_ts)).all()
            jobs = [self._job(row) for row in rows]
            for row, job in zip(rows, jobs, strict=True):
                if error := decryption_error(self._vault, row.secret):
                    job.state, job.error, job.ended_ts = JobState.FAILED, str(error), time.time()
        return jobs

    def delete(self, job_id: str) -> None:
        """Delete a job and everything that belongs to it; nodes are to delete its files.

        Raises JobNotFound.
        """
        with opened(self._engine) as session:
            row = job_row(session, job_id)
            there = JobFileTable.node.is_not(None), JobFileTable.removed_ts.is_(None)
            files = select(JobFileTable).where(JobFileTable.job_id == job_id, *there)
            for file in session.scalars(files):
                path = f"{RECORDINGS}{file.path}"
                session.add(NodeErasureTable(node=file.node, path=path))
            for table in (JobFileTable, JobLogTable):
                session.execute(delete(table).where(table.job_id == job_id))
            session.delete(row)

    def _job(self, row: JobTable) -> Job:
        spec = spec_from(row.options)
        parts = [self._part(values) for values in row.parts]
        if row.secret is not None:
            stored = [list(spec.sources), [part.source for part in parts]]
            sources, complete = decrypted_sources(self._vault, row.secret, stored)
            spec = replace(spec, sources=tuple(sources))
            parts = [replace(p, source=source) for p, source in zip(parts, complete, strict=True)]
        plain: dict[str, Any] = {name: getattr(row, name) for name in _PLAIN}
        plain["error"] = self._unsealed(row.error)
        return Job(
            spec=spec,
            state=JobState(row.state),
            parts=parts,
            gaps=[self._gap(values) for values in row.gaps],
            tags=tuple(row.tags),
            bytes=row.total_bytes,
            **plain,
        )

    def _part_row(self, part: Part) -> dict[str, Any]:
        label, error = self._vault.seal(part.label), self._sealed(part.error)
        return asdict(part) | {"source": urls.origin(part.source), "label": label, "error": error}

    def _part(self, values: dict[str, Any]) -> Part:
        label, error = self._vault.unseal(values["label"]), self._unsealed(values.get("error"))
        return Part(**(values | {"label": label, "error": error}))

    def _gap_row(self, gap: Gap) -> dict[str, Any]:
        seal = self._vault.seal
        return asdict(gap) | {"source": seal(gap.source), "reason": seal(gap.reason)}

    def _gap(self, values: dict[str, Any]) -> Gap:
        unsealed = {name: self._vault.unseal(values[name]) for name in ("source", "reason")}
        return Gap(**(values | unsealed))

    def _sealed(self, text: str | None) -> str | None:
        return text and self._vault.seal(text)

    def _unsealed(self, text: str | None) -> str | None:
        return text and self._vault.unseal(text)


def _ids_of(session: Session, cameras: frozenset[str]) -> list[str]:
    """The jobs that record nothing but these cameras; sources are JSON, which SQL cannot search."""
    rows = session.execute(select(JobTable.job_id, JobTable.parts))
    return [
        job_id
        for job_id, parts in rows
        if parts and all(p["kind"] == "stream" and p["source"] in cameras for p in parts)
    ]


def job_row(session: Session, job_id: str) -> JobTable:
    """Raises JobNotFound."""
    row = session.get(JobTable, job_id)
    if row is None:
        raise JobNotFound(job_id=job_id)
    return row
