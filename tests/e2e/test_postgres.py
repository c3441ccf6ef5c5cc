"""The server on PostgreSQL: stored data, and replies while the database is unreachable."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.collect import collect, completed, files_of, follow, job_of
from support.docs import block
from support.poll import eventually
from support.postgres import Postgres, programs
from support.watchpost import Server, error_of


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
def own(postgres: Postgres, tmp_path: Path, video: Path) -> Iterator[Server]:
    """A server for one test; the video is in its media folder."""
    server = Server(tmp_path, database_url=postgres.url, media_dirs=str(video.parent))
    yield server.start()
    server.stop()
    server.http.close()


def number(server: Server, series: str) -> float:
    lines = server.http.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{series} ")).split()[-1])


def record(server: Server, video: Path) -> str:
    job_id = collect(server, sources=[video.name], duration=1)
    assert follow(server, job_id)[0][-1] == completed(job_id)
    return job_id


def test_the_server_lives_while_its_database_is_away(
    own: Server, postgres: Postgres, video: Path
) -> None:
    job_id = record(own, video)
    assert own.http.get("/readyz").status_code == 200
    assert number(own, "watchpost_database_up") == 1

    postgres.stop()
    try:
        refused = own.http.get("/readyz")
        body = error_of(refused, 503, "NOT_READY")
        assert [trouble["what"] for trouble in body["details"]["missing"]] == ["database"]
        assert number(own, "watchpost_database_up") == 0
        assert own.http.get("/healthz").status_code == 200
        error_of(own.http.get("/collect/jobs"), 503, "STORE_FAILED")
        assert "hidden-word" not in refused.text + own.log()
    finally:
        postgres.start()

    def ready() -> httpx.Response:
        return own.http.get("/readyz")

    eventually(ready, lambda reply: reply.status_code == 200, 20, "it is ready again")
    assert number(own, "watchpost_database_up") == 1
    assert job_of(own, job_id)["state"] == "completed"


def test_a_backup_brings_jobs_and_files_back(own: Server, postgres: Postgres, video: Path) -> None:
    """As ``docs/deployment.md`` says: the dump, the key file and the folders of files."""
    job_id = record(own, video)
    dump = postgres.dump()
    own.stop()
    postgres.empty()
    postgres.restore(dump)

    own.start()

    assert job_of(own, job_id)["state"] == "completed"
    assert len(files_of(own, job_id)) == 1


def test_the_lines_for_a_backup_work_when_pasted_while_the_server_runs(
    tmp_path: Path, video: Path
) -> None:
    """With SQLite; then a server is started on what they saved."""
    lines = block("docs/deployment.md", "Backup")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with Server(tmp_path / "a", media_dirs=str(video.parent)) as first:
        job_id = record(first, video)
        growing = first.data / "recordings" / job_id / "x.part.mp4"
        growing.write_bytes(b"half of a file")
        lines = lines.replace("/var/lib/watchpost", str(first.data))
        lines = lines.replace("/backup/watchpost", str(tmp_path / "b" / "data"))
        subprocess.run(["bash", "-e", "-o", "pipefail", "-c", lines], check=True)
    saved = {path.name for path in (tmp_path / "b" / "data").iterdir()}
    assert saved == {"watchpost.db", "secret.key", "token", "recordings"}
    assert not list((tmp_path / "b").rglob("*.part.mp4"))
    assert (tmp_path / "b" / "data").stat().st_mode & 0o777 == 0o700
    with Server(tmp_path / "b", media_dirs=str(video.parent)) as second:
        assert job_of(second, job_id)["state"] == "completed"
        assert len(files_of(second, job_id)) == 1
        assert second.http.get("/readyz").status_code == 200
