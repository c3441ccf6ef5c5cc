"""Number plates on a real server: the nine calls, those added to them, and Claude."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import httpx
import pytest
from PIL import Image as Pillow
from support.docs import block, for_port
from support.plates import Messages, message, messages_api, photo, photo_jpeg, plate
from support.poll import eventually
from support.watchpost import Server

KEY = "sk-ant-" + "hidden-in-every-log"
PLATE_KEYS = {
    *("id", "plate_number", "confidence", "timestamp", "image_path", "source_image_path"),
    *("position", "processed_by", "alternative_readings", "is_verified", "is_deleted"),
    "detection_id",
}
TRUTH, OTHER = "PJY5472", "RK884AL"
ONE = photo_jpeg(TRUTH)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("plates")) as server:
        yield server


@pytest.fixture(scope="module")
def claude() -> Iterator[Messages]:
    with messages_api() as service:
        yield service


@pytest.fixture(scope="module")
def doubting(claude: Messages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a key that sends every plate to Claude, with a time limit of two seconds."""
    settings = {
        "claude_api_key": KEY,
        "plates__claude_below": 1.0,
        "plates__claude_timeout_s": 30,
        "plates__claude_daily": 20,
    }
    folder = tmp_path_factory.mktemp("claude")
    with Server(folder, {"ANTHROPIC_BASE_URL": claude.url}, **settings) as server:
        yield server


def upload(server: Server, data: bytes = ONE, name: str = "car.jpg") -> dict[str, Any]:
    reply = server.http.post("/api/upload", files={"file": (name, data, "image/jpeg")})
    assert reply.status_code == 200, reply.text
    return reply.json()  # type: ignore[no-any-return]


def error_of(reply: httpx.Response, status: int, code: str) -> None:
    assert (reply.status_code, reply.json().get("code")) == (status, code), reply.text
    assert set(reply.json()) == {"code", "message", "details"}
    assert "Traceback" not in reply.text


# ── the nine calls, one after the other, as somebody works with them ─────────────────────────


