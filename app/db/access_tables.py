"""The tables of users, their sessions and API tokens; secrets are stored as hashes only."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables import Table


class UserTable(Table):
    """One user. ``name_key`` is the name without regard to case, which is unique."""

    __tablename__ = "users"

    user_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(64))
    name_key: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str | None] = mapped_column(String(255))
    grants: Mapped[list[Any]]
    disabled: Mapped[bool] = mapped_column(default=False)
    subject: Mapped[str | None] = mapped_column(String(255), unique=True)
    created_ts: Mapped[float] = mapped_column(Float(53))


class UserSessionTable(Table):
    """One sign-in. ``token_hash`` is of the newest cookie, ``previous_hash`` of that before it."""

    __tablename__ = "user_sessions"

    session_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.user_id", ondelete="CASCADE"), index=True
    )
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    previous_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    created_ts: Mapped[float] = mapped_column(Float(53))
    seen_ts: Mapped[float] = mapped_column(Float(53))
    rotated_ts: Mapped[float] = mapped_column(Float(53))
    confirmed_ts: Mapped[float | None] = mapped_column(Float(53))
    address: Mapped[str] = mapped_column(String(64))
    agent: Mapped[str] = mapped_column(String(200))


class ApiTokenTable(Table):
    """One API token. ``cameras`` is ``["*"]`` for all."""

    __tablename__ = "api_tokens"

    token_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.user_id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(String(100))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    rights: Mapped[list[Any]]
    cameras: Mapped[list[Any]]
    created_ts: Mapped[float] = mapped_column(Float(53))
    expires_ts: Mapped[float | None] = mapped_column(Float(53))
    used_ts: Mapped[float | None] = mapped_column(Float(53))
