"""A backup is one moment of the database, whatever is written meanwhile."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from app.db.backup import DatabaseBackup
from app.db.engine import open_database
from app.errors import BackupElsewhere, StoreError


def test_a_copy_is_consistent_while_others_write(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'watchpost.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE pairs (one INTEGER, other INTEGER)")
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with engine.begin() as connection:
                connection.exec_driver_sql("INSERT INTO pairs VALUES (?, 0)", (number,))
                connection.exec_driver_sql("UPDATE pairs SET other = ?", (number,))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        backup = DatabaseBackup(engine)
        for number in range(5):
            backup.copy(tmp_path / f"copy-{number}.db")
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        with sqlite3.connect(tmp_path / f"copy-{number}.db") as copy:
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            most, least, last = copy.execute(
                "SELECT max(other), min(other), max(one) FROM pairs"
            ).fetchone()
        assert most == least == last
    size = backup.size()
    assert size is not None
    assert size > 0
    engine.dispose()


def test_what_cannot_be_copied_says_why(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'watchpost.db'}")
    with pytest.raises(StoreError):
        DatabaseBackup(engine).copy(tmp_path / "missing" / "copy.db")
    engine.dispose()
    other = DatabaseBackup(create_engine("postgresql+psycopg://watchpost@localhost/watchpost"))
    with pytest.raises(BackupElsewhere, match="pg_dump"):
        other.copy(tmp_path / "copy.db")
    assert (other.kind, other.size()) == ("postgresql", None)
