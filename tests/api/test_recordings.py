"""Clips and recordings over HTTP: lists, files, pictures, rights, erasure and the audit log."""

from __future__ import annotations

import asyncio
import io
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import cv2
import httpx
import numpy as np
import pytest
from fixtures import LOOPBACK, REMOTE, Running
from support.clips import boxes
from support.encoded import FPS, SIZE, encoded, number_of, seconds

from app.audit import AuditFilter
from app.events import RuleEvent
from app.footage import Footage
from app.pipeline.directory import NodeStatus
from app.pipeline.node_load import NodeLoad
from app.pipeline.packets import PacketRing
from app.recording.footage_files import CONTINUOUS, EVENT, FootageFiles
from app.recording.footage_frames import FootageFrames
from app.recording.packet_file import PacketFile
from app.recording.retention import DiskSpace, StoredItem
from app.rights import RIGHTS_OF, Right, Role
from app.types import StreamSpec

from .test_rights import token_for

pytestmark = pytest.mark.anyio
BEGIN_TS = 1_764_288_000.0
"""Of the recordings of the camera ``gate``: 20 s, a gap of 40 s, and 20 s more."""


def add(
    served: Running,
    stream: str,
    begin_ts: float,
    count: int,
    kind: Any = CONTINUOUS,
    *,
    size: tuple[int, int] = SIZE,
    fps: float = FPS,
) -> Path:
    """A file with frames that are numbered from 0."""
    service = served.state["footage"]
    files: FootageFiles = service.files
    path = files.new(stream, kind, begin_ts)
    packets = list(encoded(seconds(count, fps=fps), size=size, fps=fps))
    file = PacketFile(path, packets[0], fragmented=True)
    for packet in packets:
        file.add(packet)
    file.close()
    name = path.relative_to(files.root).as_posix()
    end_ts = begin_ts + count / fps
    service.store.add(Footage(stream, kind, begin_ts, end_ts, name, path.stat().st_size), ())
    return path


@pytest.fixture(scope="module")
def recorded(served: Running) -> None:
    """Recordings of two cameras."""
    add(served, "gate", BEGIN_TS, 50)
    add(served, "gate", BEGIN_TS + 10, 50)
    add(served, "gate", BEGIN_TS + 60, 100)
    add(served, "gate", BEGIN_TS + 15, 75, EVENT)  # 15 to 30: only 10 s of it are not recorded
    add(served, "yard", BEGIN_TS, 50)


@pytest.fixture
async def client(served: Running, recorded: None) -> AsyncIterator[httpx.AsyncClient]:
    async with served.client(LOOPBACK) as client:
        yield client


def span(stream: str, begin_s: float, end_s: float) -> dict[str, Any]:
    return {"stream": stream, "from": BEGIN_TS + begin_s, "to": BEGIN_TS + end_s}


def frames(body: bytes) -> list[tuple[float, int]]:
    """The times and numbers of the frames of a film."""
    with av.open(io.BytesIO(body), "r") as container:
        return [(round(one.time or 0, 2), number_of(one)) for one in container.decode(video=0)]


# ── lists ────────────────────────────────────────────────────────────────────────────────────


