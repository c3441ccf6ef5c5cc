"""Leases as rows. Their times are on the database's clock, so those of machines may differ.

No transaction may wait for long, or stay open when its machine is cut off: it would keep others
from a lease that is over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import Connection, make_url

from app.db.engine import store_errors
from app.errors import StoreError
from app.leases import HeldBy, Taken

CLOCKS = {
    "postgresql": "extract(epoch from clock_timestamp())::float8",
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
}
FORGET_AFTER_S = 3600.0
"""Sessions that were over for this long are deleted."""
ANSWER_S = 2


def open_leases(url: str) -> LeaseRepository:
    """Connect to a database that a front has migrated. Raises StoreError if there is none."""
    with store_errors():
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            if not Path(str(parsed.database)).exists():
                raise StoreError(reason="this machine has no such SQLite file; use PostgreSQL")
            engine = create_engine(parsed, connect_args={"timeout": ANSWER_S})
            event.listen(engine, "connect", _do_not_sync)
        else:
            reached = {
                "connect_timeout": ANSWER_S,
                "tcp_user_timeout": ANSWER_S * 1000,
                "keepalives_idle": ANSWER_S,
                "keepalives_interval": 1,
                "keepalives_count": 3,
            }
            engine = create_engine(parsed, pool_pre_ping=True, connect_args=reached)
            event.listen(engine, "connect", _limit_waits)
    return LeaseRepository(engine)


def absolute(url: str) -> str:
    """A database's URL for processes with another working folder."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return url
    return parsed.set(database=str(Path(parsed.database).absolute())).render_as_string(
        hide_password=False
    )


class LeaseRepository:
    """A ``LeaseStore``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._now = CLOCKS[engine.dialect.name]
        self._lock = " FOR UPDATE" if engine.dialect.name == "postgresql" else ""

    def begin(self, session: str, holder: str, lease_s: float) -> None:
        """Begin a session, and forget old ones."""
        with store_errors(), self._engine.begin() as connection:
            self._run(
                connection,
                "INSERT INTO lease_sessions (session_id, holder, until_ts) "
                "VALUES (:session, :holder, {now} + :lease_s)",
                session=session,
                holder=holder,
                lease_s=lease_s,
            )
            old = "DELETE FROM lease_sessions WHERE until_ts < {now} - :forget_s"
            self._run(connection, old, forget_s=FORGET_AFTER_S)

    def renew(self, session: str, lease_s: float) -> bool:
        """Let a session go on; False if it is over."""
        with store_errors(), self._engine.begin() as connection:
            found = self._run(
                connection,
                "UPDATE lease_sessions SET until_ts = {now} + :lease_s "
                "WHERE session_id = :session AND until_ts > {now}",
                session=session,
                lease_s=lease_s,
            )
            return bool(found.rowcount)

    def end(self, session: str) -> None:
        """End a session; its leases are free."""
        with store_errors(), self._engine.begin() as connection:
            ended = "DELETE FROM lease_sessions WHERE session_id = :session"
            self._run(connection, ended, session=session)

    def knows(self, session: str) -> bool:
        """Whether there is such a session, or was within the last hour."""
        with store_errors(), self._engine.connect() as connection:
            return self._left_s(connection, session)[0] is not None

    def take(self, session: str, lease: str, fencing: int | None = None) -> Taken | HeldBy:
        """Take a lease, if it is free or already that of the session."""
        with store_errors(), self._engine.begin() as connection:
            # The first statement writes: from there on, nobody else writes to an SQLite file.
            new = (
                "INSERT INTO leases (name, session_id, fencing) VALUES (:lease, NULL, 0) "
                "ON CONFLICT (name) DO NOTHING"
            )
            self._run(connection, new, lease=lease)
            row = self._run(
                connection,
                "SELECT session_id, fencing FROM leases WHERE name = :lease" + self._lock,
                lease=lease,
            ).one()
            if row.session_id == session:
                return Taken(row.fencing)
            # Locked: a renewal that has begun and is not committed yet must count.
            holder, left_s = self._left_s(connection, row.session_id, self._lock)
            if left_s > 0 or (fencing is not None and fencing != row.fencing):
                return HeldBy(holder if left_s > 0 else None, max(0.0, left_s))
            self._run(
                connection,
                "UPDATE leases SET session_id = :session, fencing = fencing + 1 "
                "WHERE name = :lease",
                session=session,
                lease=lease,
            )
            return Taken(row.fencing + 1)

    def release(self, session: str, lease: str, fencing: int) -> None:
        """Give a lease back, if the session has it under this number."""
        with store_errors(), self._engine.begin() as connection:
            self._run(
                connection,
                "UPDATE leases SET session_id = NULL "
                "WHERE name = :lease AND session_id = :session AND fencing = :fencing",
                session=session,
                lease=lease,
                fencing=fencing,
            )

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _left_s(
        self, connection: Connection, session: str | None, lock: str = ""
    ) -> tuple[str | None, float]:
        """Whose a session is, and until when it goes on."""
        found = self._run(
            connection,
            "SELECT holder, until_ts - {now} AS left_s FROM lease_sessions "
            "WHERE session_id = :session" + lock,
            session=session,
        ).one_or_none()
        return (None, 0.0) if found is None else (found.holder, float(found.left_s))

    def _run(self, connection: Connection, statement: str, **values: object) -> Any:
        return connection.execute(text(statement.format(now=self._now)), values)


def _do_not_sync(connection: Any, _record: object) -> None:
    """What a power failure could undo belongs to processes that it ends: all use this machine."""
    connection.execute("PRAGMA synchronous=NORMAL")


def _limit_waits(connection: Any, _record: object) -> None:
    """End what waits for a lock, and transactions whose machine was cut off."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = '{ANSWER_S}s'")
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{ANSWER_S}s'")
    connection.commit()
