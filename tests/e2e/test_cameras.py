"""Cameras and their events on a real server, as clients use them.

The rules are the real ones: a video whose picture jumps makes ``camera_moved`` events.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import cv2
import httpx
import numpy as np
import pytest
from support.docs import block, for_port
from support.fake_rtsp import FakeRtsp
from support.poll import eventually
from support.watchpost import ROOT, Server, error_of
from websockets.sync.client import connect

KEYS = {"camera_id", "faces", "ids", "bags", "owned", "session_id"}
STARTS_S = 60
JUMP_S = 60


def write_jumping(path: Path) -> None:
    """A textured wall that stands still for six seconds, then another part of it for three."""
    wall = np.random.default_rng(3).integers(30, 220, (30, 50, 3), np.uint8)
    wall = np.asarray(cv2.resize(wall, (440, 280), interpolation=cv2.INTER_CUBIC), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        for number in range(90):
            left, top = (20, 20) if number < 60 else (48, 32)
            view = np.ascontiguousarray(wall[top : top + 192, left : left + 320])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def jumping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jumping") / "clip.mp4"
    write_jumping(path)
    return path


@pytest.fixture(scope="module")
def settings(jumping: Path, video: Path) -> dict[str, object]:
    return {"media_dirs": f"{jumping.parent}:{video.parent}", "streams__start_timeout_s": STARTS_S}


@pytest.fixture
def own(tmp_path: Path, jumping: Path) -> Iterator[Server]:
    """A server that a test may stop and start."""
    media = str(jumping.parent)
    server = Server(tmp_path, media_dirs=media, streams__start_timeout_s=STARTS_S).start()
    yield server
    server.stop()
    server.http.close()


@pytest.fixture
def server(server: Server) -> Iterator[Server]:
    """The module's server, which a test leaves without cameras."""
    yield server
    for row in server.http.get("/cameras").json():
        server.http.delete(f"/camera/{row['camera_id']}")


def add(server: Server, camera_id: str, source: object, **more: object) -> dict[str, Any]:
    body = {"camera_id": camera_id, "source": source, **more}
    reply = server.http.post("/cameras", json=body, timeout=STARTS_S + 30)
    assert reply.status_code == 201, reply.text
    camera: dict[str, Any] = reply.json()
    return camera


def wait_state(server: Server, camera_id: str, state: str) -> dict[str, Any]:
    return eventually(
        lambda: server.http.get(f"/camera/{camera_id}").json(),
        lambda seen: seen.get("state") == state,
        STARTS_S,
        f"{camera_id} is {state}",
    )


# ── every call ───────────────────────────────────────────────────────────────────────────────


def test_a_camera_from_its_first_call_to_its_last(server: Server, video: Path) -> None:
    http = server.http
    camera = add(server, "CAM_01", str(video), loop=True, name="Gate", max_fps=10)
    assert (camera["camera_id"], camera["state"], camera["name"]) == ("CAM_01", "running", "Gate")

    (row,) = http.get("/cameras").json()
    assert (row["camera_id"], row["kind"], row["state"]) == ("CAM_01", "camera", "running")
    stats = http.get("/camera/CAM_01/stats").json()
    assert set(stats) == set(row["stats"]) == KEYS
    assert stats["session_id"].startswith("S_")
    assert http.get("/camera/CAM_01/jpeg").content[:2] == b"\xff\xd8"
    with http.stream("GET", "/camera/CAM_01/mjpeg") as watched:
        assert watched.headers["content-type"].startswith("multipart/x-mixed-replace")
        assert b"\xff\xd8" in next(watched.iter_bytes(4096))

    changed = http.patch("/camera/CAM_01", json={"name": "Door", "max_fps": 5}).json()
    assert (changed["name"], changed["max_fps"], changed["loop"]) == ("Door", 5, True)
    assert http.get("/camera/CAM_01").json()["name"] == "Door"
    assert http.delete("/camera/CAM_01").status_code == 204
    error_of(http.get("/camera/CAM_01"), 404, "STREAM_NOT_FOUND")
    assert http.get("/cameras").json() == []


