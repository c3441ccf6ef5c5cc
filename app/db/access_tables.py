"""The tables of users, sessions, API tokens and the audit log; secrets are hashed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Float, ForeignKey, LargeBinary, String
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


class TwoFactorTable(Table):
    """The authenticator app of one user: its encrypted secret, and the last code that was used."""

    __tablename__ = "two_factor"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.user_id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    confirmed: Mapped[bool]
    last_step: Mapped[int] = mapped_column(BigInteger)


class RecoveryCodeTable(Table):
    """One recovery code; it is removed when it is used."""

    __tablename__ = "recovery_codes"

    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.user_id", ondelete="CASCADE"), index=True
    )


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


class AuditTable(Table):
    """One row of the audit log, which is only appended to; old ones are removed by age."""

    __tablename__ = "audit"

    audit_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    ts: Mapped[float] = mapped_column(Float(53), index=True)
    actor: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(100))
    outcome: Mapped[str] = mapped_column(String(16))
    details: Mapped[dict[str, Any]]
    row_hash: Mapped[str] = mapped_column(String(64))


class AuditCheckpointTable(Table):
    """A signature over the audit log up to one row."""

    __tablename__ = "audit_checkpoints"

    audit_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    ts: Mapped[float] = mapped_column(Float(53))
    row_hash: Mapped[str] = mapped_column(String(64))
    signature: Mapped[str] = mapped_column(String(128))
