"""The nine calls for plates and those added to them, with drawn plates."""

from __future__ import annotations

import asyncio
import csv
import io
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures import Running, running
from PIL import Image as Pillow
from support.plates import message, messages_api, photo_jpeg

from app.config import PlateSettings, Settings
from app.main import create_app
from app.plates import NewPlate, NewSession, PlateRead
from app.types import Box

pytestmark = pytest.mark.anyio

PLATE_KEYS = {
    "id", "plate_number", "confidence", "timestamp", "image_path", "source_image_path", "position",
    "processed_by", "alternative_readings", "is_verified", "is_deleted", "detection_id",
}  # fmt: skip
ONE = photo_jpeg("PJY5472")


async def upload(local_client: httpx.AsyncClient, data: bytes = ONE, name: str = "car.jpg") -> Any:
    reply = await local_client.post("/api/upload", files={"file": (name, data, "image/jpeg")})
    assert reply.status_code == 200, reply.text
    return reply.json()


def error_of(reply: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (reply.status_code, reply.json()["code"]) == (status, code), reply.text
    assert set(reply.json()) == {"code", "message", "details"}
    return reply.json()["details"]  # type: ignore[no-any-return]


async def test_an_upload_is_read_kept_and_shown(local_client: httpx.AsyncClient) -> None:
    body = await upload(local_client, photo_jpeg("PJY5472", "RK884AL"), "my car.jpg")

    assert set(body) == {
        "session_id", "filename", "processing_time_ms", "plates_detected", "plates",
    }  # fmt: skip
    assert (body["filename"], body["plates_detected"]) == ("my car.jpg", 2)
    assert {plate["plate_number"] for plate in body["plates"]} == {"PJY5472", "RK884AL"}
    for plate in body["plates"]:
        assert set(plate) == PLATE_KEYS
        assert set(plate["position"]) == {"x_min", "y_min", "x_max", "y_max"}
        assert plate["image_path"].startswith("detected_plates/plate_")
        assert plate["source_image_path"].endswith("_my_car.jpg")
        assert plate["timestamp"].endswith("Z")
        assert plate["detection_id"] == body["session_id"]
        assert (await local_client.get(f"/api/plates/{plate['id']}")).json() == plate
        picture = await local_client.get(f"/api/plates/{plate['id']}/image")
        assert Pillow.open(io.BytesIO(picture.content)).width > 100

    session = (await local_client.get(f"/api/sessions/{body['session_id']}")).json()
    assert set(session) == {
        "id", "filename", "timestamp", "processing_time", "total_plates_detected", "plates",
    }  # fmt: skip
    assert session["plates"] == body["plates"]
    listed = await local_client.get("/api/sessions", params={"limit": 1})
    assert listed.json() == [session]
    assert int(listed.headers["X-Total-Count"]) >= 1
    whole = await local_client.get(f"/api/sessions/{body['session_id']}/image")
    assert Pillow.open(io.BytesIO(whole.content)).size == (960, 540)


async def test_details_and_csv_have_country_and_votes(local_client: httpx.AsyncClient) -> None:
    (plate,) = (await upload(local_client))["plates"]
    details = (await local_client.get(f"/api/plates/{plate['id']}/details")).json()
    assert set(details) == PLATE_KEYS | {"country", "votes", "source", "first_reading"}
    assert "BR" in details["country"].split("/")
    assert details["votes"]["PJY5472"] > 0.5
    table = await local_client.get("/api/plates/export.csv")
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert rows[0]["plate_number"] == "PJY5472"
    assert rows[0]["x_min"] == str(plate["position"]["x_min"])


async def test_correct_search_delete_and_count(local_client: httpx.AsyncClient) -> None:
    (plate,) = (await upload(local_client))["plates"]
    url = f"/api/plates/{plate['id']}"
    before = (await local_client.get("/api/statistics")).json()
    assert set(before) == {
        "total_plates", "verified_plates", "unrecognized_plates", "recognition_rate",
        "total_sessions", "avg_confidence", "recent_plates",
    }  # fmt: skip

    changed = await local_client.put(url, json={"plate_number": "х999хх 77", "is_verified": True})
    assert changed.json() == plate | {
        "plate_number": "х999хх 77", "is_verified": True, "processed_by": "manual",
        "confidence": 1.0,
    }  # fmt: skip
    found = await local_client.get("/api/search", params={"query": "999хх", "limit": 5})
    assert [hit["id"] for hit in found.json()] == [plate["id"]]
    listed = await local_client.get(
        "/api/plates", params={"plate_number": "X999", "verified": "true"}
    )
    assert [hit["id"] for hit in listed.json()] == [plate["id"]]
    assert listed.headers["X-Total-Count"] == "1"

    gone = await local_client.delete(url)
    assert gone.json() == {"message": "Номер успешно удален", "id": plate["id"]}
    for reply in (
        await local_client.get(url),
        await local_client.delete(url),
        await local_client.put(url, json={}),
    ):
        assert error_of(reply, 404, "PLATE_NOT_FOUND") == {"plate_id": plate["id"]}
    assert (await local_client.get("/api/search", params={"query": "X999XX77"})).json() == []
    after = (await local_client.get("/api/statistics")).json()
    assert after["total_plates"] == before["total_plates"] - 1
    activity = (await local_client.get("/api/statistics/activity")).json()
    assert activity["by_source"]["upload"] == after["total_plates"]


async def test_pictures_are_erased_for_good(
    local_client: httpx.AsyncClient, served: Running
) -> None:
    body = await upload(local_client, photo_jpeg("PJY5472", "RK884AL"))
    first, second = body["plates"]
    folder: Path = served.app.state.settings.data_dir
    paths = [folder / plate[name] for plate in (first, second) for name in ("image_path",)]
    paths.append(folder / first["source_image_path"])
    assert all(path.is_file() for path in paths)
    await local_client.delete(f"/api/plates/{first['id']}")

    assert (await local_client.delete(f"/api/plates/{first['id']}/data")).status_code == 200

    assert not any(path.exists() for path in paths)
    error_of(await local_client.get(f"/api/plates/{second['id']}/image"), 404, "IMAGE_NOT_FOUND")
    error_of(
        await local_client.get(f"/api/sessions/{body['session_id']}/image"), 404, "IMAGE_NOT_FOUND"
    )
    assert (await local_client.get(f"/api/plates/{second['id']}")).json()["image_path"] == ""


async def test_names_are_safe_and_nothing_is_overwritten(local_client: httpx.AsyncClient) -> None:
    paths = [
        (await upload(local_client, name=name))["plates"][0]["source_image_path"]
        for name in ("../../etc/passwd", "../../etc/passwd", "автомобиль.html", "..")
    ]
    assert len(set(paths)) == len(paths)
    for path in paths:
        assert path.startswith("uploads/")
        assert path.count("/") == 1
        assert path.endswith(".jpg")


@pytest.mark.parametrize(
    ("files", "status", "code"),
    [
        ({"file": ("a.jpg", b"", "image/jpeg")}, 400, "BAD_UPLOAD"),
        ({"file": ("a.jpg", ONE[: len(ONE) // 2], "image/jpeg")}, 400, "BAD_UPLOAD"),
        ({"file": ("a.jpg", b"no picture at all", "image/jpeg")}, 415, "NOT_AN_IMAGE"),
        ({"other": ("a.jpg", ONE, "image/jpeg")}, 400, "BAD_UPLOAD"),
    ],
    ids=["empty", "cut off", "text", "no file"],
)
async def test_uploads_that_cannot_be_used(
    local_client: httpx.AsyncClient, files: Any, status: int, code: str
) -> None:
    error_of(await local_client.post("/api/upload", files=files), status, code)


async def test_no_form_is_an_error_too(local_client: httpx.AsyncClient) -> None:
    error_of(await local_client.post("/api/upload"), 400, "BAD_UPLOAD")
    error_of(await local_client.post("/api/upload", json={"file": 1}), 400, "BAD_UPLOAD")


async def test_too_many_bytes_are_refused_while_they_arrive(
    local_client: httpx.AsyncClient,
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
        while sent < 100 * 2**20:
            sent += 2**20
            yield bytes(2**20)

    head = {"Content-Type": "multipart/form-data; boundary=x"}
    reply = await local_client.post("/api/upload", content=endless(), headers=head)
    error_of(reply, 413, "UPLOAD_TOO_LARGE")
    assert sent < 30 * 2**20


async def test_too_many_pixels_are_refused_by_the_header(local_client: httpx.AsyncClient) -> None:
    file = io.BytesIO()
    Pillow.new("1", (9000, 9000)).save(file, "PNG")
    files = {"file": ("a.png", file.getvalue(), "image/png")}
    error_of(await local_client.post("/api/upload", files=files), 413, "UPLOAD_TOO_LARGE")


async def test_a_batch_answers_for_each_file(local_client: httpx.AsyncClient) -> None:
    files = [("file", ("1.jpg", ONE)), ("file", ("2.jpg", b"text")), ("file", ("3.jpg", ONE))]
    first, second, third = (await local_client.post("/api/upload/batch", files=files)).json()
    assert first["plates"][0]["plate_number"] == third["plates"][0]["plate_number"] == "PJY5472"
    assert third["session_id"] == first["session_id"] + 1
    assert (second["filename"], second["error"]["code"]) == ("2.jpg", "NOT_AN_IMAGE")


async def test_one_bad_file_costs_the_others_nothing(local_client: httpx.AsyncClient) -> None:
    strange = [ONE[:500], b"", b"BM" + bytes(80), exif_of_wrong_types(ONE), bytes(21 * 2**20)]
    files = [("file", (f"{n}.jpg", data)) for n, data in enumerate([*strange, ONE])]
    replies = (await local_client.post("/api/upload/batch", files=files)).json()
    codes = [reply.get("error", {}).get("code") for reply in replies]
    assert codes == ["BAD_UPLOAD", "BAD_UPLOAD", "BAD_UPLOAD", None, "UPLOAD_TOO_LARGE", None]
    assert replies[5]["plates"][0]["plate_number"] == "PJY5472"


def exif_of_wrong_types(jpeg: bytes) -> bytes:
    """The same image without JFIF, with texts and absurd counts for the numbers of its EXIF."""
    entries = [(0x11A, 2, 4, b"72/1"), (0x11B, 2, 2**32 - 1, b"abcd"), (0x128, 2, 4, b"inch")]
    entries += [(0x112, 2, 4, b"left"), (0x8769, 2, 4, b"none")]
    body = struct.pack("<H", len(entries))
    body += b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries) + bytes(4)
    block = b"Exif\0\0II*\0" + struct.pack("<I", 8) + body
    jfif = 4 + int.from_bytes(jpeg[4:6], "big") - 2 + 2 if jpeg[2:4] == b"\xff\xe0" else 2
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[jfif:]


@pytest.mark.parametrize(
    "body",
    [
        {"plate_number": None}, {"plate_number": "???"}, {"plate_number": "A" * 30},
        {"plate_number": "- ."}, {"plate_number": "A123<b>"}, {"plate_number": "A" + " ." * 20},
        {"plate_number": 7}, {"is_verified": "yes"}, {"is_verified": None}, {"speed": 1},
        {"alternative_readings": "A" * 600}, [],
    ],
)  # fmt: skip
async def test_changes_are_checked(local_client: httpx.AsyncClient, body: Any) -> None:
    error_of(await local_client.put("/api/plates/1", json=body), 400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "url",
    [
        "/api/plates?skip=-1", "/api/plates?limit=x", "/api/plates?min_confidence=2",
        "/api/plates?from=yesterday", "/api/search", "/api/search?query=", "/api/plates/x",
        "/api/plates/99999999999999999999", "/api/sessions/0",
    ],
)  # fmt: skip
async def test_queries_are_checked(local_client: httpx.AsyncClient, url: str) -> None:
    error_of(await local_client.get(url), 400, "INVALID_REQUEST")


async def test_limits_are_clamped(local_client: httpx.AsyncClient) -> None:
    assert (await local_client.get("/api/plates?limit=100000")).status_code == 200
    for path in ("sessions?", "plates?", "search?query=PJY&"):
        assert (await local_client.get(f"/api/{path}limit=0")).json() == []
    error_of(await local_client.get("/api/plates?limit=-1"), 400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "noon",
    [
        "2099-02-03T12:00:00Z", "2099-02-03T12:00:00", "2099-02-03 12:00",
        "2099-02-03T21:00:00+09:00", "2099-02-03T21:00:00%2B09:00",
        "2099-02-03T21:00:00%2B0900", "2099-02-03T03:00:00-09:00", "4073803200", "4073803200.0",
    ],
)  # fmt: skip
async def test_times_have_one_meaning_in_every_filter(
    local_client: httpx.AsyncClient, served: Running, noon: str
) -> None:
    repository = served.state["plates"].repository
    at = datetime(2099, 2, 3, 12, tzinfo=UTC)
    plate = NewPlate(PlateRead("AA11", 0.5, Box(0, 0, 9, 9), (), None, {}), "")
    stored = repository.add(NewSession("x", "cam", "", 0, [plate], at))
    try:
        found = await local_client.get(f"/api/plates?from={noon}&to={noon}&source=cam")
        assert len(found.json()) == 1
        for path in ("/api/events?since", "/collect/jobs?until"):
            assert (await local_client.get(f"{path}={noon}")).status_code == 200
    finally:
        repository.delete(stored.plates[0].plate_id)


@pytest.mark.parametrize("time", ["yesterday", "nan", "1e400", "2026-13-01", "12:00", "", "12 34"])
async def test_an_invalid_time_is_refused_with_the_formats(
    local_client: httpx.AsyncClient, time: str
) -> None:
    for path in ("/api/plates?from", "/api/plates?to", "/api/events?since", "/collect/jobs?since"):
        details = error_of(await local_client.get(f"{path}={time}"), 400, "INVALID_REQUEST")
        assert "Unix seconds, or ISO 8601" in details["reason"]


async def test_the_watch_list(local_client: httpx.AsyncClient) -> None:
    made = await local_client.post("/api/watchlist", json={"number": "а123вс*", "note": "stolen"})
    assert made.status_code == 201
    entry = made.json()
    assert entry == {"id": entry["id"], "number": "а123вс*", "note": "stolen", "action": "alert"}
    assert (await local_client.get("/api/watchlist")).json() == [entry]
    error_of(
        await local_client.post("/api/watchlist", json={"number": "A123BC*"}),
        400,
        "INVALID_REQUEST",
    )
    error_of(
        await local_client.post("/api/watchlist", json={"number": "**"}), 400, "INVALID_REQUEST"
    )
    assert (await local_client.delete(f"/api/watchlist/{entry['id']}")).json() == {
        "id": entry["id"]
    }
    error_of(await local_client.delete(f"/api/watchlist/{entry['id']}"), 404, "WATCH_NOT_FOUND")


async def test_claude_decides_what_is_doubtful(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with messages_api() as service:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", service.url)
        settings = Settings(
            _env_file=None,
            data_dir=tmp_path,
            claude_api_key="sk-ant-xxxx",
            plates=PlateSettings(claude_below=1.0, claude_timeout_s=30),
        )
        async with running(create_app(settings)) as served, served.client() as local_client:
            service.says("PJY5473")
            (plate,) = (await upload(local_client))["plates"]
            assert (plate["plate_number"], plate["processed_by"]) == ("PJY5473", "claude")
            service.answers = [(500, message(""))]
            (other,) = (await upload(local_client, photo_jpeg("RK884AL")))["plates"]
            assert (other["plate_number"], other["processed_by"]) == ("RK884AL", "local")


async def test_an_upload_is_matched_with_the_watch_list(local_client: httpx.AsyncClient) -> None:
    made = await local_client.post("/api/watchlist", json={"number": "pjy-54*", "note": "stolen"})
    (plate,) = (await upload(local_client))["plates"]
    query = {"type": "plate_match", "camera": "upload"}
    found: list[Any] = []
    async with asyncio.timeout(30):
        while not found:  # events are stored after the reply
            found = (await local_client.get("/api/events", params=query)).json()["events"]
            await asyncio.sleep(0.02)
    (match,) = found
    assert match["details"] == {
        "plate_number": "PJY5472",
        "watch_id": made.json()["id"],
        "watched": "pjy-54*",
        "note": "stolen",
        "action": "alert",
        "plate_id": plate["id"],
    }
    await local_client.delete(f"/api/watchlist/{made.json()['id']}")
