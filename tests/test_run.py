"""The server as a process: ports, folders and signals."""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest
from fixtures import PATIENCE_S, ROOT, clean_environment, eventually, free_port, python, server

from app.db.engine import open_database
from app.db.streams import StreamRepository
from app.db.vault import open_vault
from app.types import StoredStream, StreamSpec, StreamState

UVICORN = ("-m", "uvicorn", "--host", "127.0.0.1")
RUN = (str(ROOT / "run.py"), "--host", "127.0.0.1")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def folder_with_a_running_stream(folder: Path) -> None:
    """A data folder whose database has a stream to resume."""
    engine = open_database(f"sqlite:///{folder / 'data' / 'watchpost.db'}")
    spec = StreamSpec("kept", "rtsp://127.0.0.1:9/x", "rtsp://127.0.0.1:9/x-blur")
    store = StreamRepository(engine, open_vault(folder / "data", None))
    store.save(StoredStream(spec, StreamState.RUNNING))
    engine.dispose()


# ── importing ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("module", ["app", "app.cli", "app.main", "main", "run"])
def test_importing_starts_nothing(module: str, tmp_path: Path) -> None:
    code = (
        f"import os, threading, {module}\n"
        "print(sorted(t.name for t in threading.enumerate()), sorted(os.listdir('.')))"
    )
    done = python(tmp_path, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['MainThread'] []"


def test_an_app_that_was_built_and_never_started_runs_nothing(tmp_path: Path) -> None:
    code = (
        "import threading\nfrom app.config import Settings\nfrom app.main import create_app\n"
        "create_app(Settings(auth={'token': 'x'}))\n"
        "print([t.name for t in threading.enumerate() if t.name != 'MainThread'])"
    )
    done = python(tmp_path, code)
    assert done.stdout.strip() == "[]", done.stderr


# ── starting ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "command", [(*UVICORN, "main:app"), (*UVICORN, "app:app"), RUN], ids=["main", "app", "run"]
)
def test_all_three_commands_serve_and_end_with_success(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    with server(tmp_path, command=command) as started:
        started.wait_ready()
        used = psutil.Process(started.process.pid).cpu_times()
        assert used.user + used.system < 8  # promised are 2 s, on an idle machine
        assert started.get("/healthz").json() == {"status": "ok"}
        assert started.get("/api/streams").json() == {"success": True, "data": []}
        assert started.end() in (0, -15) if command[0] == "-m" else started.end() == 0
    assert "Traceback" not in started.output


def test_it_says_that_it_runs_when_it_answers(tmp_path: Path) -> None:
    with server(tmp_path) as started:
        eventually(lambda: "Watchpost is running at" in started.output, "it says so")
        assert started.answers()


def test_a_connection_that_was_idle_for_a_while_takes_another_request(tmp_path: Path) -> None:
    """Whoever calls every five seconds would else meet the moment in which it is closed."""
    with server(tmp_path) as started:
        started.wait_ready()
        connection = http.client.HTTPConnection("127.0.0.1", started.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            for pause_s in (0, 6):
                time.sleep(pause_s)
                connection.request("GET", "/healthz")
                assert connection.getresponse().read()


def test_flags_reach_the_server(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    flags = ("--data-dir", str(data), "--require-token", "--token", "given-1", "--workers", "1")
    with server(tmp_path, *flags) as started:
        started.wait_ready()
        assert started.get("/api/streams").status_code == 401
        assert started.get("/api/streams?token=given-1").status_code == 200
        assert started.get("/api/streams/none?x=1&token=given-1").status_code == 404
        assert (data / "watchpost.db").exists()
        assert mode_of(data / "secret.key") == 0o600
        assert not (data / "token").exists()
        assert [path.name for path in tmp_path.iterdir()] == ["deep"], "all it writes is there"
    assert "given-1" not in started.output


def test_no_auth_is_said_in_the_log_however_it_was_started(tmp_path: Path) -> None:
    env = clean_environment(tmp_path, WATCHPOST_AUTH__DISABLED="true")
    with server(tmp_path, command=(*UVICORN, "main:app"), env=env) as started:
        started.wait_ready()
        assert "authentication is off" in started.output


def test_workers_of_a_cluster_of_machines_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with server(tmp_path, "--workers", "2", "--cluster", "auto") as started:
        assert started.wait() != 0
    assert """ray start --resources '{"workers": 2}'""" in started.output
    assert "Traceback" not in started.output
    assert not (tmp_path / "data").exists()


def test_nonsense_in_the_environment_is_one_line(tmp_path: Path) -> None:
    env = clean_environment(tmp_path, WATCHPOST_PORT="http", WATCHPOST_AUTH__TOKEN="hidden-1")
    process = python_run(tmp_path, env)
    assert process[0] != 0
    assert "port" in process[1]
    assert "Traceback" not in process[1]
    assert "hidden-1" not in process[1]


def python_run(cwd: Path, env: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "--host", "127.0.0.1"],
        cwd=cwd, env=env, capture_output=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


# ── ports and folders ────────────────────────────────────────────────────────────────────────


def test_a_data_folder_in_use_is_refused_with_a_clear_sentence(tmp_path: Path) -> None:
    with server(tmp_path) as first:
        first.wait_ready()
        with server(tmp_path) as second:
            assert second.wait() != 0
        assert "in use by another Watchpost" in second.output
        assert str(first.process.pid) in second.output
        assert "--data-dir" in second.output
        assert "Traceback" not in second.output
        assert first.get("/healthz").status_code == 200


def test_a_data_folder_in_use_is_refused_by_uvicorn_too(tmp_path: Path) -> None:
    with server(tmp_path) as first:
        first.wait_ready()
        with server(tmp_path, command=(*UVICORN, "main:app")) as second:
            assert second.wait() != 0
        assert "in use by another Watchpost" in second.output


def test_after_a_kill_no_child_is_left_the_folder_is_free_and_what_ran_runs_again(
    tmp_path: Path,
) -> None:
    folder_with_a_running_stream(tmp_path)
    with server(tmp_path, "--demo") as first:
        first.wait_ready()
        eventually(lambda: first.runs("demo"), timeout_s=3 * PATIENCE_S)
        family = psutil.Process(first.process.pid).children(recursive=True)
        first.end(signal.SIGKILL)
        eventually(lambda: not [p for p in family if p.is_running() and p.status() != "zombie"])
    with server(tmp_path) as second:
        second.wait_ready()
        status = eventually(lambda: _status(second.get("/api/streams/kept")))
        assert status in ("starting", "reconnecting")
        assert second.end() == 0


@pytest.mark.parametrize("command", [RUN, (*UVICORN, "main:app")], ids=["run", "uvicorn"])
def test_a_port_that_is_taken_ends_the_start_before_anything_resumes(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    folder_with_a_running_stream(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with server(tmp_path, command=command, port=taken.getsockname()[1]) as second:
            assert second.wait() != 0
        assert "in use" in second.output.lower()
        assert "stream kept" not in second.output
        assert "Traceback" not in second.output


def _status(reply: httpx.Response) -> str | None:
    return reply.json()["data"]["status"] if reply.status_code == 200 else None


@pytest.mark.parametrize("where", ["data-file", "data/watchpost.db"])
def test_a_place_that_cannot_be_written_is_one_clear_line(where: str, tmp_path: Path) -> None:
    arguments: tuple[str, ...] = ()
    if where == "data-file":
        (tmp_path / "occupied").write_text("a file", encoding="utf-8")
        arguments = ("--data-dir", str(tmp_path / "occupied"))
    else:
        (tmp_path / where).mkdir(parents=True)
    with server(tmp_path, *arguments) as started:
        assert started.wait() != 0
    assert re.search(r"(?i)data folder|database", started.output)
    assert "Traceback" not in started.output


def test_a_database_that_cannot_be_reached_shows_no_password(tmp_path: Path) -> None:
    with server(tmp_path, "--database-url", "mysql+nodriver://u:hidden-1@192.0.2.1/db") as started:
        assert started.wait() != 0
    assert "hidden-1" not in started.output
    assert "Traceback" not in started.output


# ── secrets ──────────────────────────────────────────────────────────────────────────────────


def test_the_token_is_made_once_and_printed_once_and_only_its_owner_reads_it(
    tmp_path: Path,
) -> None:
    with server(tmp_path) as first:
        first.wait_ready()
    token = (tmp_path / "data" / "token").read_text(encoding="utf-8").strip()
    assert len(token) >= 32
    assert first.output.count(token) == 1
    assert mode_of(tmp_path / "data" / "token") == 0o600
    (tmp_path / "data" / "token").chmod(0o644)
    with server(tmp_path, "--require-token") as second:
        second.wait_ready()
        bearer = {"Authorization": f"Bearer {token}"}
        assert second.get("/api/streams", headers=bearer).status_code == 200
        assert second.get(f"/api/streams?token={token}").status_code == 200
    assert token not in second.output
    assert mode_of(tmp_path / "data" / "token") == 0o600


def test_the_access_log_shows_no_camera_password(tmp_path: Path) -> None:
    with server(tmp_path, "--debug") as started:
        started.wait_ready()
        camera = "rtsp://admin:hidden-1@127.0.0.1:9/cam?password=hidden-2"
        for url in (camera, camera.replace(":", "%3A").replace("/", "%2F").replace("@", "%40")):
            started.get(f"/api/streams/by-input?input_url={url}")
        started.post("/api/streams/a/start", json={"rtsp_url": camera})
        started.get(f"/api/{camera}")
    assert "by-input" in started.output
    assert "hidden-" not in started.output


# ── the end ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.alone  # it must end within seconds
def test_sigterm_ends_quickly_with_success_also_while_somebody_watches(tmp_path: Path) -> None:
    with server(tmp_path, "--demo") as started:
        started.wait_ready()
        assert f"http://localhost:{started.port}" in started.output
        assert "/viewer#demo" in started.output
        eventually(lambda: started.runs("demo"))
        watching = threading.Semaphore(0)
        ended: list[str] = []

        def watch() -> None:
            url = f"{started.url}/api/streams/demo/mjpeg"
            try:
                with httpx.stream("GET", url, timeout=60, trust_env=False) as reply:
                    parts = reply.iter_raw()
                    next(parts)
                    watching.release()
                    for _ in parts:
                        pass
                ended.append("in order")
            except httpx.HTTPError as error:
                ended.append(repr(error))

        viewers = [threading.Thread(target=watch) for _ in range(3)]
        for viewer in viewers:
            viewer.start()
        for _ in viewers:
            assert watching.acquire(timeout=PATIENCE_S)
        begun = time.monotonic()
        assert started.end() == 0
        assert time.monotonic() - begun < 10
        for viewer in viewers:
            viewer.join(30)
        assert ended == ["in order"] * 3
    assert "Traceback" not in started.output


@pytest.mark.alone
@pytest.mark.parametrize("number", [2, 15], ids=["SIGINT", "SIGTERM"])
def test_a_signal_during_a_start_that_hangs_ends_with_success(number: int, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, server(tmp_path) as started:
        started.wait_ready()
        replies: list[int] = []

        def ask() -> None:
            url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/cam"
            try:
                replies.append(
                    started.post("/api/streams/a/start", json={"rtsp_url": url}).status_code
                )
            except httpx.HTTPError:
                replies.append(0)

        asking = threading.Thread(target=ask)
        asking.start()
        silent.settimeout(30)
        connection, _ = silent.accept()
        begun = time.monotonic()
        assert started.end(number) == 0
        assert time.monotonic() - begun < 10
        asking.join(30)
        connection.close()
        assert replies == [503], "who waits for a start is told"
    assert "Traceback" not in started.output


def test_reload_keeps_the_flags(tmp_path: Path) -> None:
    port = free_port()
    with server(tmp_path, "--reload", "--require-token", "--token", "abc", port=port) as started:
        started.wait_ready()
        assert started.get("/api/streams").status_code == 401
        assert started.get("/api/streams?token=abc").status_code == 200
        assert started.end() == 0
