"""Cameras over HTTP: added, watched, changed, removed, and resumed after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
import uvicorn
import websockets
from fixtures import PATIENCE_S, running
from PIL import Image
from support.doubles import threads_of, write_video

from app.config import AuthSettings, Settings, StreamSettings
from app.main import create_app

pytestmark = pytest.mark.anyio
KEYS = {"camera_id", "faces", "ids", "bags", "owned", "session_id"}


class Site:
    def __init__(self, port: int, media: Path) -> None:
        self.ws, self.media = f"ws://127.0.0.1:{port}", media
        url = f"http://127.0.0.1:{port}"
        self.http = httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, trust_env=False)

    async def add(self, camera_id: str = "CAM_01", **body: Any) -> httpx.Response:
        source = str(self.media / "video.mp4")
        return await self.http.post(
            "/cameras", json={"camera_id": camera_id, "source": source, "loop": True, **body}
        )

    async def show(self, camera_id: str = "CAM_01") -> Any:
        return (await self.http.get(f"/camera/{camera_id}")).json()

    async def until(self, camera_id: str, **wanted: Any) -> Any:
        for _ in range(600):
            seen = await self.show(camera_id)
            if all(seen.get(name) == value for name, value in wanted.items()):
                return seen
            await asyncio.sleep(0.05)
        raise AssertionError(f"{wanted} never came: {seen}")


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Site]:
    media = folder / "media"
    if not media.exists():
        media.mkdir()
        write_video(media / "video.mp4", frames=40, fps=20)
        write_video(media / "short.mp4", frames=8, fps=20)
        (media / "text.mp4").write_text("no video at all", encoding="utf-8")
    settings = Settings(
        _env_file=None,
        data_dir=folder / "data",
        media_dirs=[media],
        auth=AuthSettings(disabled=True),
        streams=StreamSettings(start_timeout_s=60),
    )
    async with running(create_app(settings)) as app:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app.app({**scope, "state": dict(app.state)}, receive, send)

        server = uvicorn.Server(uvicorn.Config(with_state, lifespan="off", log_level="error"))
        listener = socket.create_server(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve([listener]))
        site = Site(listener.getsockname()[1], media)
        try:
            async with site.http:
                yield site
        finally:
            app.state["manager"].begin_shutdown()
            server.should_exit = True
            await asyncio.wait_for(task, 20)


@pytest.fixture(scope="module")
async def shared(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    async with serving(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
async def site(shared: Site) -> AsyncIterator[Site]:
    """One server for all tests; each starts without cameras."""
    yield shared
    for camera in ("CAM_01", "CAM_02", "far"):
        await shared.http.delete(f"/camera/{camera}")


async def test_zones_and_lines_are_kept_as_given(site: Site) -> None:
    zones = [
        {"kind": "ignore", "name": "tree", "points": [[0, 0], [0.5, 0], [0.5, 0.5]]},
        {
            "kind": "count",
            "name": "hall",
            "points": [[0, 0], [1, 0], [1, 1]],
            "color": "#ff8800",
            "labels": ["person"],
            "rules": ["objects"],
        },
    ]
    line = {"name": "door", "points": [[0.2, 0.5], [0.8, 0.5]], "sides": ["yard", "house"]}
    reply = await site.add(zones=zones, lines=[line], analytics=["objects"])
    assert reply.status_code == 201, reply.text
    assert reply.json()["zones"] == zones, "a zone as it was always given has no new fields"
    assert reply.json()["lines"] == [line | {"direction": "both"}]
    counts = (await site.http.get("/camera/CAM_01/stats")).json()["places"]
    assert counts["zones"] == [{"name": "hall", "now": {}, "today": {}}]
    assert counts["lines"] == [{"name": "door", "today": {"a_to_b": {}, "b_to_a": {}}}]
    (listed,) = (await site.http.get("/cameras")).json()
    assert listed["stats"]["places"] == counts
    assert (await site.http.get("/camera/CAM_01")).json()["numbers"]["places"] == counts


async def test_a_wall_gets_smaller_pictures(site: Site) -> None:
    write_video(site.media / "wide.mp4", frames=10, width=800, height=448)
    assert (await site.add(source=str(site.media / "wide.mp4"))).status_code == 201
    await site.until("CAM_01", state="running")
    for width, expected in ((17, (320, 178)), (321, (480, 268)), (9000, (800, 448))):
        reply = await site.http.get("/camera/CAM_01/jpeg", params={"width": width})
        assert Image.open(BytesIO(reply.content)).size == expected
    for wrong in ("0", "-320", "many", "99999"):
        reply = await site.http.get("/camera/CAM_01/jpeg", params={"width": wrong})
        assert (reply.status_code, reply.json()["details"]["field"]) == (400, "width")


async def test_a_file_becomes_a_camera(site: Site) -> None:
    reply = await site.add(
        name="Gate",
        max_fps=10,
        zones=[{"kind": "ignore", "name": "tree", "points": [[0, 0], [0.5, 0], [0.5, 0.5]]}],
    )
    assert reply.status_code == 201, reply.text
    camera = reply.json()
    assert (camera["camera_id"], camera["name"], camera["state"]) == ("CAM_01", "Gate", "running")
    assert camera["source"] == str(site.media / "video.mp4")
    assert camera["zones"][0]["points"][1] == [0.5, 0]
    numbers = (await site.http.get("/camera/CAM_01/stats")).json()
    assert set(numbers) == KEYS
    picture = await site.http.get("/camera/CAM_01/jpeg")
    assert (picture.status_code, picture.content[:2]) == (200, b"\xff\xd8")
    async with site.http.stream("GET", "/camera/CAM_01/mjpeg") as response:
        assert response.headers["content-type"].startswith("multipart/x-mixed-replace")
        got = b""
        async for chunk in response.aiter_bytes():
            got += chunk
            if got.count(b"image/jpeg") == 2:
                break


async def test_session_ids_count_up(site: Site) -> None:
    numbers = []
    for camera in ("CAM_01", "CAM_02"):
        await site.add(camera)
        for _ in range(100):
            if session := (await site.show(camera))["stats"]["session_id"]:
                break
            await asyncio.sleep(0.05)
        assert session[:2] == "S_"
        numbers.append(int(session[-4:]))
    assert numbers[1] == numbers[0] + 1


async def test_a_name_alone_is_looked_for_where_files_may_be(site: Site) -> None:
    reply = await site.add(source="video.mp4")
    assert reply.status_code == 201, reply.text
    assert reply.json()["source"] == str(site.media / "video.mp4")


@pytest.mark.parametrize("source", [-1, 64, 1.5, True, None, [], "x" * 5000])
async def test_what_is_no_source_is_told_in_words(site: Site, source: object) -> None:
    reply = await site.add(source=source)
    assert reply.status_code == 400, reply.text
    assert reply.json()["details"]["field"] == "source"
    assert reply.json()["details"]["reason"].startswith(
        "give the index of a webcam, the path of a file"
    )


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_json_that_is_not_called_so(site: Site, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    reply = await site.http.post("/cameras", content=b'{"camera_id": "x"}', headers=headers)
    assert reply.status_code == 400, reply.text
    assert "Content-Type: application/json" in reply.json()["message"]


async def test_a_file_plays_to_its_end(site: Site) -> None:
    reply = await site.add(source=str(site.media / "short.mp4"), loop=False)
    assert reply.status_code == 201
    seen = await site.until("CAM_01", state="stopped")
    assert seen["numbers"]["frames_in"] == 8
    assert (await site.http.get("/camera/CAM_01/jpeg")).status_code == 503
    assert threads_of("CAM_01") == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"camera_id": "a b"}, 400, "INVALID_REQUEST"),
        ({"camera_id": "../x"}, 400, "INVALID_REQUEST"),
        ({"camera_id": ""}, 400, "INVALID_REQUEST"),
        ({"source": "/etc/passwd"}, 400, "INVALID_REQUEST"),
        ({"source": "media/../../x"}, 400, "INVALID_REQUEST"),
        ({"source": "ftp://192.0.2.1/x"}, 400, "INVALID_REQUEST"),
        ({"source": ""}, 400, "INVALID_REQUEST"),
        ({"source": None}, 400, "INVALID_REQUEST"),
        ({"source": True}, 400, "INVALID_REQUEST"),
        ({"source": 1.5}, 400, "INVALID_REQUEST"),
        ({"source": -1}, 400, "INVALID_REQUEST"),
        ({"source": "http://169.254.169.254/"}, 400, "ADDRESS_NOT_ALLOWED"),
        ({"max_fps": 0}, 400, "INVALID_REQUEST"),
        ({"max_fps": "fast"}, 400, "INVALID_REQUEST"),
        ({"blur": "none"}, 400, "INVALID_REQUEST"),
        ({"loop": "yes"}, 400, "INVALID_REQUEST"),
        ({"analytics": ["flying"]}, 400, "INVALID_REQUEST"),
        ({"zones": [{"points": [[0, 0], [1, 1]]}]}, 400, "INVALID_REQUEST"),
        ({"zones": [{"points": [[0, 0], [2, 1], [0, 1]]}]}, 400, "INVALID_REQUEST"),
        ({"lines": [{"points": [[0, 0]]}]}, 400, "INVALID_REQUEST"),
        ({"lines": [{"points": [[0.5, 0.5], [0.5, 0.5]]}]}, 400, "INVALID_REQUEST"),
        ({"lines": [{"points": [[0, 0], [1, 1]], "sides": ["A"]}]}, 400, "INVALID_REQUEST"),
        ({"zones": [{"points": [[0, 0], [1, 0], [1, 1]], "color": "red"}]}, 400, "INVALID_REQUEST"),
        ({"analytics": {"objects": {"hours": [{"from": "22"}]}}}, 400, "INVALID_REQUEST"),
        ({"unknown": 1}, 400, "INVALID_REQUEST"),
        ({"source": 63}, 502, "INPUT_FAILED"),
    ],
)
async def test_what_is_wrong_is_said_and_leaves_nothing(
    site: Site, body: dict[str, Any], status: int, code: str
) -> None:
    reply = await site.add(**body)
    assert (reply.status_code, reply.json()["code"]) == (status, code), reply.text
    assert (await site.http.get("/camera/CAM_01")).status_code == 404
    assert threads_of("CAM_01") == []


async def test_a_file_without_video_is_no_camera(site: Site) -> None:
    reply = await site.add(source=str(site.media / "text.mp4"))
    assert (reply.status_code, reply.json()["code"]) == (502, "INPUT_FAILED")
    assert (await site.http.get("/camera/CAM_01")).status_code == 404


async def test_a_file_that_is_not_there_is_named(site: Site) -> None:
    for source in (str(site.media / "gone.mp4"), "gone.mp4"):
        reply = await site.add(source=source)
        assert reply.status_code == 400
        assert f"the file does not exist: {source}" in reply.json()["details"]["reason"]
    reply = await site.add(source="rtsp:/me:very-hidden@192.0.2.1/x")
    assert reply.status_code == 400
    assert "very-hidden" not in reply.text


async def test_what_cannot_be_watched_says_what_it_is(site: Site) -> None:
    unknown, still = site.media / "unknown.avi", site.media / "photo.jpg"
    write_mjpeg(unknown)
    unknown.write_bytes(unknown.read_bytes().replace(b"MJPG", b"ZZZZ"))
    Image.new("RGB", (64, 48)).save(still)
    for path, reason in ((unknown, "unknown_codec"), (still, "single_picture")):
        reply = await site.add(source=str(path))
        assert (reply.status_code, reply.json()["code"]) == (400, "UNUSABLE_SOURCE"), reply.text
        assert reply.json()["details"]["reason"] == reason
        assert (await site.http.get("/camera/CAM_01")).status_code == 404


def write_mjpeg(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuvj420p")))
        container.mux(stream.encode(None))


async def test_limits_of_a_slow_camera_are_kept_and_shown(site: Site) -> None:
    limits: dict[str, Any] = {"stall_timeout_s": 20, "start_timeout_s": 30, "interval": 2}
    reply = await site.add(**limits)
    assert reply.status_code == 201, reply.text
    assert {name: reply.json()[name] for name in limits} == limits
    changed = await site.http.patch("/camera/CAM_01", json={"interval": None})
    assert changed.json()["interval"] is None
    for name in limits:
        for wrong in (0, -1, 10**6, "10", True):
            refused = await site.http.patch("/camera/CAM_01", json={name: wrong})
            assert (refused.status_code, refused.json()["details"]["field"]) == (400, name)


async def test_a_second_stream_is_shown_without_its_password_and_can_be_removed(
    site: Site,
) -> None:
    urls = {"source": "rtsp://127.0.0.1:9/cam", "detect_url": "rtsp://u:hidden@127.0.0.1:9/sub"}
    made = await site.add(**urls, loop=False)
    assert made.status_code == 201, made.text
    assert made.json()["detect_url"] == "rtsp://127.0.0.1:9/sub"
    assert "hidden" not in made.text
    wrong = await site.http.patch("/camera/CAM_01", json={"detect_url": "http://127.0.0.1/sub"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "INVALID_RTSP_URL")
    changed = await site.http.patch("/camera/CAM_01", json={"detect_url": None})
    assert "detect_url" not in changed.json()


async def test_a_second_stream_needs_a_first_one_over_rtsp(site: Site) -> None:
    refused = await site.add(detect_url="rtsp://127.0.0.1:9/sub")
    assert refused.status_code == 400
    assert refused.json()["details"]["field"] == "detect_url"


async def test_an_id_is_taken_once(site: Site) -> None:
    assert (await site.add()).status_code == 201
    reply = await site.add()
    assert (reply.status_code, reply.json()["code"]) == (409, "CAMERA_EXISTS")


async def test_a_camera_that_cannot_be_reached_is_kept_and_tried(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    reply = await site.add("far", source=f"rtsp://me:very-hidden@127.0.0.1:{port}/x", loop=False)
    assert reply.status_code == 201
    assert reply.json()["state"] == "reconnecting"
    assert "refused" in reply.json()["last_error"]
    for language, words in (("en", "connection refused"), ("ru", "соединение отклонено")):
        reply = await site.http.get("/cameras", headers={"accept-language": language})
        assert [camera["problem"] for camera in reply.json()] == [words]
    assert "very-hidden" not in reply.text
    seen = await site.show("far")
    assert seen["source"] == f"rtsp://127.0.0.1:{port}/x"
    assert (await site.http.get("/camera/far/jpeg")).status_code == 503
    assert (await site.http.delete("/camera/far")).status_code == 204


async def test_changes_take_effect_and_bad_ones_do_not(site: Site) -> None:
    await site.add(name="Gate")
    changed = await site.http.patch("/camera/CAM_01", json={"blur": "solid", "max_fps": 5})
    assert changed.status_code == 200, changed.text
    seen = await site.show()
    assert (seen["name"], seen["blur"], seen["max_fps"]) == ("Gate", "solid", 5)
    for body, status in (
        ({"source": "/etc/passwd"}, 400),
        ({"source": str(site.media / "text.mp4")}, 502),
        ({"analytics": ["flying"]}, 400),
        ({"max_fps": -1}, 400),
        ({"camera_id": "x"}, 400),
    ):
        assert (await site.http.patch("/camera/CAM_01", json=body)).status_code == status, body
    seen = await site.until("CAM_01", state="running")
    assert (seen["source"], seen["blur"]) == (str(site.media / "video.mp4"), "solid")


async def test_what_is_removed_is_gone(site: Site) -> None:
    await site.add()
    assert (await site.http.delete("/camera/CAM_01")).status_code == 204
    assert threads_of("CAM_01") == []
    for method, path in (
        ("GET", ""),
        ("GET", "/jpeg"),
        ("GET", "/mjpeg"),
        ("GET", "/stats"),
        ("DELETE", ""),
    ):
        reply = await site.http.request(method, f"/camera/CAM_01{path}")
        assert (reply.status_code, reply.json()["code"]) == (404, "STREAM_NOT_FOUND")
    assert (await site.http.patch("/camera/CAM_01", json={})).status_code == 404


async def test_numbers_and_pictures_over_a_socket(site: Site) -> None:
    await site.add()
    async with websockets.connect(f"{site.ws}/ws/camera/CAM_01") as client:
        got = [await asyncio.wait_for(client.recv(), 20) for _ in range(6)]
        pictures = [message for message in got if isinstance(message, bytes)]
        numbers = [json.loads(message) for message in got if isinstance(message, str)]
        assert pictures
        assert all(picture[:2] == b"\xff\xd8" for picture in pictures)
        assert all(set(each) == KEYS for each in numbers)
        await site.http.delete("/camera/CAM_01")
        with pytest.raises(websockets.ConnectionClosedOK):
            while True:
                await asyncio.wait_for(client.recv(), 20)


async def test_numbers_without_pictures(site: Site) -> None:
    await site.add()
    async with websockets.connect(f"{site.ws}/ws/camera/CAM_01?pictures=0") as client:
        got = [await asyncio.wait_for(client.recv(), 20) for _ in range(2)]
    assert [set(json.loads(message)) for message in got] == [KEYS, KEYS]


async def test_a_socket_of_no_camera(site: Site) -> None:
    async with websockets.connect(f"{site.ws}/ws/camera/nobody") as client:
        assert json.loads(await client.recv())["code"] == "STREAM_NOT_FOUND"
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4404


async def test_a_viewer_that_does_not_read_slows_nobody(site: Site) -> None:
    await site.add(max_fps=20)
    async with websockets.connect(f"{site.ws}/ws/camera/CAM_01", max_queue=1):
        await asyncio.sleep(2)
        before = (await site.show())["numbers"]["frames_published"]
        await asyncio.sleep(2)
        after = (await site.show())["numbers"]["frames_published"]
    assert after > before + 5


async def test_cameras_come_back_after_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        await site.add(name="Gate", zones=[{"points": [[0, 0], [1, 0], [1, 1]]}])
        before = await site.show()
        await site.add("CAM_02")
        await site.http.delete("/camera/CAM_02")
    async with serving(tmp_path) as site:
        after = await site.until("CAM_01", state="running")
        for name in ("name", "source", "loop", "zones", "blur", "max_fps"):
            assert after[name] == before[name]
        assert (await site.http.get("/camera/CAM_02")).status_code == 404
