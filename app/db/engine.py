"""The connection to the database, brought to the newest schema."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import SQLAlchemyError

from app.errors import SetupError

MIGRATIONS = Path(__file__).with_name("migrations")
BUSY_TIMEOUT_MS = 5000

logger = logging.getLogger(__name__)


def open_database(url: str) -> Engine:
    """Connect and migrate. Raises SetupError, without the URL's password, when that fails."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, pool_pre_ping=True)
        if parsed.get_backend_name() == "sqlite":
            event.listen(engine, "connect", _tune_sqlite)
        _migrate(engine)
    except (SQLAlchemyError, OSError, ImportError) as error:
        cause = str(getattr(error, "orig", None) or type(error).__name__)
        raise SetupError(reason=f"The database cannot be opened: {cause}") from None
    return engine


def _tune_sqlite(connection: Any, _record: object) -> None:
    """Write-ahead log: readers and the writer do not wait for each other."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA foreign_keys=ON")


def _migrate(engine: Engine) -> None:
    with engine.begin() as connection:
        if _revision(connection) == _newest():
            return
        # Importing Alembic takes a tenth of a second, and most starts have nothing to migrate.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    """The schema that the database has; None for a database that is new, or not ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    versions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return str(versions[0]) if len(versions) == 1 else None


def _newest() -> str:
    """The revision of the last migration: their files' names begin with it, and count up."""
    newest = max(file.name for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    return newest.partition("_")[0]