def test_a_photo_becomes_a_verified_row(server: Server) -> None:
    sent = upload(server, photo_jpeg(TRUTH, OTHER), "two cars.jpg")
    assert sent["plates_detected"] == 2
    assert {plate["plate_number"] for plate in sent["plates"]} == {TRUTH, OTHER}
    first = sent["plates"][0]
    assert all(set(plate) == PLATE_KEYS for plate in sent["plates"])

    session = server.http.get(f"/api/sessions/{sent['session_id']}").json()
    assert session["plates"] == sent["plates"]
    assert server.http.get("/api/sessions?skip=0&limit=10").json()[0] == session

    listed = server.http.get("/api/plates", params={"plate_number": TRUTH, "verified": "false"})
    assert [row["plate_number"] for row in listed.json()] == [TRUTH]
    assert listed.headers["x-total-count"] == "1"
    assert server.http.get(f"/api/plates/{first['id']}").json() == first

    change = {"plate_number": "X777YZ", "is_verified": True, "alternative_readings": "X777YZ/X"}
    changed = server.http.put(f"/api/plates/{first['id']}", json=change).json()
    assert changed == {**first, **change, "processed_by": "manual", "confidence": 1.0}
    assert server.http.get("/api/search?query=777&limit=20").json() == [changed]

    counted = server.http.get("/api/statistics").json()
    assert (counted["total_plates"], counted["verified_plates"]) == (2, 1)
    assert counted["recent_plates"][0]["id"] == max(plate["id"] for plate in sent["plates"])

    gone = server.http.delete(f"/api/plates/{first['id']}").json()
    assert gone == {"message": "Номер успешно удален", "id": first["id"]}
    error_of(server.http.get(f"/api/plates/{first['id']}"), 404, "PLATE_NOT_FOUND")
    assert server.http.get("/api/search?query=777").json() == []
    assert server.http.get("/api/statistics").json()["total_plates"] == 1
    left = server.http.get(f"/api/sessions/{sent['session_id']}").json()["plates"]
    assert [row["id"] for row in left] == [p["id"] for p in sent["plates"] if p != first]
    with sqlite3.connect(server.data / "watchpost.db") as rows:
        query = "SELECT plate_number, is_deleted FROM license_plates WHERE id = ?"
        assert rows.execute(query, (first["id"],)).fetchone() == ("X777YZ", 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_pictures_of_each_kind(server: Server, kind: str) -> None:
    file = io.BytesIO()
    Pillow.fromarray(photo(plate(TRUTH))).save(file, kind)
    reply = upload(server, file.getvalue(), f"car.{kind.lower()}")
    assert [row["plate_number"] for row in reply["plates"]] == [TRUTH]
    path = reply["plates"][0]["source_image_path"]
    assert (server.data / path).read_bytes() == file.getvalue()


def test_a_phone_picture_is_turned_as_its_exif_says(server: Server) -> None:
    file, exif = io.BytesIO(), Pillow.Exif()
    exif[0x0112] = 6  # to be shown turned to the right
    lying = Pillow.fromarray(photo(plate(TRUTH))).transpose(Pillow.Transpose.ROTATE_90)
    lying.save(file, "JPEG", quality=92, exif=exif)
    (row,) = upload(server, file.getvalue())["plates"]
    assert row["plate_number"] == TRUTH
    where = row["position"]
    assert where["x_max"] - where["x_min"] > where["y_max"] - where["y_min"]


def test_a_photo_without_plates_is_a_session_without_plates(server: Server) -> None:
    reply = upload(server, photo_jpeg())
    assert (reply["plates_detected"], reply["plates"]) == (0, [])


# ── what cannot be used ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["-F", "file=@empty.jpg"], 400, "BAD_UPLOAD"),
        (["-F", "file=@cut.jpg"], 400, "BAD_UPLOAD"),
        (["-F", "file=@text.jpg"], 415, "NOT_AN_IMAGE"),
        (["-F", "picture=@good.jpg"], 400, "BAD_UPLOAD"),
        (["-F", "file=just text"], 400, "BAD_UPLOAD"),
        (["-d", "{}", "-H", "Content-Type: application/json"], 400, "BAD_UPLOAD"),
        (["-F", "file=@large.jpg"], 413, "UPLOAD_TOO_LARGE"),
        (["-F", "file=@wide.png"], 413, "UPLOAD_TOO_LARGE"),
        (["-F", "file=@good.jpg", "-F", "file=@good.jpg"], 400, "BAD_UPLOAD"),
    ],
    ids=["empty", "cut off", "text", "no file", "a field", "no form", "bytes", "pixels", "two"],
)
def test_forms_that_cannot_be_used(
    server: Server, tmp_path: Path, arguments: list[str], status: int, code: str
) -> None:
    wide = io.BytesIO()
    Pillow.new("1", (9000, 9000)).save(wide, "PNG")
    files = {
        "empty.jpg": b"", "cut.jpg": ONE[: len(ONE) // 2], "text.jpg": b"no picture",
        "good.jpg": ONE, "large.jpg": ONE + bytes(21 * 2**20), "wide.png": wide.getvalue(),
    }  # fmt: skip
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    before = server.http.get("/api/sessions").headers["x-total-count"]
    url = f"http://127.0.0.1:{server.port}/api/upload"
    curl = ["curl", "--noproxy", "*", "-sS", "-w", "\n%{http_code}", "-X", "POST", url, *arguments]
    body, _, seen = subprocess.run(
        curl, cwd=tmp_path, check=True, capture_output=True, encoding="utf-8", timeout=60
    ).stdout.rpartition("\n")
    assert (int(seen), json.loads(body)["code"]) == (status, code), body
    assert server.http.get("/api/sessions").headers["x-total-count"] == before


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/api/plates/999999", None, 404, "PLATE_NOT_FOUND"),
        ("GET", "/api/sessions/999999", None, 404, "SESSION_NOT_FOUND"),
        ("GET", "/api/plates/one", None, 400, "INVALID_REQUEST"),
        ("GET", "/api/plates?limit=many", None, 400, "INVALID_REQUEST"),
        ("GET", "/api/plates?source=a%00b", None, 400, "INVALID_REQUEST"),
        ("GET", "/api/search", None, 400, "INVALID_REQUEST"),
        ("GET", "/api/search?query=%00", None, 400, "INVALID_REQUEST"),
        ("PUT", "/api/plates/999999", {"is_verified": True}, 404, "PLATE_NOT_FOUND"),
        ("PUT", "/api/plates/1", {"plate_number": "?"}, 400, "INVALID_REQUEST"),
        ("PUT", "/api/plates/1", {"alternative_readings": "A\0B"}, 400, "INVALID_REQUEST"),
        ("DELETE", "/api/plates/999999", None, 404, "PLATE_NOT_FOUND"),
        ("DELETE", "/api/plates/999999/data", None, 404, "PLATE_NOT_FOUND"),
        ("POST", "/api/watchlist", {"number": ""}, 400, "INVALID_REQUEST"),
    ],
)
def test_errors(
    server: Server, method: str, path: str, body: object, status: int, code: str
) -> None:
    error_of(server.http.request(method, path, json=body), status, code)


