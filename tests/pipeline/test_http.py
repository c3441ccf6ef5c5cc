"""Cameras over HTTP: MJPEG with odd delimiters, single images, redirects, authentication."""

from __future__ import annotations

import http.server
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image

from app.config import StreamSettings
from app.errors import AddressNotAllowed, SourceError
from app.failure_reason import FailureReason
from app.pipeline.sources import make_source
from app.types import Frame, StreamSpec

Reply = Callable[["Handler"], None]


def image(kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 48), 80).convert("RGB").save(file, kind)
    return file.getvalue()


JPEG = image()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each request as the test's page says."""

    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append((self.client_address[1], self.path, self.headers))
        self.server.page(self)

    def reply(self, body: bytes, kind: str | None, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        if kind is not None:
            headers["Content-Type"] = kind
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def begin(self, kind: str | None) -> None:
        """A reply that ends with its connection."""
        self.send_response(200)
        self.send_header("Connection", "close")
        if kind is not None:
            self.send_header("Content-Type", kind)
        self.end_headers()
        self.close_connection = True

    def authorization(self) -> str:
        return str(self.headers.get("Authorization", ""))


class Camera(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[int, str, Any]] = []
        self.page: Reply = lambda handler: handler.reply(JPEG, "image/jpeg")
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients leave while they are answered."""


@pytest.fixture
def camera() -> Iterator[Camera]:
    with Camera() as camera:
        yield camera
        camera.shutdown()


@pytest.fixture
def settings() -> StreamSettings:
    return StreamSettings(open_timeout_s=2, stall_timeout_s=1)


def frames(
    camera: Camera,
    settings: StreamSettings,
    count: int,
    *,
    login: str = "",
    host: str = "127.0.0.1",
    **options: Any,
) -> list[Frame]:
    """The first frames of a camera. Raises what ends it before that."""
    url = f"http://{login}{host}:{camera.server_port}/cam?stream=1"
    source = make_source(StreamSpec("s", url, **{"interval": 0.1, **options}), settings)
    found: list[Frame] = []
    try:
        source.open()
        for frame in source.frames():
            found += [frame] if frame is not None else []
            if len(found) == count:
                break
    finally:
        source.close()
    return found


def reason_of(camera: Camera, settings: StreamSettings, **options: Any) -> str:
    with pytest.raises(SourceError) as failed:
        frames(camera, settings, 100, **options)
    return str(failed.value.details["reason"])


# ── MJPEG ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "first", "between"),
    [
        ("multipart/x-mixed-replace;boundary=12", b"", b"\r\n--12\r\nContent-Length: 9\r\n\r\n"),
        ("multipart/x-mixed-replace; boundary=--f", b"--f\r\n\r\n", b"\r\n--f\r\n\r\n"),
        ("multipart/x-mixed-replace", b"--x\nContent-Type: image/jpeg\n\n", b"\n--x\n\n"),
        ("multipart/x-mixed-replace; boundary=other", b"--frame\r\n\r\n", b"\r\n--frame\r\n\r\n"),
        ("application/octet-stream", b"--f\r\nContent-Type: image/jpeg\r\n\r\n", b"--f\r\n\r\n"),
        (None, b"", b""),
    ],
)
def test_mjpeg_plays_whatever_its_delimiters(
    camera: Camera, settings: StreamSettings, kind: str | None, first: bytes, between: bytes
) -> None:
    def page(handler: Handler) -> None:
        handler.begin(kind)
        handler.wfile.write(first + JPEG)
        for _ in range(4):
            handler.wfile.write(between + JPEG)
            time.sleep(0.02)

    camera.page = page
    found = frames(camera, settings, 5)
    assert [frame.number for frame in found] == [1, 2, 3, 4, 5]
    assert (found[0].image.width, found[0].image.height) == (64, 48)
    assert len(camera.asked) == 1


def test_mjpeg_that_ends_is_to_be_tried_again(camera: Camera, settings: StreamSettings) -> None:
    def page(handler: Handler) -> None:
        handler.begin("multipart/x-mixed-replace")
        handler.wfile.write(JPEG)

    camera.page = page
    assert reason_of(camera, settings) == FailureReason.ENDED


def test_a_slow_camera_is_not_lost_between_two_frames(
    camera: Camera, settings: StreamSettings
) -> None:
    def page(handler: Handler) -> None:
        handler.begin("multipart/x-mixed-replace")
        for _ in range(3):
            handler.wfile.write(JPEG)
            time.sleep(1.5)

    camera.page = page
    assert len(frames(camera, settings, 3)) == 3


def test_a_limit_set_by_a_user_applies(camera: Camera, settings: StreamSettings) -> None:
    def page(handler: Handler) -> None:
        handler.begin("multipart/x-mixed-replace")
        handler.wfile.write(JPEG)
        time.sleep(5)

    camera.page = page
    began = time.monotonic()
    assert reason_of(camera, settings, stall_timeout_s=1.2) == FailureReason.STALLED
    assert 1 < time.monotonic() - began < 2.5


def test_a_stream_without_images_fails(camera: Camera, settings: StreamSettings) -> None:
    def page(handler: Handler) -> None:
        handler.begin("multipart/x-mixed-replace")
        for _ in range(100):
            handler.wfile.write(b"--f\r\nContent-Type: image/png\r\n\r\n" * 4000)

    camera.page = page
    assert reason_of(camera, settings) == FailureReason.INVALID_DATA


# ── single images ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["image/jpeg", "image/jpg; charset=x", "application/octet-stream"])
def test_a_single_image_is_polled_over_one_connection(
    camera: Camera, settings: StreamSettings, kind: str
) -> None:
    camera.page = lambda handler: handler.reply(JPEG, kind)
    began = time.monotonic()
    found = frames(camera, settings, 4, interval=0.3)
    assert time.monotonic() - began > 0.85
    assert [frame.number for frame in found] == [1, 2, 3, 4]
    assert len({port for port, _, _ in camera.asked}) == 1
    assert camera.asked[0][2]["Host"] == f"127.0.0.1:{camera.server_port}"


def test_a_single_image_with_a_connection_each(camera: Camera, settings: StreamSettings) -> None:
    def page(handler: Handler) -> None:
        handler.begin("image/jpeg")
        handler.wfile.write(JPEG)

    camera.page = page
    assert len(frames(camera, settings, 3)) == 3


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_images_of_other_kinds(camera: Camera, settings: StreamSettings, kind: str) -> None:
    camera.page = lambda handler: handler.reply(image(kind), f"image/{kind.lower()}")
    assert len(frames(camera, settings, 2)) == 2


def test_the_orientation_of_each_image_is_read(camera: Camera, settings: StreamSettings) -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x112] = 6
    Image.new("RGB", (64, 48)).save(file, "JPEG", exif=exif)
    camera.page = lambda handler: handler.reply(file.getvalue(), "image/jpeg")
    assert frames(camera, settings, 1)[0].orientation == 6


def test_one_image_a_second_is_the_usual(camera: Camera, settings: StreamSettings) -> None:
    began = time.monotonic()
    frames(camera, settings, 2, interval=None)
    assert 0.9 < time.monotonic() - began < 2


def test_a_damaged_image_now_and_then_is_left_out(camera: Camera, settings: StreamSettings) -> None:
    def page(handler: Handler) -> None:
        cut = len(camera.asked) % 2 == 0
        handler.reply(JPEG[:700] if cut else JPEG, "image/jpeg")

    camera.page = page
    assert len(frames(camera, settings, 3)) == 3


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        (JPEG[:700], "image/jpeg", 200, "invalid_data"),
        (b"", "image/jpeg", 200, "invalid_data"),
        (b"GIF89a" + bytes(100), "image/gif", 200, "no_picture"),
        (b"<html>log in</html>", "text/html", 200, "web_page"),
        (b"", None, 403, "forbidden"),
        (b"", None, 404, "not_found"),
        (b"", None, 401, "unauthorized"),
        (b"", None, 500, "rejected"),
    ],
)
def test_every_failure_has_its_reason(
    camera: Camera,
    settings: StreamSettings,
    body: bytes,
    kind: str | None,
    status: int,
    reason: str,
) -> None:
    camera.page = lambda handler: handler.reply(body, kind, status)
    assert reason_of(camera, settings, login="me:very-hidden@") == reason


def test_a_camera_that_fails_later_is_lost_with_its_reason(
    camera: Camera, settings: StreamSettings
) -> None:
    camera.page = lambda handler: handler.reply(
        JPEG, "image/jpeg", 503 if len(camera.asked) > 2 else 200
    )
    assert reason_of(camera, settings) == FailureReason.REJECTED


def test_huge_pixels_are_refused_before_they_take_memory(
    camera: Camera, settings: StreamSettings
) -> None:
    at = JPEG.index(b"\xff\xc0") + 5
    huge = JPEG[:at] + b"\xff\xff\xff\xff" + JPEG[at + 4 :]
    camera.page = lambda handler: handler.reply(huge, "image/jpeg")
    assert reason_of(camera, settings) in (FailureReason.BAD_PICTURE, FailureReason.INVALID_DATA)


# ── log-ins ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("challenge", "scheme"),
    [
        ('Basic realm="cam"', "Basic "),
        ('Digest realm="cam", nonce="n1", qop="auth"', "Digest "),
        ('Digest realm="cam", nonce="n1"', "Digest "),
        ('Digest realm="cam", nonce="n1", algorithm=SHA-256, qop="auth"', "Digest "),
    ],
)
def test_it_logs_in_the_way_it_is_asked_to(
    camera: Camera, settings: StreamSettings, challenge: str, scheme: str
) -> None:
    def page(handler: Handler) -> None:
        if handler.authorization().startswith(scheme):
            handler.reply(JPEG, "image/jpeg")
        else:
            handler.reply(b"", None, 401, WWW_Authenticate=challenge)

    camera.page = page
    assert len(frames(camera, settings, 3, login="me:p%40ss@")) == 3
    assert camera.asked[0][2]["Authorization"] is None  # nothing is given away unasked
    given = [headers["Authorization"] for _, _, headers in camera.asked if headers["Authorization"]]
    if scheme == "Digest ":
        assert 'uri="/cam?stream=1"' in given[0]
    assert all("p@ss" not in text for text in given)


def test_a_wrong_password_is_reported(camera: Camera, settings: StreamSettings) -> None:
    camera.page = lambda handler: handler.reply(
        b"", None, 401, WWW_Authenticate='Digest realm="cam", nonce="n1", qop="auth"'
    )
    assert reason_of(camera, settings, login="me:wrong@") == FailureReason.UNAUTHORIZED


# ── redirects and addresses ──────────────────────────────────────────────────────────────────


def test_a_redirect_on_the_same_host_is_followed(camera: Camera, settings: StreamSettings) -> None:
    def page(handler: Handler) -> None:
        if handler.path == "/new":
            handler.reply(JPEG, "image/jpeg")
        else:
            handler.reply(b"", None, 302, Location="/new")

    camera.page = page
    assert len(frames(camera, settings, 3)) == 3
    assert [path for _, path, _ in camera.asked] == ["/cam?stream=1", "/new", "/new", "/new"]


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("http://192.0.2.7/cam?token=hidden", "http://192.0.2.7/cam?token=***"),
        ("rtsp://127.0.0.1/cam", "a URL of another kind"),
        ("file:///etc/passwd", "a URL of another kind"),
        ("http://[x/", "a URL of another kind"),
    ],
)
def test_the_error_shows_the_target_of_a_redirect(
    camera: Camera, settings: StreamSettings, location: str, shown: str
) -> None:
    camera.page = lambda handler: handler.reply(b"", None, 302, Location=location)
    with pytest.raises(SourceError) as failed:
        frames(camera, settings, 1, login="me:hidden@")
    assert failed.value.details["reason"] == FailureReason.REDIRECTED
    assert shown in str(failed.value)
    assert "hidden" not in str(failed.value)


def test_a_redirect_to_the_cloud_is_refused(camera: Camera, settings: StreamSettings) -> None:
    camera.page = lambda handler: handler.reply(
        b"", None, 302, Location="http://169.254.169.254/latest"
    )
    with pytest.raises(AddressNotAllowed):
        frames(camera, settings, 1)


def test_redirects_have_an_end(camera: Camera, settings: StreamSettings) -> None:
    camera.page = lambda handler: handler.reply(b"", None, 302, Location="/again")
    assert reason_of(camera, settings) == FailureReason.REJECTED
    assert len(camera.asked) < 10


def test_the_address_is_checked_at_every_poll(
    camera: Camera, settings: StreamSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name may lead elsewhere the next time somebody looks it up."""
    look_up, answers = socket.getaddrinfo, [0]

    def changing(host: Any, *arguments: Any, **more: Any) -> Any:
        if host != "camera.test":
            return look_up(host, *arguments, **more)
        answers[0] += 1
        return look_up("169.254.169.254" if answers[0] > 2 else "127.0.0.1", *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    with pytest.raises(AddressNotAllowed):
        frames(camera, settings, 5, host="camera.test")
    assert len(camera.asked) == 2
