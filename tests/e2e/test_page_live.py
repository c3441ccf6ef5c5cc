"""The page in a real browser with the real server, as a person uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from support import browser as chrome
from support.faces import count_faces, decode_jpeg
from support.poll import eventually
from support.watchpost import Server

pytestmark = pytest.mark.skipif(bool(chrome.available()), reason=chrome.available())

TOKEN = "a-token/with+odd=characters&more"
COOKIE = "watchpost_token"
SLOW_MS = 60_000  # many tests share few cores

OpenPage = Callable[[str], Page]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the demo, and with a token for other machines."""
    folder = tmp_path_factory.mktemp("watchpost")
    with Server(folder, demo="true", auth__token=TOKEN, faces__width=640) as server:
        yield server


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Its camera sees one person."""
    camera = chrome.make_camera(tmp_path_factory.mktemp("camera") / "person.mjpeg")
    with chrome.chromium(camera) as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SLOW_MS)
    expect.set_options(timeout=SLOW_MS)
    yield context
    context.close()


@pytest.fixture
def open_page(context: BrowserContext, server: Server) -> Iterator[OpenPage]:
    """Opens a path of the server on this machine; errors in the console fail the test."""
    errors: list[str] = []

    def open_page(path: str) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://127.0.0.1:{server.port}{path}")
        return page

    yield open_page
    assert not errors


def outside(server: Server, path: str) -> str:
    """The server's address as another machine knows it."""
    return f"http://{chrome.OUTSIDE}:{server.port}{path}"


def wait_live(page: Page) -> None:
    """Wait until the stream runs and shows a frame."""
    expect(page.locator("#state")).to_have_text("Live")
    expect(page.locator("#size")).to_contain_text("×")


def wait_change(page: Page) -> None:
    """Wait until the frame changes."""
    before = chrome.grab(page)

    def changed() -> bool:
        now = chrome.grab(page)
        return now.shape != before.shape or bool(np.abs(now.astype(int) - before).mean() > 1)

    eventually(changed, bool, 30, "the picture changes")


def test_the_demo_is_found_and_watched(open_page: OpenPage) -> None:
    page = open_page("/viewer")
    page.get_by_role("button", name="demo").click()
    wait_live(page)
    wait_change(page)
    eventually(lambda: chrome.inked(page), bool, 60, "boxes appear")
    expect(page.locator("#rows tr").first).to_contain_text("%")
    expect(page.locator("#fps")).to_contain_text("fps")
    expect(page.locator("#latency")).to_contain_text("ms")
    expect(page.locator("#blur")).to_have_text("blurred")
    expect(page.locator("#version")).to_contain_text("Watchpost 0.")
    assert page.url.endswith("/viewer#demo")


def test_the_demo_by_its_id(open_page: OpenPage) -> None:
    page = open_page("/viewer")
    page.get_by_label("Stream ID").fill("demo")
    page.get_by_role("button", name="Watch Stream").click()
    wait_live(page)


def test_an_id_that_is_not_there(open_page: OpenPage) -> None:
    page = open_page("/viewer#not-there")
    expect(page.locator("#curtain")).to_contain_text("There is no stream “not-there”")


@pytest.mark.parametrize("ordered", [True, False])
def test_the_server_goes_and_returns(open_page: OpenPage, server: Server, ordered: bool) -> None:
    page = open_page("/viewer#demo")
    wait_live(page)
    try:
        if ordered:
            server.stop(within=60)
        else:
            server.kill()
        expect(page.locator("#banner")).to_contain_text("Connection lost")
        expect(page.locator("#state")).to_have_text("Offline")
        expect(page.locator("#streams-note")).to_contain_text("The server does not answer")
    finally:
        server.start()
    wait_live(page)
    wait_change(page)
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#streams-note")).to_be_hidden()


# ── the token ────────────────────────────────────────────────────────────────────────────────


def secrets_kept(page: Page) -> str:
    """Everything in the browser's storage that scripts can read."""
    return str(
        page.evaluate(
            "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie,"
            " history.state, location.href, document.documentElement.outerHTML])"
        )
    )


