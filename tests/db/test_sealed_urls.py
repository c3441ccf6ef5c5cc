"""URLs at rest: only their host is in the database, also in one of an older version."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text
from support.secret_urls import SHAPES, filled, forms

from app.db.engine import ERASED, MIGRATIONS, open_database
from app.db.job_log import JobLogRepository
from app.db.jobs import JobRepository
from app.db.recordings import RecordingRepository
from app.db.schedules import ScheduleRepository
from app.db.streams import StreamRepository
from app.db.vault import Vault
from app.errors import SetupError
from app.jobs import FileFacts, Gap, Job, JobLine, JobSpec, JobState, Part, Recording, Schedule
from app.types import StoredStream, StreamSpec, StreamState
from app.urls import default_output, scrub, without_credentials

SECRET = b"0123456789abcdef"
PLAIN = "Lagerhalle"  # no password, but no business of who reads the file, either
JOB = "11111111-2222-3333-4444-555555555555"
XM = filled(SHAPES["XM"], "Geheim42")
LOGIN = filled(SHAPES["userinfo"], "Geheim43") + f"/{PLAIN}?token=Geheim44"
WORDS = ("Geheim", PLAIN.lower(), PLAIN)
LABEL = "rtsp://192.0.2.1/user=admin_password=Geheim42_channel=1_stream=0.sdp"
OLD_FILE = "01-min_password-Geheim42_channel-1_stream-0.sdp"


def upgrade_to(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url)
    command.upgrade(config, revision)


def insert(engine: Any, table: str, **values: Any) -> None:
    """A row as a version before this migration wrote it."""
    columns = ", ".join(values)
    holders = ", ".join(f":{name}" for name in values)
    packed = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in values.items()}
    engine.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({holders})"), packed)


def stream_row(stream_id: str, source: str, output: str | None, secret: bytes | None) -> Any:
    now = "2026-01-01 00:00:00"
    return {
        "stream_id": stream_id, "source": source, "output": output, "secret": secret,
        "input_hash": "h", "options": {"max_fps": 5}, "wanted": "stopped",
        "last_error": f"The input failed: refused ({source})", "created_at": now, "updated_at": now,
    }  # fmt: skip


def fill(url: str, vault: Vault) -> None:
    """Rows of the version before: plain where no password was recognised."""
    from sqlalchemy import create_engine

    login_shown = f"rtsp://192.0.2.1/ch0/{PLAIN}?token=***"
    options = {"sources": [LABEL, login_shown, "cam-1"], "tags": [], "duration_s": 5.0}
    parts = [
        {"kind": "open", "source": LABEL, "label": LABEL, "error": f"lost ({LABEL})"},
        {"kind": "open", "source": login_shown, "label": login_shown, "error": None},
        {"kind": "stream", "source": "cam-1", "label": "cam-1", "error": None},
    ]
    sources = [XM, LOGIN, "cam-1"]
    line = {
        "type": "error", "job_id": JOB, "text": f"Error with Job ID {JOB}: {LABEL}: lost",
        "state": "failed", "step": 0, "steps": 5, "percent": 0.0, "eta_s": None, "bytes": 0,
        "frames": 0, "seconds": 0.0, "ts": 5.0,
    }  # fmt: skip
    engine = create_engine(url)
    with engine.begin() as rows:
        insert(rows, "streams", **stream_row("xm", XM, f"{XM}-blur", None))
        secret = vault.encrypt(json.dumps([LOGIN, "rtsp://u:Geheim45@192.0.2.2/out?key=Geheim46"]))
        shown = (login_shown, "rtsp://192.0.2.2/out?key=***")
        insert(rows, "streams", **stream_row("login", *shown, secret))
        insert(rows, "streams", **stream_row("file", "file:/srv/yard.mp4", None, None))
        for number in range(40):
            source = filled("rtsp://{host}/live?pw={word}", f"Geheim-many-{number}")
            insert(rows, "streams", **stream_row(f"many-{number}", source, None, None))
        insert(
            rows, "collect_jobs", job_id=JOB, state="failed", name=None, tags=[], flagged=False,
            error=f"{LABEL}: lost", schedule_id=None, options=options, parts=parts,
            gaps=[{"source": LABEL, "from_ts": 1.0, "to_ts": 2.0, "reason": f"gone ({LABEL})"}],
            secret=vault.encrypt(json.dumps([sources, sources])), frames=0, seconds=0.0,
            total_bytes=0, retries=0, created_ts=1.0, ended_ts=2.0,
        )  # fmt: skip
        facts = {name: getattr(FILE, name) for name in FILE.__slots__}
        insert(
            rows, "collect_files", job_id=JOB, source=LABEL, path=f"{JOB}/{OLD_FILE}-0001.mp4",
            started_ts=1.0, facts=facts, removed_ts=None,
        )  # fmt: skip
        for said, values in ((f"{LABEL}: lost", None), (line["text"], line), ("no sound", None)):
            insert(rows, "collect_logs", job_id=JOB, ts=1.0, level="info", text=said, line=values)
        insert(
            rows, "collect_schedules", schedule_id="s", cron="0 3 * * *", timezone="UTC",
            enabled=True, options={"sources": [LABEL], "tags": []}, secret=None, created_ts=1.0,
            last_run_ts=None, last_job_id=None, skipped=0,
        )  # fmt: skip
        insert(rows, "streams", **stream_row("gone", XM, None, None))
        rows.execute(text("DELETE FROM streams WHERE stream_id = 'gone'"))  # a freed page
    engine.dispose()


FILE = FileFacts(1.5, 30, "h264", 640, 360, 99, "f" * 64)


@pytest.fixture
def old(empty_database_url: str, tmp_path: Path) -> str:
    """The URL of a database of the version before, whose log file still has its last writes."""
    upgrade_to(empty_database_url, "0020")
    fill(empty_database_url, Vault(SECRET))
    folder = tmp_path / "recordings" / JOB
    folder.mkdir(parents=True)
    for ending in ("0001.mp4", "0002.part.mp4"):
        (folder / f"{OLD_FILE}-{ending}").write_bytes(b"video")
    return empty_database_url


def words_in(folder: Path) -> list[str]:
    """Every file, by name or content, that still has a planted word."""
    found = []
    for path in folder.rglob("*"):
        content = str(path.relative_to(folder)).encode()
        content += path.read_bytes() if path.is_file() else b""
        found += [f"{word} in {path.name}" for word in WORDS if word.encode() in content]
    return found


def check_rows(engine: Engine) -> None:
    """What an upgraded database has to give back."""
    streams = {s.spec.stream_id: s for s in StreamRepository(engine, Vault(SECRET)).load()}
    assert streams["xm"].spec.source == XM
    assert streams["xm"].spec.output == "rtsp://192.0.2.1/blur", "made without the secret parts"
    assert streams["login"].spec.source == LOGIN
    assert streams["login"].spec.output == "rtsp://u:Geheim45@192.0.2.2/out?key=Geheim46"
    assert streams["file"].spec.source == "file:/srv/yard.mp4"
    assert streams["many-7"].spec.source == "rtsp://192.0.2.1/live?pw=Geheim-many-7"
    assert streams["many-7"].last_error == (
        "The input failed: refused (rtsp://192.0.2.1/live?pw=***)"
    )
    assert len(streams) == 43
    vault = Vault(SECRET)
    job = JobRepository(engine, vault).get(JOB)
    assert job.spec.sources == (XM, LOGIN, "cam-1")
    assert [part.source for part in job.parts] == [XM, LOGIN, "cam-1"]
    assert [part.label for part in job.parts] == [*map(without_credentials, (XM, LOGIN)), "cam-1"]
    shown = "rtsp://192.0.2.1/user=***"
    assert job.parts[0].error == f"lost ({shown})"
    assert job.error == f"{shown}: lost"
    assert job.gaps == [Gap(shown, 1.0, 2.0, f"gone ({shown})")]
    job_log = JobLogRepository(engine, vault)
    logs, _ = job_log.entries(JOB, limit=9, offset=0)
    said = f"Error with Job ID {JOB}: {shown}: lost"
    assert [entry.text for entry in logs] == [f"{shown}: lost", said, "no sound"]
    assert [line.text for line in job_log.lines(JOB)] == [said]
    (recording,) = RecordingRepository(engine, vault).of_job(JOB)
    assert (recording.source, recording.path) == (shown, f"{JOB}/01-192.0.2.1-0001.mp4")
    assert ScheduleRepository(engine, vault).all()[0].spec.sources == (LABEL,)


def test_an_older_database_is_encrypted_and_gives_back_the_same(old: str, tmp_path: Path) -> None:
    recordings = tmp_path / "recordings"
    for _ in range(2):  # and a second start changes nothing
        engine = open_database(old, Vault(SECRET), recordings)
        check_rows(engine)
        names = sorted(path.name for path in (recordings / JOB).iterdir())
        assert names == ["01-192.0.2.1-0001.mp4", "01-192.0.2.1-0002.part.mp4"]
        engine.dispose()


@pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)
def test_nothing_of_the_old_rows_is_left_in_the_files(old: str, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "watchpost.db") as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("UPDATE streams SET last_error = last_error || ' again'")
        writer.commit()
        copies = {path: path.read_bytes() for path in tmp_path.glob("watchpost.db*")}
    writer.close()
    for path, content in copies.items():  # as a kill leaves them
        path.write_bytes(content)
    assert len(words_in(tmp_path)) > 3, "there is something to find"
    engine = open_database(old, Vault(SECRET), tmp_path / "recordings")
    assert words_in(tmp_path) == []
    assert b"192.0.2.1" in (tmp_path / "watchpost.db").read_bytes(), "the rows are looked at"
    engine.dispose()
    assert words_in(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from app.db import engine
from app.db.vault import Vault

class Killing(Vault):
    left = int(sys.argv[3])

    def encrypt(self, text):
        Killing.left -= 1
        if Killing.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encrypt(text)

if sys.argv[3] == "0":  # after the rows, before the file is written anew
    engine._erase_old_pages = lambda _: os.kill(os.getpid(), signal.SIGKILL)
engine.open_database(sys.argv[1], Killing(b"0123456789abcdef"), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("encryptions", [1, 40, 85, 92, 93, 95, 0])
def test_a_kill_half_way_costs_nothing(old: str, tmp_path: Path, encryptions: int) -> None:
    recordings = tmp_path / "recordings"
    arguments = [old, str(recordings), str(encryptions)]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert done.returncode == -signal.SIGKILL
    engine = open_database(old, Vault(SECRET), recordings)
    check_rows(engine)
    engine.dispose()
    assert words_in(tmp_path) == []


def test_a_lost_key_leaves_what_it_encrypted_for_when_it_is_found(old: str, tmp_path: Path) -> None:
    engine = open_database(old, Vault(b"another key for it"), tmp_path / "recordings")
    streams = {s.spec.stream_id: s for s in StreamRepository(engine, Vault(SECRET)).load()}
    assert streams["login"].spec.source == LOGIN
    with engine.connect() as connection:
        for row in connection.execute(text("SELECT source, output, last_error FROM streams")):
            assert not any(word in str(row) for word in WORDS)
    engine.dispose()


def test_rows_are_not_left_plain_where_there_is_no_key(old: str) -> None:
    with pytest.raises(SetupError, match="start the server once"):
        open_database(old)


@pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)
def test_a_file_is_written_anew_once(empty_database_url: str, tmp_path: Path) -> None:
    open_database(empty_database_url).dispose()
    with sqlite3.connect(tmp_path / "watchpost.db") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (ERASED,)
    connection.close()
    before = (tmp_path / "watchpost.db").read_bytes()
    open_database(empty_database_url).dispose()
    assert (tmp_path / "watchpost.db").read_bytes() == before


# ── new rows ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    engine = open_database(empty_database_url)
    yield engine
    engine.dispose()


def test_of_every_shape_no_row_has_more_than_the_host(engine: Engine) -> None:
    """Also nothing that a reply may show: what is encrypted is not a matter of a guess."""
    streams = StreamRepository(engine, Vault(SECRET))
    jobs, job_log = JobRepository(engine, Vault(SECRET)), JobLogRepository(engine, Vault(SECRET))
    recordings = RecordingRepository(engine, Vault(SECRET))
    schedules = ScheduleRepository(engine, Vault(SECRET))
    for number, shape in enumerate(SHAPES):
        url = f"{filled(SHAPES[shape], 'Geheim42')}-{PLAIN}"
        label = without_credentials(url)
        failure = scrub(f"The input failed: refused ({url})")
        output = default_output(url) if "rtsp" in url.lower() else None
        stored = StoredStream(StreamSpec(f"s{number}", url, output), StreamState.STOPPED, failure)
        streams.save(stored)
        assert streams.load()[-1] == stored
        part = Part("open", url, label, error=failure)
        job = Job(
            f"j{number}", JobSpec(sources=(url,)), JobState.FAILED, [part],
            [Gap(label, 1.0, 2.0, failure)], f"{label}: {failure}",
        )  # fmt: skip
        jobs.save(job)
        assert jobs.get(job.job_id) == job
        job_log.add_entry(job.job_id, "error", f"{label}: {failure}")
        line = JobLine(
            "error", job.job_id, f"{label}: {failure}", JobState.FAILED, 0, 5, 0.0, None, 0, 0, 0, 5
        )
        job_log.add_line(line)
        assert job_log.lines(job.job_id) == [line]
        recordings.add(Recording(job.job_id, label, f"{job.job_id}/1.mp4", 1.0, FILE))
        assert recordings.of_job(job.job_id)[0].source == label
        schedule = Schedule(f"s{number}", "0 3 * * *", JobSpec(sources=(url,)))
        schedules.save(schedule)
        assert schedules.all()[-1].spec == schedule.spec
    words = {*forms("Geheim42"), PLAIN, "/ch0", "admin"}
    with engine.connect() as connection:
        for table in ("streams", "collect_jobs", "collect_files", "collect_logs"):
            for row in connection.execute(text(f"SELECT * FROM {table}")):
                assert [word for word in words if word in str(row)] == [], table
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM collect_schedules")).all()
    assert [word for word in words if word in str(rows)] == []


def test_what_is_on_this_machine_stays_readable(engine: Engine) -> None:
    streams = StreamRepository(engine, Vault(SECRET))
    for source in ("file:/srv/yard.mp4", "webcam:0"):
        streams.save(StoredStream(StreamSpec(source, source), StreamState.STOPPED))
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT stream_id, source, secret FROM streams")).all()
    assert all(source == stream_id and secret is None for stream_id, source, secret in rows)
