"""Cameras and outputs that accept a connection and then hang, while others keep working."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest
from support.fake_rtsp import FakeRtsp
from support.poll import eventually
from support.watchpost import Server, error_of

PATIENCE_S = 10  # of the server, which answers 503 then
MARGIN_S = 2.5  # for ending what hangs, on a loaded machine
QUICK_S = 1.5


@dataclass
class Reply:
    response: httpx.Response
    took_s: float


@dataclass
class Hang:
    """What a working stream did while one input and one output hung."""

    input_reply: Reply
    output_reply: Reply
    healthy_s: list[float]
    list_s: list[float]
    published: list[int]


@pytest.fixture(scope="module")
def hang(running_server: Server, camera: str) -> Iterator[Hang]:
    server = running_server
    server.begin("works", camera, output_url=f"{camera}-works")
    over = threading.Event()

    def timed(path: str, **body: str) -> Reply:
        began = time.monotonic()
        response = server.post(path, **body)
        return Reply(response, time.monotonic() - began)

    def watch() -> tuple[list[float], list[float], list[int]]:
        healthy_s: list[float] = []
        list_s: list[float] = []
        published: list[int] = []
        while not over.is_set():
            for path, times in (("/healthz", healthy_s), ("/api/streams", list_s)):
                began = time.monotonic()
                assert server.http.get(path).status_code == 200
                times.append(time.monotonic() - began)
            published.append(server.show("works")["stats"]["frames_published"])
            time.sleep(0.05)
        return healthy_s, list_s, published

    with FakeRtsp() as silent, ThreadPoolExecutor() as pool:
        watching = pool.submit(watch)
        deaf = pool.submit(timed, "deaf/start", rtsp_url=silent.url())
        mute = pool.submit(timed, "mute/start", rtsp_url=camera, output_url=silent.url("out"))
        try:
            replies = deaf.result(), mute.result()
        finally:
            over.set()
        healthy_s, list_s, published = watching.result()
        yield Hang(*replies, healthy_s, list_s, published)


def test_an_input_that_never_answers_is_a_503_after_ten_seconds(hang: Hang) -> None:
    body = error_of(hang.input_reply.response, 503, "START_TIMEOUT")

    assert body["details"]["stream_id"] == "deaf"
    assert PATIENCE_S - 1 < hang.input_reply.took_s < PATIENCE_S + MARGIN_S


def test_an_output_that_never_answers_is_a_503_after_ten_seconds(hang: Hang) -> None:
    body = error_of(hang.output_reply.response, 503, "START_TIMEOUT")

    assert body["details"]["stream_id"] == "mute"
    assert PATIENCE_S - 1 < hang.output_reply.took_s < PATIENCE_S + MARGIN_S


def test_the_message_of_the_503_tells_which_end_was_silent(hang: Hang) -> None:
    for reply, word in ((hang.input_reply, "INPUT"), (hang.output_reply, "OUTPUT")):
        body = reply.response.json()
        assert word.lower() in str(body["details"]["last_error"]).lower()


def test_nothing_is_left_of_what_never_ran(hang: Hang, server: Server) -> None:
    assert not {"deaf", "mute"} & set(server.listed())
    error_of(server.get("deaf"), 404, "STREAM_NOT_FOUND")
    eventually(
        server.children,
        lambda children: len(children) <= 1,
        5,
        "the hanging publisher is gone",
    )


def test_other_replies_stay_quick_meanwhile(hang: Hang) -> None:
    assert len(hang.healthy_s) > 20
    assert max(hang.healthy_s) < QUICK_S
    assert max(hang.list_s) < QUICK_S


def test_another_stream_goes_on_meanwhile(hang: Hang) -> None:
    assert hang.published[-1] - hang.published[0] > 3 * PATIENCE_S


@pytest.mark.parametrize("how", ["stop", "disconnect"])
def test_a_start_that_hangs_can_be_called_off(server: Server, how: str) -> None:
    with FakeRtsp() as silent, ThreadPoolExecutor() as pool:
        starting = pool.submit(server.post, "deaf/start", rtsp_url=silent.url())
        eventually(lambda: silent.connections, bool, 10, "the camera is called")
        began = time.monotonic()

        assert server.post(f"deaf/{how}").status_code == 200

        assert time.monotonic() - began < 5.0
        error_of(starting.result(), 503, "START_CANCELLED")
