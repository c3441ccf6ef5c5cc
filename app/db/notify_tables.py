"""The tables of notifications: targets, routes, deliveries, and the keys that they need."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables import Table


class TargetTable(Table):
    """One target; ``options`` are encrypted as a whole."""

    __tablename__ = "notify_targets"

    target_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(100))
    enabled: Mapped[bool]
    options: Mapped[bytes] = mapped_column(LargeBinary)
    created_ts: Mapped[float] = mapped_column(Float(53))


class ServerKeyTable(Table):
    """One secret key of this server, encrypted."""

    __tablename__ = "server_keys"

    key_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    purpose: Mapped[str] = mapped_column(String(32), index=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    created_ts: Mapped[float] = mapped_column(Float(53))


class RouteTable(Table):
    """One route; ``selection`` has what it takes, ``targets`` the ids of where that goes."""

    __tablename__ = "notify_routes"

    route_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(100))
    enabled: Mapped[bool]
    targets: Mapped[list[Any]]
    selection: Mapped[dict[str, Any]]
    suppressed: Mapped[int]


class DeliveryTable(Table):
    """One message on its way to one target, from the transaction that stored its event."""

    __tablename__ = "notify_deliveries"
    __table_args__ = (
        Index("ix_notify_deliveries_waiting", "target_id", "state", "stream_id", "delivery_id"),
        Index("ix_notify_deliveries_route", "route_id", "created_ts"),
        Index("ix_notify_deliveries_finished", "finished_ts"),
    )

    delivery_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    message_id: Mapped[str] = mapped_column(String(64), unique=True)
    target_id: Mapped[int] = mapped_column(
        ForeignKey("notify_targets.target_id", ondelete="CASCADE")
    )
    route_id: Mapped[int | None] = mapped_column(
        ForeignKey("notify_routes.route_id", ondelete="SET NULL")
    )
    stream_id: Mapped[str] = mapped_column(String(64))
    event_ids: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(String(16))
    failures: Mapped[int]
    created_ts: Mapped[float] = mapped_column(Float(53))
    due_ts: Mapped[float] = mapped_column(Float(53))
    finished_ts: Mapped[float | None] = mapped_column(Float(53))
    answer: Mapped[str | None] = mapped_column(Text)