def test_numbers_and_pictures_over_a_websocket(server: Server, video: Path) -> None:
    add(server, "CAM_01", str(video), loop=True)
    with connect(f"ws://127.0.0.1:{server.port}/ws/camera/CAM_01") as socket:
        seen = [socket.recv(timeout=30) for _ in range(6)]
    numbers = [json.loads(text) for text in seen if isinstance(text, str)]
    pictures = [data for data in seen if isinstance(data, bytes)]
    assert numbers
    assert pictures
    assert {frozenset(each) for each in numbers} == {frozenset(KEYS)}
    assert {data[:2] for data in pictures} == {b"\xff\xd8"}


@pytest.mark.parametrize(
    ("source", "status", "says"),
    [(63, 502, "CAM_01|webcam|device"), ("gone.mp4", 400, "file"), ("/etc/passwd", 400, "folders")],
)
def test_what_cannot_be_watched_is_said(
    server: Server, source: object, status: int, says: str
) -> None:
    """A missing webcam is an error reply, not a camera that never has a frame."""
    reply = server.http.post("/cameras", json={"camera_id": "CAM_01", "source": source})
    body = reply.json()
    assert reply.status_code == status, body
    assert set(body) == {"code", "message", "details"}
    assert any(word in json.dumps(body) for word in says.split("|")), body
    assert server.http.get("/cameras").json() == []


def test_a_camera_that_hangs_costs_the_others_nothing(server: Server, video: Path) -> None:
    add(server, "works", str(video), loop=True, max_fps=10)

    def frames() -> int:
        numbers = server.http.get("/camera/works").json()["numbers"]
        return int(numbers["frames_published"])

    with FakeRtsp() as silent:
        reply = server.http.post(
            "/cameras", json={"camera_id": "hangs", "source": silent.url()}, timeout=STARTS_S + 30
        )
        assert reply.status_code == 201, reply.text
        before = frames()
        began = time.monotonic()
        eventually(frames, lambda now: now >= before + 20, 30, "twenty more frames")
        assert server.http.get("/camera/works/jpeg").status_code == 200
        assert time.monotonic() - began < 30
        assert server.http.get("/camera/hangs").json()["state"] in ("starting", "reconnecting")
        assert server.http.delete("/camera/hangs").status_code == 204
    assert server.http.get("/camera/works").json()["state"] == "running"


# ── after a restart ──────────────────────────────────────────────────────────────────────────


def test_cameras_come_back_and_a_new_session_begins(own: Server, jumping: Path) -> None:
    add(own, "CAM_01", str(jumping), loop=True, name="Gate", max_fps=8, blur="pixelate")
    first = own.http.get("/camera/CAM_01/stats").json()["session_id"]
    for end in (own.stop, own.kill):
        end()
        own.start()
        camera = wait_state(own, "CAM_01", "running")
        assert (camera["name"], camera["max_fps"], camera["blur"]) == ("Gate", 8, "pixelate")
        assert camera["loop"] is True
        session = own.http.get("/camera/CAM_01/stats").json()["session_id"]
        assert int(session[-4:]) == int(first[-4:]) + 1
        first = session


# ── events ───────────────────────────────────────────────────────────────────────────────────


@contextmanager
def following(server: Server, query: str = "", **headers: str) -> Iterator[Iterator[Any]]:
    """The events of ``GET /events``, each with the id of its frame."""
    with httpx.Client(timeout=JUMP_S, trust_env=False) as http:
        url = f"http://127.0.0.1:{server.port}/events{query}"
        with http.stream("GET", url, headers=headers) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            yield _events(response)


