"""Calls for a running stream: the demo, which needs no camera."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fixtures import PATIENCE_S, Running, running

from app.config import AuthSettings, Settings
from app.main import create_app

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def demo(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("demo"),
        auth=AuthSettings(token="x"),
        demo=True,
    )
    async with running(create_app(settings)) as app:
        yield app


@pytest.fixture
async def local_client(demo: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with demo.client() as client:
        await state(client, "running")
        yield client


async def state(client: httpx.AsyncClient, wanted: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            reply = await client.get("/api/streams/demo")
            if reply.status_code == 200 and reply.json()["data"]["status"] == wanted:
                return dict(reply.json()["data"])
            await asyncio.sleep(0.02)


async def test_the_demo_shows_its_faces_and_numbers(local_client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (shown := await state(local_client, "running"))["stats"]["faces"] == 0:
            await asyncio.sleep(0.02)
    assert set(shown) == {"stream_id", "status", "config", "stats", "reduced"}
    stats = shown["stats"]
    assert stats["frames_published"] > 0
    assert (stats["width"], stats["height"]) == (1280, 720)
    assert {"p50", "p95"} == set(stats["latency_ms"])
    assert shown["config"]["output_url"] is None


async def test_the_demo_is_not_in_the_list_of_streams_that_publish(
    local_client: httpx.AsyncClient,
) -> None:
    assert (await local_client.get("/api/streams")).json()["data"] == []


async def test_its_picture_is_a_jpeg_that_nobody_stores(local_client: httpx.AsyncClient) -> None:
    reply = await local_client.get("/api/streams/demo/jpeg")
    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.content[:2] == b"\xff\xd8"
    assert reply.content[-2:] == b"\xff\xd9"


async def test_the_page_can_start_it_where_it_runs_already(
    local_client: httpx.AsyncClient,
) -> None:
    reply = await local_client.post("/api/demo")
    assert reply.status_code == 201
    assert (reply.json()["camera_id"], reply.json()["kind"]) == ("demo", "demo")


async def test_it_can_be_stopped_and_restarted(local_client: httpx.AsyncClient) -> None:
    stopped = await local_client.post("/api/streams/demo/stop")
    assert stopped.json() == {"success": True, "data": {"stream_id": "demo", "status": "STOPPED"}}
    assert (await local_client.get("/api/streams/demo")).json()["data"]["status"] == "stopped"
    for picture in ("jpeg", "mjpeg"):
        reply = await local_client.get(f"/api/streams/demo/{picture}")
        assert (reply.status_code, reply.json()["code"]) == (503, "NO_PICTURE")
    restarted = await local_client.post("/api/streams/demo/restart")
    assert restarted.status_code == 200, restarted.text
    assert restarted.json() == {
        "success": True,
        "data": {"stream_id": "demo", "status": "running"},
    }
