"""The connection to the database: opened, migrated, and used by the repositories in one way."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session

from app.db.vault import Vault
from app.errors import SetupError, StoreError

MIGRATIONS = Path(__file__).with_name("migrations")
BUSY_TIMEOUT_MS = 5000
REACH_TIMEOUT_S = 3
WRONG_URL = "its URL must be sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME"
ERASED = 1
"""``user_version`` of an SQLite file without pages from before URLs were encrypted."""

logger = logging.getLogger(__name__)


def open_database(url: str, vault: Vault | None = None, recordings: Path | None = None) -> Engine:
    """Connect and migrate. Raises SetupError, without the URL's password, when that fails.

    Args:
        vault: encrypts URLs that older versions stored in plain text.
        recordings: the folder of the files of jobs, some of which are renamed.
    """
    parsed = _parsed(url)
    try:
        if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, pool_pre_ping=True)
        with ExitStack() as undo:
            undo.callback(engine.dispose)
            if parsed.get_backend_name() == "sqlite":
                event.listen(engine, "connect", _tune_sqlite)
            _migrate(engine, {"vault": vault, "recordings": recordings})
            if parsed.get_backend_name() == "sqlite":
                _erase_old_pages(engine)
            undo.pop_all()
    except (SQLAlchemyError, OSError, ImportError) as error:
        raise SetupError(reason=f"The database cannot be opened: {_fault(error)}") from None
    return engine


class DatabaseState(StrEnum):
    """What the next start of the server finds."""

    MISSING = "missing"
    EMPTY = "empty"
    CURRENT = "current"
    OLD = "old"


def reach(url: str) -> tuple[str, DatabaseState]:
    """Say which database answers and how it is, without migrating or creating one.

    Raises:
        SetupError: it does not answer within a few seconds; the text has no password.
    """
    with reachable(url) as engine:
        parsed = make_url(url)
        name = f"{parsed.get_backend_name()}, {parsed.host or parsed.database}"
        if engine is None:
            return name, DatabaseState.MISSING
        with engine.connect() as connection:
            revision = _revision(connection)
    known = {None: DatabaseState.EMPTY, _newest(): DatabaseState.CURRENT}
    return name, known.get(revision, DatabaseState.OLD)


@contextmanager
def reachable(url: str) -> Iterator[Engine | None]:
    """A connection to a database as it is; None if it was not created yet.

    Raises:
        SetupError: it does not answer within a few seconds; the text has no password.
    """
    parsed = _parsed(url)
    try:
        if parsed.get_backend_name() == "sqlite":
            if parsed.database and not Path(parsed.database).exists():
                yield None
                return
            engine = create_engine(parsed)
        else:
            engine = create_engine(parsed, connect_args={"connect_timeout": REACH_TIMEOUT_S})
        try:
            yield engine
        finally:
            engine.dispose()
    except (SQLAlchemyError, OSError, ImportError) as error:
        raise SetupError(reason=f"The database cannot be opened: {_fault(error)}") from None


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what the database driver raises into StoreError."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(reason=_cause(error)) from None


@contextmanager
def opened(engine: Engine) -> Iterator[Session]:
    """A session that is committed at the end. Raises StoreError with the driver's message."""
    with store_errors(), Session(engine) as session, session.begin():
        yield session


def _parsed(url: str) -> URL:
    """The parts of a database's URL. Raises SetupError."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise SetupError(reason=f"The database cannot be opened: {WRONG_URL}") from None


def _fault(error: Exception) -> str:
    """Why a database cannot be opened, for people; never with its URL."""
    if isinstance(error, ArgumentError | ImportError):
        return WRONG_URL
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return _cause(error)


def _cause(error: Exception) -> str:
    """The driver's message; SQLAlchemy's own text would add the statement and its values."""
    return str(getattr(error, "orig", None) or type(error).__name__)


def _tune_sqlite(connection: Any, _record: object) -> None:
    """Use a write-ahead log, so that readers and the writer do not block each other."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA secure_delete=ON")  # overwrites deleted content


def _erase_old_pages(engine: Engine) -> None:
    """Rewrite an SQLite file, once: free pages and its log may contain what is encrypted now.

    The process may be killed after any step; the next start repeats them.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.execute(text("PRAGMA user_version")).scalar_one() >= ERASED:
            return
        try:
            for step in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                connection.execute(text(step)).close()
            connection.execute(text(f"PRAGMA user_version={ERASED}"))
        except SQLAlchemyError as error:  # a full disk, or another process is reading
            logger.warning(
                "old pages of the database will be erased at the next start: %s", _cause(error)
            )


def _migrate(engine: Engine, attributes: dict[str, Any]) -> None:
    with engine.begin() as connection:
        if _revision(connection) == _newest():
            return
        # Importing Alembic takes 0.1 s, and most starts have nothing to migrate.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes.update(attributes, connection=connection)
        command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    """The schema version of the database; None if it is new or was made by another program."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    versions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return str(versions[0]) if len(versions) == 1 else None


def _newest() -> str:
    """The revision of the last migration; file names begin with ascending revisions."""
    newest = max(file.name for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    return newest.partition("_")[0]
