"""URLs of cameras are encrypted completely, in every row that contains one.

Earlier versions encrypted a URL only if they recognised a password in it, and used other URLs in
plain text: in rows, logs of jobs, file names of recordings and default outputs. All rows change in
one transaction; if the process is killed, the next start repeats it. A file that was renamed by
then is found under its new name.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import sqlalchemy as sa
from alembic import context, op

from app import urls
from app.db.vault import Vault
from app.errors import SecretUnreadable, SetupError

revision = "0030"
down_revision = "0020"
branch_labels = None
depends_on = None

NO_KEY = "The database holds URLs in plain text: start the server once, which has the key for them."


def _table(name: str, key: str, *columns: str, of_json: Sequence[str] = ()) -> sa.TableClause:
    return sa.table(
        name,
        sa.column(key),
        *(sa.column(column) for column in columns),
        *(sa.column(column, sa.JSON(none_as_null=True)) for column in of_json),
    )


STREAMS = _table("streams", "stream_id", "source", "output", "secret", "last_error")
JOBS = _table("collect_jobs", "job_id", "error", "secret", of_json=("options", "parts", "gaps"))
SCHEDULES = _table("collect_schedules", "schedule_id", "secret", of_json=("options",))
FILES = _table("collect_files", "file_id", "job_id", "source", "path")
LOGS = _table("collect_logs", "log_id", "text", of_json=("line",))


def upgrade() -> None:
    connection = op.get_bind()
    vault: Vault | None = context.config.attributes.get("vault")
    if vault is None:
        for table in (STREAMS, JOBS, SCHEDULES):
            if connection.execute(sa.select(sa.func.count()).select_from(table)).scalar():
                raise SetupError(reason=NO_KEY)
        return
    _Sealing(connection, vault, context.config.attributes.get("recordings")).run()


def downgrade() -> None:
    """Nothing: earlier versions read the encrypted URLs, too."""


class _Sealing:
    """Rewrites the rows of all tables that name URLs.

    Args:
        recordings: the folder of the files of jobs.
    """

    def __init__(self, connection: sa.Connection, vault: Vault, recordings: Path | None) -> None:
        self._connection = connection
        self._vault = vault
        self._recordings = recordings

    def run(self) -> None:
        self._streams()
        self._jobs()
        for row in self._rows(SCHEDULES):
            complete = self._complete(row.secret, [row.options["sources"], []])
            sources, secret = self._stored(row.secret, complete, row.options["sources"])
            options = row.options | {"sources": sources}
            self._update(SCHEDULES, row, options=options, secret=secret)
        for row in self._rows(LOGS):
            if "://" in row.text:
                text = self._sealed(row.text)
                line = row.line and row.line | {"text": text}
                self._update(LOGS, row, text=text, line=line)

    # ── streams ──────────────────────────────────────────────────────────────────────────

    def _streams(self) -> None:
        taken: set[str] = set()
        for row in self._rows(STREAMS):
            shown = [row.source, row.output]
            complete = self._complete(row.secret, shown)
            secret = row.secret
            if complete is not None:
                source, output = complete
                if output is not None:
                    output = _without_secrets(source, output, row.stream_id, taken)
                    taken.add(urls.normalised(output, query=False))
                shown = [source, output]
            origins = [url and urls.origin(url) for url in shown]
            if complete is not None:
                secret = None if shown == origins else self._vault.encrypt(json.dumps(shown))
            self._update(
                STREAMS,
                row,
                source=origins[0],
                output=origins[1],
                secret=secret,
                last_error=self._sealed(row.last_error),
            )

    # ── jobs ─────────────────────────────────────────────────────────────────────────────

    def _jobs(self) -> None:
        for row in self._rows(JOBS):
            shown = [row.options["sources"], [part["source"] for part in row.parts]]
            complete = self._complete(row.secret, shown)
            sources, secret = self._stored(row.secret, complete, *shown)
            parts = [
                part
                | {
                    "source": urls.origin(part["source"]),
                    "label": self._sealed(part["label"]),
                    "error": self._sealed(part.get("error")),
                }
                for part in row.parts
            ]
            gaps = [
                gap | {name: self._sealed(gap[name]) for name in ("source", "reason")}
                for gap in row.gaps
            ]
            self._update(
                JOBS,
                row,
                options=row.options | {"sources": sources},
                parts=parts,
                gaps=gaps,
                error=self._sealed(row.error),
                secret=secret,
            )
            self._files(row.job_id, [part["source"] for part in parts])

    def _files(self, job_id: str, origins: list[str]) -> None:
        """Give the files of a job's URLs names that hold no more of these than the host."""
        if self._recordings is not None:
            for file in sorted((self._recordings / job_id).glob("*.mp4")):
                file.rename(file.with_name(_file_name(file.name, origins)))
        for row in self._rows(FILES, FILES.c.job_id == job_id):
            folder, slash, name = row.path.rpartition("/")
            path = f"{folder}{slash}{_file_name(name, origins)}"
            self._update(FILES, row, source=self._sealed(row.source), path=path)

    # ── rows ─────────────────────────────────────────────────────────────────────────────

    def _rows(self, table: sa.TableClause, *wanted: sa.ColumnElement[bool]) -> Sequence[Any]:
        return self._connection.execute(sa.select(table).where(*wanted)).all()

    def _update(self, table: sa.TableClause, row: Any, **values: Any) -> None:
        key = next(iter(table.c))
        mine = key == getattr(row, key.name)
        self._connection.execute(sa.update(table).where(mine).values(**values))

    def _complete(self, secret: bytes | None, shown: list[Any]) -> list[Any] | None:
        """The complete URLs of a row; None if they were encrypted with another key."""
        if secret is None:
            return shown
        try:
            complete: list[Any] = json.loads(self._vault.decrypt(secret))
        except SecretUnreadable:
            return None
        return complete

    def _stored(
        self, secret: bytes | None, complete: list[Any] | None, *shown: list[str]
    ) -> tuple[list[str], bytes | None]:
        """The sources of a job as its options store them, and its secret."""
        sources = [urls.origin(url) for url in (complete[0] if complete else shown[0])]
        origins = [sources, [urls.origin(url) for url in (complete[1] if complete else [])]]
        if complete is not None:
            secret = None if complete == origins else self._vault.encrypt(json.dumps(complete))
        return sources, secret

    def _sealed(self, text: str | None) -> str | None:
        """The text sealed, after masking what older versions did not recognise as a secret."""
        return self._vault.seal(urls.scrub(text)) if text and "://" in text else text


