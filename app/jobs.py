"""The values of collection jobs: their sources, recordings, reports and schedules.

Times named ``*_ts`` are Unix seconds. A job's *parts* are its sources; a part is recorded in one
or more *captures* (one connection each) of one or more *segments* (one file each).
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

from app.types import Rotation

PartKind = Literal["stream", "open", "copy"]
LineType = Literal["started", "progress", "completed", "error"]


class JobState(StrEnum):
    """The state of a job."""

    RUNNING = "running"
    COMPLETED = "completed"
    COMPLETED_WITH_GAPS = "completed_with_gaps"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a caller requested.

    Attributes:
        sources: URLs, files or stream ids, with credentials; empty for all running streams.
        segment_s: seconds after which a new file begins.
        steps: number of progress reports.
        blur: False copies sources as they are.
        retries: attempts in a row for a lost source before it is given up.
        flagged: removed last when space is needed.
        rotate: degrees to turn URLs and files clockwise.
    """

    sources: tuple[str, ...] = field(default=(), repr=False)
    duration_s: float = 60.0
    segment_s: float = 300.0
    steps: int = 5
    blur: bool = True
    retries: int = 5
    backoff_s: float = 2.0
    name: str | None = None
    tags: tuple[str, ...] = ()
    flagged: bool = False
    rotate: Rotation = 0


@dataclass(slots=True)
class Part:
    """One source of a job.

    Attributes:
        kind: ``stream`` records the frames of a running stream, ``open`` runs the source through
            the pipeline, ``copy`` copies it as it is.
        source: a stream id, or a URL with credentials.
        label: the source without credentials.
        position_s: seconds of the run that are done.
        covered_ts: when the newest recorded frame was captured.
        done: nothing more will be recorded; if there is an ``error``, it was given up.
        node: of a cluster, which records it or did so last; None: this process.
    """

    kind: PartKind
    source: str = field(repr=False)
    label: str
    position_s: float = 0.0
    covered_ts: float | None = None
    done: bool = False
    error: str | None = None
    node: str | None = None

    @property
    def live(self) -> bool:
        """Whether the source continues while nothing records it; a file waits."""
        return self.kind == "stream" or not self.source.startswith("file:")


@dataclass(frozen=True, slots=True)
class Gap:
    """A period of a live source that was not recorded."""

    source: str
    from_ts: float
    to_ts: float
    reason: str


@dataclass(slots=True)
class Job:
    """One recording job, as it is now and as the database stores it."""

    job_id: str
    spec: JobSpec
    state: JobState = JobState.RUNNING
    parts: list[Part] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    error: str | None = None
    created_ts: float = field(default_factory=time.time)
    ended_ts: float | None = None
    schedule_id: str | None = None
    frames: int = 0
    seconds: float = 0.0
    bytes: int = 0
    retries: int = 0
    flagged: bool = False
    name: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Progress of the slowest part, 0 to 1."""
        duration_s = self.spec.duration_s
        shares = [1.0 if p.done else min(1.0, p.position_s / duration_s) for p in self.parts]
        return min(shares, default=0.0)


@dataclass(frozen=True, slots=True)
class JobLine:
    """A line that a job reports to its followers: the contract's text, with numbers beside it."""

    type: LineType
    job_id: str
    text: str
    state: JobState
    step: int
    steps: int
    percent: float
    eta_s: float | None
    bytes: int
    frames: int
    seconds: float
    ts: float

    @property
    def last(self) -> bool:
        """Whether the job ends with this line."""
        return self.type in ("completed", "error")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The properties of a finished file, as its check found them.

    Attributes:
        audio: audio codec; None without sound.
    """

    seconds: float
    frames: int
    codec: str
    width: int
    height: int
    bytes: int
    sha256: str
    audio: str | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """A finished, checked file of a job.

    Attributes:
        path: relative to the recordings' folder.
        removed_ts: when it was removed to free space; its row is kept.
        node: of a cluster, on which the file is; None: on this machine.
    """

    job_id: str
    source: str
    path: str
    started_ts: float
    facts: FileFacts
    file_id: int = 0
    removed_ts: float | None = None
    flagged: bool = False
    node: str | None = None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line of a job's log."""

    ts: float
    level: str
    text: str


@dataclass(slots=True)
class Schedule:
    """A job that repeats.

    Attributes:
        cron: five fields, read in ``timezone``.
        skipped: runs left out because the previous one was still running.
        error: why its sources cannot be used: the key that encrypted them is lost.
    """

    schedule_id: str
    cron: str
    spec: JobSpec
    timezone: str = "UTC"
    enabled: bool = True
    created_ts: float = field(default_factory=time.time)
    last_run_ts: float | None = None
    last_job_id: str | None = None
    skipped: int = 0
    error: str | None = None
