"""What collection jobs need of the database."""

from __future__ import annotations

from typing import Protocol

from app.jobs import Job, JobLine, Recording


class JobStore(Protocol):
    """Where jobs are stored. Blocking; raises StoreError."""

    def save(self, job: Job) -> None: ...

    def delete(self, job_id: str) -> None: ...

    def unfinished(self) -> list[Job]: ...


class JobLogStore(Protocol):
    """Where the logs of jobs are stored. Blocking; raises StoreError."""

    def add_line(self, line: JobLine) -> None: ...

    def lines(self, job_id: str) -> list[JobLine]: ...

    def add_entry(self, job_id: str, level: str, text: str) -> None: ...


class RecordingStore(Protocol):
    """Where the files of jobs are stored as rows. Blocking; raises StoreError."""

    def add(self, recording: Recording) -> None: ...

    def of_job(self, job_id: str) -> list[Recording]: ...

    def all(self) -> list[Recording]: ...

    def mark_removed(self, file_id: int) -> None: ...
