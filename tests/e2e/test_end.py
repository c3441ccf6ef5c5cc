"""The end of the server, and its next start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.fake_rtsp import FakeRtsp
from support.poll import eventually
from support.readers import read_at_once
from support.rtsp import RtspServer
from support.watchpost import ROOT, Server, wait_all_ended


@pytest.fixture
def server(relay: RtspServer, tmp_path: Path) -> Iterator[Server]:
    """A server for one test, which may kill it."""
    with Server(tmp_path) as server:
        yield server


def test_after_a_crash_what_ran_runs_again_and_nothing_else(server: Server, camera: str) -> None:
    server.begin("ran", camera)
    server.begin("rested", camera, output_url=f"{camera}-rested")
    server.post("rested/stop")
    publishers = server.children()
    assert len(publishers) == 1

    server.kill()

    wait_all_ended(publishers)
    server.start()
    eventually(server.listed, lambda rows: len(rows) == 2, 10, "both streams are known again")
    data = server.wait_status("ran", "running")
    assert read_at_once(data["config"]["output_url"])
    assert server.listed()["rested"]["status"] == "stopped"
    assert len(server.children()) == 1


def test_a_publisher_that_hangs_does_not_outlive_a_crash(server: Server, camera: str) -> None:
    with FakeRtsp() as silent, ThreadPoolExecutor() as pool:
        pool.submit(server.post, "mute/start", rtsp_url=camera, output_url=silent.url("out"))
        eventually(lambda: silent.connections, bool, 20, "the publisher waits for an answer")
        publishers = server.children()
        assert len(publishers) == 1

        server.kill()

        wait_all_ended(publishers)


def test_after_an_ordered_end_what_ran_runs_again(server: Server, camera: str) -> None:
    config = server.begin("ran", camera, downscale=0.5)["config"]

    assert server.stop() == 0

    server.start()
    eventually(server.listed, lambda rows: "ran" in rows, 10, "the stream is known again")
    assert server.wait_status("ran", "running")["config"] == config


def test_a_stream_whose_camera_is_away_at_the_start_is_waited_for(
    server: Server, relay: RtspServer, video: Path
) -> None:
    with relay.publish_file("late", video):
        server.begin("cam-1", relay.url("late"))
        server.kill()
    relay.wait_gone("late")

    server.start()
    eventually(server.listed, lambda rows: "cam-1" in rows, 10, "the stream is known again")
    server.wait_status("cam-1", "reconnecting")

    with relay.publish_file("late", video):
        server.wait_status("cam-1", "running", 60)


def test_the_end_is_quick_with_viewers_running_streams_and_a_camera_that_hangs(
    server: Server, camera: str
) -> None:
    server.begin("cam-1", camera)
    server.begin("cam-2", camera)
    publishers = server.children()
    assert len(publishers) == 2
    with FakeRtsp() as silent, ThreadPoolExecutor() as pool:
        starting = pool.submit(server.post, "deaf/start", rtsp_url=silent.url())
        watching = pool.submit(watch_to_the_end, server, "cam-1")
        eventually(lambda: silent.connections, bool, 10, "the camera is called")
        eventually(lambda: server.log(), lambda log: "mjpeg" in log, 10, "a viewer is there")
        began = time.monotonic()

        assert server.stop() == 0

        assert time.monotonic() - began < 10
        assert watching.result() > 0
        assert starting.result().status_code == 503
    wait_all_ended(publishers)


def watch_to_the_end(server: Server, stream_id: str) -> int:
    """Watch the MJPEG preview until the server ends it properly; return the number of bytes."""
    with server.http.stream("GET", f"/api/streams/{stream_id}/mjpeg") as response:
        return sum(len(chunk) for chunk in response.iter_bytes())


def test_the_end_is_quick_while_the_rtsp_server_hangs(
    server: Server, relay: RtspServer, video: Path
) -> None:
    with RtspServer() as frozen:
        frozen.publish_file("cam", video)
        server.begin("cam-1", frozen.url("cam"))
        publishers = server.children()
        frozen.pause()
        began = time.monotonic()

        assert server.stop() == 0

        assert time.monotonic() - began < 10
        wait_all_ended(publishers)
        frozen.resume()


def test_a_second_server_on_the_same_folder_says_so_and_ends(server: Server, camera: str) -> None:
    server.begin("cam-1", camera)

    second = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "--port", "0", "--data-dir", str(server.data)],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )

    assert second.returncode != 0
    assert str(server.data) in second.stderr
    assert "Traceback" not in second.stderr
    assert server.show("cam-1")["status"] == "running"


def test_a_viewer_may_leave_at_any_time(server: Server, camera: str) -> None:
    server.begin("cam-1", camera)
    threads = server.process.num_threads()
    for _ in range(5):
        with server.http.stream("GET", "/api/streams/cam-1/mjpeg") as response:
            next(response.iter_bytes())

    assert server.show("cam-1")["status"] == "running"
    eventually(
        server.process.num_threads, lambda now: now <= threads + 2, 10, "no thread a viewer stays"
    )