def test_a_stranger_is_asked_for_the_token(context: BrowserContext, server: Server) -> None:
    page = context.new_page()
    page.goto(outside(server, "/viewer#demo"))
    field = page.get_by_label("Token", exact=True)
    expect(field).to_be_focused()
    assert chrome.nameless(page) == []

    field.fill("wrong")
    page.get_by_role("button", name="Open").click()
    expect(page.locator("#token-problem")).to_contain_text("not the server's token")
    expect(field).to_be_focused()
    assert context.cookies() == []

    field.fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#token")).to_be_hidden()
    wait_live(page)  # continues with its request

    (cookie,) = context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (COOKIE, True, "Strict")
    assert "a-token" not in secrets_kept(page)
    assert page.evaluate("history.length") <= 2
    page.reload()
    wait_live(page)


def test_a_stranger_who_has_no_token_now(context: BrowserContext, server: Server) -> None:
    page = context.new_page()
    page.goto(outside(server, "/viewer"))
    page.get_by_role("button", name="Not now").click()
    expect(page.locator("#streams-note")).to_contain_text("requires the token")
    page.get_by_label("Stream ID").fill("demo")
    page.keyboard.press("Enter")
    expect(page.locator("#token")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#curtain")).to_contain_text("Enter the access token")
    page.locator("#curtain-action").click()
    expect(page.get_by_label("Token", exact=True)).to_be_focused()


def test_a_link_with_the_token_leaves_none_in_the_address(
    context: BrowserContext, server: Server
) -> None:
    """For the control room, ``test_room_accounts.py`` tries that."""
    page = context.new_page()
    page.goto(outside(server, f"/viewer?{httpx.QueryParams(token=TOKEN)}#demo"))
    wait_live(page)
    assert page.url == outside(server, "/viewer#demo")
    assert "a-token" not in secrets_kept(page)


# ── this computer's camera ───────────────────────────────────────────────────────────────────


def test_the_camera_is_sent_seen_and_blurred(open_page: OpenPage, server: Server) -> None:
    page = open_page("/viewer")
    page.get_by_role("button", name="Send my camera").click()
    wait_live(page)
    expect(page.locator("#stream-name")).to_have_text("Webcam")
    expect(page.locator("#webcam-rate")).to_contain_text("answered in")
    preview = lambda: chrome.grab(page, "#webcam-preview")  # noqa: E731
    eventually(preview, lambda image: count_faces(image) > 0, 30, "a face is sent")
    wait_change(page)
    for _ in range(5):
        assert count_faces(chrome.grab(page)) == 0
        page.wait_for_timeout(300)

    address = page.locator("#webcam-share-video").input_value()
    assert address.endswith(f"/stream/video/{page.url.partition('#')[2]}")
    with server.http.stream("GET", address) as video:
        assert video.headers["content-type"].startswith("multipart/x-mixed-replace")
        body = b""
        for part in video.iter_bytes():
            body += part
            if body.count(b"\xff\xd9"):
                break
    shown = decode_jpeg(body[body.index(b"\xff\xd8") :])
    assert shown.shape[:2] == (360, 640)
    assert count_faces(shown) == 0

    page.get_by_role("button", name="Stop sending").click()
    expect(page.locator("#curtain")).to_contain_text("Choose a stream")
    expect(page.get_by_role("button", name="Webcam")).to_have_count(0)  # no client keeps it alive


def test_the_camera_goes_on_after_the_server_was_away(open_page: OpenPage, server: Server) -> None:
    page = open_page("/viewer")
    page.get_by_role("button", name="Send my camera").click()
    wait_live(page)
    before = page.url
    try:
        server.kill()
        expect(page.locator("#webcam-problem")).to_contain_text("Connection lost")
    finally:
        server.start()
    expect(page.locator("#webcam-problem")).to_be_hidden()
    wait_live(page)
    assert page.url != before  # the server has forgotten the stream; there is a new one
    page.get_by_role("button", name="Stop sending").click()


@pytest.mark.parametrize("label", ["Running now", "This computer's camera", "Video"])
def test_landmarks_for_screen_readers(open_page: OpenPage, label: str) -> None:
    page = open_page("/viewer")
    expect(page.get_by_role("region", name=label, exact=True)).to_be_attached()
