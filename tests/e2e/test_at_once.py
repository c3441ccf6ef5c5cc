"""Two clients that request the same at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
from support.watchpost import Server, data_of


def at_once(call: Callable[[], httpx.Response], times: int = 2) -> list[httpx.Response]:
    with ThreadPoolExecutor(times) as pool:
        return [done.result() for done in [pool.submit(call) for _ in range(times)]]


def test_the_same_start_twice_is_one_stream(server: Server, camera: str) -> None:
    first, second = at_once(lambda: server.post("cam-1/start", rtsp_url=camera))

    assert data_of(first) == data_of(second)
    assert list(server.listed()) == ["cam-1"]
    assert len(server.children()) == 1


def test_by_input_twice_is_one_stream(server: Server, camera: str) -> None:
    replies = at_once(lambda: server.get("by-input", input_url=camera), 3)

    [stream_id] = {data_of(reply)["stream_id"] for reply in replies}
    assert list(server.listed()) == [stream_id]
    messages = sorted(data_of(reply)["message"] for reply in replies)
    assert messages == [*2 * ["기존 스트림을 찾았습니다."], "새로운 스트림이 생성되었습니다."]
    assert server.wait_status(stream_id, "running")
    assert len(server.children()) == 1


def test_register_twice_leaves_one_stream_that_runs(server: Server, camera: str) -> None:
    replies = at_once(lambda: server.post("register", rtsp_url=camera))

    codes = sorted(reply.status_code for reply in replies)
    assert codes in ([200, 200], [200, 503]), "who is overtaken may be told so"
    [stream_id] = server.listed()
    assert server.show(stream_id)["status"] == "running"
    assert len(server.children()) == 1


def test_two_streams_that_want_one_output_do_not_both_get_it(server: Server, camera: str) -> None:
    output = f"{camera}-mine"
    ids = iter(["cam-1", "cam-2"])

    replies = at_once(lambda: server.post(f"{next(ids)}/start", rtsp_url=camera, output_url=output))

    assert sorted(reply.status_code for reply in replies) == [200, 409]
    assert len(server.listed()) == 1


def test_stop_and_start_at_once_end_in_one_of_both(server: Server, camera: str) -> None:
    server.begin("cam-1", camera)
    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(server.post, "cam-1/stop")
        restarting = pool.submit(server.post, "cam-1/restart")
        assert stopping.result().status_code == 200
        assert restarting.result().status_code in (200, 503)

    assert server.show("cam-1")["status"] in ("running", "stopped")
    assert len(server.children()) == (server.show("cam-1")["status"] == "running")
