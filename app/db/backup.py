"""A consistent copy of the database while the server goes on writing."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from app.db.engine import store_errors
from app.errors import BackupElsewhere

SQLITE = "sqlite"


class DatabaseBackup:
    """Copies a database. Blocking."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    def copy(self, file: Path) -> None:
        """Write an SQLite database into a new file, as it is at one moment; nobody has to wait.

        Raises:
            BackupElsewhere: another database has tools of its own for this.
            StoreError: there is no space for the copy.
        """
        if self.kind != SQLITE:
            raise BackupElsewhere(database=self.kind)
        engine = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        with store_errors(), engine.connect() as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (str(file),))

    def size(self) -> int | None:
        """Bytes of an SQLite database with its log of writes; None for another one."""
        name = self._engine.url.database
        if self.kind != SQLITE or not name:
            return None
        files = [Path(name), Path(f"{name}-wal")]
        return sum(file.stat().st_size for file in files if file.exists())
