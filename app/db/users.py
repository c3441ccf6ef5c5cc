"""Every query about users."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from app.accounts import User, grants_as_json, grants_from_json
from app.db.access_tables import UserTable
from app.db.engine import opened
from app.errors import LastAdministrator, SubjectInUse, UserExists, UserNotFound
from app.rights import Grant


class UserRepository:
    """Users as rows. Blocking; raises StoreError when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self,
        name: str,
        grants: tuple[Grant, ...],
        *,
        password_hash: str | None = None,
        subject: str | None = None,
        first: bool = False,
    ) -> User:
        """Add a user. Raises UserExists, SubjectInUse.

        Args:
            first: refuse, with UserExists, if there is any user.
        """
        with opened(self._engine) as session:
            taken = UserTable.name_key == key_of(name)
            query = select(UserTable.user_id)
            if session.scalar((query if first else query.where(taken)).limit(1)) is not None:
                raise UserExists(name=name)
            _check_subject(session, subject)
            row = UserTable(
                name=name,
                name_key=key_of(name),
                password_hash=password_hash,
                grants=grants_as_json(grants),
                disabled=False,
                subject=subject,
                created_ts=time.time(),
            )
            session.add(row)
            session.flush()
            return _user(row)

    def all(self) -> list[User]:
        """All users, oldest first."""
        with opened(self._engine) as session:
            rows = session.scalars(select(UserTable).order_by(UserTable.user_id))
            return [_user(row) for row in rows]

    def count(self) -> int:
        """Number of all users."""
        with opened(self._engine) as session:
            return session.scalar(select(func.count()).select_from(UserTable)) or 0

    def get(self, user_id: int) -> User:
        """Raises UserNotFound."""
        with opened(self._engine) as session:
            return _user(_row(session, user_id))

    def named(self, name: str) -> User | None:
        """The user with a name, without regard to case."""
        return self._one(UserTable.name_key == key_of(name))

    def with_subject(self, subject: str) -> User | None:
        """The user whom an OpenID Connect provider knows by this subject."""
        return self._one(UserTable.subject == subject)

    def _one(self, condition: Any) -> User | None:
        with opened(self._engine) as session:
            row = session.scalar(select(UserTable).where(condition))
            return None if row is None else _user(row)

    def change(self, user_id: int, changes: Mapping[str, Any]) -> User:
        """Change columns, or nothing. Raises UserNotFound, SubjectInUse, LastAdministrator.

        Args:
            changes: ``grants`` as values, ``disabled``, ``password_hash``, ``subject``.
        """
        with opened(self._engine) as session:
            row = _row(session, user_id)
            was_administrator = _user(row).is_administrator
            _check_subject(session, changes.get("subject"), user_id)
            for name, value in changes.items():
                setattr(row, name, grants_as_json(value) if name == "grants" else value)
            session.flush()
            if was_administrator and not _user(row).is_administrator:
                _keep_an_administrator(session)
            return _user(row)

    def delete(self, user_id: int) -> None:
        """Delete a user with their sessions and tokens. Raises UserNotFound, LastAdministrator."""
        with opened(self._engine) as session:
            row = _row(session, user_id)
            was_administrator = _user(row).is_administrator
            session.delete(row)
            session.flush()
            if was_administrator:
                _keep_an_administrator(session)


def _keep_an_administrator(session: Session) -> None:
    """Raises LastAdministrator, which rolls the change back, if other users would be left alone."""
    left = [_user(row) for row in session.scalars(select(UserTable))]
    if left and not any(user.is_administrator for user in left):
        raise LastAdministrator


def _check_subject(session: Session, subject: str | None, user_id: int | None = None) -> None:
    """Raises SubjectInUse if another user has this subject."""
    found = session.scalar(select(UserTable.user_id).where(UserTable.subject == subject))
    if subject is not None and found not in (None, user_id):
        raise SubjectInUse(user_id=found)


def key_of(name: str) -> str:
    """The name without regard to case."""
    return name.casefold()


def _row(session: Session, user_id: int) -> UserTable:
    row = session.get(UserTable, user_id)
    if row is None:
        raise UserNotFound(user_id=user_id)
    return row


def _user(row: UserTable) -> User:
    return User(
        row.user_id,
        row.name,
        grants_from_json(row.grants),
        row.password_hash,
        row.disabled,
        row.subject,
        row.created_ts,
    )