def _without_secrets(source: str, output: str, stream_id: str, taken: set[str]) -> str:
    """The output of a stream; one that was made of the source's secret parts is made again."""
    parts = urlsplit(output)
    for unique in (stream_id, None):
        old = _default_path_before(source, unique)
        if not parts.path.endswith(old):
            continue
        prefix = parts.path[: -len(old)]
        for ending in (unique, stream_id):
            made = urlsplit(urls.default_output(source, unique=ending))
            same_server = not prefix and parts.netloc == urlsplit(source).netloc
            query = made.query if same_server else parts.query
            again = urlunsplit((parts.scheme, parts.netloc, prefix + made.path, query, ""))
            if urls.normalised(again, query=False) not in taken:
                return again
    return output


def _default_path_before(source: str, unique: str | None) -> str:
    folder, _, name = urlsplit(source).path.rstrip("/").rpartition("/")
    half, rest = name[: len(name) // 2], name[len(name) // 2 :]
    name = half if half and rest == f"-{half}" else name
    name = f"{name}-blur" if name else "blur"
    return f"{folder}/{name}-{unique}" if unique else f"{folder}/{name}"


def _file_name(name: str, origins: list[str]) -> str:
    """The name of a recording: ``01-HOST-0001.mp4`` for one of a URL."""
    parts = re.fullmatch(r"(\d+)-.*?-(\d+(?:\.part)?\.mp4)", name)
    if parts is None or not 0 < int(parts[1]) <= len(origins):
        return name
    origin = origins[int(parts[1]) - 1]
    if "://" not in origin:
        return name
    host = re.sub(r"[^A-Za-z0-9._-]+", "-", origin.rpartition("://")[2]).strip("-.")
    return f"{parts[1]}-{host[-40:].strip('-.') or 'source'}-{parts[2]}"
