"""What nodes do for a front over its HTTP API, and what happens when they or the front are killed.

A job, and uploaded photos.
"""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures import running
from support.plates import photo_jpeg

from app.config import AuthSettings, ClusterSettings, Settings
from app.main import create_app

from .test_cluster import MOVES_WITHIN_S, kill, kill_process, on_a_loop, own_token, raylets
from .test_node_files import eventually, frames_in

__all__ = ["own_token", "raylets"]  # fixtures

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


@on_a_loop
async def test_jobs_and_uploads_go_on_when_nodes_die_and_when_the_front_is_started_again(
    tmp_path: Path, raylets: list[Any], camera: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path / "front",
        cluster=ClusterSettings(address="auto", cpu_per_stream=1.0),
        auth=AuthSettings(disabled=True),
    )
    asked = {"sources": [camera], "duration": 600, "segment_s": 2, "name": "yard"}
    async with running(create_app(settings)) as app, app.client() as client:
        job = await eventually(lambda: _started(client, asked), "a node with room")
        first = await eventually(lambda: _file_of(client, job, []), "a file")
        lost = (await _job(client, job))["sources"][0]["node"]
        await _it_can_be_downloaded(client, first)

        killed_ts = time.time()
        kill(next(one for one in raylets if one.node_id[:8] in lost))
        second = await eventually(lambda: _file_of(client, job, [first["node"]]), "another file")
        now = await _job(client, job)
        assert now["sources"][0]["node"] not in (None, lost)
        gap = now["gaps"][0]
        assert f"node {lost} was lost" in gap["reason"]
        assert gap["from_ts"] < killed_ts + 1
        assert gap["to_ts"] - killed_ts < MOVES_WITHIN_S
        await _it_can_be_downloaded(client, second)
        gone = await client.get(first["url"])
        assert (gone.status_code, gone.json()["code"]) == (503, "NODE_GONE"), gone.text
        listed = {one["file_id"]: one["available"] for one in await _files(client, job)}
        assert listed[first["file_id"]] is False
        assert listed[second["file_id"]] is True
        gaps = len(now["gaps"])

    async with running(create_app(settings)) as app, app.client() as client:
        known = len(await _files(client, job))

        async def more() -> bool:
            return len(await _files(client, job)) > known + 1

        await eventually(more, "files that are recorded after the front's start")
        again = await _job(client, job)
        assert (again["state"], len(again["gaps"])) == ("running", gaps)
        assert again["sources"][0]["node"] == now["sources"][0]["node"]
        assert (await client.delete(f"/collect/jobs/{job}")).json()["result"] == "cancelled"
        ended, files = await _job(client, job), await _files(client, job)
        assert ended["state"] == "cancelled"
        assert ended["frames"] == sum(one["frames"] for one in files)
        assert {one["node"] for one in files} == {first["node"], second["node"]}
        assert (await client.delete(f"/collect/jobs/{job}")).json()["result"] == "removed"

        await _uploads_are_read_on_nodes(client)
        await _uploads_are_read_although_a_process_is_killed(client, raylets, caplog)


async def _started(client: httpx.AsyncClient, asked: dict[str, Any]) -> str | None:
    reply = await client.post("/collect", json=asked)
    if reply.status_code == 503:
        assert "no node has room" in reply.json()["message"]
        return None
    assert reply.status_code == 200, reply.text
    return str(reply.json()["job_id"])


async def _job(client: httpx.AsyncClient, job: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/collect/jobs/{job}")).json()
    return found


async def _files(client: httpx.AsyncClient, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"/collect/jobs/{job}/files")).json()["files"]
    return found


async def _file_of(client: httpx.AsyncClient, job: str, not_of: list[str]) -> dict[str, Any] | None:
    """The first file that is on none of these nodes."""
    return next((one for one in await _files(client, job) if one["node"] not in not_of), None)


async def _it_can_be_downloaded(client: httpx.AsyncClient, file: dict[str, Any]) -> None:
    whole = await client.get(file["url"])
    assert whole.headers["content-type"] == "video/mp4"
    assert len(whole.content) == file["bytes"]
    assert frames_in(whole.content) == file["frames"]
    part = await client.get(file["url"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    head = await client.head(file["url"])
    assert int(head.headers["content-length"]) == len(whole.content)
    wrong = await client.get(file["url"], headers={"Range": f"bytes={len(whole.content)}-"})
    assert (wrong.status_code, wrong.json()["code"]) == (416, "BAD_RANGE")


PHOTO = photo_jpeg("PJY5472")


async def _upload(client: httpx.AsyncClient) -> str:
    """Upload a photo; returns what was read."""
    reply = await client.post("/api/upload", files={"file": ("car.jpg", PHOTO, "image/jpeg")})
    assert reply.status_code == 200, reply.text
    (plate,) = reply.json()["plates"]
    return str(plate["plate_number"])


async def _stored(client: httpx.AsyncClient) -> int:
    return int((await client.get("/api/sessions")).headers["X-Total-Count"])


async def _read(client: httpx.AsyncClient) -> tuple[float, float]:
    """How many photos nodes have read, and how many lines of text the front's own network."""
    metrics = (await client.get("/metrics")).text

    def total(series: str) -> float:
        found = re.findall(rf"^watchpost_{series} ([0-9.]+)$", metrics, re.MULTILINE)
        return sum(map(float, found))

    on_front = total(r'network_pictures_total{network="plate_text",outcome="answered"}')
    return total(r"node_photos_total{.*}"), on_front


async def _uploads_are_read_on_nodes(client: httpx.AsyncClient) -> None:
    for _ in range(4):
        assert await _upload(client) == "PJY5472"

    async def all_of_them() -> bool:
        return (await _read(client))[0] == 4

    await eventually(all_of_them, "the nodes report the photos that they have read")
    assert await _read(client) == (4, 0)
    assert await _stored(client) == 4
    spoilt = await client.post("/api/upload", files={"file": ("car.jpg", PHOTO[:900])})
    assert (spoilt.status_code, spoilt.json()["code"]) == (400, "BAD_UPLOAD")


async def _uploads_are_read_although_a_process_is_killed(
    client: httpx.AsyncClient, raylets: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    before = await _stored(client)
    uploads = [asyncio.create_task(_upload(client)) for _ in range(16)]
    while await _stored(client) < before + 2:
        await asyncio.sleep(0.01)
    kill_process(raylets)  # one of these is left, beside the head, which has no cores
    assert await asyncio.gather(*uploads) == ["PJY5472"] * 16
    assert await _stored(client) == before + 16
    assert "has not read a photo" in caplog.text
    assert (await _read(client))[1] > 0  # by the front

    async def by_the_node_again() -> bool:
        assert await _upload(client) == "PJY5472"
        return (await _read(client))[0] > 0  # of its new process, which counts from 0

    await eventually(by_the_node_again, "the node reads photos again")
