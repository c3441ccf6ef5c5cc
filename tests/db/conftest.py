"""Both kinds of database: SQLite and PostgreSQL must behave alike."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.postgres import Postgres, programs

from app.db.engine import open_database


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; tests that need it are skipped if it is not installed."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> str:
    """A PostgreSQL database with all tables, to copy: a copy takes a fifth of the migrations."""
    url = postgres.new_database()
    open_database(url).dispose()
    return url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an SQLite database with all tables, to copy."""
    file = tmp_path_factory.mktemp("migrated") / "watchpost.db"
    open_database(f"sqlite:///{file}").dispose()
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with all tables, without rows."""
    if request.param == "sqlite":
        file = shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "watchpost.db")
        return f"sqlite:///{file}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database(request.getfixturevalue("migrated_postgres"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables, for tests of the migrations."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'watchpost.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()