def _events(response: httpx.Response) -> Iterator[Any]:
    number = None
    deadline = time.monotonic() + JUMP_S
    for line in response.iter_lines():  # a heartbeat comes now and then
        assert time.monotonic() < deadline, f"no event came; last {number}"
        if line.startswith("id: "):
            number = int(line[4:])
        if line.startswith("data: "):
            event = json.loads(line[6:])
            assert event["id"] == number
            yield event
            deadline = time.monotonic() + JUMP_S


def test_events_live_resumed_kept_and_pictured(own: Server, jumping: Path) -> None:
    add(own, "CAM_01", str(jumping), loop=True, analytics=["bags"])
    with following(own, "?camera=CAM_01&type=camera_moved") as events:
        first = next(events)
        second = next(events)
    assert (first["event"], first["camera_id"]) == ("camera_moved", "CAM_01")
    assert first["session_id"] == own.http.get("/camera/CAM_01/stats").json()["session_id"]
    assert abs(first["ts"] - time.time()) < 120
    assert first["time"].startswith("20")
    assert second["id"] > first["id"]

    with following(own, **{"Last-Event-ID": str(first["id"])}) as events:
        assert next(events) == second  # missed events come first
    address = f"ws://127.0.0.1:{own.port}/ws/events?last_event_id={first['id']}"
    with connect(address) as socket:
        assert json.loads(socket.recv(timeout=JUMP_S)) == second

    own.http.delete("/camera/CAM_01")
    page = own.http.get("/api/events", params={"type": "camera_moved", "limit": 1}).json()
    assert page["total"] >= 2
    assert len(page["events"]) == 1
    (newest,) = page["events"]
    older = own.http.get("/api/events", params={"cursor": page["cursor"], "limit": 500}).json()
    assert {second["id"], first["id"]} <= {event["id"] for event in [newest, *older["events"]]}
    assert own.http.get("/api/events?camera=other").json()["total"] == 0
    picture = own.http.get(first["snapshot"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content[:2] == b"\xff\xd8"
    error_of(own.http.get("/api/events?limit=0"), 400, "INVALID_REQUEST")


# ── the guides ───────────────────────────────────────────────────────────────────────────────


def pasted(server: Server, page: str, title: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the first shell lines below a title of a guide."""
    lines = for_port(block(page, title), server.port).replace("-N ", "-N -m 2 ")
    return subprocess.run(
        ["bash", "-c", lines],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )


def test_the_guides_lines_work_when_pasted(own: Server, jumping: Path) -> None:
    (own.folder / "clip.mp4").write_bytes(jumping.read_bytes())
    own.stop()
    own._environment.pop("WATCHPOST_MEDIA_DIRS")  # the default: where the server was started
    own.start()

    done = pasted(own, "docs/guides/cameras.md", "Over HTTP", own.folder)

    assert done.stderr == "", done.stdout
    assert '"camera_id":"CAM_01"' in done.stdout
    assert "user:pass" not in done.stdout
    assert '"name":"Gate"' in done.stdout
    assert (own.folder / "now.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert [row["camera_id"] for row in own.http.get("/cameras").json()] == ["CAM_02"]
    own.http.delete("/camera/CAM_02")

    add(own, "CAM_01", "clip.mp4", loop=True, analytics=["bags"])
    with following(own) as events:
        number = next(events)["id"]
    own.http.delete("/camera/CAM_01")
    done = pasted(own, "docs/guides/events.md", "The calls", own.folder)
    said = [line for line in done.stderr.splitlines() if "(28)" not in line]  # its time was over
    if number != 17:
        said = [line for line in said if "404" not in line]
    assert said == [], done.stderr
    assert '"events":[' in done.stdout


def test_the_guides_script_says_which_camera_is_missing(tmp_path: Path) -> None:
    """There is no webcam here: the script must report that with the camera's id."""
    if Path("/dev/video0").exists():
        pytest.skip("there is a webcam")
    script = block("docs/guides/cameras.md", "From Python", "python")
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "CameraFailed" in last
    assert "CAM_01" in last