async def test_spans_and_gaps(client: httpx.AsyncClient) -> None:
    reply = await client.get("/api/recordings", params=span("gate", 0, 100))
    body = reply.json()
    assert reply.status_code == 200, body
    spans = [
        (one["kind"], round(one["begin_ts"] - BEGIN_TS), round(one["end_ts"] - BEGIN_TS))
        for one in body["spans"]
    ]
    assert spans == [("continuous", 0, 20), ("event", 15, 30), ("continuous", 60, 80)]
    gaps = [
        (round(one["begin_ts"] - BEGIN_TS), round(one["end_ts"] - BEGIN_TS)) for one in body["gaps"]
    ]
    assert gaps == [(30, 60), (80, 100)]
    assert body["record"] is None  # there is no such stream any more
    assert body["bytes"] == sum(one["bytes"] for one in body["spans"])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"to": None}, "to"),
        ({"to": BEGIN_TS - 1}, "to"),
        ({"to": BEGIN_TS + 40 * 86_400}, "to"),
        ({"stream": None}, "stream"),
    ],
)
@pytest.mark.parametrize("path", ["", "/export", "/play.mp4"])
async def test_a_wrong_parameter_is_named(
    client: httpx.AsyncClient, path: str, changes: dict[str, Any], field: str
) -> None:
    given = {**span("gate", 0, 10), **changes}
    query = {name: value for name, value in given.items() if value is not None}
    reply = await client.get(f"/api/recordings{path}", params=query)
    assert reply.status_code == 400
    assert reply.json()["details"]["field"].endswith(field)


@pytest.mark.parametrize("wrong", ["NaN", "Infinity", "1e400", "true", "null", '"soon"', "[]"])
async def test_a_time_to_flag_from_is_a_time(client: httpx.AsyncClient, wrong: str) -> None:
    body = f'{{"stream": "gate", "from": {wrong}, "to": {BEGIN_TS + 9}, "flagged": true}}'
    reply = await client.patch(
        "/api/recordings", content=body, headers={"Content-Type": "application/json"}
    )
    assert reply.status_code == 400, reply.text
    assert reply.json()["details"]["field"] == "from"


async def test_times_may_be_iso_8601(client: httpx.AsyncClient) -> None:
    query = {"stream": "gate", "from": "2025-11-28T00:00:00Z", "to": "2025-11-28T09:00:20+09:00"}
    body = (await client.get("/api/recordings", params=query)).json()
    assert (body["begin_ts"], body["end_ts"]) == (BEGIN_TS, BEGIN_TS + 20)


async def test_an_unknown_stream_is_not_found(client: httpx.AsyncClient) -> None:
    reply = await client.get("/api/recordings", params=span("nobody", 0, 10))
    assert (reply.status_code, reply.json()["code"]) == (404, "STREAM_NOT_FOUND")


# ── files and pictures ───────────────────────────────────────────────────────────────────────


