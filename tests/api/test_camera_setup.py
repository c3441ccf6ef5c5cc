"""Adding a camera over HTTP: tests of a connection, makers, discovery, rules; start and stop."""

from __future__ import annotations

import asyncio
import base64
import io
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from fixtures import PATIENCE_S, Running, running
from PIL import Image
from support.doubles import threads_of, write_video
from support.faces import count_faces, decode_jpeg, head
from support.fake_rtsp import FakeRtsp
from support.onvif_camera import OnvifCamera

from app.analytics.rules import RULES
from app.config import AuthSettings, Settings, StreamSettings
from app.discovery.makers import HOST, MAKERS
from app.discovery.ws_discovery import read_matches
from app.errors import DetectorError
from app.main import create_app
from app.models.batching import BatchingRunner
from app.pipeline.connection_test import ConnectionTestLimits
from app.types import StreamSpec
from app.urls import check

pytestmark = pytest.mark.anyio
STREAMS = {
    "sub": ("rtsp://127.0.0.1:554/b?channel=1&subtype=1", 640, 360),
    "tiny": ("rtsp://127.0.0.1:554/c", 320, 180),
    "main": ("rtsp://admin:leaked@127.0.0.1:554/a", 1920, 1080),
}


def write_person(path: Path) -> Path:
    """A film with a face, and sound."""
    frame = np.full((360, 640, 3), 90, np.uint8)
    frame[60:260, 200:400] = head(200)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        audio = container.add_stream("aac", rate=16_000)
        for _ in range(20):
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        sound.sample_rate = 16_000
        for number in range(30):
            sound.pts = number * 1024
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


