"""The control room in a real browser, with a real server and a stream in which somebody walks."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from support import browser as chrome
from support.passage import LINE, ZONE, write_passage
from support.poll import eventually
from support.room import WHY_NOT, OpenPage, pages, violations
from support.watchpost import Server

pytestmark = pytest.mark.skipif(bool(chrome.available()), reason=chrome.available())

DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
VIEWS = ("live", "events", "cameras", "plates", "recordings", "notifications", "system")
TABS = ("", "?tab=analytics", "?tab=settings")
PAGES = (*VIEWS, "cameras/new", *(f"cameras/hall{tab}" for tab in TABS))
SLOW_MS = 60_000  # many tests share few cores
STARTS_S = 60
MOST_BYTES = 200_000
INTERACTIVE_MS = 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a camera in which a person walks into a zone, again and again."""
    folder = tmp_path_factory.mktemp("room")
    write_passage(folder / "passage.mp4")
    with Server(folder, media_dirs=folder, streams__start_timeout_s=STARTS_S) as server:
        yield server


@pytest.fixture(scope="module")
def hall(server: Server) -> str:
    """The id of the camera."""
    body = {"camera_id": "hall", "name": "Hall", "source": "passage.mp4", "loop": True}
    body |= {"max_fps": 10, "analytics": ["objects"], "zones": [ZONE], "lines": [LINE]}
    reply = server.http.post("/cameras", json=body, timeout=STARTS_S)
    assert reply.status_code == 201, reply.text
    return "hall"


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[OpenPage]:
    """Opens a view on this machine; errors in the console fail the test."""
    with pages(
        browser, f"http://127.0.0.1:{server.port}", SLOW_MS, locale="en-US", viewport=DESK
    ) as open_page:
        yield open_page


# ── the first load ───────────────────────────────────────────────────────────────────────────


def test_the_first_load_is_small_and_quick(open_page: OpenPage, server: Server) -> None:
    page = open_page("healthz")
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    received: list[float] = []
    session.on("Network.loadingFinished", lambda done: received.append(done["encodedDataLength"]))
    page.goto(f"http://127.0.0.1:{server.port}/")
    expect(page.get_by_role("navigation")).to_be_visible()
    interactive = page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive")
    page.wait_for_load_state("networkidle")
    assert 10_000 < sum(received) < MOST_BYTES
    assert interactive < INTERACTIVE_MS


# ── the journey of an operator ───────────────────────────────────────────────────────────────


def test_a_camera_is_seen_on_the_wall_and_lights_up(open_page: OpenPage, hall: str) -> None:
    page = open_page()
    tile = page.get_by_role("link", name=re.compile("Hall"))
    expect(tile).to_be_visible()
    # The page's policy forbids what Playwright's own waiting for a script's value needs.
    eventually(
        lambda: page.evaluate("document.querySelector('.tile-picture').width"),
        lambda width: width > 200,
        SLOW_MS / 1000,
        "the picture of the camera",
    )
    lit = page.locator(".tile[data-alarm]")
    expect(lit).to_contain_text(re.compile("zone|line", re.IGNORECASE))


def test_one_camera_has_boxes_and_a_table(open_page: OpenPage, hall: str) -> None:
    page = open_page()
    page.get_by_role("link", name=re.compile("Hall")).click()
    table = page.get_by_role("table", name="Detected now")
    expect(table.get_by_role("row", name=re.compile("person .*%"))).to_be_visible()
    expect(page.get_by_text("fps", exact=False).first).to_be_visible()
    expect(page.locator(".recent-event").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".wall .tile")).to_have_count(1)


# ── everybody can use it ─────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
@pytest.mark.parametrize("view", PAGES)
def test_axe_finds_nothing(view: str, open_page: OpenPage, hall: str) -> None:
    for viewport, scheme in ((DESK, "light"), (PHONE, "dark")):
        page = open_page(f"#/{view}", viewport=viewport, color_scheme=scheme)
        expect(page.get_by_role("heading", level=1)).to_be_attached()
        expect(page.locator(".loading")).to_have_count(0)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
def test_axe_finds_nothing_in_dialogs_and_in_the_large_view(open_page: OpenPage, hall: str) -> None:
    page = open_page(f"#/live/{hall}")
    expect(page.get_by_role("table", name="Detected now")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Share").click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Create the first user").click()
    assert violations(page) == []


@pytest.mark.parametrize("language", ["ru-RU", "ko-KR"])
def test_other_languages_fit_on_a_phone(language: str, open_page: OpenPage, hall: str) -> None:
    page = open_page("", viewport=PHONE, locale=language)
    for view in PAGES:
        page.goto(f"{page.url.partition('#')[0]}#/{view}")
        expect(page.get_by_role("heading", level=1)).to_be_attached()
        expect(page.locator(".loading")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