# ── beside the nine ──────────────────────────────────────────────────────────────────────────


def test_a_batch_answers_for_each_file(server: Server) -> None:
    names = {"1.jpg": ONE, "2.jpg": b"no picture", "3.jpg": photo_jpeg(OTHER)}
    files = [("file", (name, data, "image/jpeg")) for name, data in names.items()]
    first, second, third = server.http.post("/api/upload/batch", files=files).json()
    assert first["plates"][0]["plate_number"] == TRUTH
    assert second["error"]["code"] == "NOT_AN_IMAGE"
    assert third["plates"][0]["plate_number"] == OTHER
    assert third["session_id"] != first["session_id"]


def test_pictures_are_erased_from_the_disk(server: Server) -> None:
    (row,) = upload(server)["plates"]
    paths = [server.data / row[name] for name in ("image_path", "source_image_path")]
    assert all(path.exists() for path in paths)
    picture = server.http.get(f"/api/plates/{row['id']}/image")
    assert Pillow.open(io.BytesIO(picture.content)).format == "JPEG"
    assert server.http.delete(f"/api/plates/{row['id']}/data").json()["id"] == row["id"]
    assert not any(path.exists() for path in paths)
    error_of(server.http.get(f"/api/plates/{row['id']}/image"), 404, "IMAGE_NOT_FOUND")
    assert server.http.get(f"/api/plates/{row['id']}").json()["image_path"] == ""


def test_the_table_has_what_the_list_has(server: Server) -> None:
    upload(server)
    table = server.http.get("/api/plates/export.csv").text
    rows = list(csv.DictReader(io.StringIO(table)))
    listed = server.http.get("/api/plates?limit=1000").json()
    assert [int(row["id"]) for row in rows] == [row["id"] for row in listed]
    newest = server.http.get(f"/api/plates/{rows[0]['id']}/details").json()
    assert rows[0]["country"] == newest["country"]
    assert json.loads(rows[0]["votes"]) == newest["votes"]


def test_search_finds_parts_look_alikes_and_one_edit(server: Server) -> None:
    (row,) = upload(server)["plates"]
    change = {"plate_number": "QZ10OB"}
    assert server.http.put(f"/api/plates/{row['id']}", json=change).status_code == 200
    for query in ("QZ10OB", "0Z1", "IO0B", "oz-ioo", "QZ1X0B"):
        found = server.http.get("/api/search", params={"query": query}).json()
        assert [plate["id"] for plate in found] == [row["id"]], query
    assert server.http.get("/api/search", params={"query": "QZ%B"}).json() == []


def test_the_numbers_by_hour_day_and_source(server: Server) -> None:
    upload(server)
    counts = server.http.get("/api/statistics/activity").json()
    total = server.http.get("/api/statistics").json()["total_plates"]
    for group in ("per_hour", "per_day", "by_source", "by_reader"):
        assert sum(counts[group].values()) == total, group
    assert counts["by_source"].keys() == {"upload"}


