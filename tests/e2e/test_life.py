"""A stream whose camera, RTSP server or network goes away and comes back."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import av
import pytest
from support.poll import eventually
from support.readers import read_at_once
from support.rtsp import RtspServer, make_video
from support.watchpost import Server, data_of, error_of

NOTICED_S = 20  # a stalled camera counts as lost after 4 s
BACK_S = 40  # the pauses between attempts are at most 2 s here
LONGEST_GAP_S = 2.5
STOPPED_S = 5.0


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    return {"streams__backoff_max_s": 2}


@pytest.fixture
def fragile(relay: RtspServer) -> Iterator[RtspServer]:
    """An RTSP server of a test's own, to kill and freeze."""
    with RtspServer() as server:
        yield server
        server.resume()


def test_a_camera_that_dies_and_returns(server: Server, relay: RtspServer, video: Path) -> None:
    with relay.publish_file("mortal", video) as publisher:
        output = server.begin("cam-1", relay.url("mortal"))["config"]["output_url"]
        publisher.kill()
        lost = server.wait_status("cam-1", "reconnecting", NOTICED_S)
        assert server.listed()["cam-1"]["status"] == "reconnecting"
        assert lost["stats"]["last_error"]

    with relay.publish_file("mortal", video):
        back = server.wait_status("cam-1", "running", BACK_S)

        assert read_at_once(output)
        assert back["stats"]["reconnects"] >= 1
        before = lost["stats"]["frames_published"]
        eventually(
            lambda: server.show("cam-1")["stats"]["frames_published"],
            lambda now: now > before,
            BACK_S,
            "new frames",  # the last one before the loss may be young enough to count as running
        )


def test_a_camera_that_stalls_without_closing(
    server: Server, relay: RtspServer, video: Path
) -> None:
    with relay.publish_file("sleepy", video) as publisher:
        output = server.begin("cam-1", relay.url("sleepy"))["config"]["output_url"]
        os.kill(publisher.process.pid, signal.SIGSTOP)
        try:
            server.wait_status("cam-1", "reconnecting", NOTICED_S)
        finally:
            os.kill(publisher.process.pid, signal.SIGCONT)

        server.wait_status("cam-1", "running", BACK_S)

        assert read_at_once(output)


def test_a_camera_that_returns_with_another_size(
    server: Server, relay: RtspServer, video: Path, tmp_path: Path
) -> None:
    other = make_video(tmp_path / "other.mp4", (480, 272), gop=8)
    with relay.publish_file("changing", video):
        output = server.begin("cam-1", relay.url("changing"))["config"]["output_url"]

    with relay.publish_file("changing", other):
        eventually(
            lambda: size_at(output), lambda size: size == (272, 480), BACK_S, "the size changes"
        )

        stats = server.wait_status("cam-1", "running")["stats"]
        assert (stats["width"], stats["height"]) == (480, 272)


def test_a_camera_that_returns_with_another_codec(
    server: Server, relay: RtspServer, video: Path, tmp_path: Path
) -> None:
    other = make_video(tmp_path / "other.mp4", encoder="libx265")
    with relay.publish_file("changing", video):
        output = server.begin("cam-1", relay.url("changing"))["config"]["output_url"]
        assert server.show("cam-1")["stats"]["codec"] == "h264"

    with relay.publish_file("changing?codec=h265", other):
        eventually(
            lambda: server.show("cam-1"),
            lambda shown: (shown["status"], shown["stats"]["codec"]) == ("running", "hevc"),
            BACK_S,
            "the codec changes",
        )
        assert read_at_once(output)


def size_at(url: str) -> tuple[int, ...] | None:
    """Height and width of the frame that a reader gets now, if there is one."""
    try:
        return read_at_once(url)[0].shape[:2]
    except (av.FFmpegError, EOFError):
        return None


def test_an_rtsp_server_that_is_killed_under_the_publisher_and_restarted(
    server: Server, camera: str, fragile: RtspServer
) -> None:
    output = fragile.url("out")
    server.begin("cam-1", camera, output_url=output)
    server.begin("cam-2", camera, output_url=f"{camera}-other")
    with counting_frames(server, "cam-2") as gaps:
        fragile.kill()
        server.wait_status("cam-1", "reconnecting", NOTICED_S)
        fragile.start()
        server.wait_status("cam-1", "running", BACK_S)

    assert read_at_once(output)
    assert max(gaps) < LONGEST_GAP_S, "the other stream had a gap"


