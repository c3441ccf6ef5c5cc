"""Schemas of collection jobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app import urls
from app.api.clear_view import ClearViewField
from app.jobs import Job, JobSpec, JobState, LogEntry, Recording, Schedule
from app.types import Rotation

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)]
Tag = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64)]
Source = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=2048)]

DAY_S = 86_400
EXAMPLE: dict[str, Any] = {
    "sources": ["cam-1", "rtsp://192.0.2.10:554/live/cam2", "videos/yard.mp4"],
    "duration": 300,
    "segment_s": 60,
    "steps": 10,
    "name": "yard",
    "tags": ["night"],
}


class CollectRequest(ClearViewField):
    """What to record. Everything is optional."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    sources: list[Source] = Field(
        [],
        max_length=64,
        description="Ids of streams and cameras, RTSP URLs, video files below the allowed "
        "folders (`--media-dir`). Default: all running streams and cameras.",
    )
    duration: Number = Field(60, gt=0, le=7 * DAY_S, description="Seconds.")
    segment_s: Number = Field(
        300, ge=1, le=DAY_S, description="A new file begins after this many seconds."
    )
    steps: int = Field(5, strict=True, ge=1, le=1000, description="Number of progress reports.")
    blur: bool = Field(
        True,
        strict=True,
        description="`false` copies URLs and files as they are, faces and sound included.",
    )
    rotate: Rotation = Field(
        0,
        description="Degrees to turn the frames clockwise, for a camera that is mounted sideways. "
        "For URLs and files; a running stream is recorded with its own rotation.",
    )
    retries: int = Field(
        5, strict=True, ge=0, le=100_000, description="Attempts in a row for a lost source."
    )
    backoff_s: Number = Field(
        2, ge=0.1, le=3600, description="Pause before the first retry; it doubles each time."
    )
    name: Name | None = None
    tags: list[Tag] = Field([], max_length=32)
    flagged: bool = Field(False, strict=True, description="Removed last when space is needed.")

    def to_spec(self) -> JobSpec:
        values = self.model_dump(
            include=set(CollectRequest.model_fields) - {"duration", "clear_view"}
        )
        values |= {"sources": tuple(self.sources), "tags": tuple(self.tags)}
        return JobSpec(duration_s=self.duration, **values)


class JobStarted(BaseModel):
    """A job that was started."""

    job_id: str
    message: str


class PartReply(BaseModel):
    """One source of a job."""

    source: str
    done: bool
    error: str | None
    position_s: float = Field(description="Seconds of the run that are done.")
    node: str | None = Field(
        description="The node of a cluster that records it, or did so last.", examples=[None]
    )


class GapReply(BaseModel):
    """A period of a live source that was not recorded."""

    source: str
    from_ts: float
    to_ts: float
    seconds: float
    reason: str


class JobReply(BaseModel):
    """A job as it is now. Times named ``_ts`` are Unix seconds."""

    job_id: str
    state: JobState
    name: str | None
    tags: list[str]
    flagged: bool
    error: str | None
    schedule_id: str | None
    duration: float
    segment_s: float
    steps: int
    blur: bool
    percent: float
    sources: list[PartReply]
    gaps: list[GapReply]
    bytes: int
    frames: int
    seconds: float = Field(description="Recorded video of all sources together.")
    retries: int
    created_ts: float
    ended_ts: float | None

    @classmethod
    def of(cls, job: Job) -> JobReply:
        spec = job.spec
        values: dict[str, Any] = {
            name: getattr(job, name)
            for name in cls.model_fields
            if hasattr(job, name) and name not in ("gaps", "tags")
        }
        return cls(
            **values,
            tags=list(job.tags),
            duration=spec.duration_s,
            segment_s=spec.segment_s,
            steps=spec.steps,
            blur=spec.blur,
            percent=round(100 * job.share, 1),
            sources=[
                PartReply(
                    source=part.label,
                    done=part.done,
                    error=part.error,
                    position_s=round(part.position_s, 3),
                    node=part.node,
                )
                for part in job.parts
            ],
            gaps=[
                GapReply(
                    source=gap.source,
                    from_ts=gap.from_ts,
                    to_ts=gap.to_ts,
                    seconds=round(gap.to_ts - gap.from_ts, 3),
                    reason=gap.reason,
                )
                for gap in job.gaps
            ],
        )


