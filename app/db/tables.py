"""The tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, Float, Index, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def _now() -> datetime:
    return datetime.now(UTC)


class Table(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSON,
        list[float]: JSON,
    }


class StreamTable(Table):
    """One stream and what it should be doing.

    ``source`` and ``output`` are as replies show them. When a complete URL holds more than
    that (a password, a token), both complete URLs are in ``secret``, encrypted.
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
    """One event. The number is given by who tells it, before anything is written.

    ``snapshot`` is the name of a file below the snapshot folder; ``box`` is x1, y1, x2, y2 in
    pixels of it.
    """

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_stream_id", "stream_id", "event_id"),)

    event_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    stream_id: Mapped[str] = mapped_column(String(64))
    session_id: Mapped[str | None] = mapped_column(String(32))
    type: Mapped[str] = mapped_column(String(64), index=True)
    ts: Mapped[float] = mapped_column(Float(53), index=True)
    track_id: Mapped[int | None]
    person_id: Mapped[int | None]
    bag_id: Mapped[int | None]
    box: Mapped[list[float] | None]
    confidence: Mapped[float | None] = mapped_column(Float(53))
    duration_s: Mapped[float | None] = mapped_column(Float(53))
    details: Mapped[dict[str, Any]]
    snapshot: Mapped[str | None] = mapped_column(String(128))


class CounterTable(Table):
    """Numbers that count up, each under its name."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)
