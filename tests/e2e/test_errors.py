"""Every error reply: its status, its code, and a message with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.fake_rtsp import FakeRtsp
from support.rtsp import RtspServer
from support.watchpost import Server, error_of, free_port

URL = "rtsp://192.0.2.10:554/live/cam1"
LINK_LOCAL = "rtsp://169.254.169.254/cam"

# ── 400: what cannot be meant ────────────────────────────────────────────────────────────────

WRONG_URLS = [
    "http://192.0.2.10/cam",
    "file:///etc/passwd",
    "demo:",
    "rtsp://",
    "rtsp:///cam",
    "rtsp://192.0.2.10:0/cam",
    "rtsp://192.0.2.10:99999/cam",
    "rtsp://192.0.2.10/a b",
    "rtsp://192.0.2.10/a\nb",
    "",
]
FORBIDDEN_HOSTS = ["169.254.169.254", "224.0.0.1", "0.0.0.0", "[fe80::1]", "[ff02::1]", "[::]"]
WRONG_FIELDS: list[tuple[str, Any]] = [
    ("max_fps", 0),
    ("max_fps", 61),
    ("max_fps", "15"),
    ("max_fps", None),
    ("downscale", 0.05),
    ("downscale", 1.5),
    ("blur", "sepia"),
    ("blur_margin", -1),
    ("encoder", "wmv2"),
    ("bitrate", 1),
    ("transport", "pigeon"),
    ("rtsp_url", 5),
    ("output_url", 5),
    ("analytics", True),
    ("name", 5),
    ("colour", "red"),
]


@pytest.mark.parametrize("url", WRONG_URLS)
def test_what_is_no_rtsp_url_is_refused_everywhere(server: Server, url: str) -> None:
    for response in (
        server.post("cam-1/start", rtsp_url=url),
        server.post("cam-1/start", rtsp_url=URL, output_url=url),
        server.post("register", rtsp_url=url),
        server.get("by-input", input_url=url),
    ):
        error_of(response, 400, "INVALID_RTSP_URL")
    assert server.listed() == {}


@pytest.mark.parametrize("host", FORBIDDEN_HOSTS)
def test_addresses_that_no_camera_has_are_refused(server: Server, host: str) -> None:
    for response in (
        server.post("cam-1/start", rtsp_url=f"rtsp://{host}/cam"),
        server.post("cam-1/start", rtsp_url=URL, output_url=f"rtsp://{host}/cam"),
        server.get("by-input", input_url=f"rtsp://{host}/cam"),
    ):
        error_of(response, 400, "ADDRESS_NOT_ALLOWED")
    assert server.listed() == {}


@pytest.mark.parametrize(("field", "value"), WRONG_FIELDS)
def test_a_wrong_or_unknown_field_is_refused_by_name(
    server: Server, field: str, value: object
) -> None:
    body = error_of(
        server.post("cam-1/start", **{"rtsp_url": URL, field: value}), 400, "INVALID_REQUEST"
    )

    assert field in body["message"]
    assert body["details"]["field"] == field


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"rtsp://192.0.2.10/cam"', b"{}"])
@pytest.mark.parametrize("path", ["cam-1/start", "register"])
def test_an_empty_or_broken_body_is_refused(server: Server, path: str, content: bytes) -> None:
    response = server.http.post(
        f"/api/streams/{path}", content=content, headers={"Content-Type": "application/json"}
    )

    error_of(response, 400, "INVALID_REQUEST")


def test_by_input_without_its_input_is_refused(server: Server) -> None:
    body = error_of(server.get("by-input"), 400, "INVALID_REQUEST")

    assert "input_url" in body["message"]


@pytest.mark.parametrize("stream_id", ["by-input", "register", ".hidden", "a%20b", "x" * 65])
def test_reserved_and_strange_stream_ids_are_refused(server: Server, stream_id: str) -> None:
    body = error_of(server.post(f"{stream_id}/start", rtsp_url=URL), 400, "INVALID_REQUEST")

    assert "stream_id" in body["message"]


def test_a_stream_that_would_read_its_own_output_is_refused(server: Server) -> None:
    response = server.post("cam-1/start", rtsp_url=URL, output_url=f"{URL}/?again=1")

    error_of(response, 400, "OUTPUT_IS_INPUT")


# ── 404 and 405 ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "ghost"),
        ("POST", "ghost/stop"),
        ("POST", "ghost/restart"),
        ("GET", "ghost/jpeg"),
        ("GET", "ghost/mjpeg"),
    ],
)
def test_an_unknown_stream_is_not_found_in_the_contracts_words(
    server: Server, method: str, path: str
) -> None:
    response = server.http.request(method, f"/api/streams/{path}")

    assert error_of(response, 404, "STREAM_NOT_FOUND") == {
        "code": "STREAM_NOT_FOUND",
        "message": "스트림을 찾을 수 없습니다: ghost",
        "details": {"stream_id": "ghost"},
    }


def test_unknown_paths_and_methods_have_the_form_too(server: Server) -> None:
    error_of(server.http.get("/api/nothing"), 404, "NOT_FOUND")
    error_of(server.http.delete("/api/streams"), 405, "METHOD_NOT_ALLOWED")


# ── 409 ──────────────────────────────────────────────────────────────────────────────────────


def test_two_streams_never_share_an_output(server: Server, camera: str, relay: RtspServer) -> None:
    output = relay.url("shared")
    server.begin("cam-1", camera, output_url=output)

    body = error_of(
        server.post("cam-2/start", rtsp_url=camera, output_url=f"{output}?copy=2"),
        409,
        "OUTPUT_IN_USE",
    )

    assert body["details"]["used_by"] == "cam-1"
    assert list(server.listed()) == ["cam-1"]


def test_a_default_output_that_is_taken_gets_the_stream_id(server: Server, camera: str) -> None:
    server.begin("cam-1", camera)

    data = server.begin("cam-2", camera)

    assert data["config"]["output_url"] == f"{camera}-blur-cam-2"


# ── 502: an end that says no ─────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def locked_relay() -> Iterator[RtspServer]:
    """An RTSP server that lets only one user in."""
    with RtspServer(user="owner", password="right") as relay:
        yield relay


def refusal(response: Any, end: str) -> tuple[str, str]:
    """The reason and the message of a 502, which must be about this end."""
    body = error_of(response, 502, {"input": "INPUT_FAILED", "output": "OUTPUT_FAILED"}[end])
    assert body["details"]["end"] == end
    words = {"input": "입력", "output": "출력"}
    assert [word for word in words.values() if word in body["message"]] == [words[end]]
    return body["details"]["reason"], body["message"]


def test_an_input_that_refuses_connections_is_named(server: Server) -> None:
    response = server.post("cam-1/start", rtsp_url=f"rtsp://127.0.0.1:{free_port()}/cam")

    assert refusal(response, "input") == (
        "connection_refused",
        error_of(response, 502, "INPUT_FAILED")["message"],
    )
    assert server.listed() == {}


def test_an_input_path_that_does_not_exist_is_named(server: Server, relay: RtspServer) -> None:
    response = server.post("cam-1/start", rtsp_url=relay.url("nothing-here"))

    assert refusal(response, "input")[0] == "not_found"
    assert server.listed() == {}


def test_a_wrong_password_of_the_input_is_named(server: Server, locked_relay: RtspServer) -> None:
    response = server.post("cam-1/start", rtsp_url=locked_relay.url("cam", "owner", "wrong"))

    reason, message = refusal(response, "input")
    assert reason == "unauthorized"
    assert "wrong" not in message


def test_by_input_and_register_report_a_refused_input_too(
    server: Server, relay: RtspServer
) -> None:
    url = relay.url("nothing-here")

    assert refusal(server.get("by-input", input_url=url), "input")[0] == "not_found"
    assert refusal(server.post("register", rtsp_url=url), "input")[0] == "not_found"
    assert server.listed() == {}


def test_an_output_that_refuses_connections_is_named(server: Server, camera: str) -> None:
    output = f"rtsp://127.0.0.1:{free_port()}/out"
    response = server.post("cam-1/start", rtsp_url=camera, output_url=output)

    reason, message = refusal(response, "output")
    assert reason == "connection_refused"
    assert output in message
    assert server.listed() == {}


def test_a_wrong_password_of_the_output_is_named(
    server: Server, camera: str, locked_relay: RtspServer
) -> None:
    output = locked_relay.url("out", "owner", "wrong")
    response = server.post("cam-1/start", rtsp_url=camera, output_url=output)

    reason, message = refusal(response, "output")
    assert reason == "unauthorized"
    assert "wrong" not in message
    assert server.children() == []


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("403 Forbidden", "forbidden"),
        ("404 Not Found", "not_found"),
        ("500 Internal Server Error", "rejected"),
    ],
)
def test_an_output_server_that_rejects_the_stream_is_named(
    server: Server, camera: str, status: str, reason: str
) -> None:
    with FakeRtsp(status) as fake:
        response = server.post("cam-1/start", rtsp_url=camera, output_url=fake.url("out"))

    assert refusal(response, "output")[0] == reason
    assert server.listed() == {}


def test_an_input_server_that_rejects_the_stream_is_named(server: Server) -> None:
    with FakeRtsp("500 Internal Server Error") as fake:
        response = server.post("cam-1/start", rtsp_url=fake.url())

    assert refusal(response, "input")[0] == "rejected"


def test_an_input_server_that_hangs_up_is_named(server: Server) -> None:
    with FakeRtsp(hangs_up=True) as fake:
        response = server.post("cam-1/start", rtsp_url=fake.url())

    assert refusal(response, "input")[0] == "connection_closed"


def test_an_output_server_that_hangs_up_is_named(server: Server, camera: str) -> None:
    with FakeRtsp(hangs_up=True) as fake:
        response = server.post("cam-1/start", rtsp_url=camera, output_url=fake.url("out"))

    assert refusal(response, "output")[0] == "connection_closed"


def test_an_unknown_host_name_is_named(server: Server) -> None:
    response = server.post("cam-1/start", rtsp_url="rtsp://no-such-host.invalid/cam")

    assert refusal(response, "input")[0] == "unknown_host"


# ── 503: no picture to show ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["cam-1/jpeg", "cam-1/mjpeg"])
def test_a_stopped_stream_has_no_preview(server: Server, camera: str, path: str) -> None:
    server.begin("cam-1", camera)
    server.post("cam-1/stop")

    body = error_of(server.get(path), 503, "NO_PICTURE")

    assert body["details"]["status"] == "stopped"