# ── cameras ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def passing(server: Server) -> Path:
    """A clip of a plate that crosses the frame in eight seconds, and is gone for four."""
    drawn = cv2.resize(plate(TRUTH), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    path = server.data / "passing.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 960, 540, "yuv420p"
        for number in range(155):
            view, left = photo(), 20 + 9 * (number - 30)
            if 0 <= left < 960 - drawn.shape[1]:
                view[120 : 120 + drawn.shape[0], left : left + drawn.shape[1]] = drawn
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_a_plate_that_passes_a_camera_is_one_row_and_one_event(
    server: Server, passing: Path
) -> None:
    upload(server)  # the networks are compiled by that
    watched = server.http.post("/api/watchlist", json={"number": "PJY547Z"}).json()
    camera = {"camera_id": "gate", "source": str(passing), "analytics": {"plates": {}}}
    reply = server.http.post("/cameras", json=camera)
    assert reply.status_code == 201, reply.text
    here = "/api/plates?source=gate"
    rows = eventually(lambda: server.http.get(here).json(), bool, 90, "a row")
    eventually(lambda: server.show("gate")["status"], "stopped".__eq__, 60, "the end")
    assert server.http.get(here).json() == rows, "once"
    (row,) = rows
    assert (row["plate_number"], row["processed_by"]) == (TRUTH, "local")
    session = server.http.get(f"/api/sessions/{row['detection_id']}").json()
    assert (session["filename"], session["plates"]) == ("gate", rows)
    pictures = {f"plates/{row['id']}": 200, f"sessions/{session['id']}": 960}
    for name, width in pictures.items():
        picture = server.http.get(f"/api/{name}/image")
        assert picture.status_code == 200, (name, picture.text)
        assert Pillow.open(io.BytesIO(picture.content)).width >= width
    events = server.http.get("/api/events?stream_id=gate").json()["events"]
    told = {event["event"]: event["details"] for event in events}
    assert sorted(event["event"] for event in events) == ["plate_match", "plate_seen"]
    assert told["plate_seen"]["plate_number"] == TRUTH
    assert told["plate_match"]["watch_id"] == watched["id"]


# ── Claude ───────────────────────────────────────────────────────────────────────────────────


def test_what_is_doubtful_goes_to_claude_as_a_crop(doubting: Server, claude: Messages) -> None:
    claude.says("PJY5473")
    (row,) = upload(doubting)["plates"]
    assert (row["plate_number"], row["processed_by"]) == ("PJY5473", "claude")
    assert TRUTH in row["alternative_readings"].split("/")
    asked, headers = claude.asked[-1]
    assert any(KEY in value for value in headers.values())
    assert json.dumps(asked).count('"type": "image"') == 1
    calls = len(claude.asked)
    upload(doubting)
    assert len(claude.asked) == calls, "the same crop is not asked about twice"
    with sqlite3.connect(doubting.data / "watchpost.db") as rows:
        query = "SELECT plate_id, outcome, input_tokens FROM claude_calls ORDER BY id DESC"
        assert rows.execute(query).fetchone() == (row["id"], "read", 321)


@pytest.mark.parametrize(
    ("number", "answers"),
    [
        ("AB12CDE", [(429, {"type": "error"})]),
        ("AB13CDE", [(500, {"type": "error"})]),
        ("AB14CDE", [(200, b"no JSON")]),
        ("AB15CDE", [(200, message("", readable=False))]),
        ("AB16CDE", [(200, {**message("X"), "stop_reason": "refusal", "content": []})]),
        ("AB17CDE", [(200, message("not a number plate at all"))]),
    ],
    ids=["too many", "broken", "nonsense", "unreadable", "refused", "too long"],
)
def test_whatever_goes_wrong_there_the_local_reading_stands(
    doubting: Server, claude: Messages, number: str, answers: list[tuple[int, object]]
) -> None:
    claude.answers = answers
    (row,) = upload(doubting, photo_jpeg(number))["plates"]
    assert (row["plate_number"], row["processed_by"]) == (number, "local")


def test_the_key_is_nowhere(doubting: Server) -> None:
    assert KEY not in doubting.log()
    for path in doubting.data.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


# ── the guide ────────────────────────────────────────────────────────────────────────────────


def test_the_lines_of_the_guide_work_when_they_are_pasted(tmp_path: Path) -> None:
    lines = block("docs/guides/anpr.md", "Photos")
    assert lines.count("curl ") >= 16
    (tmp_path / "car_image.jpg").write_bytes(ONE)
    with Server(tmp_path) as server:
        done = subprocess.run(
            ["bash", "-e", "-c", for_port(lines, server.port)],
            cwd=tmp_path,
            env={**os.environ},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        assert '"plate_number":"A123BC"' in done.stdout
        with Pillow.open(tmp_path / "plate.jpg") as plate_image:
            assert plate_image.width > 50
        assert (tmp_path / "plates.csv").read_text(encoding="utf-8").startswith("id,plate_number")