async def test_an_export_joins_files_and_leaves_gaps_out(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    reply = await client.get("/api/recordings/export", params=span("gate", 5, 70))
    assert reply.status_code == 200, reply.text
    assert "gate-2025-11-28T00-00-05Z.mp4" in reply.headers["content-disposition"]
    assert reply.headers["content-type"] == "video/mp4"
    found = frames(reply.content)
    numbers = [number for _, number in found]
    # From the keyframe at 4 s: the segments, the clip where they have a gap, the next segment.
    first, second = list(range(20, 50)), list(range(50))
    assert numbers[: len(first)] == [number % 48 for number in first]
    assert numbers[len(first) : len(first) + len(second)] == [number % 48 for number in second]
    clip, last = numbers[80:-50], numbers[-50:]
    assert clip[-1] == 74 % 48
    assert 40 <= len(clip) <= 50
    assert last == [number % 48 for number in range(50)]
    times = [at for at, _ in found]
    assert times[0] == 0
    assert max(b - a for a, b in itertools.pairwise(times)) < 2.5
    assert times[-1] == pytest.approx(len(numbers) / 5, abs=2.5)
    path = tmp_path / "export.mp4"
    path.write_bytes(reply.content)
    assert boxes(path)[:2] == ["ftyp", "moov"]


async def test_a_span_is_played_in_parts(client: httpx.AsyncClient) -> None:
    query = span("gate", 0, 20)
    whole = await client.get("/api/recordings/play.mp4", params=query)
    part = await client.get(
        "/api/recordings/play.mp4", params=query, headers={"Range": "bytes=100-199"}
    )
    assert part.status_code == 206
    assert part.content == whole.content[100:200]
    beyond = await client.get(
        "/api/recordings/play.mp4", params=query, headers={"Range": "bytes=99999999-"}
    )
    assert (beyond.status_code, beyond.json()["code"]) == (416, "BAD_RANGE")
    assert (await client.head("/api/recordings/play.mp4", params=query)).status_code == 200
    long = await client.get("/api/recordings/play.mp4", params=span("gate", 0, 3601))
    assert (long.status_code, long.json()["details"]["field"]) == (400, "to")


async def test_nothing_recorded_is_a_404(client: httpx.AsyncClient) -> None:
    for path in ("export", "play.mp4"):
        reply = await client.get(f"/api/recordings/{path}", params=span("gate", 35, 55))
        assert (reply.status_code, reply.json()["code"]) == (404, "NO_RECORDING")
    reply = await client.get(
        "/api/recordings/frame", params={"stream": "gate", "at": BEGIN_TS + 40}
    )
    assert (reply.status_code, reply.json()["code"]) == (404, "NO_RECORDING")


async def test_a_size_that_changes_says_when(served: Running, client: httpx.AsyncClient) -> None:
    add(served, "wide", BEGIN_TS, 50)
    add(served, "wide", BEGIN_TS + 10, 20, size=(96, 64))
    reply = await client.get("/api/recordings/export", params=span("wide", 0, 20))
    assert reply.status_code == 400
    assert "2025-11-28T00:00:10+00:00" in reply.json()["details"]["reason"]
    assert not list(served.state["footage"].files.root.glob("exports/.*"))


async def test_two_encoders_of_one_size_are_joined(
    served: Running, client: httpx.AsyncClient
) -> None:
    """As after a restart of a published stream, whose output takes a moment to connect."""
    add(served, "joined", BEGIN_TS, 5)
    add(served, "joined", BEGIN_TS + 1, 45, fps=15)
    reply = await client.get("/api/recordings/export", params=span("joined", 0, 20))
    numbers = [number for _, number in frames(reply.content)]
    assert numbers == [*range(5), *range(45)]


@pytest.mark.parametrize(("at", "number"), [(0.0, 0), (4.3, 21), (9.9, 1), (62.5, 12)])
async def test_the_picture_of_a_moment(client: httpx.AsyncClient, at: float, number: int) -> None:
    query: dict[str, Any] = {"stream": "gate", "at": BEGIN_TS + at}
    reply = await client.get("/api/recordings/frame", params=query)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/jpeg")
    image = cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    assert image.shape == (96, 160)
    luma = float(np.asarray(image).mean()) * 219 / 255 + 16  # a JPEG has full range
    assert round((luma - 30) / 4) == number
    small = await client.get("/api/recordings/frame", params={**query, "width": 80})
    image = cv2.imdecode(np.frombuffer(small.content, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    assert image.shape == (48, 80)


async def test_previews_are_quick_and_near(
    served: Running, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames: FootageFrames = served.state["frames"]
    read: list[float] = []
    original = FootageFrames._read

    def counted(self: FootageFrames, path: str, at_s: float, *rest: Any, **more: Any) -> bytes:
        read.append(at_s)
        return original(self, path, at_s, *rest, **more)

    monkeypatch.setattr(FootageFrames, "_read", counted)
    for at in (4.3, 5.1, 4.9, 6.1):
        query: dict[str, Any] = {
            "stream": "gate",
            "at": BEGIN_TS + at,
            "width": 80,
            "preview": True,
        }
        reply = await client.get("/api/recordings/frame", params=query)
        image = cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        assert image.shape == (48, 80)
        luma = float(np.asarray(image).mean()) * 219 / 255 + 16
        assert abs(round((luma - 30) / 4) - at * FPS) <= 2 * FPS
    assert len(read) == 2
    frames.forget()
    await client.get("/api/recordings/frame", params=query)
    assert len(read) == 3


async def test_days_that_have_recordings(client: httpx.AsyncClient) -> None:
    query: dict[str, Any] = {**span("gate", -86_400, 86_400), "timezone": "Europe/Berlin"}
    (day,) = (await client.get("/api/recordings/days", params=query)).json()["days"]
    assert day["day"] == "2025-11-28"
    listed = (await client.get("/api/recordings", params=span("gate", 0, 100))).json()
    assert day["bytes"] == listed["bytes"]
    late = {**query, "timezone": "America/New_York"}
    (day,) = (await client.get("/api/recordings/days", params=late)).json()["days"]
    assert day["day"] == "2025-11-27"
    long = await client.get("/api/recordings/days", params=span("gate", 0, 401 * 86_400))
    assert (long.status_code, long.json()["details"]["field"]) == (400, "to")


async def test_what_goes_next_of_the_callers_cameras(
    served: Running, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    space: DiskSpace = served.state["space"]
    items = [
        StoredItem("1", 10, BEGIN_TS, max_days=7.0, kind="continuous", stream_id="gate"),
        StoredItem("2", 20, BEGIN_TS, kind="clip", stream_id="yard"),
        StoredItem("3", 30, BEGIN_TS, kind="job"),
        StoredItem("4", 40, BEGIN_TS, protected=True, kind="clip", stream_id="gate"),
    ]
    monkeypatch.setattr(space, "next_up", items)
    monkeypatch.setattr(space, "bytes_of", {"clip": 60})
    monkeypatch.setattr(space.settings, "max_days", 30.0)
    body = (await client.get("/api/storage")).json()
    assert body["size"] >= body["free"] > 0
    assert body["must_stay_free"] == space.settings.min_free
    assert {one["kind"]: one["bytes"] for one in body["kinds"]}["clip"] == 60
    ages = [one["removed_by_age_ts"] for one in body["next_up"]]
    month = BEGIN_TS + 30 * 86_400
    assert ages == [BEGIN_TS + 7 * 86_400, month, month, None]
    headers = token_for(served, RIGHTS_OF[Role.VIEWER], "gate")
    async with served.client(REMOTE, "http://watchpost.example", headers=headers) as viewer:
        body = (await viewer.get("/api/storage")).json()
        assert [one["bytes"] for one in body["next_up"]] == [10, 40]


async def test_disks_of_nodes_are_listed(
    served: Running, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await client.get("/api/storage")).json()["nodes"] == []
    load = NodeLoad(8, 12.5, None, 500, 1000, 400, 50, 0, 0)
    nodes = [
        NodeStatus("1", "north", "192.0.2.1", "ready", None, ("gate",), load),
        NodeStatus("2", "south", "192.0.2.2", "opening", None, ()),  # it has not reported
    ]
    monkeypatch.setattr(served.state["manager"], "nodes", lambda: nodes)
    body = (await client.get("/api/storage")).json()
    assert body["nodes"] == [{"node": "north", "size": 1000, "free": 400, "used": 50}]


# ── clips ────────────────────────────────────────────────────────────────────────────────────


RINGS: list[PacketRing] = []
"""Of streams that still run."""


async def happened(served: Running, stream: str, ago_s: float = 15.0) -> int:
    """An event of a stream whose ring is full; returns its number."""
    log, service = served.state["event_log"], served.state["footage"]
    spec = StreamSpec(stream, "rtsp://192.0.2.1/x", analytics={"smoking": {}})
    ring = service.new_packets(spec)
    RINGS.append(ring)
    begin = time.monotonic() - 40
    for packet in encoded(seconds(200, begin)):
        ring.add(
            packet.data, packet.captured_at, 1, is_keyframe=packet.is_keyframe, by_output=False
        )
    log.report(stream, RuleEvent("bag_placed"), time.time() - ago_s, None, has_clip=True)
    return int(log.newest_id)


async def wait_for(client: httpx.AsyncClient, path: str) -> httpx.Response:
    for _ in range(200):
        reply = await client.get(path)
        if reply.status_code == 200:
            return reply
        await asyncio.sleep(0.05)
    raise AssertionError(reply.text)


async def test_the_clip_of_an_event(served: Running, client: httpx.AsyncClient) -> None:
    event_id = await happened(served, "door")
    path = f"/api/events/{event_id}/clip.mp4"
    reply = await wait_for(client, path)
    assert reply.headers["content-type"] == "video/mp4"
    assert 75 <= len(frames(reply.content)) <= 86
    part = await client.get(path, headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, reply.content[:10])
    assert (await client.head(path)).status_code == 200
    assert (await client.get(f"/api/events/{event_id}")).json()["clip"] == path
    page = (await client.get("/api/events?camera=door")).json()
    assert page["events"][0]["clip"] == path
    listed = await client.get(
        "/api/recordings", params={"stream": "door", "from": time.time() - 60, "to": time.time()}
    )
    assert [one["kind"] for one in listed.json()["spans"]] == ["event"]


async def test_a_clip_that_is_not_ready_says_when(
    served: Running, client: httpx.AsyncClient
) -> None:
    event_id = await happened(served, "late", ago_s=0.0)
    for _ in range(100):
        reply = await client.get(f"/api/events/{event_id}/clip.mp4")
        if reply.json()["code"] == "CLIP_NOT_READY":
            break
        await asyncio.sleep(0.05)
    assert reply.status_code == 503
    assert 5 <= int(reply.headers["retry-after"]) <= 16
    assert reply.json()["details"]["ready_at"].startswith("20")
    assert (await client.get(f"/api/events/{event_id}")).json()["clip"] is not None
    await client.post(
        "/api/privacy/erase",
        json={"camera": "late", "since": time.time() - 60, "until": time.time() + 60},
    )
    reply = await client.get(f"/api/events/{event_id}/clip.mp4")
    assert reply.status_code == 404


async def test_an_event_without_a_clip_says_so(served: Running, client: httpx.AsyncClient) -> None:
    log = served.state["event_log"]
    log.report("silent", RuleEvent("bag_placed"), time.time(), None)
    reply = await client.get(f"/api/events/{log.newest_id}/clip.mp4")
    assert (reply.status_code, reply.json()["code"]) == (404, "NO_CLIP")
    assert (await client.get(f"/api/events/{log.newest_id}")).json()["clip"] is None
    assert (await client.get("/api/events/99999999/clip.mp4")).json()["code"] == "EVENT_NOT_FOUND"


# ── rights ───────────────────────────────────────────────────────────────────────────────────


async def test_only_own_cameras_and_exports_are_a_right_of_their_own(
    served: Running, recorded: None
) -> None:
    event_id = await happened(served, "yard")
    viewer = token_for(served, frozenset({Right.VIEW}), "gate")
    operator = token_for(served, RIGHTS_OF[Role.OPERATOR], "gate")
    flag = {"flagged": True}
    calls = {
        "": ("GET", None),
        "/export": ("GET", None),
        "/play.mp4": ("GET", None),
        "/frame": ("GET", None),
        "flag": ("PATCH", flag),
    }

    async def status(headers: dict[str, str], camera: str, name: str) -> int:
        async with served.client(REMOTE, "http://w.example", headers=headers) as client:
            if name == "flag":
                body = {**span(camera, 0, 10), **flag}
                return (await client.patch("/api/recordings", json=body)).status_code
            query = {**span(camera, 0, 10), "at": BEGIN_TS + 5}
            return (await client.get(f"/api/recordings{name}", params=query)).status_code

    mine = {name: await status(viewer, "gate", name) for name in calls}
    assert mine == {"": 200, "/export": 403, "/play.mp4": 200, "/frame": 200, "flag": 403}
    assert {await status(operator, "gate", name) for name in calls} == {200}
    for headers in (viewer, operator):
        foreign = {name: await status(headers, "yard", name) for name in calls}
        assert set(foreign.values()) <= {403, 404}
        assert foreign[""] == foreign["/frame"] == foreign["/play.mp4"] == 404
        async with served.client(REMOTE, "http://w.example", headers=headers) as client:
            reply = await client.get(f"/api/events/{event_id}/clip.mp4")
            assert reply.json()["code"] == "EVENT_NOT_FOUND"


async def test_exports_and_playing_are_written_to_the_audit_log(
    served: Running, client: httpx.AsyncClient
) -> None:
    query = span("gate", 60, 75)
    for path in ("export", "play.mp4"):
        await client.get(f"/api/recordings/{path}", params=query)
    rows = list(served.state["audit"].rows.all(AuditFilter()))
    for path in ("export", "play.mp4"):
        found = [row for row in rows if row.entry.action == f"GET /api/recordings/{path}"]
        details = found[-1].entry.details if found[-1].entry.details.get("until") else {}
        wanted = {"stream_id": "gate", "since": query["from"], "until": query["to"]}
        assert any(dict(row.entry.details) == wanted for row in found), details


# ── erasure ──────────────────────────────────────────────────────────────────────────────────


async def test_a_camera_and_a_period_are_erased_with_what_is_still_recorded(
    served: Running, client: httpx.AsyncClient
) -> None:
    old = add(served, "shop", BEGIN_TS, 50)
    service = served.state["footage"]
    spec = StreamSpec("shop", "rtsp://192.0.2.1/x", record="continuous")
    ring = service.new_packets(spec)
    for packet in encoded(seconds(50, time.monotonic() - 10)):
        ring.add(
            packet.data, packet.captured_at, 1, is_keyframe=packet.is_keyframe, by_output=False
        )
    now = time.time()
    query: dict[str, Any] = {"stream": "shop", "from": now - 60, "to": now + 60}
    for _ in range(100):
        growing = (await client.get("/api/recordings", params=query)).json()
        if growing.get("spans") and growing["spans"][0]["end_ts"] > now - 1:
            break
        await asyncio.sleep(0.05)
    shown = await client.get("/api/recordings/play.mp4", params=query)
    assert len(frames(shown.content)) >= 20  # up to its last complete fragment
    reply = await client.post(
        "/api/privacy/erase", json={"camera": "shop", "since": now - 60, "until": now + 60}
    )
    assert reply.json()["recordings"] == 1
    assert (await client.get("/api/recordings/play.mp4", params=query)).status_code == 404
    files = [path for path in service.files.root.rglob("*.mp4") if "shop" in path.parts]
    assert files == [old]
    assert not list(service.files.root.glob("exports/*"))
    ring.close()


async def test_what_is_kept_is_listed(client: httpx.AsyncClient) -> None:
    kept = (await client.get("/api/privacy")).json()["kept"]
    mine = {one["what"]: one for one in kept}
    recordings, clips = mine["continuous recordings"], mine["clips of events"]
    assert recordings["count"] >= 4
    assert recordings["oldest_ts"] == BEGIN_TS
    assert clips["count"] >= 1
    assert (recordings["max_days"], clips["max_days"]) == (7, 30)


# ── every API ────────────────────────────────────────────────────────────────────────────────


async def test_what_is_recorded_is_an_option_of_every_stream(
    client: httpx.AsyncClient, served: Running
) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    for name in ("StartRequest", "PushRequest", "CameraRequest", "CameraChanges"):
        assert {"record", "clip_before_s", "clip_after_s"} <= set(schemas[name]["properties"])
    wrong = {"camera_id": "x", "source": "rtsp://192.0.2.1/x", "record": "always"}
    reply = await client.post("/cameras", json=wrong)
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, "record")
    reply = await client.post("/stream/request", json={"record": "continuous", "analytics": []})
    stream_id = reply.json()["stream_id"]
    spec = served.state["manager"].stream(stream_id).status.spec
    assert spec.record == "continuous"
    assert spec.is_recorded
