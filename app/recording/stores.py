"""What jobs, clips and recordings need of the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Protocol
from zoneinfo import ZoneInfo

from app.footage import Footage, Period
from app.jobs import Job, JobLine, Recording


class JobStore(Protocol):
    """Where jobs are stored. Blocking; raises StoreError."""

    def save(self, job: Job) -> None: ...

    def delete(self, job_id: str) -> None: ...

    def unfinished(self) -> list[Job]: ...


class JobEntryStore(Protocol):
    """Where it is noted what happened in jobs. Blocking; raises StoreError."""

    def add_entry(self, job_id: str, level: str, text: str) -> None: ...


class JobLogStore(JobEntryStore, Protocol):
    """Where the logs of jobs are stored. Blocking; raises StoreError."""

    def add_line(self, line: JobLine) -> None: ...

    def lines(self, job_id: str) -> list[JobLine]: ...


class NewRecordingStore(Protocol):
    """Where new files of jobs are noted. Blocking; raises StoreError."""

    def add(self, recording: Recording) -> None: ...

    def of_job(self, job_id: str) -> list[Recording]: ...


class RecordingStore(NewRecordingStore, Protocol):
    """Where the files of jobs are stored as rows. Blocking; raises StoreError."""

    def add_once(self, recording: Recording) -> bool:
        """Add a file of a node; False if it has a row already."""
        ...

    def add_late(self, recording: Recording, index: int) -> None:
        """Add a file of a node to a job that does not run, by the number of its part.

        If there is no such job any more, the node is to delete the file.
        """
        ...

    def all(self) -> list[Recording]: ...

    def mark_removed(self, file_id: int) -> None: ...


class FootageStore(Protocol):
    """Where clips and continuous recordings are stored. Blocking; raises StoreError."""

    def add(self, footage: Footage, event_ids: Sequence[int]) -> None: ...

    def flag(self, stream_id: str, period: Period, *, flagged: bool) -> int: ...

    def of_stream(self, stream_id: str, period: Period) -> list[Footage]: ...

    def last_segment(self, stream_id: str, before_ts: float) -> Footage | None: ...

    def days(self, stream_id: str, period: Period, zone: ZoneInfo) -> Mapping[date, int]: ...

    def all(self) -> list[Footage]: ...

    def paths(self) -> set[str]: ...

    def clip_of(self, event_id: int) -> Footage | None: ...

    def remove(self, footage: Iterable[Footage]) -> int: ...
