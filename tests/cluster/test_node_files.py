"""Snapshots, clips and recordings of streams on nodes, over the front's HTTP API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from fixtures import Running, running

from app.config import AuthSettings, ClusterSettings, RecordingSettings, Settings
from app.main import create_app

from .test_cluster import (
    PATIENCE_S,
    added,
    kill,
    on_a_loop,
    own_token,
    raylets,
)

__all__ = ["own_token", "raylets"]  # fixtures

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


async def eventually(ask: Callable[[], Awaitable[Any]], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := await ask()):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.2)
    return found


def frames_in(film: bytes) -> int:
    with av.open(BytesIO(film), "r") as container:
        return len(list(container.decode(video=0)))


@on_a_loop
async def test_what_nodes_store_is_fetched_through_the_front(
    tmp_path: Path, raylets: list[Any]
) -> None:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path / "front",
        cluster=ClusterSettings(address="auto"),
        auth=AuthSettings(disabled=True),
        recording=RecordingSettings(segment_s=10),
    )
    async with running(create_app(settings)) as app, app.client() as client:
        streams = app.state["manager"]
        await added(streams, "one", {"smoking": {}, "plates": {}}, "continuous")
        node = str(streams.node_of("one"))
        event = await eventually(lambda: _event_with(client, "snapshot"), "an event")
        await _snapshot_and_clip_are_there(client, event)
        await _recordings_are_there(client)
        await _an_erased_event_has_no_file_on_its_node(app, client, tmp_path)

        await _the_node_says_what_it_does(client, node)
        event = await eventually(lambda: _all_stored(client), "an event with its clip")

        kill(next(one for one in raylets if one.node_id[:8] in node))
        await eventually(lambda: _gone(client, event["snapshot"]), "503 of a lost node")
        period = {"stream": "one", "from": event["ts"] - 5, "to": event["ts"] + 1}
        for path in (event["clip"], "/api/recordings/export", "/api/recordings/play.mp4"):
            reply = await client.get(path, params=period if "recordings" in path else None)
            assert reply.status_code == 503, reply.text
            assert reply.json()["code"] == "NODE_GONE"
            assert "does not answer" in reply.json()["message"]
        lost = (await client.get("/metrics")).text
        assert f'watchpost_node_up{{node="{node}"}} 0.0' in lost
        frame = {"stream": "one", "at": event["ts"]}
        assert (await client.get("/api/recordings/frame", params=frame)).status_code == 503
        assert (await client.get("/api/recordings", params=period)).json()["spans"]


async def _the_node_says_what_it_does(client: httpx.AsyncClient, node: str) -> None:
    metrics = (await client.get("/metrics")).text
    for series in ("node_up", "node_streams"):
        assert f'watchpost_{series}{{node="{node}"}} 1.0' in metrics
    assert f'watchpost_stream_node{{node="{node}",stream="one"}} 1.0' in metrics
    assert f'watchpost_node_network_batch_seconds_count{{network="faces",node="{node}"}}' in metrics
    nodes = (await client.get("/api/system/status")).json()["nodes"]
    mine = next(one for one in nodes if one["node"] == node)
    assert (mine["streams"], mine["answers"]) == (1, True)
    assert mine["cpu_s"] > 0.5
    assert mine["stored"] >= 0
    assert next(one for one in mine["networks"] if one["purpose"] == "objects")["batches"] > 0


async def _events(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/api/events")).json()["events"]
    return found


async def _event_with(client: httpx.AsyncClient, field: str) -> dict[str, Any] | None:
    return next((one for one in await _events(client) if one[field]), None)


async def _all_stored(client: httpx.AsyncClient) -> dict[str, Any] | None:
    """An event whose snapshot and clip are on its node."""
    for one in await _events(client):
        if one["snapshot"] and one["clip"] and (await client.get(one["clip"])).status_code == 200:
            return one
    return None


async def _gone(client: httpx.AsyncClient, path: str) -> bool:
    reply = await client.get(path)
    assert reply.status_code in (200, 503), reply.text
    return reply.status_code == 503


async def _clip(client: httpx.AsyncClient, path: str) -> httpx.Response | None:
    reply = await client.get(path)
    if reply.status_code == 503:
        assert reply.json()["code"] == "CLIP_NOT_READY"
        assert int(reply.headers["Retry-After"]) > 0
        return None
    assert reply.status_code == 200, reply.text
    return reply


async def _snapshot_and_clip_are_there(client: httpx.AsyncClient, event: dict[str, Any]) -> None:
    picture = await client.get(event["snapshot"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content.startswith(b"\xff\xd8")
    clip = await eventually(lambda: _clip(client, event["clip"]), "a clip")
    assert frames_in(clip.content) > 5
    part = await client.get(event["clip"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, clip.content[10:20])
    head = await client.head(event["clip"])
    assert int(head.headers["content-length"]) == len(clip.content)


async def _recordings_are_there(client: httpx.AsyncClient) -> None:
    now = time.time()
    period: dict[str, str | float] = {"stream": "one", "from": now - 600, "to": now + 600}

    async def span() -> Any:
        reply = (await client.get("/api/recordings", params=period)).json()
        assert reply["problem"] is None
        spans = [one for one in reply["spans"] if one["kind"] == "continuous"]
        return next((one for one in spans if one["end_ts"] - one["begin_ts"] > 12), None)

    found = await eventually(span, "a segment with its row, and the one that grows")
    assert found["begin_ts"] < now
    exported = await client.get("/api/recordings/export", params=period)
    assert exported.status_code == 200, exported.text
    assert frames_in(exported.content) > 30
    assert "filename*=utf-8''one-" in exported.headers["content-disposition"]
    at: dict[str, str | float] = {"stream": "one", "at": found["begin_ts"] + 1}
    frame = await client.get("/api/recordings/frame", params=at)
    assert frame.content.startswith(b"\xff\xd8")


async def _an_erased_event_has_no_file_on_its_node(
    app: Running, client: httpx.AsyncClient, tmp_path: Path
) -> None:

    event_id = int((await eventually(lambda: _all_stored(client), "an event"))["id"])
    name = app.state["event_repository"].get(event_id).snapshot_file
    file = next((tmp_path / "node").glob(f"node-*/snapshots/{name}"))
    reply = await client.post("/api/privacy/erase", json={"event_id": event_id})
    assert reply.status_code == 200, reply.text

    async def erased() -> bool:
        return not file.exists()

    await eventually(erased, "the file is erased on its node")
