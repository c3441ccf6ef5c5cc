"""Every query about the sessions of signed-in users."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, delete, func, or_, select, update
from sqlalchemy.engine import CursorResult

from app.accounts import UserSession
from app.db.access_tables import UserSessionTable
from app.db.engine import opened

MAX_ADDRESS, MAX_AGENT = 64, 200


@dataclass(frozen=True, slots=True)
class FoundSession:
    """A session, and whether the cookie is its newest one."""

    session: UserSession
    newest: bool


class UserSessionRepository:
    """Sessions as rows; cookies are known by their hashes. Blocking; raises StoreError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, user_id: int, token_hash: str, now: float, address: str, agent: str) -> int:
        """Add a session; returns its id."""
        with opened(self._engine) as session:
            row = UserSessionTable(
                user_id=user_id,
                token_hash=token_hash,
                created_ts=now,
                seen_ts=now,
                rotated_ts=now,
                confirmed_ts=now,
                address=address[:MAX_ADDRESS],
                agent=agent[:MAX_AGENT],
            )
            session.add(row)
            session.flush()
            return row.session_id

    def find(self, token_hash: str) -> FoundSession | None:
        """The session whose newest or previous cookie has this hash."""
        either = or_(
            UserSessionTable.token_hash == token_hash, UserSessionTable.previous_hash == token_hash
        )
        with opened(self._engine) as session:
            row = session.scalar(select(UserSessionTable).where(either))
            if row is None:
                return None
            return FoundSession(_session(row), row.token_hash == token_hash)

    def of_user(self, user_id: int) -> list[UserSession]:
        """The sessions of a user, the newest first."""
        wanted = select(UserSessionTable).where(UserSessionTable.user_id == user_id)
        with opened(self._engine) as session:
            rows = session.scalars(wanted.order_by(UserSessionTable.session_id.desc()))
            return [_session(row) for row in rows]

    def rotate(self, old: UserSession, token_hash: str, kept_hash: str, now: float) -> bool:
        """Give a session a new cookie; False if another request has just done so.

        Args:
            kept_hash: of the cookie that the browser has, which stays valid.
        """
        unchanged = (UserSessionTable.session_id == old.session_id) & (
            UserSessionTable.rotated_ts == old.rotated_ts
        )
        values = {"token_hash": token_hash, "previous_hash": kept_hash, "rotated_ts": now}
        with opened(self._engine) as session:
            changed = session.execute(
                update(UserSessionTable).where(unchanged).values(**values, confirmed_ts=None)
            )
            return isinstance(changed, CursorResult) and changed.rowcount == 1

    def touch(self, session_id: int, now: float) -> None:
        """Record that the newest cookie of a session was used."""
        with opened(self._engine) as session:
            mine = UserSessionTable.session_id == session_id
            confirmed = func.coalesce(UserSessionTable.confirmed_ts, now)
            values = {"seen_ts": now, "confirmed_ts": confirmed}
            session.execute(update(UserSessionTable).where(mine).values(**values))

    def delete(self, session_id: int) -> None:
        """End a session."""
        with opened(self._engine) as session:
            mine = UserSessionTable.session_id == session_id
            session.execute(delete(UserSessionTable).where(mine))

    def delete_of_user(self, user_id: int, but: int | None = None) -> list[int]:
        """End the sessions of a user, except one; returns the ids of those that ended."""
        mine = UserSessionTable.user_id == user_id
        if but is not None:
            mine &= UserSessionTable.session_id != but
        with opened(self._engine) as session:
            ids = list(session.scalars(select(UserSessionTable.session_id).where(mine)))
            session.execute(delete(UserSessionTable).where(mine))
        return ids

    def delete_expired(self, seen_before: float, created_before: float) -> None:
        """End sessions that were not used for too long, or began too long ago."""
        old = or_(
            UserSessionTable.seen_ts < seen_before, UserSessionTable.created_ts < created_before
        )
        with opened(self._engine) as session:
            session.execute(delete(UserSessionTable).where(old))


def _session(row: UserSessionTable) -> UserSession:
    return UserSession(
        row.session_id,
        row.user_id,
        row.created_ts,
        row.seen_ts,
        row.rotated_ts,
        row.confirmed_ts,
        row.address,
        row.agent,
    )
