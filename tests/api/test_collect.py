"""Collection jobs over HTTP: errors, lists, labels, schedules."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures import PATIENCE_S, Running, running
from support.watchpost import clear_view

from app.config import AuthSettings, Settings
from app.main import create_app

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def served(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("collect")
    settings = Settings(
        _env_file=None,
        data_dir=folder / "data",
        media_dirs=[folder],
        auth=AuthSettings(token="x"),
    )
    (folder / "words.mp4").write_text("this is no video", encoding="utf-8")
    async with running(create_app(settings)) as app:
        yield app


async def ended(local_client: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while (job := (await local_client.get(f"/collect/jobs/{job_id}")).json())[
            "state"
        ] == "running":
            await asyncio.sleep(0.05)
    return dict(job)


async def failed_job(local_client: httpx.AsyncClient, **body: object) -> str:
    """A job with a file that is not a video: it ends at once."""
    reply = await local_client.post("/collect", json={"sources": ["words.mp4"], **body})
    assert reply.status_code == 200, reply.text
    job_id = str(reply.json()["job_id"])
    assert (await ended(local_client, job_id))["state"] == "failed"
    return job_id


async def test_a_program_hears_that_the_server_runs(local_client: httpx.AsyncClient) -> None:
    reply = await local_client.get("/")
    assert reply.json() == {"message": "Camera Collector API is running!"}
    person = await local_client.get("/", headers={"Accept": "text/html,*/*"})
    assert person.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("body", [None, {}])
async def test_without_a_body_the_reply_is_the_contracts_also_when_nothing_runs(
    local_client: httpx.AsyncClient, body: dict[str, Any] | None
) -> None:
    reply = (
        await local_client.post("/collect", json=body)
        if body is not None
        else await local_client.post("/collect")
    )
    assert reply.status_code == 200
    job_id = reply.json()["job_id"]
    message = f"Collection started with Job ID {job_id}"
    assert reply.json() == {"job_id": job_id, "message": message}
    job = await ended(local_client, job_id)
    assert job["state"] == "failed"
    assert "no stream or camera is running" in job["error"]
    assert (job["duration"], job["steps"], job["blur"]) == (60, 5, True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"duration": 0}, "duration"),
        ({"duration": "60"}, "duration"),
        ({"duration": 1e9}, "duration"),
        ({"segment_s": 0.5}, "segment_s"),
        ({"steps": 0}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"steps": True}, "steps"),
        ({"blur": "false"}, "blur"),
        ({"blur": 0}, "blur"),
        ({"retries": -1}, "retries"),
        ({"backoff_s": 0}, "backoff_s"),
        ({"name": ""}, "name"),
        ({"tags": "night"}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"sources": "cam-1"}, "sources"),
        ({"sources": [""]}, "sources"),
        ({"sources": ["words.mp4"] * 65}, "sources"),
        ({"unknown": 1}, "unknown"),
        ({"sources": ["no-such-stream"]}, "sources.0"),
        ({"sources": ["words.mp4", "/etc/passwd"]}, "sources.1"),
        ({"sources": ["file:///etc/passwd"]}, "sources.0"),
        ({"sources": ["http://192.0.2.1/x"], "blur": False, **clear_view()}, "sources.0"),
        ({"sources": ["0"], "blur": False, **clear_view()}, "sources.0"),
        ({"sources": ["ftp://192.0.2.1/x"]}, "sources.0"),
        ({"sources": ["a" * 2000]}, "sources.0"),
        ({"sources": ["a\0b"]}, "sources.0"),
        ({"sources": ["rtsp://169.254.169.254/x"]}, "sources.0"),
        ({"sources": ["rtsp://"]}, "sources.0"),
        ({"sources": ["push:"]}, "sources.0"),
        ({"sources": ["demo:"]}, "sources.0"),
    ],
)
async def test_a_bad_parameter_is_named(
    local_client: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    reply = await local_client.post("/collect", json=body)
    assert (reply.status_code, reply.json()["code"]) == (400, "INVALID_REQUEST")
    assert reply.json()["details"]["field"] == field


async def test_every_bad_parameter_is_named(local_client: httpx.AsyncClient) -> None:
    reply = await local_client.post("/collect", json={"duration": -1, "steps": "x", "blur": 3})
    named = [problem["field"] for problem in reply.json()["details"]["errors"]]
    assert named == ["duration", "steps", "blur"]
    reply = await local_client.post("/collect", json={"sources": ["none-a", "words.mp4", "none-b"]})
    named = [problem["field"] for problem in reply.json()["details"]["errors"]]
    assert named == ["sources.0", "sources.2"]


async def test_a_source_that_is_not_there_is_told_in_words(local_client: httpx.AsyncClient) -> None:
    reply = await local_client.post("/collect", json={"sources": ["no-such-camera"]})
    assert reply.json()["details"]["reason"].startswith("no stream or camera has this id")
    reply = await local_client.post("/collect", json={"sources": ["rtsp://"]})
    assert reply.json()["details"]["reason"] == "there is no host"


async def test_jobs_are_listed_with_filters_and_pages(local_client: httpx.AsyncClient) -> None:
    one = await failed_job(local_client, name="List one", tags=["list", "a"])
    two = await failed_job(local_client, name="List two", tags=["list"])

    async def found(**query: str | int) -> tuple[list[str], int]:
        reply = await local_client.get("/collect/jobs", params={"tag": "list", **query})
        assert reply.status_code == 200, reply.text
        return [job["job_id"] for job in reply.json()["jobs"]], reply.json()["total"]

    assert await found() == ([two, one], 2)
    assert await found(limit=1, offset=1) == ([one], 2)
    assert await found(name="two") == ([two], 1)
    assert await found(tag="a") == ([one], 1)
    assert await found(state="failed") == ([two, one], 2)
    assert await found(state="running") == ([], 0)
    assert await found(until=0) == ([], 0)
    for query in (
        {"state": "odd"},
        {"limit": 0},
        {"limit": 501},
        {"offset": -1},
        {"offset": 10**20},
        {"since": "x"},
        {"since": "nan"},
        {"until": "inf"},
    ):
        reply = await local_client.get("/collect/jobs", params=query)
        assert (reply.status_code, reply.json()["details"]["field"]) == (400, next(iter(query)))


@pytest.mark.parametrize("body", ["{", "[]", "1", '"x"'])
async def test_a_body_that_is_no_job_is_a_400(local_client: httpx.AsyncClient, body: str) -> None:
    reply = await local_client.post(
        "/collect", content=body, headers={"Content-Type": "application/json"}
    )
    assert (reply.status_code, reply.json()["code"]) == (400, "INVALID_REQUEST"), reply.text


async def test_a_job_can_be_named_tagged_and_flagged(local_client: httpx.AsyncClient) -> None:
    job_id = await failed_job(local_client, name="before", tags=["x"])
    changed = await local_client.patch(f"/collect/jobs/{job_id}", json={"flagged": True})
    job = changed.json()
    assert (job["flagged"], job["name"], job["tags"]) == (True, "before", ["x"])
    changed = await local_client.patch(
        f"/collect/jobs/{job_id}", json={"name": "after", "tags": []}
    )
    job = changed.json()
    assert (job["flagged"], job["name"], job["tags"]) == (True, "after", [])
    refused = await local_client.patch(f"/collect/jobs/{job_id}", json={"state": "completed"})
    assert (refused.status_code, refused.json()["details"]["field"]) == (400, "state")


async def test_logs_come_in_pages(local_client: httpx.AsyncClient) -> None:
    job_id = await failed_job(local_client)
    whole = (await local_client.get(f"/collect/jobs/{job_id}/logs")).json()
    assert whole["logs"][0]["text"] == f"Collection started with Job ID: {job_id}"
    assert whole["logs"][-1]["text"].startswith(f"Error with Job ID {job_id}: ")
    page = (await local_client.get(f"/collect/jobs/{job_id}/logs?limit=1&offset=1")).json()
    assert page["logs"] == whole["logs"][1:2]
    assert page["total"] == whole["total"] == len(whole["logs"])


# ── schedules ────────────────────────────────────────────────────────────────────────────────


async def test_the_life_of_a_schedule(local_client: httpx.AsyncClient) -> None:
    body = {"cron": "0 3 * * *", "timezone": "Asia/Seoul", "sources": ["words.mp4"], "name": "x"}
    made = await local_client.post("/collect/schedules", json=body)
    assert made.status_code == 200, made.text
    schedule = made.json()
    path = f"/collect/schedules/{schedule['schedule_id']}"
    assert schedule["next_run_ts"] % 86_400 == 18 * 3600, "three o'clock in Seoul"
    assert (await local_client.get(path)).json() == schedule
    assert schedule in (await local_client.get("/collect/schedules")).json()
    off = (await local_client.patch(path, json={"enabled": False})).json()
    assert (off["enabled"], off["next_run_ts"], off["cron"]) == (False, None, "0 3 * * *")
    assert (await local_client.delete(path)).status_code == 204
    for reply in (
        await local_client.get(path),
        await local_client.delete(path),
        await local_client.patch(path, json={}),
    ):
        assert (reply.status_code, reply.json()["code"]) == (404, "SCHEDULE_NOT_FOUND")


async def test_a_schedule_is_changed_or_stays_as_it_was(local_client: httpx.AsyncClient) -> None:
    body = {"cron": "0 3 * * *", "sources": ["words.mp4"], "duration": 7, "tags": ["x"]}
    before = (await local_client.post("/collect/schedules", json=body)).json()
    path = f"/collect/schedules/{before['schedule_id']}"
    for change, field in (
        ({"cron": "99 * * * *"}, "cron"),
        ({"cron": ""}, "cron"),
        ({"cron": None}, "cron"),
        ({"timezone": "Nowhere"}, "timezone"),
        ({"enabled": "yes"}, "enabled"),
        ({"enabled": None}, "enabled"),
        ({"schedule_id": "x"}, "schedule_id"),
    ):
        refused = await local_client.patch(path, json=change)
        assert (refused.status_code, refused.json()["details"]["field"]) == (400, field), change
        assert (await local_client.get(path)).json() == before
    refused = await local_client.patch(path, json={"cron": "99 * * * *", "enabled": False})
    assert (await local_client.get(path)).json() == before, "all of a change, or none"

    moved = (
        await local_client.patch(path, json={"cron": "30 4 * * *", "timezone": "Asia/Seoul"})
    ).json()

    assert moved["next_run_ts"] % 86_400 == 19.5 * 3600, "half past four in Seoul"
    assert {key for key in before if moved[key] != before[key]} == {
        "cron",
        "timezone",
        "next_run_ts",
    }
    off = (await local_client.patch(path, json={"enabled": False})).json()
    assert off["next_run_ts"] is None
    again = (await local_client.patch(path, json={"enabled": True})).json()
    assert again == moved
    assert (await local_client.get("/collect/schedules")).json()[-1] == moved
    await local_client.delete(path)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "cron"),
        ({"cron": "99 * * * *"}, "cron"),
        ({"cron": "0 3 * * *", "timezone": "Nowhere"}, "timezone"),
        ({"cron": "0 3 * * *", "sources": ["none"]}, "sources.0"),
        ({"cron": "0 3 * * *", "duration": 0}, "duration"),
    ],
)
async def test_a_schedule_of_no_use_is_refused_by_name(
    local_client: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    reply = await local_client.post("/collect/schedules", json=body)
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, field)


async def test_a_schedule_starts_jobs_that_know_it(
    local_client: httpx.AsyncClient, served: Running
) -> None:
    scheduler = served.state["scheduler"]
    body = {"cron": "* * * * *", "sources": ["words.mp4"]}
    schedule_id = (await local_client.post("/collect/schedules", json=body)).json()["schedule_id"]
    scheduler._due[schedule_id] = 0.0  # now, not at the end of the minute
    await scheduler.tick()
    shown = (await local_client.get(f"/collect/schedules/{schedule_id}")).json()
    listed = (await local_client.get("/collect/jobs", params={"schedule_id": schedule_id})).json()
    assert [job["job_id"] for job in listed["jobs"]] == [shown["last_job_id"]]
    await ended(local_client, shown["last_job_id"])
    await local_client.delete(f"/collect/schedules/{schedule_id}")


async def test_with_a_lost_key_a_schedule_says_so_and_does_not_try_its_host(
    anyio_backend: str, tmp_path: Path
) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, auth=AuthSettings(token="x"))
    with socket.create_server(("127.0.0.1", 0)) as camera:
        url = f"rtsp://admin:hidden@127.0.0.1:{camera.getsockname()[1]}/live"
        body = {"cron": "0 3 1 1 *", "sources": [url], "retries": 0}
        async with running(create_app(settings)) as app, app.client() as client:
            made = (await client.post("/collect/schedules", json=body)).json()
            assert made["error"] is None
        (tmp_path / "secret.key").unlink()
        async with running(create_app(settings)) as app, app.client() as client:
            path = f"/collect/schedules/{made['schedule_id']}"
            assert "secret.key" in (await client.get(path)).json()["error"]
            app.state["scheduler"]._due[made["schedule_id"]] = 0.0  # now
            await app.state["scheduler"].tick()
            schedule = (await client.get(path)).json()
            job = await ended(client, schedule["last_job_id"])
            assert (job["state"], job["error"]) == ("failed", schedule["error"])
        camera.setblocking(False)
        with pytest.raises(BlockingIOError):
            camera.accept()


def test_the_sockets_of_streams_and_events_come_before_that_of_jobs(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    paths = [getattr(route, "path", "") for route in _routes(create_app(settings))]
    sockets = [path for path in paths if path.startswith("/ws")]
    assert sockets[-1] == "/ws/{job_id}"


def _routes(app: Any) -> list[Any]:
    """All routes in the order in which they are tried."""
    found: list[Any] = []

    def visit(routes: list[Any]) -> None:
        for route in routes:
            inner = getattr(route, "original_router", None) or getattr(route, "routes", None)
            if inner is not None and not hasattr(route, "endpoint"):
                visit(list(getattr(inner, "routes", inner) or []))
            else:
                found.append(route)

    visit(app.routes)
    return found
