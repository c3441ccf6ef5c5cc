"""Every query about collection jobs."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Engine, Text, cast, delete, func, select, update
from sqlalchemy.orm import Session

from app import urls
from app.db.engine import opened
from app.db.tables import JobFileTable, JobLogTable, JobTable, ScheduleTable
from app.db.vault import Vault
from app.errors import FileNotFound, JobNotFound, ScheduleNotFound, SecretUnreadable
from app.jobs import (
    FileFacts,
    Gap,
    Job,
    JobLine,
    JobSpec,
    JobState,
    LogEntry,
    Part,
    Recording,
    Schedule,
)

logger = logging.getLogger(__name__)

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
_SCHEDULE = (
    "schedule_id",
    "cron",
    "timezone",
    "enabled",
    "created_ts",
    "last_run_ts",
    "last_job_id",
    "skipped",
)


class JobRepository:
    """Jobs, files, logs and schedules as rows. Raises StoreError when the database fails."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    # ── jobs ─────────────────────────────────────────────────────────────────────────────

    def save(self, job: Job) -> None:
        """Insert or replace."""
        with opened(self._engine) as session:
            row = session.get(JobTable, job.job_id) or JobTable(job_id=job.job_id)
            for name in _PLAIN:
                setattr(row, name, getattr(job, name))
            row.error = self._sealed(job.error)
            row.state, row.tags = job.state.value, list(job.tags)
            row.total_bytes = job.bytes
            if self._can_replace(row.secret):
                row.options = _options(job.spec)
                row.parts = [self._part_row(part) for part in job.parts]
                row.gaps = [self._gap_row(gap) for gap in job.gaps]
                complete = [list(job.spec.sources), [part.source for part in job.parts]]
                origins = [part["source"] for part in row.parts]
                row.secret = self._secret(complete, [row.options["sources"], origins])
            session.add(row)

    def get(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        with opened(self._engine) as session:
            return self._job(self._row(session, job_id))

    def change(self, job: Job) -> None:
        """Write name, tags and flag, and nothing else: the job may run. Raises JobNotFound."""
        with opened(self._engine) as session:
            row = self._row(session, job.job_id)
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
    ) -> tuple[list[Job], int]:
        """Jobs, newest first, and how many there are in all."""
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
        """Jobs that ran when the last process ended, oldest first."""
        wanted = select(JobTable).where(JobTable.state == JobState.RUNNING.value)
        with opened(self._engine) as session:
            return [self._job(row) for row in session.scalars(wanted.order_by(JobTable.created_ts))]

    def delete(self, job_id: str) -> None:
        """Delete a job and everything that belongs to it. Raises JobNotFound."""
        with opened(self._engine) as session:
            row = self._row(session, job_id)
            for table in (JobFileTable, JobLogTable):
                session.execute(delete(table).where(table.job_id == job_id))
            session.delete(row)

    # ── what jobs report ────────────────────────────────────────────────────────────────

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
            self._row(session, job_id)
            rows = session.scalars(_logs_of(job_id)).all()
            return [self._line(row.line) for row in rows if row.line]

    def log(self, job_id: str, level: str, text: str) -> None:
        with opened(self._engine) as session:
            sealed = self._vault.seal(text)
            session.add(JobLogTable(job_id=job_id, ts=time.time(), level=level, text=sealed))

    def logs(self, job_id: str, *, limit: int, offset: int) -> tuple[list[LogEntry], int]:
        """What happened, in order, and how many entries there are. Raises JobNotFound."""
        with opened(self._engine) as session:
            self._row(session, job_id)
            total = session.scalar(select(func.count()).select_from(_logs_of(job_id).subquery()))
            rows = session.scalars(_logs_of(job_id).limit(limit).offset(offset)).all()
            entries = [LogEntry(row.ts, row.level, self._vault.unseal(row.text)) for row in rows]
            return entries, total or 0

    # ── files ────────────────────────────────────────────────────────────────────────────

    def add_recording(self, recording: Recording) -> None:
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

    def recordings(self, job_id: str) -> list[Recording]:
        """All files of a job, in order, the removed ones too. Raises JobNotFound."""
        with opened(self._engine) as session:
            flagged = self._row(session, job_id).flagged
            wanted = select(JobFileTable).where(JobFileTable.job_id == job_id)
            rows = session.scalars(wanted.order_by(JobFileTable.file_id))
            return [self._recording(row, flagged) for row in rows]

    def recording(self, job_id: str, file_id: int) -> Recording:
        """Raises JobNotFound, and FileNotFound if the file is missing or was removed."""
        with opened(self._engine) as session:
            flagged = self._row(session, job_id).flagged
            row = session.get(JobFileTable, file_id)
            if row is None or row.job_id != job_id or row.removed_ts is not None:
                raise FileNotFound(job_id=job_id, file_id=file_id)
            return self._recording(row, flagged)

    def all_recordings(self) -> list[Recording]:
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

    # ── schedules ────────────────────────────────────────────────────────────────────────

    def save_schedule(self, schedule: Schedule) -> None:
        """Insert or replace."""
        with opened(self._engine) as session:
            row = session.get(ScheduleTable, schedule.schedule_id) or ScheduleTable()
            for name in _SCHEDULE:
                setattr(row, name, getattr(schedule, name))
            if self._can_replace(row.secret):
                row.options = _options(schedule.spec)
                complete = [list(schedule.spec.sources), []]
                row.secret = self._secret(complete, [row.options["sources"], []])
            session.add(row)

    def schedules(self) -> list[Schedule]:
        """All, oldest first."""
        with opened(self._engine) as session:
            rows = session.scalars(select(ScheduleTable).order_by(ScheduleTable.created_ts))
            return [self._schedule(row) for row in rows]

    def delete_schedule(self, schedule_id: str) -> None:
        """Raises ScheduleNotFound."""
        with opened(self._engine) as session:
            row = session.get(ScheduleTable, schedule_id)
            if row is None:
                raise ScheduleNotFound(schedule_id=schedule_id)
            session.delete(row)

    # ── rows to values ───────────────────────────────────────────────────────────────────

    def _row(self, session: Session, job_id: str) -> JobTable:
        row = session.get(JobTable, job_id)
        if row is None:
            raise JobNotFound(job_id=job_id)
        return row

    def _job(self, row: JobTable) -> Job:
        spec = _spec(row.options)
        parts = [self._part(values) for values in row.parts]
        if row.secret is not None:
            sources, complete = self._complete(row.secret, spec.sources, row.parts)
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

    def _complete(
        self, secret: bytes, sources: tuple[str, ...], parts: list[Any]
    ) -> tuple[list[str], list[str]]:
        """Sources with their credentials; without them if the key is lost, so they are refused."""
        try:
            complete: tuple[list[str], list[str]] = json.loads(self._vault.decrypt(secret))
        except SecretUnreadable as error:
            logger.error("a job's sources: %s", error)
            return list(sources), [part["source"] for part in parts]
        return complete

    def _schedule(self, row: ScheduleTable) -> Schedule:
        spec = _spec(row.options)
        if row.secret is not None:
            spec = replace(spec, sources=tuple(self._complete(row.secret, spec.sources, [])[0]))
        plain: dict[str, Any] = {name: getattr(row, name) for name in _SCHEDULE}
        return Schedule(spec=spec, **plain)

    def _secret(self, complete: list[list[str]], stored: list[list[str]]) -> bytes | None:
        return None if complete == stored else self._vault.encrypt(json.dumps(complete))

    def _can_replace(self, secret: bytes | None) -> bool:
        """False for what another key encrypted: it must be there when that key is found again."""
        try:
            return secret is None or bool(self._vault.decrypt(secret))
        except SecretUnreadable:
            return False

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

    def _line(self, values: dict[str, Any]) -> JobLine:
        text = self._vault.unseal(values["text"])
        return JobLine(**(values | {"state": JobState(values["state"]), "text": text}))

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

    def _sealed(self, text: str | None) -> str | None:
        return text and self._vault.seal(text)

    def _unsealed(self, text: str | None) -> str | None:
        return text and self._vault.unseal(text)


def _logs_of(job_id: str) -> Any:
    return select(JobLogTable).where(JobLogTable.job_id == job_id).order_by(JobLogTable.log_id)


def _options(spec: JobSpec) -> dict[str, Any]:
    origins = [urls.origin(source) for source in spec.sources]
    return asdict(spec) | {"sources": origins, "tags": list(spec.tags)}


def _spec(options: dict[str, Any]) -> JobSpec:
    values = options | {"sources": tuple(options["sources"]), "tags": tuple(options["tags"])}
    return JobSpec(**values)
