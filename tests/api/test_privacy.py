"""Privacy duties: what is kept, erasure with proof, and the export of a plate."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures import LOOPBACK, Running

from app.access.audit import AuditLog
from app.audit import AuditFilter
from app.events import EventRow
from app.jobs import FileFacts, Job, JobSpec, JobState, Part, Recording
from app.plates import NewPlate, NewSession, PlateRead
from app.types import Box

pytestmark = pytest.mark.anyio
NUMBER, OTHER_NUMBER = "A123BC", "B456DE"


@pytest.fixture
async def client(served: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with served.client(LOOPBACK) as client:
        yield client


def data_dir(served: Running) -> Path:
    folder: Path = served.app.state.settings.data_dir
    return folder


def add_plate(served: Running, number: str, source: str, ts: float) -> tuple[int, list[Path]]:
    """A stored plate with its two images; its id and their files."""
    files = []
    for folder in ("uploads", "detected_plates"):
        file = data_dir(served) / folder / f"{number}-{source}-{ts}.jpg"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"an image")
        files.append(file)
    names = [str(file.relative_to(data_dir(served))) for file in files]
    read = PlateRead(number, 0.9, Box(0, 0, 10, 10))
    at = datetime.fromtimestamp(ts, UTC)
    new = NewSession(f"{number}.jpg", source, names[0], 1.0, [NewPlate(read, names[1])], at)
    stored = served.state["plates"].repository.add(new)
    return stored.plates[0].plate_id, files


def add_events(served: Running, *rows: EventRow) -> None:
    assert served.state["event_repository"].add(rows) == 0


def seen(event_id: int, camera: str, ts: float, number: str) -> EventRow:
    return EventRow(event_id, camera, "plate_seen", ts, details={"plate_number": number})


async def erase(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    reply = await client.post("/api/privacy/erase", json=body)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


async def test_a_plate_is_erased_everywhere_with_proof(
    served: Running, client: httpx.AsyncClient
) -> None:
    plate_id, files = add_plate(served, NUMBER, "gate", 1000)
    deleted_id, more = add_plate(served, NUMBER, "upload", 1001)
    served.state["plates"].repository.delete(deleted_id)
    kept_id, kept = add_plate(served, OTHER_NUMBER, "gate", 1002)
    add_events(served, seen(501, "gate", 1000, NUMBER), seen(502, "gate", 1002, OTHER_NUMBER))
    await client.post("/api/watchlist", json={"number": NUMBER})

    proof = await erase(client, plate_number="a 123-bc")
    counts = {name: proof[name] for name in ("plates", "images", "events", "watch_entries")}
    assert counts == {"plates": 2, "images": 4, "events": 1, "watch_entries": 1}
    assert not any(file.exists() for file in (*files, *more))
    for path in (f"/api/plates/{plate_id}", "/api/events/501"):
        assert (await client.get(path)).status_code == 404
    assert NUMBER not in (await client.get("/api/plates")).text
    assert NUMBER not in (await client.get("/api/sessions")).text
    assert NUMBER not in (await client.get("/api/watchlist")).text
    assert all(file.exists() for file in kept)
    assert (await client.get(f"/api/plates/{kept_id}")).status_code == 200
    assert (await client.get("/api/events/502")).status_code == 200

    audit: AuditLog = served.state["audit"]
    rows = {row.audit_id: row for row in audit.rows.all(AuditFilter())}
    row = rows[proof["audit_id"]]
    assert row.row_hash == proof["row_hash"]
    assert row.entry.action == "erased"
    assert row.entry.details["plates"] == 2
    assert NUMBER not in str(rows)
    assert audit.rows.check() is None
    again = await erase(client, plate_number=NUMBER)
    assert (again["plates"], again["events"]) == (0, 0)


async def test_a_period_of_a_camera_is_erased(served: Running, client: httpx.AsyncClient) -> None:
    add_events(
        served,
        EventRow(601, "yard", "bag_taken", 2000.0),
        EventRow(602, "yard", "bag_taken", 3000.0),
        EventRow(603, "door", "bag_taken", 2000.0),
    )
    _, files = add_plate(served, "C111CC", "yard", 2000)
    _, later = add_plate(served, "C222CC", "yard", 3000)
    parts = [Part("stream", "yard", "yard")]
    job = Job("job-yard", JobSpec(("yard",)), JobState.COMPLETED, parts)
    served.state["job_repository"].save(job)
    facts = FileFacts(60, 900, "h264", 640, 360, 5, "0" * 64)
    folder = data_dir(served) / "recordings" / "job-yard"
    folder.mkdir(parents=True)
    for name, begin in (("1.mp4", 1980.0), ("2.mp4", 3000.0)):
        (folder / name).write_bytes(b"video")
        recording = Recording("job-yard", "yard", f"job-yard/{name}", begin, facts)
        served.state["recording_repository"].add(recording)

    proof = await erase(client, camera="yard", since=1990, until=2500)
    assert (proof["events"], proof["plates"], proof["recordings"]) == (1, 1, 1)
    assert [(folder / name).exists() for name in ("1.mp4", "2.mp4")] == [False, True]
    assert [file.exists() for file in (*files, *later)] == [False, False, True, True]
    for event_id, status in ((601, 404), (602, 200), (603, 200)):
        assert (await client.get(f"/api/events/{event_id}")).status_code == status


async def test_one_event_is_erased(served: Running, client: httpx.AsyncClient) -> None:
    add_events(served, EventRow(701, "gate", "bag_taken", 5000.0))
    assert (await erase(client, event_id=701))["events"] == 1
    reply = await client.post("/api/privacy/erase", json={"event_id": 701})
    assert (reply.status_code, reply.json()["code"]) == (404, "EVENT_NOT_FOUND")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"camera": "gate"},
        {"camera": "gate", "since": 5, "until": 5},
        {"camera": "gate", "since": 1, "until": 2, "event_id": 3},
        {"event_id": 3, "since": 1},
        {"plate_number": ""},
        {"everything": True},
    ],
)
async def test_what_is_not_clear_erases_nothing(
    body: dict[str, Any], client: httpx.AsyncClient
) -> None:
    reply = await client.post("/api/privacy/erase", json=body)
    assert reply.status_code == 400, reply.text


async def test_an_export_has_all_of_a_plate(served: Running, client: httpx.AsyncClient) -> None:
    _, files = add_plate(served, "D777DD", "gate", 6000)
    add_events(served, seen(801, "gate", 6000, "D777DD"))
    reply = await client.post("/api/privacy/export", json={"plate_number": "D777DD"})
    assert reply.headers["content-type"] == "application/zip"
    assert "D777DD" not in reply.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        kept = json.loads(archive.read("data.json"))
        assert [one["plate_number"] for one in kept["readings"]] == ["D777DD"]
        assert [one["id"] for one in kept["events"]] == [801]
        images = {name for name in archive.namelist() if name.endswith(".jpg")}
    assert images == {str(file.relative_to(data_dir(served))) for file in files}


async def test_the_page_says_what_is_kept_and_how_long(client: httpx.AsyncClient) -> None:
    page = (await client.get("/api/privacy")).json()
    kept = {one["what"]: one for one in page["kept"]}
    assert kept["audit log"]["max_days"] == 365
    assert kept["events"]["max_count"] == 1_000_000
    assert kept["audit log"]["count"] >= 1
    assert kept["audit log"]["oldest_ts"] > 1e9
    assert {"plates", "recordings", "users", "sign-ins"} <= set(kept)
