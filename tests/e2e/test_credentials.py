"""Passwords of cameras: they are used, and appear nowhere."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from support.readers import read_at_once
from support.rtsp import RtspServer
from support.watchpost import Server, data_of, error_of, free_port

USER = "cam owner"
PASSWORD = "p@ss/w:rd#1?&x=%é"
SECRETS = {
    PASSWORD,
    quote(PASSWORD, safe=""),
    quote(quote(PASSWORD, safe=""), safe=""),
    base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
}


@pytest.fixture(scope="module")
def locked_relay(video: Path) -> Iterator[RtspServer]:
    """An RTSP server that requires a login, with a camera."""
    with RtspServer(user=USER, password=PASSWORD) as relay:
        relay.publish_file("cam", video)
        yield relay


@pytest.fixture
def replies(server: Server) -> Iterator[list[httpx.Response]]:
    """The server's replies during a test."""
    seen: list[httpx.Response] = []
    server.http.event_hooks = {"response": [seen.append]}
    yield seen
    server.http.event_hooks = {}


@pytest.fixture(autouse=True)
def nothing_shows_a_password(server: Server, replies: list[httpx.Response]) -> Iterator[None]:
    """After each test: no reply, log line, process or file has any form of the password."""
    yield
    places = {f"reply to {reply.request.url.path}": reply.read() for reply in replies}
    places["log"] = server.log_file.read_bytes()
    places |= server.command_lines() | server.files()
    leaks = [
        (place, secret)
        for place, data in places.items()
        for secret in SECRETS
        if secret.encode() in data
    ]
    assert leaks == []
    assert len(places) > 5


def test_they_open_input_and_output_and_are_gone_from_the_replies(
    server: Server, locked_relay: RtspServer
) -> None:
    data = server.begin("cam-1", locked_relay.own_url("cam"))

    assert data["config"]["rtsp_url"] == locked_relay.url("cam")
    assert data["config"]["output_url"] == locked_relay.url("cam-blur")
    assert server.show("cam-1")["config"] == data["config"]
    assert read_at_once(locked_relay.own_url("cam-blur"))


def test_they_open_a_server_that_asks_for_digest_authentication(
    server: Server, video: Path
) -> None:
    with RtspServer(user=USER, password=PASSWORD, auth="digest") as relay:
        relay.publish_file("cam", video)
        server.begin("cam-1", relay.own_url("cam"))

        assert read_at_once(relay.own_url("cam-blur"))


def test_they_are_in_the_query_of_by_input_and_come_back_nowhere(
    server: Server, locked_relay: RtspServer
) -> None:
    url = locked_relay.own_url("cam")

    created = data_of(server.get("by-input", input_url=url))
    found = data_of(server.get("by-input", input_url=url))

    assert found["stream_id"] == created["stream_id"]
    assert created["input_url"] == locked_relay.url("cam")
    assert "by-input" in server.log()


def test_they_may_be_pasted_into_by_input_as_the_contract_does(
    server: Server, locked_relay: RtspServer
) -> None:
    """The URL has percent signs of its own, so it must not be decoded a second time."""
    data = data_of(
        server.http.get(f"/api/streams/by-input?input_url={locked_relay.own_url('cam')}")
    )

    assert data["input_url"] == locked_relay.url("cam")


def test_register_and_restart_know_them_still(server: Server, locked_relay: RtspServer) -> None:
    data = data_of(server.post("register", rtsp_url=locked_relay.own_url("cam")))
    [stream_id] = server.listed()

    assert data == {"output_url": locked_relay.url("cam-blur")}
    assert data_of(server.post(f"{stream_id}/restart"))["status"] == "running"


def test_error_replies_keep_them(server: Server, locked_relay: RtspServer, camera: str) -> None:
    """Each with the right password in the request, and each refused for another reason."""
    login = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
    nobody = f"rtsp://{login}@127.0.0.1:{free_port()}/cam"
    url = locked_relay.own_url("cam")
    server.begin("cam-1", camera, output_url=locked_relay.own_url("mine"))

    def start(stream_id: str, **body: object) -> httpx.Response:
        return server.post(f"{stream_id}/start", **body)

    error_of(start("a", rtsp_url=nobody), 502, "INPUT_FAILED")
    error_of(start("a", rtsp_url=camera, output_url=nobody), 502, "OUTPUT_FAILED")
    error_of(start("a", rtsp_url=locked_relay.own_url("no")), 502, "INPUT_FAILED")
    error_of(server.get("by-input", input_url=nobody), 502, "INPUT_FAILED")
    error_of(start("a", rtsp_url=f"http://{login}@192.0.2.1/x"), 400, "INVALID_RTSP_URL")
    error_of(start("a", rtsp_url=f"rtsp://{login}@192.0.2.1:99999/x"), 400, "INVALID_RTSP_URL")
    error_of(start("a", rtsp_url=f"rtsp://{login}@224.0.0.1/x"), 400, "ADDRESS_NOT_ALLOWED")
    error_of(start("a", rtsp_url=[url]), 400, "INVALID_REQUEST")
    error_of(start("a", rtsp_url=url, rtsp_url_2=url), 400, "INVALID_REQUEST")
    error_of(start("a", rtsp_url=url, output_url=url), 400, "OUTPUT_IS_INPUT")
    error_of(
        start("a", rtsp_url=url, output_url=locked_relay.own_url("mine")), 409, "OUTPUT_IN_USE"
    )


def test_a_wrong_one_is_refused_and_kept_too(server: Server, locked_relay: RtspServer) -> None:
    wrong = locked_relay.url("cam", "someone", PASSWORD)

    body = error_of(server.post("cam-1/start", rtsp_url=wrong), 502, "INPUT_FAILED")

    assert body["details"]["reason"] == "unauthorized"


def test_the_last_error_of_a_stream_keeps_them(
    server: Server, locked_relay: RtspServer, video: Path
) -> None:
    with locked_relay.publish_file("brief", video) as publisher:
        server.begin("cam-1", locked_relay.own_url("brief"))
        publisher.kill()

    stats = server.wait_status("cam-1", "reconnecting")["stats"]

    assert "brief" in stats["last_error"]
    assert stats["error_count"] >= 1
