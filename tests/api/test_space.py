"""One size limit for everything that the server stores, tested on the whole server."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import httpx
import pytest
from fixtures import PATIENCE_S, Running, running
from support.plates import photo_jpeg
from support.rtsp import make_video

from app.config import AuthSettings, Settings, SpaceSettings
from app.main import create_app
from app.recording.retention import DiskSpace

pytestmark = pytest.mark.anyio
HOUR_S = 3600.0


def aged(path: Path, hours: float) -> Path:
    at = time.time() - hours * HOUR_S
    os.utime(path, (at, at))
    return path


async def recorded(local_client: httpx.AsyncClient, *, flagged: bool) -> str:
    body = {"sources": ["pattern.mp4"], "flagged": flagged, "duration": 1}
    job_id = str((await local_client.post("/collect", json=body)).json()["job_id"])
    async with asyncio.timeout(PATIENCE_S):
        while (job := (await local_client.get(f"/collect/jobs/{job_id}")).json())[
            "state"
        ] == "running":
            await asyncio.sleep(0.05)
    assert job["state"] == "completed", job
    return job_id


async def there(local_client: httpx.AsyncClient, job_id: str) -> bool:
    (file,) = (await local_client.get(f"/collect/jobs/{job_id}/files")).json()["files"]
    status = (await local_client.get(file["url"])).status_code
    assert (status == 404) == (file["removed_ts"] is not None)
    return status == 200


async def upload(local_client: httpx.AsyncClient, *, verified: bool) -> int:
    files = {"file": ("car.jpg", photo_jpeg("PJY5472"), "image/jpeg")}
    (plate,) = (await local_client.post("/api/upload", files=files)).json()["plates"]
    if verified:
        change = {"is_verified": True}
        assert (
            await local_client.put(f"/api/plates/{plate['id']}", json=change)
        ).status_code == 200
    return int(plate["id"])


async def shows(local_client: httpx.AsyncClient, plate_id: int) -> bool:
    return (await local_client.get(f"/api/plates/{plate_id}/image")).status_code == 200


async def test_the_oldest_goes_first_whatever_it_is_and_what_matters_last(tmp_path: Path) -> None:
    make_video(tmp_path / "pattern.mp4")
    data = tmp_path / "data"
    settings = Settings(
        _env_file=None,
        data_dir=data,
        media_dirs=[tmp_path],
        auth=AuthSettings(token="x"),
        space=SpaceSettings(min_free=0, every_s=10_000),
    )
    async with running(create_app(settings)) as app, app.client() as local_client:
        verified, plain = (
            await upload(local_client, verified=True),
            await upload(local_client, verified=False),
        )
        flagged, common = (
            await recorded(local_client, flagged=True),
            await recorded(local_client, flagged=False),
        )
        snapshot = data / "snapshots" / "000001" / "1.jpg"
        snapshot.parent.mkdir(parents=True)
        snapshot.write_bytes(bytes(20_000))
        pictures = {
            plate_id: [data / path for path in await _pictures(local_client, plate_id)]
            for plate_id in (verified, plain)
        }
        for path in pictures[verified]:
            aged(path, 9)
        aged(snapshot, 8)
        for path in pictures[plain]:
            aged(path, 7)

        async def sweep_until_gone(what: str) -> None:
            space = _space(app)
            await asyncio.to_thread(space.sweep)
            space.settings.max_bytes = space.used_bytes - 1
            assert await asyncio.to_thread(space.sweep) >= 1, what

        await sweep_until_gone("the snapshot is the oldest that is not verified")
        assert not snapshot.exists()
        assert await shows(local_client, plain)
        while await shows(local_client, plain):
            assert await there(local_client, common)
            await sweep_until_gone("pictures of the other plate")
        while await there(local_client, common):
            await sweep_until_gone("a recording that nobody flagged")
        assert await shows(local_client, verified)
        assert await there(local_client, flagged)
        _space(app).settings.max_bytes = 0
        await asyncio.to_thread(_space(app).sweep)
        assert not await shows(local_client, verified)
        assert not await there(local_client, flagged)
        assert _space(app).used_bytes == 0
        assert (await local_client.get(f"/api/plates/{verified}")).status_code == 200, "rows stay"


async def _pictures(local_client: httpx.AsyncClient, plate_id: int) -> list[str]:
    plate = (await local_client.get(f"/api/plates/{plate_id}")).json()
    return [plate["image_path"], plate["source_image_path"]]


def _space(app: Running) -> DiskSpace:
    space: DiskSpace = app.state["health"].space
    return space
