"""A PostgreSQL server for a test, if it is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from support.watchpost import free_port

NEWEST_FIRST = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; None if PostgreSQL is not installed."""
    found = shutil.which("initdb")
    folders = [*NEWEST_FIRST, *([Path(found).resolve().parent] if found else [])]
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


class Postgres:
    """A cluster with one empty database. It refuses root, so root becomes ``postgres``.

    Args:
        fsync: wait for the disk, as a real one does.
    """

    def __init__(self, *, fsync: bool = False) -> None:
        self._fsync = "on" if fsync else "off"
        folder = programs()
        assert folder is not None
        self._programs = folder
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._user = "postgres" if os.geteuid() == 0 else None
        self._numbers = count()
        self.port = free_port()
        self.url = f"postgresql+psycopg://watchpost:hidden-word@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        listen = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1"
        where = f"{listen} -c fsync={self._fsync}"
        self._run("pg_ctl", "-o", where, "-l", str(self._folder / "log"), "-w", "start")

    def stop(self) -> None:
        """Stop at once, as in a power failure."""
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")

    def new_database(self, template: str = "template1") -> str:
        """The URL of one more database: empty, or a copy of another one that nobody uses."""
        name = f"test{next(self._numbers)}"
        create = f"CREATE DATABASE {name} TEMPLATE {template.rpartition('/')[2]}"
        self._call("psql", "-U", "watchpost", *self._there(), "-q", "-c", create, "postgres")
        return f"{self.url.rpartition('/')[0]}/{name}"

    def dump(self) -> bytes:
        """The database as ``pg_dump`` writes it."""
        return self._call("pg_dump", "-U", "watchpost", *self._there(), "postgres").stdout

    def restore(self, dump: bytes) -> None:
        """Put a dump into the database, which must be empty."""
        stop = ("-v", "ON_ERROR_STOP=1", "-q")
        self._call("psql", "-U", "watchpost", *self._there(), *stop, "postgres", given=dump)

    def empty(self) -> None:
        again = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        self._call("psql", "-U", "watchpost", *self._there(), "-q", "-c", again, "postgres")

    def __enter__(self) -> Self:
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(self._folder, entry.pw_uid, entry.pw_gid)
        self._run("initdb", "-A", "trust", "-U", "watchpost", "-E", "UTF8", "--no-sync")
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if (self._folder / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._folder)

    def _there(self) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self.port)]

    def _run(self, program: str, *arguments: str) -> None:
        self._call(program, "-D", str(self._folder / "data"), *arguments)

    def _call(
        self, program: str, *arguments: str, given: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        # To a file: a server that was started would keep a pipe open.
        with (self._folder / "said").open("w+b") as said:
            done = subprocess.run(
                [str(self._programs / program), *arguments],
                input=given,
                stdout=subprocess.PIPE if program == "pg_dump" else said,
                stderr=said,
                user=self._user,
                cwd=self._folder,
                check=False,
            )
            said.seek(0)
            assert done.returncode == 0, said.read().decode()
        return done
