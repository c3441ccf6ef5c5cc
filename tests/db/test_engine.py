"""The schema, and databases that cannot be opened."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from app import db
from app.db.engine import MIGRATIONS, open_database, reach
from app.db.tables import Table
from app.errors import SetupError


def script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config)


def test_the_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    for module in pkgutil.iter_modules(db.__path__):
        if module.name.endswith("tables"):
            importlib.import_module(f"app.db.{module.name}")
    engine = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
        assert context.get_current_revision() == script().get_current_head()
    engine.dispose()


def test_there_is_one_line_of_migrations() -> None:
    assert len(script().get_heads()) == 1


def test_a_database_of_an_older_version_is_brought_up(tmp_path: Path) -> None:
    from alembic import command

    url = f"sqlite:///{tmp_path / 'x.db'}"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url)
    command.upgrade(config, "0001")
    engine = open_database(url)
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    assert found == script().get_current_head()
    engine.dispose()


def test_a_start_with_nothing_to_migrate_does_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    open_database(url).dispose()
    program = (
        "import sys; from app.db.engine import open_database; "
        f"open_database({url!r}); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    first = open_database(url)
    with first.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO streams VALUES ('a', 's', NULL, NULL, 'h', '{}', 'stopped', NULL,"
                " '2026-01-01', '2026-01-01')"
            )
        )
    first.dispose()
    second = open_database(url)
    with second.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM streams")).scalar() == 1
    second.dispose()


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'a' / 'b' / 'x.db'}")
    assert "streams" in inspect(engine).get_table_names()
    engine.dispose()


def test_sqlite_lets_readers_and_the_writer_work_at_once(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert connection.execute(text("PRAGMA busy_timeout")).scalar_one() >= 1000
    engine.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///{folder}/occupied/x.db",
        "sqlite:///{folder}/a-folder",
        "sqlite:///{folder}/no-database.db",
        "postgresql+psycopg://admin:hidden-1@127.0.0.1:9/db",
        "mysql://admin:hidden-1@127.0.0.1:9/db",
        "nonsense+driver://admin:hidden-1@h/db",
        "admin:hidden-1@h",
        "",
    ],
)
def test_a_database_that_cannot_be_opened_is_a_setup_error_without_secrets(
    url: str, tmp_path: Path
) -> None:
    (tmp_path / "occupied").write_text("a file", encoding="utf-8")
    (tmp_path / "a-folder").mkdir()
    (tmp_path / "no-database.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(SetupError) as caught:
        open_database(url.format(folder=tmp_path))
    assert "hidden-1" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://me:hidden-1@host/x", "postgresql+psycopg://me:hidden-1@host:x/y"]
)
def test_a_url_of_no_database_of_ours_says_what_it_must_be(url: str) -> None:
    for opening in (open_database, reach):
        with pytest.raises(SetupError, match=r"URL must be sqlite:///FILE or postgresql") as caught:
            opening(url)
        assert "hidden-1" not in str(caught.value)


def test_a_database_that_may_not_be_written_is_a_setup_error(tmp_path: Path) -> None:
    import os

    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(SetupError):
            open_database(f"sqlite:///{tmp_path / 'x.db'}")
    finally:
        tmp_path.chmod(0o700)


def test_alembic_may_be_run_by_hand(tmp_path: Path) -> None:
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{tmp_path / 'x.db'}")
    command.upgrade(config, "head")
    command.downgrade(config, "base")
    command.upgrade(config, "head")
