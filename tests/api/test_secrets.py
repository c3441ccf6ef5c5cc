"""One planted secret of each kind, searched for in replies, logs, database and metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fixtures import LOOPBACK, REMOTE, Running, running

from app.access.secrets import TOKEN_PREFIX
from app.api.credentials import SESSION_COOKIE
from app.api.route_rights import TABLE
from app.config import AuthSettings, Settings
from app.main import create_app

from .test_rights import concrete

pytestmark = pytest.mark.anyio

TOKEN = "planted-server-token-0123456789abcdef"
PASSWORD = "planted-password-1"
WRONG = "planted-wrong-password"
CAMERA = "plantedCameraPw"
PLATE = "P1ANT3D"
ENDLESS = ("/events", "mjpeg", "/stream/video", "/api/doctor")


@pytest.fixture
async def server(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Running]:
    settings = Settings(_env_file=None, data_dir=tmp_path, auth=AuthSettings(token=TOKEN))
    async with running(create_app(settings)) as app:
        yield app


async def plant(server: Running) -> dict[str, str]:
    """Secrets in all places where a caller can put one; by kind."""
    async with server.client(REMOTE, "http://x.example") as browser:
        code = server.state["access"].setup_code
        user = {"name": "kim", "password": PASSWORD}
        wrong = await browser.post("/api/setup", json=user | {"code": WRONG})
        assert wrong.status_code == 401
        assert (await browser.post("/api/setup", json=user | {"code": code})).status_code == 201
        cookie = browser.cookies[SESSION_COOKIE]
        body = {"name": "program", "rights": ["view"]}
        token = (await browser.post("/api/tokens", json=body)).json()["token"]
        assert token.startswith(TOKEN_PREFIX)
        await browser.post("/api/sign-in", json={"name": "kim", "password": WRONG})
        await browser.get(f"/cameras?token={token}")
    async with server.client(LOOPBACK) as local:
        source = f"rtsp://admin:{CAMERA}@192.0.2.1:9/live"
        made = await local.post("/cameras", json={"camera_id": "gate", "source": source})
        assert made.status_code == 201, made.text
        await local.get("/api/search", params={"query": PLATE})
        await local.post("/api/privacy/export", json={"plate_number": PLATE})
    return {
        "server token": TOKEN,
        "password": PASSWORD,
        "wrong password": WRONG,
        "set-up code": code,
        "cookie": cookie,
        "API token": token,
        "camera password": CAMERA,
    }


async def replies(server: Running) -> dict[str, bytes]:
    """What an administrator gets from every route that only reads."""
    found = {}
    async with server.client(LOOPBACK) as client:
        for row in TABLE:
            path = concrete(row.path, "gate")
            if "GET" in row.methods and not any(part in path for part in ENDLESS):
                reply = await client.get(path)
                assert reply.status_code < 500 or reply.status_code == 503, path
                found[path] = reply.content + str(reply.headers).encode()
    return found


async def test_no_planted_secret_is_found_anywhere(
    server: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = await plant(server)
    await asyncio.sleep(0.2)
    places = await replies(server)
    assert len(places) > 40
    places["log"] = caplog.text.encode()
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.name != "secret.key":
            places[str(file.relative_to(tmp_path))] = file.read_bytes()
    assert any(name.startswith("watchpost.db") for name in places)
    found = [
        (kind, place)
        for kind, secret in secrets.items()
        for place, content in places.items()
        if secret.encode() in content
    ]
    assert found == []
    audited = [name for name in places if name.startswith("/api/audit") or name == "log"]
    assert [name for name in audited if PLATE.encode() in places[name]] == []


async def test_the_search_itself_can_find(server: Running) -> None:
    async with server.client(LOOPBACK) as local:
        await local.post("/cameras", json={"camera_id": "gate", "source": "rtsp://192.0.2.1:9/x"})
    assert any(b"192.0.2.1:9/x" in content for content in (await replies(server)).values())
