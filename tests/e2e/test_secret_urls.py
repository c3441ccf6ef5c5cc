"""Every shape of URL that carries a password, at a real server: it shows up nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.readers import read_at_once
from support.rtsp import RtspServer
from support.secret_urls import NO_HOST, REFUSED, SHAPES, filled, forms
from support.watchpost import ROOT, Server, data_of, error_of, free_port
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

TEMPLATES = {**SHAPES, **{shape: template for shape, (template, _) in REFUSED.items()}, **NO_HOST}
WORDS = {shape: f"Geheim{number:03d}x" for number, shape in enumerate(TEMPLATES)}
PATHS = {
    "XM": "user=admin_password={word}_channel=1_stream=0.sdp",
    "path login": "0/admin:{word}/main",
    "path login and at": "admin:{word}@/ch0",
}
"""Shapes that the tests' RTSP server serves as a path."""

Places = dict[str, bytes]


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return {"streams__start_timeout_s": 20, "log_level": "debug"}


def look(server: Server) -> Places:
    """What of a running server others can see: its log, processes, files and metrics."""
    places = {"log": server.log_file.read_bytes(), "metrics": server.http.get("/metrics").read()}
    places |= server.command_lines() | server.files()
    names = [str(path) for path in server.data.rglob("*")]
    return places | {"names of files": "\n".join(names).encode()}


def leaks(places: Places, word: str) -> list[str]:
    return [
        place
        for place, content in places.items()
        if any(form.encode() in content for form in forms(word))
    ]


@pytest.fixture(scope="module")
def used(running_server: Server) -> Places:
    """All that a server says and writes of cameras, jobs and schedules of all shapes."""
    server, places = running_server, Places()
    names = iter(range(10**6))

    def keep(reply: httpx.Response) -> None:
        reply.read()
        headers = repr(reply.headers).encode()
        places[f"reply {next(names)} to {reply.request.method}"] = headers + reply.content

    server.http.event_hooks = {"response": [keep]}
    host = f"127.0.0.1:{free_port()}"
    for number, (shape, template) in enumerate(TEMPLATES.items()):
        use_everywhere(server, f"c{number}", filled(template, WORDS[shape], host))
    for job in server.http.get("/collect/jobs", params={"limit": 500}).json()["jobs"]:
        job_id = job["job_id"]
        lines: list[str] = []
        address = f"ws://127.0.0.1:{server.port}/ws/{job_id}?format=json"
        with connect(address, proxy=None) as socket:
            try:
                while True:
                    lines.append(str(socket.recv(timeout=60)))
            except ConnectionClosed as error:
                lines.append(str(error))
        places[f"lines of {job_id}"] = "\n".join(lines).encode()
        for path in ("", "/logs", "/files"):
            server.http.get(f"/collect/jobs/{job_id}{path}")
    for number in range(len(SHAPES)):
        server.http.get(f"/camera/c{number}")
        server.get(f"c{number}")
    for path in ("/cameras", "/api/streams", "/collect/schedules", "/api/events", "/readyz"):
        server.http.get(path)
    places |= look(server)
    server.http.event_hooks = {}
    for row in server.http.get("/cameras").json():
        server.http.delete(f"/camera/{row['camera_id']}")
    return places


def use_everywhere(server: Server, name: str, url: str) -> None:
    """Name a URL in every call that takes one."""
    http = server.http
    http.post("/cameras", json={"camera_id": name, "source": url})
    http.patch(f"/camera/{name}", json={"source": url})
    http.post("/collect", json={"sources": [url], "duration": 1, "retries": 0})
    http.post("/collect/schedules", json={"cron": "0 3 1 1 *", "sources": [url]})
    server.post(f"s-{name}/start", rtsp_url=url)
    server.post(f"s-{name}/start", rtsp_url=url, output_url=url)
    server.post(f"s-{name}/start", rtsp_url="rtsp://127.0.0.1:9/x", output_url=url)
    server.post(f"s-{name}/start", rtsp_url=url, **{url: url})
    server.post("register", rtsp_url=url)
    server.get("by-input", input_url=url)
    http.get(f"/api/streams/by-input?input_url={url.partition('#')[0]}")
    http.get(f"/api/streams/{url.partition('?')[0].partition('#')[0]}")
    last = url.rpartition("/")[2].replace("#", "%23").replace("?", "%3F")
    httpx.get(f"http://127.0.0.1:{server.port}/api/streams/{last}")  # its reply repeats the id


@pytest.mark.parametrize("shape", WORDS)
def test_the_password_is_nowhere(shape: str, used: Places) -> None:
    assert leaks(used, WORDS[shape]) == []


