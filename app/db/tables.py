"""The tables of streams, events, jobs and schedules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def _now() -> datetime:
    return datetime.now(UTC)


class Table(DeclarativeBase):
    """Base of all tables: how Python types are stored."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSON,
        list[float]: JSON,
        list[Any]: JSON,
    }


class StreamTable(Table):
    """One stream and what it should be doing.

    ``source`` and ``output`` contain scheme, host and port of a network URL; files and webcams are
    in plain text. Complete URLs are encrypted in ``secret``; ``last_error`` is encrypted if it
    contains a URL.
    """

    __tablename__ = "streams"

    stream_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    output: Mapped[str | None] = mapped_column(Text)
    secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    input_hash: Mapped[str] = mapped_column(String(64), index=True)
    options: Mapped[dict[str, Any]]
    wanted: Mapped[str] = mapped_column(String(16))
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=_now)
    updated_at: Mapped[datetime] = mapped_column(default=_now, onupdate=_now)


class EventTable(Table):
    """One event, numbered before anything is written.

    ``snapshot`` is the name of a file below the snapshot folder, of ``node`` if that is set;
    ``box`` is x1, y1, x2, y2 in pixels of it. ``label``, ``zone``, ``line`` and ``plate`` (a key)
    repeat what ``details`` say, to be searched. Each index has the order in which lists are read;
    the one of ``ts`` also has all that is counted by day, camera and type.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_stream_id", "stream_id", "event_id"),
        Index("ix_events_ts", "ts", "event_id", "stream_id", "type"),
        Index("ix_events_stream_ts", "stream_id", "ts", "event_id"),
        Index("ix_events_type_ts", "type", "ts", "event_id"),
        Index("ix_events_label_ts", "label", "ts", "event_id"),
        Index("ix_events_zone_ts", "zone", "ts", "event_id"),
        Index("ix_events_plate", "plate", "ts", "event_id"),
        Index("ix_events_flagged", "flagged", "ts", "event_id"),
    )

    event_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    stream_id: Mapped[str] = mapped_column(String(64))
    session_id: Mapped[str | None] = mapped_column(String(32))
    type: Mapped[str] = mapped_column(String(64))
    ts: Mapped[float] = mapped_column(Float(53))
    track_id: Mapped[int | None]
    person_id: Mapped[int | None]
    bag_id: Mapped[int | None]
    box: Mapped[list[float] | None]
    confidence: Mapped[float | None] = mapped_column(Float(53))
    duration_s: Mapped[float | None] = mapped_column(Float(53))
    details: Mapped[dict[str, Any]]
    snapshot: Mapped[str | None] = mapped_column(String(128))
    label: Mapped[str | None] = mapped_column(Text)
    zone: Mapped[str | None] = mapped_column(Text)
    line: Mapped[str | None] = mapped_column(Text)
    plate: Mapped[str | None] = mapped_column(Text)
    flagged: Mapped[bool] = mapped_column(default=False, server_default=false())
    comment: Mapped[str | None] = mapped_column(Text)
    comment_by: Mapped[str | None] = mapped_column(String(64))
    comment_ts: Mapped[float | None] = mapped_column(Float(53))
    node: Mapped[str | None] = mapped_column(String(80))


class FootageTable(Table):
    """A file with the clip of events, or a segment of a continuous recording.

    ``ended`` says why a segment ended, if not because it was long enough; ``node`` has the file,
    if it is on a node of a cluster.
    """

    __tablename__ = "footage"
    __table_args__ = (
        Index("ix_footage_stream_id", "stream_id", "begin_ts"),
        Index("ix_footage_node", "node", "path"),
    )

    footage_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    stream_id: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    begin_ts: Mapped[float] = mapped_column(Float(53))
    end_ts: Mapped[float] = mapped_column(Float(53))
    path: Mapped[str] = mapped_column(Text)
    bytes: Mapped[int] = mapped_column(BigInteger)
    flagged: Mapped[bool]
    ended: Mapped[str | None] = mapped_column(String(16))
    node: Mapped[str | None] = mapped_column(String(80))


class ClipTable(Table):
    """Which file has the clip of an event; events that overlap share one."""

    __tablename__ = "clips"

    event_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    footage_id: Mapped[int] = mapped_column(
        ForeignKey("footage.footage_id", ondelete="CASCADE"), index=True
    )


class NodeErasureTable(Table):
    """A file that a node of a cluster must delete, as soon as it answers."""

    __tablename__ = "node_erasures"

    erasure_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    node: Mapped[str] = mapped_column(String(80), index=True)
    path: Mapped[str] = mapped_column(Text)


class CounterTable(Table):
    """Counters, each with a name."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class DailyCountsTable(Table):
    """What one stream has counted on its newest day.

    Each of ``counts`` is what was counted and how often, as in ``["zone", "door", "person", 3]``.
    """

    __tablename__ = "daily_counts"

    stream_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[str] = mapped_column(String(10))
    counts: Mapped[list[Any]]


class JobTable(Table):
    """One collection job.

    ``parts`` and ``options`` contain sources as rows of streams do; complete URLs are encrypted in
    ``secret``. Every other text of jobs, files and logs is encrypted if it contains a URL.
    """

    __tablename__ = "collect_jobs"

    job_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    state: Mapped[str] = mapped_column(String(24), index=True)
    name: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[list[Any]]
    flagged: Mapped[bool]
    error: Mapped[str | None] = mapped_column(Text)
    schedule_id: Mapped[str | None] = mapped_column(String(36), index=True)
    options: Mapped[dict[str, Any]]
    parts: Mapped[list[Any]]
    gaps: Mapped[list[Any]]
    secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    frames: Mapped[int]
    seconds: Mapped[float]
    total_bytes: Mapped[int] = mapped_column(BigInteger)
    retries: Mapped[int]
    created_ts: Mapped[float] = mapped_column(index=True)
    ended_ts: Mapped[float | None]


class JobFileTable(Table):
    """A recording that was examined. Its row stays when the file is removed to free space.

    ``node`` has the file, if it is on a node of a cluster.
    """

    __tablename__ = "collect_files"
    __table_args__ = (Index("ix_collect_files_node", "node", "path"),)

    file_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(
        ForeignKey("collect_jobs.job_id", ondelete="CASCADE"), index=True
    )
    source: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)
    started_ts: Mapped[float]
    facts: Mapped[dict[str, Any]]
    removed_ts: Mapped[float | None]
    node: Mapped[str | None] = mapped_column(String(80))


class JobLogTable(Table):
    """What happened in a job; ``line`` is set if it was reported to followers."""

    __tablename__ = "collect_logs"

    log_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(
        ForeignKey("collect_jobs.job_id", ondelete="CASCADE"), index=True
    )
    ts: Mapped[float]
    level: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Text)
    line: Mapped[dict[str, Any] | None]


class ScheduleTable(Table):
    """A job that repeats."""

    __tablename__ = "collect_schedules"

    schedule_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    cron: Mapped[str] = mapped_column(Text)
    timezone: Mapped[str] = mapped_column(String(64))
    enabled: Mapped[bool]
    options: Mapped[dict[str, Any]]
    secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_ts: Mapped[float]
    last_run_ts: Mapped[float | None]
    last_job_id: Mapped[str | None] = mapped_column(String(36))
    skipped: Mapped[int]
