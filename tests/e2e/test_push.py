"""Frames pushed over a WebSocket to a real server, by clients that behave and that do not."""

from __future__ import annotations

import json
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
from support.faces import count_faces, decode_jpeg, portrait
from support.live import Live, data_url, encode, frame_start, plain, raw, request, reset
from support.poll import eventually
from support.watchpost import Server, data_of, error_of, wait_all_ended
from websockets.exceptions import ConnectionClosed

MIB = 1 << 20
LIMIT = 16 * MIB
WARM_UP_ROUNDS = 12
GRACE_S, UNUSED_S, SEND_TIMEOUT_S, BAD_FRAMES = 1.0, 4.0, 2.0, 5
FIELDS = {"stream_token", "stream_id", "video_uuid", "video_id", "websocket_url", "status"}


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    return {
        "demo": "true",
        "push__grace_s": GRACE_S,
        "push__unused_s": UNUSED_S,
        "push__send_timeout_s": SEND_TIMEOUT_S,
        "push__max_bad_frames": BAD_FRAMES,
        "faces__timeout_s": 20,
        "environment": {"MALLOC_ARENA_MAX": "1"},
    }


@pytest.fixture(scope="module")
def running_server(
    settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One server for all tests of the module; these need no RTSP.

    The demo is stopped: it uses as much of the CPU as it gets.
    """
    with Server(tmp_path_factory.mktemp("watchpost"), **settings) as server:
        eventually(lambda: exists(server, "demo"), bool, 30, "the demo")
        data_of(server.post("demo/stop"))
        yield server
        children = server.children()
        assert server.stop() == 0
        wait_all_ended(children)
        assert "Traceback" not in server.log(), server.log()


@pytest.fixture
def server(running_server: Server) -> Server:
    return running_server


@pytest.fixture
def demo(server: Server) -> Iterator[str]:
    """A stream that has a source of its own, running."""
    data_of(server.post("demo/restart"))
    server.wait_status("demo", "running", 60)
    yield "demo"
    data_of(server.post("demo/stop"))


@pytest.fixture(scope="module")
def person() -> bytes:
    """A 1280 x 720 JPEG with a person in it."""
    picture = np.full((720, 1280, 3), 60, np.uint8)
    picture[80:640, 360:920] = portrait(560)
    return encode(picture, quality=92)


def exists(server: Server, stream_id: str) -> bool:
    return any(camera["camera_id"] == stream_id for camera in server.http.get("/cameras").json())


def requested(server: Server) -> set[str]:
    """Ids of all streams but the demo."""
    return {row["camera_id"] for row in server.http.get("/cameras").json()} - {"demo"}


def wait_gone(server: Server, stream_id: str, within: float) -> None:
    eventually(lambda: exists(server, stream_id), lambda there: not there, within, "its end")


# ── asking for a stream ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"content": b""},
        {"content": b"", "headers": {"content-type": "application/json"}},
        {"json": {}},
        {"content": b"null", "headers": {"content-type": "application/json"}},
        {"json": {"name": "Ворота", "analytics": [], "blur": "solid"}},
        {"json": {"analytics": {}}},
    ],
)
def test_a_stream_is_made_with_or_without_a_body(server: Server, options: dict[str, Any]) -> None:
    reply = server.http.post("/stream/request", **options)
    made = reply.json()
    assert reply.status_code == 201
    assert set(made) == FIELDS
    assert len({made[name] for name in FIELDS - {"websocket_url", "status"}}) == 1
    assert made["websocket_url"] == f"/ws/stream/{made['stream_id']}"
    assert made["status"] == "active"
    assert re.fullmatch(r"[0-9a-f]{32}", made["stream_id"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"frames": 1}, "frames"),
        ({"blur": "none"}, "blur"),
        ({"name": ""}, "name"),
        ({"name": 7}, "name"),
        ({"analytics": ["dancing"]}, "analytics"),
        ({"analytics": {"smoking": {"confirm": 0}}}, "analytics.smoking.confirm"),
        ({"analytics": {"smoking": {"colour": 1}}}, "analytics.smoking.colour"),
    ],
)
def test_what_is_not_understood_is_a_400_that_names_it(
    server: Server, body: dict[str, object], field: str
) -> None:
    before = requested(server)
    error = error_of(server.http.post("/stream/request", json=body), 400, "INVALID_REQUEST")
    assert error["details"]["field"] == field
    assert requested(server) <= before


# ── pushing ──────────────────────────────────────────────────────────────────────────────────


def test_the_first_message_is_hello(server: Server) -> None:
    stream_id = request(server, name="Gate", analytics=[], blur="pixelate")
    with Live(server, stream_id) as client:
        assert client.next() == {
            "type": "hello",
            "version": 1,
            "stream_id": stream_id,
            "name": "Gate",
            "state": "starting",
            "blur": "pixelate",
            "analytics": [],
        }


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize("as_text", [True, False])
def test_each_kind_of_picture_is_acknowledged(server: Server, kind: str, as_text: bool) -> None:
    data = encode(np.full((150, 200, 3), 80, np.uint8), kind)
    media_type = f"image/{'jpeg' if kind == 'jpg' else kind}"
    with Live(server, request(server)) as client:
        for frame in (1, 2):
            ack = client.push(data_url(data, media_type) if as_text else data)
            assert (ack["type"], ack["frame"], ack["dropped"]) == ("ack", frame, 0)
            assert (ack["width"], ack["height"]) == (200, 150)
            timing = ack["timing"]
            assert all(timing[name] >= 0 for name in ("waited_ms", "processed_ms"))
            total = timing["waited_ms"] + timing["processed_ms"]
            assert abs(timing["total_ms"] - total) < 0.3


@pytest.mark.parametrize("size", [(1, 1), (448, 1), (2, 100), (16, 8000)])
def test_a_picture_of_few_pixels_or_very_narrow_is_acknowledged(
    server: Server, size: tuple[int, int]
) -> None:
    with Live(server, request(server)) as client:
        ack = client.push(encode(np.full((size[1], size[0], 3), 80, np.uint8)))
        assert ack["type"] == "ack", ack


def test_an_ack_tells_what_was_seen_and_where(server: Server, person: bytes) -> None:
    with Live(server, request(server)) as client:
        for _ in range(3):
            detections = client.push(person)["detections"]
            (seen,) = [detection for detection in detections if detection["label"] == "face"]
            assert seen["confidence"] > 0.5
            x1, y1, x2, y2 = seen["box"]
            assert 360 < x1 < x2 < 920
            assert 80 < y1 < y2 < 640
            assert seen["track_id"] >= 1


def test_a_viewer_gets_results_and_pictures_without_the_face(server: Server, person: bytes) -> None:
    stream_id = request(server)
    with (
        Live(server, stream_id, "?pictures=1") as viewer,
        Live(server, stream_id) as reader,
        Live(server, stream_id) as pusher,
    ):
        assert pusher.push(person)["type"] == "ack"
        for _ in range(3):
            ack = pusher.push(person)
        result = viewer.until("result")
        picture = decode_jpeg(viewer.picture())
        assert picture.shape[:2] == (result["height"], result["width"]) == (720, 1280)
        assert count_faces(picture) == 0
        assert result["detections"][0]["label"] == "face"
        assert 0 <= time.time() - result["ts"] < 300
        assert reader.until("result")["detections"][0]["label"] == "face"
        assert ack["detections"][0]["label"] == "face"


def test_with_blur_off_the_face_is_there(server: Server, person: bytes) -> None:
    """So that the test above and the one of MJPEG can fail."""
    stream_id = request(server, blur="off")
    with Live(server, stream_id, "?pictures=1") as viewer, Live(server, stream_id) as pusher:
        pusher.push(person)
        pusher.push(person)
        viewer.until("result")
        assert count_faces(decode_jpeg(viewer.picture())) == 1


def test_each_result_is_directly_followed_by_its_picture(server: Server) -> None:
    """Frames of growing width show which result each belongs to."""
    stream_id = request(server, analytics=[])
    with Live(server, stream_id, "?pictures=1") as viewer, Live(server, stream_id) as pusher:
        for width in range(160, 480, 32):
            pusher.push(plain(width))
        seen = 0
        while seen < 480 - 32:
            seen = viewer.until("result")["width"]
            assert decode_jpeg(viewer.picture()).shape[1] == seen


def test_the_newest_frame_wins_and_every_frame_is_answered_once(server: Server) -> None:
    count = 60
    with Live(server, request(server)) as client:
        client.push(plain())
        for _ in range(count):
            client.send(plain(1280, 720))
        answered: list[int] = []
        dropped = 0
        while len(answered) + dropped < count:
            answer = client.until("ack", "dropped", "error")
            assert answer["type"] != "error", answer
            answered.append(answer["frame"])
            dropped += answer.get("dropped", 0)
        assert answered[-1] == count + 1  # the newest was processed
        assert answered == sorted(answered)
        assert dropped > 0
        assert client.push(plain())["frame"] == count + 2


def test_several_pushers_interleave_and_each_gets_its_own_answers(server: Server) -> None:
    stream_id = request(server, analytics=[])  # each size is another network to compile
    rounds = 12

    def push(width: int) -> None:
        with Live(server, stream_id) as client:
            for frame in range(1, rounds + 1):
                answer = client.push(plain(width))
                assert answer["frame"] == frame
                assert answer["type"] in ("ack", "dropped")
                if answer["type"] == "ack":
                    assert (answer["width"], answer["dropped"]) == (width, 0)

    with Live(server, stream_id) as viewer, ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(push, width) for width in (160, 320, 480)]:
            done.result(120)
        widths = {viewer.until("result")["width"]}
        while len(widths) < 2:
            widths.add(viewer.until("result", within=5)["width"])


def test_frames_for_a_stream_with_its_own_source_are_refused_and_watching_goes_on(
    server: Server, demo: str
) -> None:
    with Live(server, demo) as client:
        for frame in range(1, BAD_FRAMES + 3):
            client.send(plain())
            error = client.until("error")
            assert (error["code"], error["frame"]) == ("NOT_PUSHABLE", frame)
            assert "/stream/request" in error["message"]
        assert client.until("result")["stream_id"] == demo


# ── bad frames ───────────────────────────────────────────────────────────────────────────────


def bomb(width: int = 65_000, height: int = 65_000) -> bytes:
    """A JPEG whose header promises more pixels than there is memory."""
    data = bytearray(plain())
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def png_bomb() -> bytes:
    data = bytearray(encode(np.zeros((8, 8, 3), np.uint8), "png"))
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    return bytes(data)


BAD: dict[str, str | bytes] = {
    "an empty text": "",
    "an empty binary message": b"",
    "a word": "hello",
    "JSON": '{"type": "frame"}',
    "another media type": data_url(plain(), "text/html"),
    "a picture type that nobody decodes": data_url(b"GIF89a" + bytes(50), "image/gif"),
    "no base64": "data:image/jpeg;base64,***",
    "base64 that is cut": data_url(plain())[:-3],
    "base64 with a letter of another script": "data:image/jpeg;base64,/9j/Ж",
    "not marked as base64": "data:image/jpeg,abc",
    "nothing after the comma": "data:image/jpeg;base64,",
    "no picture": data_url(b"this is not a picture"),
    "zeros": bytes(1000),
    "half a JPEG": plain()[:600],
    "a JPEG's first bytes": b"\xff\xd8\xff",
    "half a PNG": encode(portrait(64), "png")[:900],
    "half a WebP": encode(portrait(64), "webp")[:300],
    "an animated nothing": b"RIFF\x00\x00\x00\x00WEBPVP8X" + bytes(20),
    "a JPEG bomb": bomb(),
    "a PNG bomb": png_bomb(),
    "more than 16 MiB": b"\xff\xd8\xff" + bytes(17 * MIB),
    "a text of more than 16 MiB": "data:image/jpeg;base64," + "A" * LIMIT,
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_frame_is_told_and_pushing_goes_on(server: Server, name: str) -> None:
    with Live(server, request(server)) as client:
        client.push(plain())
        error = client.push(BAD[name])
        assert (error["type"], error["code"], error["frame"]) == ("error", "BAD_FRAME", 2)
        assert re.search(r": .+\.$", error["message"])
        answer = client.push(plain())
        assert (answer["type"], answer["frame"]) == ("ack", 3)


GOOD = {
    "capitals": data_url(plain()).replace("data:image/jpeg;base64", "DATA:image/JPEG;Base64"),
    "jpg": data_url(plain(), "image/jpg"),
    "a parameter": data_url(plain(), "image/jpeg;quality=0.8"),
    "lines": re.sub("(.{76})", "\\1\r\n", data_url(plain())),
    "no padding": data_url(plain()[:-2] + b"\xff\xd9" + b"x" * (len(plain()) % 3 + 1)).rstrip("="),
    "spaces around": f" {data_url(plain())}\n",
    "another picture type": data_url(plain(), "image/png"),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_browsers_write_differently_is_understood(server: Server, name: str) -> None:
    with Live(server, request(server)) as client:
        assert client.push(GOOD[name])["type"] == "ack"


def test_a_text_message_of_16_mib_is_taken(server: Server) -> None:
    head = "data:image/jpeg;base64,"
    room = (LIMIT - len(head)) // 4 * 3
    message = data_url(plain() + bytes(room - len(plain())))
    assert LIMIT - 4 < len(message) <= LIMIT
    with Live(server, request(server)) as client:
        assert client.push(message)["type"] == "ack"


def test_a_message_far_too_large_closes_the_socket_and_nothing_else(server: Server) -> None:
    stream_id = request(server)
    with Live(server, stream_id) as other, Live(server, stream_id) as client:
        client.next()
        with pytest.raises(ConnectionClosed) as closed:  # it may be cut off while it still sends
            client.send(bytes(40 * MIB))
            while True:
                client.next()
        if closed.value.rcvd is not None:
            assert closed.value.rcvd.code == 1009
        assert other.push(plain())["type"] == "ack"


@pytest.mark.parametrize("message", ["nonsense", b"\xff\xd8\xff\xe0 nonsense"])
def test_too_many_bad_frames_in_a_row_end_the_socket(server: Server, message: str | bytes) -> None:
    with Live(server, request(server)) as client:
        for _ in range(BAD_FRAMES - 1):
            assert client.push(message)["code"] == "BAD_FRAME"
        assert client.push(plain())["type"] == "ack"  # a good one resets the count
        for _ in range(BAD_FRAMES):
            assert client.push(message)["code"] == "BAD_FRAME"
        with pytest.raises(ConnectionClosed) as closed:
            client.until("end")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert "bad frames" in closed.value.rcvd.reason


@pytest.mark.parametrize("stream_id", ["nope", "%2e%2e", "a" * 500, "\u043f", "x%00y"])
def test_an_unknown_id_is_accepted_told_why_and_closed(server: Server, stream_id: str) -> None:
    from urllib.parse import quote

    with Live(server, quote(stream_id, safe="%")) as client:
        error = client.next()
        assert (error["type"], error["code"]) == ("error", "STREAM_NOT_FOUND")
        with pytest.raises(ConnectionClosed) as closed:
            client.next()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4404


# ── MJPEG ────────────────────────────────────────────────────────────────────────────────────


def parts(server: Server, stream_id: str, count: int) -> list[bytes]:
    """The first frames of an MJPEG response, each part of which must be well-formed."""
    found: list[bytes] = []
    with server.http.stream("GET", f"/stream/video/{stream_id}") as reply:
        assert reply.status_code == 200
        kind, _, boundary = reply.headers["content-type"].partition("; boundary=")
        assert kind == "multipart/x-mixed-replace"
        assert "no-store" in reply.headers["cache-control"]
        body, start = b"", f"--{boundary}\r\n".encode()
        for chunk in reply.iter_bytes():
            body += chunk
            while (cut := body.find(b"\r\n\r\n")) >= 0:
                head = body[:cut]
                assert head.startswith(start), head
                fields = dict(line.split(b": ") for line in head[len(start) :].split(b"\r\n"))
                assert fields[b"Content-Type"] == b"image/jpeg"
                length = int(fields[b"Content-Length"])
                if len(body) < cut + 4 + length + 2:
                    break
                found.append(body[cut + 4 : cut + 4 + length])
                assert body[cut + 4 + length :][:2] == b"\r\n"
                body = body[cut + 4 + length + 2 :]
                if len(found) == count:
                    return found
    return found


class Pushing:
    """A client that pushes one image again and again, until the block ends."""

    def __init__(self, server: Server, stream_id: str, data: bytes) -> None:
        self._client = Live(server, stream_id)
        self._data = data
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._done.is_set():
            self._client.push(self._data)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(30)
        self._client.__exit__()


def test_mjpeg_waits_for_the_first_frame_and_shows_no_face(server: Server, person: bytes) -> None:
    stream_id = request(server)
    with Live(server, stream_id), ThreadPoolExecutor(1) as pool:
        watching = pool.submit(parts, server, stream_id, 5)
        time.sleep(1)
        assert not watching.done()
        with Pushing(server, stream_id, person):
            pictures = [decode_jpeg(part) for part in watching.result(60)]
    assert [picture.shape for picture in pictures] == [(720, 1280, 3)] * 5
    assert [count_faces(picture) for picture in pictures] == [0] * 5


def test_mjpeg_shows_streams_of_other_doors(server: Server, demo: str) -> None:
    assert all(part.startswith(b"\xff\xd8") for part in parts(server, demo, 3))


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg")
def test_ffmpeg_reads_it(server: Server, person: bytes, tmp_path: Path) -> None:
    stream_id = request(server)
    url = f"http://127.0.0.1:{server.port}/stream/video/{stream_id}"
    with Pushing(server, stream_id, person):
        command = ["ffmpeg", "-v", "error", "-f", "mpjpeg", "-i", url, "-frames:v", "5"]
        done = subprocess.run(
            [*command, str(tmp_path / "%d.png")], timeout=90, capture_output=True, encoding="utf-8"
        )
        assert done.returncode == 0, done.stderr
        command = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height"]
        probe = subprocess.run(
            [*command, "-of", "json", url], timeout=90, capture_output=True, encoding="utf-8"
        )
    picture = cv2.imread(str(tmp_path / "5.png"))
    assert picture is not None
    assert count_faces(np.asarray(picture, np.uint8)) == 0
    (stream,) = json.loads(probe.stdout)["streams"]
    assert stream == {"codec_name": "mjpeg", "width": 1280, "height": 720}


def test_mjpeg_ends_with_the_stream_and_does_not_keep_it(server: Server) -> None:
    stream_id = request(server)
    with ThreadPoolExecutor(1) as pool:
        with Live(server, stream_id) as client:
            client.push(plain())
            watching = pool.submit(parts, server, stream_id, 1000)
            for _ in range(10):
                time.sleep(0.1)
                client.push(plain())
        assert len(watching.result(GRACE_S + 10)) >= 1
    wait_gone(server, stream_id, 10)


def test_plain_http_knows_unknown_streams_and_head(server: Server, demo: str) -> None:
    error_of(server.http.get("/stream/video/nope"), 404, "STREAM_NOT_FOUND")
    error_of(server.http.get("/ws/stream/nope"), 404, "STREAM_NOT_FOUND")
    error_of(server.http.get(f"/ws/stream/{demo}"), 426, "UPGRADE_REQUIRED")
    assert server.http.head("/stream/video/nope").status_code == 404
    head = server.http.head(f"/stream/video/{demo}")
    assert head.status_code == 200
    assert head.headers["content-type"].startswith("multipart/x-mixed-replace")
    assert "content-length" not in head.headers


# ── the end ──────────────────────────────────────────────────────────────────────────────────


def test_a_stream_that_nobody_connects_to_ends(server: Server) -> None:
    stream_id = request(server)
    started_at = time.monotonic()
    assert exists(server, stream_id)
    wait_gone(server, stream_id, UNUSED_S + 10)
    assert time.monotonic() - started_at > UNUSED_S - 0.5
    error_of(server.http.get(f"/stream/video/{stream_id}"), 404, "STREAM_NOT_FOUND")


def test_the_last_to_leave_ends_it_after_a_grace_time(server: Server) -> None:
    stream_id = request(server)
    with Live(server, stream_id) as viewer:
        with Live(server, stream_id) as pusher:
            pusher.push(plain())
        time.sleep(GRACE_S + 0.7)
        assert viewer.until("result")  # the viewer keeps it
    with Live(server, stream_id) as again:  # back in time
        assert again.next()["type"] == "hello"
        time.sleep(GRACE_S + 0.7)
        assert again.push(plain())["type"] == "ack"
    left_at = time.monotonic()
    wait_gone(server, stream_id, GRACE_S + 10)
    assert time.monotonic() - left_at > GRACE_S - 0.3


def test_clients_are_told_when_somebody_ends_the_stream(server: Server) -> None:
    stream_id = request(server)
    with Live(server, stream_id) as viewer, Live(server, stream_id) as pusher:
        pusher.push(plain())
        assert server.http.delete(f"/stream/{stream_id}").status_code == 204
        for client in (viewer, pusher):
            assert client.until("end")["reason"]
            with pytest.raises(ConnectionClosed) as closed:
                client.next()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1000


def test_stream_control_does_not_stop_a_pushed_stream(server: Server) -> None:
    stream_id = request(server)
    with Live(server, stream_id) as pusher:
        for call in ("stop", "restart", "disconnect"):
            refused = server.post(f"{stream_id}/{call}")
            assert (refused.status_code, refused.json()["code"]) == (409, "OTHER_API")
        pusher.push(plain())


def test_only_push_streams_end_as_push_streams(server: Server) -> None:
    refused = server.http.delete("/stream/demo")
    assert (refused.status_code, refused.json()["code"]) == (409, "NOT_PUSHABLE")
    assert server.http.delete("/stream/nobody").status_code == 404


def test_a_stopped_stream_says_so(server: Server, demo: str) -> None:
    with Live(server, demo) as keeper:
        server.post(f"{demo}/stop")
        assert keeper.until("end")["reason"]
        with Live(server, demo) as client:
            assert client.next()["state"] == "stopped"
            assert "stopped" in client.next()["reason"]


# ── clients that vanish, stall and lie ───────────────────────────────────────────────────────


def connections(server: Server) -> int:
    """TCP connections to the server that are open now."""
    found = server.process.net_connections("tcp")
    return sum(c.status != psutil.CONN_LISTEN and c.laddr.port == server.port for c in found)


def test_a_client_that_vanishes_in_the_middle_of_a_frame(server: Server, person: bytes) -> None:
    stream_id = request(server)
    with Live(server, stream_id) as other:
        for _ in range(3):
            client = raw(server, stream_id)
            client.sendall(frame_start(len(person)) + person[: len(person) // 2])
            time.sleep(0.1)
            reset(client)
        assert other.push(plain())["type"] == "ack"
    client = raw(server, stream_id)
    client.sendall(frame_start(MIB) + bytes(100))
    reset(client)
    wait_gone(server, stream_id, GRACE_S + 10)


def test_a_pusher_that_vanishes_after_its_frame(server: Server, person: bytes) -> None:
    stream_id = request(server)
    client = raw(server, stream_id)
    client.sendall(frame_start(len(person)) + person)
    reset(client)
    wait_gone(server, stream_id, GRACE_S + 10)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="needs Linux")
def test_a_client_that_reads_nothing_is_let_go_and_slows_nobody(server: Server) -> None:
    rng = np.random.default_rng(5)
    noise = encode(rng.integers(0, 255, (720, 1280, 3), dtype=np.uint8))
    assert len(noise) > MIB // 2
    stream_id = request(server)
    with Live(server, stream_id) as pusher:
        pusher.push(plain())
        before = connections(server)
        deaf = [raw(server, stream_id, "?pictures=1", receive_buffer=4096) for _ in range(3)]
        deadline = time.monotonic() + 90
        slowest = 0.0
        pushed = 0
        while pushed < 5 or connections(server) > before:
            assert time.monotonic() < deadline, "they are still connected"
            sent_at = time.monotonic()
            assert pusher.push(noise)["type"] == "ack"
            slowest = max(slowest, time.monotonic() - sent_at)
            pushed += 1
        assert slowest < SEND_TIMEOUT_S + 5
        for client in deaf:
            client.close()
    wait_gone(server, stream_id, GRACE_S + 10)


def test_a_pusher_that_never_reads_its_acks_does_not_fill_the_memory(server: Server) -> None:
    stream_id = request(server)
    frame = plain(64, 48) + bytes(MIB // 16)  # what follows an image's end is ignored
    message = frame_start(len(frame)) + frame
    before = server.process.memory_info().rss
    client = raw(server, stream_id, receive_buffer=4096)
    client.settimeout(1)
    deadline = time.monotonic() + 15
    sent = 0
    try:
        while time.monotonic() < deadline and sent < 512 * MIB:
            client.sendall(message * 50)
            sent += 50 * len(message)
    except OSError:
        pass  # disconnected, or made to wait
    assert server.process.memory_info().rss - before < 64 * MIB
    client.close()
    wait_gone(server, stream_id, GRACE_S + 30)


def test_twenty_streams_leave_nothing_behind(server: Server, person: bytes) -> None:
    def come_and_go(count: int) -> None:
        """Streams one after the other; the grace time of one runs while the next is pushed to."""
        ended = []
        for _ in range(count):
            stream_id = request(server, record="off")  # clips' encoders take memory that varies
            with (
                Live(server, stream_id, "?pictures=1") as viewer,
                Live(server, stream_id) as pusher,
            ):
                pusher.push(person)
                pusher.push(person)
                viewer.until("result")
            ended.append(stream_id)
        for stream_id in ended:
            wait_gone(server, stream_id, GRACE_S + 10)

    process = server.process
    # A server that has done little yet still compiles networks and starts threads of its pool.
    for _ in range(WARM_UP_ROUNDS):
        threads, memory = process.num_threads(), process.memory_info().rss
        with ThreadPoolExecutor(64) as callers:
            list(callers.map(lambda _: server.http.get("/api/events"), range(512)))
        come_and_go(10)
        if process.num_threads() <= threads and process.memory_info().rss < memory + 5 * MIB:
            break
    # With a call, the client closes its own connections that have been idle for some seconds.
    eventually(
        lambda: (server.http.get("/healthz"), connections(server))[1],
        lambda count: count <= 2,
        40,
        "old clients are gone",
    )
    threads, files, memory = process.num_threads(), process.num_fds(), process.memory_info().rss
    come_and_go(20)
    eventually(
        lambda: (process.num_threads(), process.num_fds()),
        lambda now: now[0] <= threads and now[1] <= files,
        15,
        f"{threads} threads and {files} files again",
    )
    # The last ones are freed a moment after their end.
    eventually(
        lambda: process.memory_info().rss - memory,
        lambda grown: grown < 20 * MIB,
        15,
        "the memory of twenty streams is free again",
    )


def test_sigterm_tells_who_is_connected(tmp_path: Path, person: bytes) -> None:
    with Server(tmp_path, faces__timeout_s=20) as server:
        stream_id = request(server)
        deaf = raw(server, stream_id, "?pictures=1", receive_buffer=4096)
        with (
            Live(server, stream_id) as viewer,
            Live(server, stream_id) as pusher,
            ThreadPoolExecutor(1) as pool,
        ):
            pusher.push(person)
            watching = pool.submit(parts, server, stream_id, 1000)
            pusher.push(person)
            asked_at = time.monotonic()
            assert server.stop(within=10) == 0
            assert time.monotonic() - asked_at < 10
            for client in (viewer, pusher):
                with pytest.raises(ConnectionClosed) as closed:
                    while client.next()["type"] != "end":
                        pass
                    client.next()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code in (1001, 1012)
            watching.result(10)  # its response ended
        deaf.close()
        assert "Traceback" not in server.log(), server.log()


# ── the list, the documentation, the example ─────────────────────────────────────────────────


def test_the_list_has_streams_of_every_door(server: Server) -> None:
    stream_id = request(server, name="Gate", blur="solid")
    with Live(server, stream_id) as client:
        client.push(plain(320, 240))
        client.push(plain(320, 240))
        cameras = {row["camera_id"]: row for row in server.http.get("/cameras").json()}
    mine = cameras[stream_id]
    assert {name: mine[name] for name in ("name", "kind", "state", "blur")} == {
        "name": "Gate",
        "kind": "push",
        "state": "running",
        "blur": "solid",
    }
    assert (mine["width"], mine["height"]) == (320, 240)
    assert set(mine["stats"]) == {"camera_id", "faces", "ids", "bags", "owned", "session_id"}
    assert cameras["demo"]["kind"] == "demo"


def test_the_messages_are_in_the_documentation(server: Server) -> None:
    schema = server.http.get("/openapi.json").json()
    live = schema["components"]["schemas"]["LiveMessage"]
    assert set(live["discriminator"]["mapping"]) == {
        *("hello", "result", "event", "missed", "state", "ack", "dropped", "error", "end")
    }
    assert "LiveMessage" in str(schema["paths"]["/ws/stream/{stream_id}"]["get"]["responses"])


def documented(server: Server, language: str) -> str:
    """The example in that language, as /docs shows it."""
    schema = server.http.get("/openapi.json").json()
    text = schema["paths"]["/ws/stream/{stream_id}"]["get"]["description"]
    (code,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(code)


def test_the_documented_python_client_works(server: Server, person: bytes, tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text(documented(server, "python"), encoding="utf-8")
    (tmp_path / "photo.jpg").write_bytes(person)
    client = subprocess.Popen(
        [sys.executable, "-u", "client.py", f"127.0.0.1:{server.port}", "photo.jpg"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert client.stdout is not None
        watch = client.stdout.readline()
        stream_id = watch.strip().rpartition("/")[2]
        lines = [client.stdout.readline() for _ in range(3)]
        assert exists(server, stream_id)
    finally:
        client.kill()
        _, complaints = client.communicate()
    assert complaints == ""
    for number, line in enumerate(lines, 1):
        assert re.fullmatch(rf"frame {number}: [\d.]+ ms, \['face'.*\]\n", line), lines


def test_the_documented_javascript_client_works(server: Server) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    browser_path = shutil.which("chromium")
    if browser_path is None:
        pytest.skip("needs Chromium")
    flags = ["--no-sandbox", "--use-fake-ui-for-media-stream"]
    flags += ["--use-fake-device-for-media-stream"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path, args=flags)
        page = browser.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"http://127.0.0.1:{server.port}/docs")
        page.evaluate(f"(async () => {{ {documented(server, 'js')} }})()")
        eventually(
            lambda: [page.wait_for_timeout(100), *said],
            lambda lines: sum(str(line)[:1].isdigit() for line in lines) >= 3,
            30,
            "three acks on the console",
        )
        browser.close()