class JobList(BaseModel):
    """A page of jobs."""

    total: int
    limit: int
    offset: int
    jobs: list[JobReply]


class JobChange(BaseModel):
    """Fields of a job to change."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "night of the storm", "tags": ["storm"], "flagged": True}]
        },
    )

    name: Name | None = None
    tags: list[Tag] = Field([], max_length=32)
    flagged: bool = Field(False, strict=True)


class JobEnded(BaseModel):
    """A job that was cancelled, or removed with its files."""

    job_id: str
    result: Literal["cancelled", "removed"]


class LogReply(BaseModel):
    """A line of a job's log."""

    ts: float
    level: str
    text: str

    @classmethod
    def of(cls, entry: LogEntry) -> LogReply:
        return cls(ts=entry.ts, level=entry.level, text=entry.text)


class JobLogs(BaseModel):
    """A page of a job's log."""

    total: int
    limit: int
    offset: int
    logs: list[LogReply]


class JobFile(BaseModel):
    """A recorded file of a job."""

    file_id: int
    name: str
    source: str
    url: str = Field(description="Where to download it.")
    started_ts: float
    seconds: float
    frames: int
    codec: str
    audio: str | None = Field(description="Audio codec; blurred recordings have no sound.")
    width: int
    height: int
    bytes: int
    sha256: str
    removed_ts: float | None = Field(description="When it was removed to free space.")
    node: str | None = Field(
        description="What has it, in a cluster; null: this server.", examples=[None]
    )
    available: bool = Field(
        examples=[True],
        description="Whether it can be downloaded now: not after it was removed, nor while its "
        "node does not answer.",
    )

    @classmethod
    def of(cls, recording: Recording, *, available: bool) -> JobFile:
        """A row as the API shows it.

        Args:
            available: whether it is on this machine, or on a node that answers.
        """
        facts = recording.facts
        return cls(
            file_id=recording.file_id,
            name=recording.path.rpartition("/")[2],
            source=recording.source,
            url=f"/collect/jobs/{recording.job_id}/files/{recording.file_id}",
            started_ts=round(recording.started_ts, 3),
            removed_ts=recording.removed_ts,
            node=recording.node,
            available=available and recording.removed_ts is None,
            **{name: getattr(facts, name) for name in cls.model_fields if hasattr(facts, name)},
        )


class JobFiles(BaseModel):
    """The recorded files of a job."""

    files: list[JobFile]


class ScheduleRequest(CollectRequest):
    """A job and the times at which it repeats."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [EXAMPLE | {"cron": "0 3 * * *", "timezone": "Asia/Seoul"}]},
    )

    cron: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)] = Field(
        description="Minute, hour, day of month, month, day of week."
    )
    timezone: Annotated[str, StringConstraints(strict=True, max_length=64)] = "UTC"
    enabled: bool = Field(True, strict=True)

    def to_schedule(self, schedule_id: str) -> Schedule:
        return Schedule(schedule_id, self.cron, self.to_spec(), self.timezone, self.enabled)


class ScheduleChange(BaseModel):
    """Fields of a schedule to change."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"cron": "0 22 * * *", "timezone": "Europe/Berlin"}]},
    )

    cron: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)] = ""
    timezone: Annotated[str, StringConstraints(strict=True, max_length=64)] = "UTC"
    enabled: bool = Field(True, strict=True)


class ScheduleReply(BaseModel):
    """A schedule as it is now. Times named ``_ts`` are Unix seconds."""

    schedule_id: str
    cron: str
    timezone: str
    enabled: bool
    sources: list[str]
    duration: float
    name: str | None
    next_run_ts: float | None
    last_run_ts: float | None
    last_job_id: str | None
    skipped: int = Field(description="Runs left out because the previous one was still running.")
    error: str | None = Field(
        description="Why its jobs fail: the key that encrypted their sources is lost."
    )
    created_ts: float

    @classmethod
    def of(cls, schedule: Schedule, due_ts: float | None) -> ScheduleReply:
        values: dict[str, Any] = {
            name: getattr(schedule, name) for name in cls.model_fields if hasattr(schedule, name)
        }
        return cls(
            **values,
            sources=[urls.without_credentials(source) for source in schedule.spec.sources],
            duration=schedule.spec.duration_s,
            name=schedule.spec.name,
            next_run_ts=due_ts,
        )
