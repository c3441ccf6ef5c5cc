"""A server that is used for a long time needs no more memory at the end than after its start.

It takes as long as ``WATCHPOST_MEMORY_MINUTES`` says; ``make test-long`` sets 30, ``make test``
leaves it out.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.faces import portrait
from support.plates import photo, plate
from support.rtsp import make_video
from support.watchpost import Server
from websockets.sync.client import connect

from app.models.plates.photo import to_jpeg

MINUTES = float(os.environ.get("WATCHPOST_MEMORY_MINUTES") or 0)
WARM_UP = 1 / 3  # of the time: networks are compiled, and caches fill up
SAMPLE_S = 1.0
BLOCK_S = 10.0
MIB = 2**20
GROWTH_MIB = 32
"""Over the whole measured time. A frame that stays costs 0.3 MiB here, and there are thousands."""
SIZES = [(320 + 48 * step, 240 + 32 * (step * 7 % 25)) for step in range(25)]

pytestmark = [
    pytest.mark.skipif(MINUTES <= 0, reason="set WATCHPOST_MEMORY_MINUTES, or run make test-long"),
    pytest.mark.timeout(600 + 60 * MINUTES),
]


@pytest.fixture(scope="module")
def settings(videos: Path) -> dict[str, object]:
    patience = dict.fromkeys(("faces__timeout_s", "objects__timeout_s"), 60)  # for slow machines
    return {"media_dirs": videos, "streams__start_timeout_s": 60, "push__grace_s": 0.5, **patience}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    make_video(folder / "gate.mp4", (640, 360), picture=portrait(300))
    make_video(folder / "yard.mp4", (704, 576), picture=portrait(400))
    return folder


def use(server: Server, until: float) -> None:
    """Do everything that users do, again and again: each of these leaves something behind."""
    for turn in itertools.count():
        if time.monotonic() > until:
            return
        upload_plates(server, turn)
        push_sizes(server, turn)
        start_and_stop(server, turn)
        record(server)


def upload_plates(server: Server, turn: int) -> None:
    for step in range(3):
        size = 960 + 32 * ((turn + step) % 9), 540 + 16 * ((turn + step) % 7)
        image = to_jpeg(photo(plate(f"AB{turn % 1000:03}CD"), size=size))
        reply = server.http.post("/api/upload", files={"file": ("car.jpg", image, "image/jpeg")})
        assert reply.status_code == 200, reply.text


def push_sizes(server: Server, turn: int) -> None:
    """Push frames of 25 sizes to a stream with analytics, and end it."""
    reply = server.http.post("/stream/request", json={}).json()
    url = f"ws://127.0.0.1:{server.port}{reply['websocket_url']}"
    person = portrait(512)
    with connect(url, max_size=None) as socket:
        for size in SIZES[turn % 5 :: 5]:
            socket.send(cv2.imencode(".jpg", np.asarray(cv2.resize(person, size)))[1].tobytes())
            socket.recv(timeout=30)


def start_and_stop(server: Server, turn: int) -> None:
    camera = {"camera_id": f"x{turn % 3}", "source": "gate.mp4", "loop": True}
    assert server.http.post("/cameras", json=camera).status_code == 201
    assert server.http.get(f"/camera/{camera['camera_id']}/jpeg").status_code == 200
    server.http.delete(f"/camera/{camera['camera_id']}")


def record(server: Server) -> None:
    job = server.http.post("/collect", json={"duration": 3, "segment_s": 2, "steps": 1})
    assert job.status_code < 300, job.text
    time.sleep(4)
    server.http.get("/collect/jobs")


def samples(server: Server, until: float) -> Iterator[tuple[float, float]]:
    """Time in seconds and resident memory in MiB, of the server and its child processes."""
    began = time.monotonic()
    while (now := time.monotonic()) < until:
        family = [server.process, *server.children()]
        yield now - began, sum(process.memory_info().rss for process in family) / MIB
        time.sleep(SAMPLE_S)


def test_memory_stays_where_it_is(running_server: Server) -> None:
    server = running_server
    for name, rules in (("gate", ["smoking"]), ("yard", ["bags"])):
        body = {"camera_id": name, "source": f"{name}.mp4", "loop": True, "analytics": rules}
        reply = server.http.post("/cameras", json=body, timeout=90)
        assert reply.status_code == 201, reply.text
    until = time.monotonic() + MINUTES * 60
    with ThreadPoolExecutor(1) as pool:
        using = pool.submit(use, server, until)
        found = np.array(list(samples(server, until)))
        using.result()

    # Every use takes memory for a moment, so the least of each block is compared.
    blocks = found[: len(found) // int(BLOCK_S) * int(BLOCK_S)].reshape(-1, int(BLOCK_S), 2)
    at_s, least = blocks[:, :, 0].mean(1), blocks[:, :, 1].min(1)
    late = at_s > MINUTES * 60 * WARM_UP
    slope, start = np.polyfit(at_s[late], least[late], 1)
    noise = float(np.std(least[late] - (slope * at_s[late] + start)))
    growth = float(slope * np.ptp(at_s[late]))
    print(f"\n{least[late][0]:.0f} to {least[late][-1]:.0f} MiB, grown by {growth:.1f} MiB, ")
    print(f"noise {noise:.1f} MiB; every block: {' '.join(f'{value:.0f}' for value in least)}")
    assert growth < max(GROWTH_MIB, 2 * noise)
