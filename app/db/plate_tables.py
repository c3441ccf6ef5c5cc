"""The tables of plate reading; the first two are those of ``docs/contracts/anpr.md``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Boolean, FetchedValue, Float, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.tables import Table


def _now() -> datetime:
    return datetime.now(UTC)


class SessionTable(Table):
    """One uploaded picture, or one passage in front of a camera.

    ``processing_time`` is in milliseconds. ``source`` is ``upload`` or a stream's id.
    """

    __tablename__ = "detection_sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    filename: Mapped[str] = mapped_column(String(255), default="")
    timestamp: Mapped[datetime] = mapped_column(default=_now)
    processing_time: Mapped[float] = mapped_column(Float, default=0.0)
    total_plates_detected: Mapped[int] = mapped_column(default=0)
    source: Mapped[str] = mapped_column(String(64), default="upload")
    source_image_path: Mapped[str] = mapped_column(String(255), default="")

    plates: Mapped[list[PlateTable]] = relationship(order_by="PlateTable.id", viewonly=True)


class PlateTable(Table):
    """One plate that was seen; ``plate_number`` is empty where it could not be read.

    ``shape`` is the database's own work (see the migration): ``plate_number`` with look-alikes
    made equal, for search, so that rows of other programs are found too.
    """

    __tablename__ = "license_plates"
    __table_args__ = (
        Index("ix_license_plates_newest", "timestamp", "id"),
        Index("ix_license_plates_search", "shape", "is_deleted", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    plate_number: Mapped[str] = mapped_column(String(32), default="")
    confidence: Mapped[float] = mapped_column(Float, default=0.0)
    timestamp: Mapped[datetime] = mapped_column(default=_now)
    image_path: Mapped[str] = mapped_column(String(255), default="")
    source_image_path: Mapped[str] = mapped_column(String(255), default="")
    x_min: Mapped[int] = mapped_column(default=0)
    y_min: Mapped[int] = mapped_column(default=0)
    x_max: Mapped[int] = mapped_column(default=0)
    y_max: Mapped[int] = mapped_column(default=0)
    processed_by: Mapped[str] = mapped_column(String(16), default="local")
    alternative_readings: Mapped[str | None] = mapped_column(Text)
    is_verified: Mapped[bool] = mapped_column(Boolean, default=False)
    is_deleted: Mapped[bool] = mapped_column(Boolean, default=False)
    detection_id: Mapped[int | None] = mapped_column(
        ForeignKey("detection_sessions.id"), index=True
    )
    country: Mapped[str | None] = mapped_column(String(64))
    votes: Mapped[dict[str, Any] | None]
    source: Mapped[str] = mapped_column(String(64), default="upload")
    first_reading: Mapped[str | None] = mapped_column(String(32))
    shape: Mapped[str] = mapped_column(String(32), server_default=FetchedValue())


class WatchTable(Table):
    """A number that somebody waits for, or that may pass; ``*`` and ``?`` make it a pattern."""

    __tablename__ = "watchlist"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(32), unique=True)
    note: Mapped[str] = mapped_column(Text, default="")
    action: Mapped[str] = mapped_column(String(8), default="alert")
    created_at: Mapped[datetime] = mapped_column(default=_now)


class ClaudeCallTable(Table):
    """One question to Claude: what it cost and what came of it. The key is nowhere in it."""

    __tablename__ = "claude_calls"

    id: Mapped[int] = mapped_column(primary_key=True)
    timestamp: Mapped[datetime] = mapped_column(default=_now, index=True)
    plate_id: Mapped[int | None]
    crop_hash: Mapped[str] = mapped_column(String(64), index=True)
    model: Mapped[str] = mapped_column(String(64))
    input_tokens: Mapped[int] = mapped_column(default=0)
    output_tokens: Mapped[int] = mapped_column(default=0)
    outcome: Mapped[str] = mapped_column(String(32))
    answer: Mapped[str | None] = mapped_column(String(32))
