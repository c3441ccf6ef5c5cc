"""The server shows its load, its last errors and its settings, and backs itself up."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from fixtures import Running, running

from app.api import system_status
from app.config import AuthSettings, NotifySettings, Settings
from app.db.engine import open_database
from app.db.vault import open_vault
from app.main import create_app
from app.recent_problems import RECENT, RecentProblems

from .conftest import TOKEN

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def server(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("data"),
        demo=True,
        auth=AuthSettings(token=TOKEN),
        notify=NotifySettings(contact="mailto:me@example.com"),
    )
    async with running(create_app(settings)) as app:
        yield app


@pytest.fixture
async def client(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as one:
        yield one


@pytest.fixture
def problems() -> Iterator[None]:
    RECENT.clear()
    yield
    RECENT.clear()


# ── status ───────────────────────────────────────────────────────────────────────────────────


async def test_the_status_shows_load_by_part_and_camera(client: httpx.AsyncClient) -> None:
    for _ in range(200):
        status = (await client.get("/api/system/status")).json()
        if status["cameras"] and status["cameras"][0]["numbers"]["frames_published"]:
            break
        await asyncio.sleep(0.1)
    (demo,) = status["cameras"]
    assert (demo["camera_id"], demo["max_fps"]) == ("demo", 15)
    parts = {(one["part"], one["camera_id"]): one["cpu_s"] for one in status["parts"]}
    assert {("input", "demo"), ("detect", "demo"), ("blur", "demo")} <= set(parts)
    assert sum(parts.values()) > 0.1
    assert status["machine"]["memory_bytes"] > 50e6
    assert status["disk"]["free"] <= status["disk"]["size"]
    assert (status["database"]["kind"], status["database"]["bytes"] > 0) == ("sqlite", True)
    assert "openvino" in status["packages"]
    assert {one["purpose"] for one in status["networks"]} >= {"faces", "objects"}
    assert status["started_ts"] < status["now_ts"] <= time.time()


async def test_what_is_wrong_is_said_in_the_callers_language(client: httpx.AsyncClient) -> None:
    camera = {"camera_id": "nobody", "source": "rtsp://127.0.0.1:9/live", "start_timeout_s": 1}
    (await client.post("/cameras", json=camera)).raise_for_status()
    russian = {"Accept-Language": "ru"}
    for _ in range(200):
        status = (await client.get("/api/system/status", headers=russian)).json()
        (shown,) = (one for one in status["cameras"] if one["camera_id"] == "nobody")
        if shown["problem"] is not None:
            break
        await asyncio.sleep(0.1)
    await client.delete("/camera/nobody")
    assert shown["problem"] == "соединение отклонено"
    assert "connection refused" in shown["numbers"]["last_error"]


@pytest.mark.parametrize(
    ("thread", "part"),
    [
        ("gate-blur", ("blur", "gate")),
        ("north-gate-2-input", ("input", "north-gate-2")),
        ("gate-analyze_0", ("analyze", "gate")),
        ("gone-blur", ("blur", None)),
        ("faces-0", ("network", None)),
        ("worker_3", ("worker", None)),
        ("MainThread", ("server", None)),
        ("native", ("networks and codecs", None)),
        ("remuxer", ("other", None)),
    ],
)
def test_threads_belong_to_parts(thread: str, part: tuple[str, str | None]) -> None:
    assert system_status._part(thread, {"gate", "north-gate-2"}) == part


# ── the last errors ──────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("problems")
async def test_warnings_and_errors_are_listed_without_secrets(client: httpx.AsyncClient) -> None:
    log = logging.getLogger("app.test")
    log.info("nothing to see")
    for _ in range(3):
        log.warning("camera %s is lost", "rtsp://admin:s3cret@192.0.2.1/live")
    try:
        raise OSError("no route for token=s3cret")
    except OSError:
        log.exception("it failed\nbadly")
    found = (await client.get("/api/system/log")).json()
    assert [(one["level"], one["count"], one["source"]) for one in found] == [
        ("error", 1, "app.test"),
        ("warning", 3, "app.test"),
    ]
    assert found[0]["text"].startswith("it failed badly: OSError: no route")
    assert "192.0.2.1" in found[1]["text"]
    assert "s3cret" not in str(found)
    assert len((await client.get("/api/system/log?limit=1")).json()) == 1


def test_the_list_of_problems_is_bounded() -> None:
    recent = RecentProblems(limit=3)
    log = logging.Logger("app.bounded")
    log.addHandler(recent)
    for number in range(10):
        log.error("number %d", number)
    log.error("number %d", 7)
    log.error("%d", "no number")
    log.error("x" * 5000)
    texts = [one.text for one in recent.newest()]
    assert [len(texts[0]), *texts[1:]] == [1000, "%d", "number 7"]


# ── settings ─────────────────────────────────────────────────────────────────────────────────


async def test_settings_are_listed_without_secrets(client: httpx.AsyncClient) -> None:
    found = {one["name"]: one for one in (await client.get("/api/system/settings")).json()}
    assert found["auth.token"]["value"] == "***"
    assert TOKEN not in str(found)
    assert found["space.max_days"] == {
        "name": "space.max_days",
        "variable": "WATCHPOST_SPACE__MAX_DAYS",
        "value": None,
        "default": None,
        "live": True,
        "description": "Age in days after which files are removed. Default: no limit.",
    }
    assert not found["faces.width"]["live"]


async def test_some_settings_change_at_once(server: Running, client: httpx.AsyncClient) -> None:
    values = {"space.max_days": 14, "log_level": "error", "recording.event_days": 3}
    reply = await client.patch("/api/system/settings", json={"values": values})
    assert reply.status_code == 200, reply.text
    changed = {one["name"]: one["value"] for one in reply.json()}
    assert {name: changed[name] for name in values} == values
    assert server.state["health"].space.settings.max_days == 14
    assert logging.getLogger("app").level == logging.ERROR
    back = {"space.max_days": None, "log_level": "info", "recording.event_days": 30}
    await client.patch("/api/system/settings", json={"values": back})
    assert server.state["health"].space.settings.max_days is None


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"faces.width": 640},
        {"auth.token": "x"},
        {"no.such": 1},
        {"space.max_days": -1},
        {"space.max_days": "many"},
        {"log_level": "loud"},
        {"space.max_events": None},
        {"space.max_days": 5, "log_level": "loud"},
    ],
)
async def test_wrong_changes_change_nothing(
    client: httpx.AsyncClient, values: dict[str, object]
) -> None:
    before = (await client.get("/api/system/settings")).json()
    reply = await client.patch("/api/system/settings", json={"values": values})
    assert (reply.status_code, reply.json()["code"]) == (400, "INVALID_REQUEST")
    assert (await client.get("/api/system/settings")).json() == before


# ── backup ───────────────────────────────────────────────────────────────────────────────────


async def test_a_backup_is_a_whole_database_that_a_server_can_open(
    server: Running, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    target = {"kind": "webhook", "name": "In the backup", "options": {"url": "https://a.example"}}
    assert (await client.post("/api/targets", json=target)).status_code == 201
    reply = await client.get("/api/system/backup")
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-disposition"].startswith('attachment; filename="watchpost-2')
    data_dir = server.state["system"].settings.data_dir
    assert list(data_dir.glob("backup-*")) == []
    copy = tmp_path / "watchpost.db"
    copy.write_bytes(reply.content)
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    engine = open_database(f"sqlite:///{copy}", open_vault(data_dir, None))
    with engine.connect() as opened:
        names = opened.exec_driver_sql("SELECT name FROM notify_targets").scalars().all()
    engine.dispose()
    assert names == ["In the backup"]
    rows = (await client.get("/api/audit")).json()
    assert "GET /api/system/backup" in [row["action"] for row in rows["rows"]]


async def test_one_backup_is_made_at_a_time(server: Running, client: httpx.AsyncClient) -> None:
    async with server.state["system"].copying:
        reply = await client.get("/api/system/backup")
    assert (reply.status_code, reply.json()["code"]) == (409, "BACKUP_RUNNING")
