"""Metrics and readiness: /metrics and /readyz."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
from fixtures import PATIENCE_S, REMOTE, Running
from prometheus_client import generate_latest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from support.plates import photo_jpeg

from app import __version__
from app.anpr.read_queue import MAX_WAITING, PlateReadQueue
from app.api import health as health_module
from app.api.health import DatabaseProbe, HealthService
from app.api.metrics import MAX_STREAMS
from app.errors import StoreError
from app.events import RuleEvent
from app.jobs import JobState
from app.models.plates.reader import CropRead
from app.recording.retention import DiskUsage
from app.types import StreamSpec, StreamState, StreamStats, StreamStatus

from .conftest import TOKEN

pytestmark = pytest.mark.anyio

LABELS = {"state", "stream", "kind", "queue", "network", "outcome", "source", "type", "job_id"}
LABELS |= {"le", "version"}


def values(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scrape(
    local_client: httpx.AsyncClient,
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    reply = await local_client.get("/metrics")
    assert reply.status_code == 200, reply.text
    return values(reply.text)


@pytest.fixture
def health(served: Running) -> HealthService:
    service: HealthService = served.state["health"]
    return service


# ── the numbers ──────────────────────────────────────────────────────────────────────────────


async def test_prometheus_reads_every_family(local_client: httpx.AsyncClient) -> None:
    reply = await local_client.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=")
    families = list(text_string_to_metric_families(reply.text))
    assert len(families) > 40
    for family in families:
        assert family.documentation, family.name
        assert family.name.startswith(("watchpost_", "process_"))
        for sample in family.samples:
            assert set(sample.labels) <= LABELS, sample


async def test_open_metrics_is_spoken_too(local_client: httpx.AsyncClient) -> None:
    accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
    reply = await local_client.get("/metrics", headers=accept)
    assert reply.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in openmetrics.text_string_to_metric_families(reply.text)}
    assert "watchpost_stream_latency_seconds" in names


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/plain;version=x.y", "application/openmetrics-text;version=x", ";;,"]
)
async def test_no_accept_header_is_an_error(local_client: httpx.AsyncClient, accept: str) -> None:
    reply = await local_client.get("/metrics", headers={"Accept": accept})
    assert reply.status_code == 200
    assert "watchpost_build_info" in reply.text


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
async def test_strangers_need_the_token(served: Running, path: str) -> None:
    async with served.client(REMOTE, "http://192.0.2.5:8000") as stranger:
        refused = await stranger.get(path)
        assert (refused.status_code, refused.json()["code"]) == (401, "UNAUTHORIZED")
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert (await stranger.get(path, headers=bearer)).status_code == 200


async def test_a_job_is_counted(local_client: httpx.AsyncClient) -> None:
    before = await scrape(local_client)
    assert (await local_client.post("/collect")).json()["job_id"]
    failed = (("state", "failed"),)
    async with asyncio.timeout(PATIENCE_S):  # stored jobs are counted once their row is written
        while (after := await scrape(local_client))["watchpost_jobs", failed] == before[
            "watchpost_jobs", failed
        ]:
            await asyncio.sleep(0.05)
    for name, labels in (
        ("watchpost_jobs", failed),
        ("watchpost_jobs_ended_total", failed),
        ("watchpost_jobs_started_total", ()),
        ("watchpost_job_duration_seconds_count", ()),
    ):
        assert after[name, labels] == before[name, labels] + 1, name
    assert not any(name == "watchpost_job_progress_ratio" for name, _ in after), "none runs"


async def test_an_event_is_counted_by_its_type(
    local_client: httpx.AsyncClient, health: HealthService
) -> None:
    before = await scrape(local_client)
    health.events.report("cam-1", RuleEvent("bag_placed"), time.time(), None)
    health.events.report("cam-1", RuleEvent("bag_placed"), time.time(), None)
    after = await scrape(local_client)
    grown = {key: after[key] - before[key] for key in before if key[0] == "watchpost_events_total"}
    assert {dict(labels)["type"]: more for (_, labels), more in grown.items() if more} == {
        "bag_placed": 2
    }
    async with asyncio.timeout(PATIENCE_S):
        name = "watchpost_database_write_seconds_count"
        while (await scrape(local_client))[name, ()] < before[name, ()] + 2:
            await asyncio.sleep(0.05)
    after = await scrape(local_client)
    assert after["watchpost_database_queue_length", ()] == 0
    assert after["watchpost_database_write_lag_seconds", ()] == 0


async def test_plates_and_networks_are_counted(local_client: httpx.AsyncClient) -> None:
    before = await scrape(local_client)
    for picture in (photo_jpeg("PJY5472"), photo_jpeg()):
        files = {"file": ("car.jpg", picture, "image/jpeg")}
        assert (await local_client.post("/api/upload", files=files)).status_code == 200
    after = await scrape(local_client)
    grown = {key: after[key] - before[key] for key in before}
    plates = {key[1]: more for key, more in grown.items() if key[0] == "watchpost_plates_total"}
    assert len(plates) == 6
    read = (("outcome", "read"), ("source", "upload"))
    assert {labels: more for labels, more in plates.items() if more} == {read: 1}
    for network in ("text_lines", "plate_text"):
        mine = (("network", network),)
        batches = grown["watchpost_network_batch_seconds_count", mine]
        shown = grown["watchpost_network_pictures_total", (*mine, ("outcome", "answered"))]
        assert shown >= batches > 0
        assert grown["watchpost_network_batch_size_count", mine] == batches
        assert grown["watchpost_network_batch_size_sum", mine] == shown
    assert {dict(labels)["network"] for name, labels in after if "network_queue" in name} == {
        "faces",
        "objects",
        "text_lines",
        "plate_text",
        "smeared_plates",
    }


def test_crops_beyond_those_that_may_wait_are_skipped_and_counted() -> None:
    free = threading.Event()

    class Slow:
        def read_crop(self, crop: object, *, again: bool) -> CropRead:
            free.wait(PATIENCE_S)
            return CropRead({})

    read_queue = PlateReadQueue(Slow(), None)  # type: ignore[arg-type]
    crop = np.zeros((8, 16, 3), np.uint8)
    readings = [read_queue.read(crop) for _ in range(MAX_WAITING + 2)]
    assert readings[MAX_WAITING:] == [None, None]
    assert (read_queue.waiting, read_queue.skipped) == (MAX_WAITING, 2)
    free.set()
    read_queue.close()
    assert read_queue.waiting == 0


async def test_no_label_shows_what_people_wrote(local_client: httpx.AsyncClient) -> None:
    spec = {
        "camera_id": "counted-cam",
        "source": "rtsp://admin:hidden-word@192.0.2.1:554/secret-path",
        "name": "Uncle's gate",
    }
    assert (await local_client.post("/cameras", json=spec)).status_code < 300
    try:
        text = (await local_client.get("/metrics")).text
    finally:
        await local_client.delete("/camera/counted-cam")
    assert 'stream="counted-cam"' in text
    for hidden in ("hidden-word", "secret-path", "192.0.2.1", "Uncle"):
        assert hidden not in text
    gone = (await local_client.get("/metrics")).text
    assert "counted-cam" not in gone, "a stream that is forgotten leaves no series"


async def test_however_many_streams_there_are_the_series_are_bounded(health: HealthService) -> None:
    def status(number: int) -> StreamStatus:
        spec = StreamSpec(f"s{number:03d}", "push:")
        state = StreamState.RUNNING if number >= 60 else StreamState.STOPPED
        return StreamStatus(spec, state, StreamStats(frames_in=number))

    streams = [(status(number), None) for number in range(150)]
    readings = replace(await health.read(), streams=streams)
    found = values(generate_latest(readings).decode())
    shown = {dict(labels).get("stream") for _, labels in found} - {None}
    assert len(shown) == MAX_STREAMS
    assert {f"s{number:03d}" for number in range(60, 150)} <= shown, "those that live come first"
    assert found["watchpost_streams_hidden", ()] == 50
    assert found["watchpost_streams", (("state", "running"),)] == 90
    assert found["watchpost_stream_frames_in_total", (("stream", "s070"),)] == 70


# ── is all there ─────────────────────────────────────────────────────────────────────────────


async def missing(local_client: httpx.AsyncClient) -> list[dict[str, Any]]:
    reply = await local_client.get("/readyz", headers={"Accept-Language": "en"})
    assert (reply.status_code, reply.json()["code"]) == (503, "NOT_READY"), reply.text
    listed: list[dict[str, Any]] = reply.json()["details"]["missing"]
    for issue in listed:
        assert issue["what"] in reply.json()["message"]
        assert issue["reason"] in reply.json()["message"]
    return listed


async def test_it_lives_and_says_which_version_it_is(local_client: httpx.AsyncClient) -> None:
    assert (await local_client.get("/healthz")).json() == {"status": "ok"}
    version = (await local_client.get("/api/version")).json()
    assert set(version) == {"name", "version", "license", "source"}
    assert (version["license"], version["version"]) == ("AGPL-3.0-or-later", __version__)


async def test_a_server_that_has_everything_is_ready(local_client: httpx.AsyncClient) -> None:
    reply = await local_client.get("/readyz")
    assert (reply.status_code, reply.json()) == (200, {"status": "ready"})


async def test_a_database_that_fails_is_named(
    local_client: httpx.AsyncClient, health: HealthService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> dict[JobState, int]:
        raise StoreError(reason="disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(health.database._jobs, "count_by_state", fail)
        assert await missing(local_client) == [{"what": "database", "reason": "disk I/O error"}]
        found = await scrape(local_client)
        assert found["watchpost_database_up", ()] == 0
        assert not any(name == "watchpost_jobs" for name, _ in found)
        assert (await local_client.get("/healthz")).status_code == 200, "the process is alive"
    assert (await scrape(local_client))["watchpost_database_up", ()] == 1
    assert (await local_client.get("/readyz")).status_code == 200


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[DatabaseProbe, list[int]]]:
    """A database that does not answer, and its queries so far."""
    asked: list[int] = []
    free = threading.Event()

    class Silent:
        def count_by_state(self) -> dict[JobState, int]:
            asked.append(1)
            free.wait(PATIENCE_S)
            return {}

    monkeypatch.setattr(health_module, "DATABASE_PATIENCE_S", 0.1)
    yield DatabaseProbe(Silent()), asked  # type: ignore[arg-type]
    free.set()


async def test_a_silent_database_costs_one_thread_and_nobody_waits(
    stuck: tuple[DatabaseProbe, list[int]],
) -> None:
    probe, asked = stuck
    began = time.monotonic()
    for _ in range(5):
        with pytest.raises(StoreError, match="no answer"):
            await probe.jobs_by_state()
    assert time.monotonic() - began < 5
    assert len(asked) == 1


async def test_events_that_wait_too_long_for_the_database_are_told(
    local_client: httpx.AsyncClient, health: HealthService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(health.writer), "lag_s", 31.0)
    (issue,) = await missing(local_client)
    assert issue["what"] == "database"
    assert "accepts no events" in issue["reason"]


async def test_a_full_disk_is_named(
    local_client: httpx.AsyncClient, health: HealthService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health.space, "disk", lambda: DiskUsage(10**9, 5))
    (issue,) = await missing(local_client)
    assert issue["what"] == "disk"
    assert issue["reason"].startswith("5 bytes are free, and ")
    assert (await scrape(local_client))["watchpost_disk_free_bytes", ()] == 5


async def test_a_network_that_fails_or_is_not_there_is_named(
    local_client: httpx.AsyncClient, health: HealthService, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = health.networks["faces"]
    assert faces is not None
    monkeypatch.setattr(faces, "_last_failure", "RuntimeError")
    monkeypatch.setitem(health.networks, "objects", None)
    assert await missing(local_client) == [
        {"what": "network for faces", "reason": "RuntimeError"},
        {"what": "network for objects", "reason": "it is not installed"},
    ]


@pytest.mark.parametrize(("language", "word"), [("ko", "준비"), ("ru", "Сервер")])
async def test_it_is_said_in_the_callers_language(
    local_client: httpx.AsyncClient,
    health: HealthService,
    monkeypatch: pytest.MonkeyPatch,
    language: str,
    word: str,
) -> None:
    monkeypatch.setitem(health.networks, "objects", None)
    reply = await local_client.get("/readyz", headers={"Accept-Language": language})
    assert word in reply.json()["message"]
