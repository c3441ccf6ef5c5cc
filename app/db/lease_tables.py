"""The tables of leases; ``app.leases`` says what they are."""

from __future__ import annotations

from sqlalchemy import BigInteger, Float, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables import Table


class LeaseSessionTable(Table):
    """One session; ``until_ts`` is on the database's clock."""

    __tablename__ = "lease_sessions"

    session_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    holder: Mapped[str] = mapped_column(Text)
    until_ts: Mapped[float] = mapped_column(Float(53))


class LeaseTable(Table):
    """One lease. It is free if its session is not there, or over."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    session_id: Mapped[str | None] = mapped_column(String(32))
    fencing: Mapped[int] = mapped_column(BigInteger)