def test_there_was_something_to_see(used: Places) -> None:
    replies = [content for place, content in used.items() if place.startswith("reply")]
    assert sum(b"/ch0" in content for content in replies) > 20
    assert sum(b'"state":"failed"' in content for content in replies) > len(SHAPES)
    assert any(b"127.0.0.1" in used[place] for place in used if place.endswith("watchpost.db-wal"))
    assert b"c1:" in used["log"]


def test_cameras_are_kept_whole_and_shown_masked(server: Server) -> None:
    """Every shape is another camera for its hash, and comes back after a restart."""
    host = f"127.0.0.1:{free_port()}"
    for number, shape in enumerate(("Dahua", "path login", "Axis")):
        body = {"camera_id": f"k{number}", "source": filled(SHAPES[shape], "Geheim42", host)}
        assert server.http.post("/cameras", json=body).status_code == 201
    shown = [server.http.get(f"/camera/k{number}").json()["source"] for number in range(3)]
    assert shown == [
        f"rtsp://{host}/cam/realmonitor?channel=1&subtype=0",
        f"rtsp://{host}/0/***/main",
        f"rtsp://{host}/axis-media/media.amp;user=***;password=***?videocodec=h264",
    ]
    for number in range(3):
        assert server.http.delete(f"/camera/k{number}").status_code == 204


@pytest.mark.parametrize("shape", REFUSED)
def test_a_raw_reserved_character_gets_a_hint_from_every_call(shape: str, server: Server) -> None:
    template, hint = REFUSED[shape]
    url = filled(template, "Geheim42")
    replies = [
        server.http.post("/cameras", json={"camera_id": "c", "source": url}),
        server.http.post("/collect", json={"sources": [url]}),
        server.http.post("/collect/schedules", json={"cron": "0 3 * * *", "sources": [url]}),
    ]
    for reply in replies:
        assert hint in error_of(reply, 400, "INVALID_REQUEST")["message"]
    for reply in (
        server.post("a/start", rtsp_url=url),
        server.post("a/start", rtsp_url="rtsp://127.0.0.1:9/x", output_url=url),
        server.post("register", rtsp_url=url),
        server.get("by-input", input_url=url),
    ):
        assert hint in error_of(reply, 400, "INVALID_RTSP_URL")["message"]


@pytest.mark.parametrize("shape", PATHS)
def test_a_stream_runs_and_its_output_has_nothing_of_the_password(
    shape: str, server: Server, relay: RtspServer, video: Path
) -> None:
    word = f"Laufend{list(PATHS).index(shape)}"
    path = PATHS[shape].format(word=word)
    replies: list[httpx.Response] = []
    server.http.event_hooks = {"response": [replies.append]}
    with relay.publish_file(path, video):
        url = relay.url(path)
        found = data_of(server.get("by-input", input_url=url))
        again = data_of(server.get("by-input", input_url=url.replace("rtsp:", "RTSP:")))
        started = server.begin("mine", url, output_url=relay.url("mine"))
        assert server.begin("mine", url, output_url=relay.url("mine")) == started
        assert found["stream_id"] == again["stream_id"]
        assert found["output_url"].endswith("-blur") or found["output_url"].endswith("/blur")
        assert read_at_once(found["output_url"]), "what is shown can be opened"
        server.http.get(f"/api/streams/{found['stream_id']}")
        assert server.children(), "the publisher is looked at"
        places = look(server)
    server.wait_status("mine", "reconnecting")
    server.http.event_hooks = {}
    places |= {f"after {place}": content for place, content in look(server).items()}
    places |= {f"reply {n}": reply.read() for n, reply in enumerate(replies)}
    assert leaks(places, word) == []


SCRIPT = """
import json, logging, sys, traceback
logging.basicConfig(level="DEBUG")
from app.cameras import CameraConfig, MultiCameraService
with MultiCameraService() as service:
    for number, url in enumerate(json.load(sys.stdin)):
        config = CameraConfig(f"c{number}", url, db_path="cameras.db", device="cpu", analytics=[])
        print(config)
        try:
            service.start_camera(config)
            print(service.get_latest_stats(f"c{number}"))
            service.start_camera(config)
        except Exception:
            traceback.print_exc()
"""


def test_the_python_api_tells_nothing_either(tmp_path: Path) -> None:
    host = f"127.0.0.1:{free_port()}"
    addresses = [filled(template, WORDS[shape], host) for shape, template in TEMPLATES.items()]
    environment = {key: value for key, value in os.environ.items() if "WATCHPOST_" not in key}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(addresses).encode(),
        capture_output=True,
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert done.stderr.count(b"%23") >= 3, "the hints are among the exceptions"
    places = {"stdout": done.stdout, "stderr": done.stderr}
    places |= {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert [shape for shape in WORDS if leaks(places, WORDS[shape])] == []