@contextmanager
def counting_frames(server: Server, stream_id: str) -> Iterator[list[float]]:
    """Records, until the block ends, each period in which a stream published nothing."""
    gaps: list[float] = []
    over = threading.Event()

    def watch() -> None:
        published, since = -1, time.monotonic()
        while not over.is_set():
            now = server.show(stream_id)["stats"]["frames_published"]
            gaps.append(time.monotonic() - since)
            if now > published:
                published, since = now, time.monotonic()
            time.sleep(0.1)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield gaps
        finally:
            over.set()
            watching.result()


def test_stop_and_disconnect_return_soon_while_the_network_hangs(
    server: Server, fragile: RtspServer, video: Path
) -> None:
    fragile.publish_file("cam", video)
    server.begin("cam-1", fragile.url("cam"), output_url=fragile.url("out-1"))
    server.begin("cam-2", fragile.url("cam"), output_url=fragile.url("out-2"))

    def timed(path: str) -> float:
        began = time.monotonic()
        assert server.post(path).status_code == 200
        return time.monotonic() - began

    fragile.pause()
    with ThreadPoolExecutor() as pool:
        took = list(pool.map(timed, ["cam-1/stop", "cam-2/disconnect"]))

    assert max(took) < STOPPED_S
    assert {id: row["status"] for id, row in server.listed().items()} == {"cam-1": "stopped"}
    eventually(server.children, lambda left: not left, 10, "no publisher is left")


def test_stop_returns_soon_when_the_camera_has_hung_for_a_while(
    server: Server, fragile: RtspServer, video: Path
) -> None:
    fragile.publish_file("cam", video)
    server.begin("cam-1", fragile.url("cam"))
    fragile.pause()
    server.wait_status("cam-1", "reconnecting", NOTICED_S)
    began = time.monotonic()

    server.post("cam-1/stop")

    assert time.monotonic() - began < STOPPED_S
    assert server.show("cam-1")["status"] == "stopped"


def test_a_failed_restart_keeps_the_stream_and_works_when_the_camera_is_back(
    server: Server, relay: RtspServer, video: Path
) -> None:
    with relay.publish_file("holiday", video):
        config = server.begin("cam-1", relay.url("holiday"), max_fps=9)["config"]
        server.post("cam-1/stop")
    relay.wait_gone("holiday")

    error_of(server.post("cam-1/restart"), 502, "INPUT_FAILED")

    assert server.listed()["cam-1"]["status"] == "failed"
    assert server.show("cam-1")["config"] == config
    assert server.show("cam-1")["stats"]["last_error"]
    with relay.publish_file("holiday", video):
        assert data_of(server.post("cam-1/restart"))["status"] == "running"
        assert read_at_once(config["output_url"])


def test_by_input_finds_a_stream_at_once_whatever_its_state(
    server: Server, relay: RtspServer, video: Path
) -> None:
    url = relay.url("moody")

    def found() -> str:
        began = time.monotonic()
        data = data_of(server.get("by-input", input_url=url))
        assert time.monotonic() - began < 2
        assert (data["stream_id"], data["message"]) == ("cam-1", "기존 스트림을 찾았습니다.")
        assert data["output_url"] == f"{url}-blur"
        return str(data["status"])

    with relay.publish_file("moody", video):
        server.begin("cam-1", url)
        assert found() == "running"
    server.wait_status("cam-1", "reconnecting", NOTICED_S)
    assert found() == "reconnecting"
    server.post("cam-1/stop")
    assert found() == "stopped"
    server.post("cam-1/restart")
    assert found() == "failed"


def test_a_stream_without_a_camera_is_stopped_at_once(
    server: Server, relay: RtspServer, video: Path
) -> None:
    with relay.publish_file("gone", video):
        server.begin("cam-1", relay.url("gone"))
    server.wait_status("cam-1", "reconnecting", NOTICED_S)
    began = time.monotonic()

    assert data_of(server.post("cam-1/stop"))["status"] == "STOPPED"

    assert time.monotonic() - began < STOPPED_S
