"""Schemas of what the server does now."""

from __future__ import annotations

from dataclasses import asdict, fields

from pydantic import BaseModel, Field

from app.api.i18n import Language, reason_in
from app.api.reduced import ReducedReply
from app.api.schemas import StreamStatsReply
from app.pipeline.directory import NodeStatus
from app.pipeline.node_load import NodeLoad
from app.recent_problems import Problem
from app.types import StreamStatus

_LOAD = [field.name for field in fields(NodeLoad) if field.name != "networks"]


class HealthIssueReply(BaseModel):
    """Something that the server needs and does not have now."""

    what: str
    reason: str


class CpuPart(BaseModel):
    """CPU time of one part of the work since the server began."""

    part: str = Field(
        description="`input` (read and decode), `detect`, `blur`, `analyze`, `output`, `preview`, "
        "`recording`, `substream` and `continuous` are threads of a stream; `publishing` are the "
        "processes of RTSP outputs; `networks and codecs` work for all streams."
    )
    camera_id: str | None
    cpu_s: float


class MachineStatus(BaseModel):
    """The machine and this process on it."""

    system: str
    python: str
    cpus: int = Field(description="CPUs that the server may use.")
    load_1m: float | None
    memory_bytes: int | None = Field(description="Resident memory of the server.")


class CameraLoad(BaseModel):
    """A stream's rates, and why it is slower than it was asked to be."""

    camera_id: str
    name: str
    state: str
    max_fps: float = Field(description="What was asked for.")
    reduced: ReducedReply | None = Field(
        description="What it goes without because the machine cannot do everything; null: nothing."
    )
    problem: str | None = Field(
        description="`last_error` of its numbers in a few words, in the caller's language.",
        examples=["connection refused"],
    )
    numbers: StreamStatsReply

    @classmethod
    def of(cls, status: StreamStatus, language: Language) -> CameraLoad:
        spec = status.spec
        return cls(
            camera_id=spec.stream_id,
            name=spec.name or spec.stream_id,
            state=status.state.value,
            max_fps=spec.max_fps,
            reduced=ReducedReply.of(status.stats.reduced, language),
            problem=reason_in(status.stats.last_error, language),
            numbers=StreamStatsReply.of(status.stats),
        )


class NetworkStatus(BaseModel):
    """A network; `trouble` says why it returns no results."""

    purpose: str
    name: str | None
    device: str | None
    waiting: int = Field(description="Images that wait for it.")
    trouble: str | None


class NodeNetwork(BaseModel):
    """A network on a node."""

    purpose: str
    waiting: int = Field(description="Images that wait for it.")
    batches: int = Field(description="Batches since its process began.", examples=[8412])
    seconds: float = Field(description="How long they took in all.")


class NodeLoadReply(BaseModel):
    """A node of a cluster; numbers are null until it has reported them."""

    node: str = Field(examples=["north-2"])
    streams: int = Field(description="Streams that it runs.", examples=[12])
    answers: bool = Field(description="Whether it did so a moment ago.", examples=[True])
    cpus: int | None = Field(description="CPUs that it may use.")
    cpu_s: float | None = Field(
        description="CPU time of its process; the difference of two replies is the load."
    )
    load_1m: float | None
    memory_bytes: int | None
    disk_size: int | None = Field(examples=[500_000_000_000])
    disk_free: int | None = Field(examples=[210_000_000_000])
    stored: int | None = Field(description="Recordings and snapshots, at its last sweep.")
    events_waiting: int | None = Field(description="Events that the front has not taken.")
    events_lost: int | None
    networks: list[NodeNetwork]

    @classmethod
    def of(cls, status: NodeStatus) -> NodeLoadReply:
        load = status.load
        numbers = {name: None if load is None else getattr(load, name) for name in _LOAD}
        networks = {} if load is None else load.networks
        return cls(
            node=status.name,
            streams=len(status.streams),
            answers=status.answers,
            **numbers,
            networks=[NodeNetwork(purpose=name, **one._asdict()) for name, one in networks.items()],
        )


class DiskStatus(BaseModel):
    """The disk of recordings, in bytes; null where it cannot be read."""

    size: int | None
    free: int | None
    floor: int = Field(description="What must stay free; below it, recording stops.")
    stored: int = Field(description="Recordings, snapshots and plate images, at the last sweep.")
    limit: int | None = Field(description="Upper limit of `stored`.")


class DatabaseStatus(BaseModel):
    """The database."""

    kind: str = Field(examples=["sqlite"])
    bytes: int | None = Field(description="Its size; null for another database than SQLite.")


class SystemStatus(BaseModel):
    """What the server does now, and what that costs."""

    now_ts: float
    started_ts: float
    version: str
    packages: dict[str, str] = Field(description="Versions of installed packages.")
    machine: MachineStatus
    issues: list[HealthIssueReply] = Field(description="What it needs and does not have now.")
    parts: list[CpuPart] = Field(description="Empty on systems other than Linux.")
    cameras: list[CameraLoad]
    nodes: list[NodeLoadReply] = Field(description="Of a cluster; empty without one.")
    networks: list[NetworkStatus]
    disk: DiskStatus
    database: DatabaseStatus
    events_waiting: int = Field(description="Events that wait to be written.")
    events_lost: int = Field(description="Events that could not be stored.")


class ProblemReply(BaseModel):
    """A warning or an error of the log."""

    first_ts: float
    last_ts: float
    count: int = Field(description="How often it was logged.")
    level: str = Field(examples=["warning"])
    source: str = Field(description="The logger.", examples=["app.pipeline.supervisor"])
    text: str = Field(examples=["stream gate: The input failed: connection refused"])

    @classmethod
    def of(cls, problem: Problem) -> ProblemReply:
        return cls(**asdict(problem))