@pytest.fixture(scope="module")
async def app(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    folder: Path = tmp_path_factory.mktemp("site")
    write_person(folder / "person.mp4")
    write_video(folder / "video.mp4", frames=40, fps=20)
    (folder / "text.mp4").write_text("no video", encoding="utf-8")
    settings = Settings(
        _env_file=None,
        data_dir=folder / "data",
        media_dirs=[folder],
        auth=AuthSettings(disabled=True),
        streams=StreamSettings(start_timeout_s=20, open_timeout_s=1),
    )
    async with running(create_app(settings)) as app:
        yield app


@pytest.fixture
async def http(app: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with app.client(timeout=PATIENCE_S) as client:
        yield client


async def tried(http: httpx.AsyncClient, **body: Any) -> Any:
    reply = await http.post("/api/cameras/test", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


# ── connection tests ─────────────────────────────────────────────────────────────────────────


async def test_a_source_is_described_and_shown_with_covered_faces(
    http: httpx.AsyncClient, app: Running
) -> None:
    for _ in range(5):  # a busy machine may play the file too slowly once
        seen = await tried(http, source="person.mp4")
        if 8 < seen["fps"] < 12 and seen["withheld"] is None:
            break
    assert (seen["ok"], seen["error"], seen["advice"], seen["withheld"]) == (True, None, None, None)
    assert (seen["codec"], seen["sound"]) == ("h264", "aac")
    assert (seen["width"], seen["height"]) == (640, 360)
    assert 8 < seen["fps"] < 12
    picture = decode_jpeg(base64.b64decode(seen["jpeg"]))
    assert picture.shape == (360, 640, 3)
    assert count_faces(picture) == 0
    assert (await http.get("/cameras")).json() == [], "nothing is kept"
    assert threads_of("connection-test") == []


async def test_it_is_shown_upright(http: httpx.AsyncClient) -> None:
    seen = await tried(http, source="video.mp4", rotate=90)
    assert (seen["width"], seen["height"]) == (192, 320)
    shown = Image.open(io.BytesIO(base64.b64decode(seen["jpeg"])))
    assert shown.size == (192, 320)


async def test_without_the_face_network_there_is_no_picture(
    http: httpx.AsyncClient, app: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overloaded(*_: object, **__: object) -> None:
        raise DetectorError(network="faces", reason="it is not there")

    monkeypatch.setattr(BatchingRunner, "submit", overloaded)
    monkeypatch.setattr(
        app.state["camera_setup"].tester, "_limits", ConnectionTestLimits(picture_s=1)
    )
    seen = await tried(http, source="person.mp4")
    assert (seen["ok"], seen["jpeg"], seen["codec"]) == (True, None, "h264")
    assert "it is not there" in seen["withheld"]


@pytest.mark.parametrize(
    ("status", "reason", "words", "advice"),
    [
        ("401 Unauthorized", "unauthorized", "wrong or missing user and password", "password"),
        ("404 Not Found", "not_found", "there is nothing at that path", "path is wrong"),
        ("403 Forbidden", "forbidden", "access forbidden", "right to watch"),
        (None, "timeout", "no answer in time", "firewall"),
    ],
)
async def test_the_true_error_is_said_with_what_to_do(
    http: httpx.AsyncClient, status: str | None, reason: str, words: str, advice: str
) -> None:
    with FakeRtsp(status) as camera:
        url = camera.url().replace("rtsp://", "rtsp://me:very-hidden@")
        seen = await tried(http, source=url)
        hidden = await http.post("/api/cameras/test", json={"source": url})
    assert (seen["ok"], seen["jpeg"]) == (False, None)
    assert (seen["error"]["code"], seen["error"]["details"]["reason"]) == ("INPUT_FAILED", reason)
    assert words in seen["error"]["message"]
    assert advice in seen["advice"]
    assert "very-hidden" not in hidden.text


async def test_it_says_so_in_the_callers_language(http: httpx.AsyncClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    body = {"source": f"rtsp://127.0.0.1:{port}/x"}
    reply = await http.post("/api/cameras/test", json=body, headers={"Accept-Language": "ru"})
    assert "соединение отклонено" in reply.json()["error"]["message"]
    assert "RTSP" in reply.json()["advice"]


async def test_a_file_without_video_and_a_webcam_that_is_not_there(http: httpx.AsyncClient) -> None:
    assert (await tried(http, source="text.mp4"))["error"]["details"]["reason"] == "invalid_data"
    assert (await tried(http, source=63))["error"]["details"]["reason"] == "no_device"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"source": "http://169.254.169.254/latest"}, 400, "ADDRESS_NOT_ALLOWED"),
        ({"source": "rtsp://0.0.0.0/x"}, 400, "ADDRESS_NOT_ALLOWED"),
        ({"source": "/etc/passwd"}, 400, "INVALID_REQUEST"),
        ({"source": "rtsp://a b/"}, 400, "INVALID_REQUEST"),
        ({}, 400, "INVALID_REQUEST"),
        ({"source": "video.mp4", "camera_id": "x"}, 400, "INVALID_REQUEST"),
        ({"camera_id": "unknown"}, 404, "STREAM_NOT_FOUND"),
        ({"source": "video.mp4", "blur": "off"}, 400, "INVALID_REQUEST"),
    ],
)
async def test_what_may_not_be_tried(
    http: httpx.AsyncClient, body: dict[str, Any], status: int, code: str
) -> None:
    reply = await http.post("/api/cameras/test", json=body)
    assert (reply.status_code, reply.json()["code"]) == (status, code), reply.text


async def test_only_a_few_run_at_once(http: httpx.AsyncClient) -> None:
    with FakeRtsp() as silent:
        body = {"source": silent.url()}
        replies = await asyncio.gather(
            *(http.post("/api/cameras/test", json=body) for _ in range(4))
        )
    assert sorted(reply.status_code for reply in replies) == [200, 200, 503, 503]
    refused = next(reply for reply in replies if reply.status_code == 503)
    assert refused.json()["code"] == "TOO_MANY_TESTS"


async def test_a_login_is_encoded_and_that_of_a_camera_is_used(http: httpx.AsyncClient) -> None:
    with FakeRtsp("401 Unauthorized") as camera:
        url = camera.url()
        seen = await tried(http, source=url, user="admin", password="p@ss/w:rd")
        assert seen["error"]["details"]["reason"] == "unauthorized", "not: a raw @ in the password"
        secret = url.replace("rtsp://", "rtsp://admin:very-hidden@")
        made = await http.post("/cameras", json={"camera_id": "door", "source": secret})
        assert made.status_code == 201
        by_id = await http.post("/api/cameras/test", json={"camera_id": "door"})
        await http.delete("/camera/door")
    assert by_id.json()["error"]["details"]["url"] == url
    assert "very-hidden" not in by_id.text


# ── start, stop, restart ─────────────────────────────────────────────────────────────────────


async def test_a_camera_is_stopped_and_started(http: httpx.AsyncClient) -> None:
    source = {"source": "video.mp4", "loop": True}
    assert (await http.post("/cameras", json={"camera_id": "gate", **source})).status_code == 201
    try:
        stopped = await http.post("/camera/gate/stop")
        assert (stopped.status_code, stopped.json()["state"]) == (200, "stopped")
        assert threads_of("gate") == []
        [listed] = (await http.get("/cameras")).json()
        assert (listed["state"], listed["kind"], listed["source"]) == (
            "stopped",
            "camera",
            stopped.json()["source"],
        )
        started = await http.post("/camera/gate/start")
        assert (started.status_code, started.json()["state"]) == (200, "running")
        session = started.json()["numbers"]["uptime_s"]
        again = await http.post("/camera/gate/start")
        assert again.json()["numbers"]["uptime_s"] >= session, "one that runs is left alone"
        restarted = await http.post("/camera/gate/restart")
        assert restarted.json()["numbers"]["frames_in"] < 20
    finally:
        await http.delete("/camera/gate")
    for call in ("start", "stop", "restart"):
        assert (await http.post(f"/camera/gate/{call}")).status_code == 404


async def test_the_stream_of_a_job_is_no_camera(app: Running, http: httpx.AsyncClient) -> None:
    manager = app.state["manager"]
    source = f"file:{Path(manager.settings.output_base or '/nowhere')}"
    manager.start_ephemeral(StreamSpec("job-0123abcd-1", source, paced=True))
    try:
        [listed] = (await http.get("/cameras")).json()
        assert listed["kind"] == "job"
        assert (await http.delete("/camera/job-0123abcd-1")).json()["code"] == "NOT_A_CAMERA"
    finally:
        await manager.disconnect("job-0123abcd-1")


# ── makers, discovery, rules ─────────────────────────────────────────────────────────────────


async def test_makers_have_addresses_that_cameras_accept(http: httpx.AsyncClient) -> None:
    makers = (await http.get("/api/cameras/makers")).json()
    assert {"Hikvision", "Dahua", "Axis", "Reolink", "Uniview", "TP-Link Tapo"} <= {
        maker["name"] for maker in makers
    }
    names = [maker.name for maker in MAKERS]
    assert len(set(names)) == len(names)
    for maker in makers:
        for url in (maker["main"], maker["second"]):
            if url is not None:
                assert HOST in url
                check(url.replace(HOST, "192.0.2.10"))


async def test_cameras_that_answer_are_found(http: httpx.AsyncClient) -> None:
    with OnvifCamera(STREAMS) as camera:
        reply = await http.post(
            "/api/cameras/discover", json={"wait_s": 0.5, "hosts": [camera.probe_address]}
        )
        assert reply.status_code == 200, reply.text
        found = next(one for one in reply.json() if one["service"] == camera.service)
    assert found == {
        "host": "127.0.0.1",
        "service": camera.service,
        "name": "Front door",
        "hardware": "Eye2",
        "location": "Berlin",
        "cameras": [],
    }


@pytest.mark.parametrize("host", ["169.254.169.254", "a b", "no-such-name.invalid", "224.0.0.1"])
async def test_hosts_that_may_not_be_asked(http: httpx.AsyncClient, host: str) -> None:
    reply = await http.post("/api/cameras/discover", json={"wait_s": 0.5, "hosts": [host]})
    assert reply.status_code == 400, reply.text


def test_answers_that_are_none_are_left_out() -> None:
    for data in (b"", b"\xff\xfe", b"<a/>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"<" * 9):
        assert read_matches(data, "192.0.2.1") == []


async def test_a_camera_says_which_streams_it_has(http: httpx.AsyncClient) -> None:
    with OnvifCamera(STREAMS, inner_host="10.9.9.9") as camera:
        body = {"address": f"127.0.0.1:{camera.port}", "user": camera.user}
        good = await http.post("/api/cameras/onvif", json={**body, "password": camera.password})
        bad = await http.post("/api/cameras/onvif", json={**body, "password": "very-hidden"})
    assert good.status_code == 200, good.text
    told = good.json()
    assert (told["maker"], told["model"], told["firmware"]) == ("ACME", "Eye 2", "1.2.3")
    assert [one["name"] for one in told["streams"]] == ["main", "sub", "tiny"]
    assert told["streams"][0]["url"] == "rtsp://127.0.0.1:554/a", "without a login"
    assert told["streams"][1] == {
        "name": "sub",
        "url": STREAMS["sub"][0],
        "codec": "H264",
        "width": 640,
        "height": 360,
        "fps": 25.0,
    }
    assert (told["main"], told["second"]) == (0, 1)
    assert (bad.status_code, bad.json()["code"]) == (502, "ONVIF_FAILED")
    assert bad.json()["details"]["reason"] == "unauthorized"
    assert "very-hidden" not in bad.text


async def test_what_is_no_onvif_camera(http: httpx.AsyncClient) -> None:
    refused = await http.post("/api/cameras/onvif", json={"address": "http://169.254.169.254"})
    assert (refused.status_code, refused.json()["code"]) == (400, "ADDRESS_NOT_ALLOWED")


async def test_rules_are_listed_with_their_settings(http: httpx.AsyncClient) -> None:
    rules = {rule["name"]: rule for rule in (await http.get("/api/rules")).json()}
    assert set(rules) == set(RULES)
    loiter = rules["objects"]["settings"]["properties"]["loiter_s"]
    assert loiter["type"] == "number"
    assert loiter["description"]
    assert rules["objects"]["defaults"]["loiter_s"] == loiter["default"]
    for rule in rules.values():
        assert {"hours", "timezone"} <= set(rule["settings"]["properties"])
        assert not {"watch", "ignore"} & set(rule["settings"]["properties"])
        assert set(rule["settings"]["properties"]) <= set(rule["defaults"])
        assert rule["events"]
