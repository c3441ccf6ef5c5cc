"""The nodes of a cluster in the control room: a real server with two nodes on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from support import browser as chrome
from support.passage import write_passage
from support.poll import eventually
from support.room import WHY_NOT, OpenPage, pages, violations
from support.watchpost import Server

pytest.importorskip("ray", reason="Ray is not installed: pip install 'watchpost[cluster]'")
pytestmark = pytest.mark.skipif(bool(chrome.available()), reason=chrome.available())

DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SLOW_MS = 60_000  # many tests share few cores
STARTS_S = 120
CAMERAS = ("hall", "yard")


def nodes_of(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.http.get("/api/nodes").json()
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose two cameras run on a node each."""
    folder = tmp_path_factory.mktemp("room")
    write_passage(folder / "passage.mp4")
    home = {"HOME": str(folder)}  # Ray writes its token there
    settings: dict[str, Any] = {"cluster__workers": 2, "media_dirs": folder}
    settings["streams__start_timeout_s"] = STARTS_S
    with Server(folder, home, **settings) as server:
        eventually(
            lambda: [node["state"] for node in nodes_of(server)],
            lambda states: states == ["ready", "ready"],
            STARTS_S,
            "both nodes are ready",
        )
        for name in CAMERAS:
            body: dict[str, Any] = {"camera_id": name, "name": name.title()}
            body |= {"source": "passage.mp4", "loop": True, "max_fps": 5}
            reply = server.http.post("/cameras", json=body, timeout=STARTS_S)
            assert reply.status_code == 201, reply.text
        yield server


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[OpenPage]:
    """Opens a view on this machine; errors in the console fail the test."""
    with pages(
        browser, f"http://127.0.0.1:{server.port}", SLOW_MS, locale="en-US", viewport=DESK
    ) as open_page:
        yield open_page


def card(page: Page, name: str) -> Any:
    """What the page says of a node."""
    return page.locator(".card").filter(has=page.get_by_role("heading", name=name, exact=True))


def test_each_node_says_what_it_does(open_page: OpenPage, server: Server) -> None:
    page = open_page("#/system")
    page.get_by_role("tab", name="Nodes").click()
    version = server.http.get("/api/system/status").json()["version"]
    for node in nodes_of(server):
        shown = card(page, node["name"])
        expect(shown).to_contain_text("Ready")
        expect(shown).to_contain_text(re.compile(r"\d\.\d of \d+ cores"))
        expect(shown).to_contain_text(re.compile(r"Memory[\d.]+ [MG]B"))
        expect(shown).to_contain_text(re.compile(r"Disk, free[\d.]+ [MGT]B of [\d.]+ [MGT]B"))
        expect(shown).to_contain_text(f"Version{version}")
        (stream,) = node["streams"]
        link = shown.get_by_role("link", name=stream.title())
        expect(link).to_have_attribute("href", re.compile(f"#/live/{stream}$"))


def test_cameras_say_their_node(open_page: OpenPage, server: Server) -> None:
    page = open_page()
    for node in nodes_of(server):
        (stream,) = node["streams"]
        tile = page.get_by_role("link", name=re.compile(stream.title()))
        expect(tile).to_contain_text(node["name"])
    page.goto(f"{page.url.partition('#')[0]}#/cameras")
    for node in nodes_of(server):
        (stream,) = node["streams"]
        row = page.locator(".camera-row").filter(has_text=stream.title())
        expect(row).to_contain_text(f"node {node['name']}")


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
def test_axe_finds_nothing(open_page: OpenPage, server: Server) -> None:
    name = nodes_of(server)[0]["name"]
    for viewport, scheme in ((DESK, "light"), (PHONE, "dark")):
        page = open_page("#/system/nodes", viewport=viewport, color_scheme=scheme)
        expect(card(page, name)).to_contain_text("cores")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        page.get_by_role("button", name=f"Empty {name}").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert violations(page) == []


@pytest.mark.parametrize("language", ["ru-RU", "ko-KR"])
def test_other_languages_fit_on_a_phone(language: str, open_page: OpenPage, server: Server) -> None:
    page = open_page("#/system/nodes", viewport=PHONE, locale=language)
    expect(card(page, nodes_of(server)[0]["name"])).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    states = {"ru-RU": "Готов", "ko-KR": "준비됨"}
    expect(page.get_by_text(states[language], exact=True).first).to_be_visible()


def test_states_have_their_reason_and_only_administrators_change_them(
    open_page: OpenPage, server: Server
) -> None:
    ready, other = nodes_of(server)
    why = "The Ray node south has Watchpost 0.1.0, and this is 0.2.0."
    other |= {"state": "refused", "reason": why, "streams": [], "version": None}
    many = [f"cam-{number}" for number in range(30)]
    ready |= {"streams": many, "cameras": 4.25}

    def answer(route: Route) -> None:
        route.fulfill(json=[ready, other])

    def without_rights(route: Route) -> None:
        account = route.fetch().json()
        account["rights"].pop("administer")
        route.fulfill(json=account)

    page = open_page("healthz")
    page.route("**/api/nodes", answer)
    page.goto(f"http://127.0.0.1:{server.port}/#/system/nodes")
    expect(card(page, other["name"])).to_contain_text(f"Not used{why}")
    expect(card(page, ready["name"])).to_contain_text("and 18 more")
    expect(card(page, ready["name"])).to_contain_text(re.compile(r"4\.[23] cameras of 1080p"))
    buttons = page.get_by_role("button", name=re.compile("^Empty"))
    expect(buttons).to_have_count(1)  # not for the one that is not used
    page.route("**/api/account", without_rights)
    page.reload()
    expect(card(page, ready["name"])).to_contain_text("Ready")
    expect(buttons).to_have_count(0)


def test_without_nodes_the_page_does_not_speak_of_them(open_page: OpenPage, server: Server) -> None:
    page = open_page("healthz")
    page.route("**/api/nodes", lambda route: route.fulfill(body=json.dumps([])))
    page.goto(f"http://127.0.0.1:{server.port}/#/system/nodes")
    expect(page.get_by_role("tab", name="Overview")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tab", name="Nodes")).to_have_count(0)


def test_a_node_is_emptied_and_used_again_by_keyboard(open_page: OpenPage, server: Server) -> None:
    first, second = (node["name"] for node in nodes_of(server))
    page = open_page("#/system/nodes")
    page.get_by_role("button", name=f"Empty {first}").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Empty", exact=True).press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(card(page, first)).to_contain_text("Emptied")
    expect(card(page, second)).to_contain_text("Streams2")

    # The other one is the last: the server's reason is in the dialog.
    page.get_by_role("button", name=f"Empty {second}").press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Empty", exact=True).press("Enter")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
    page.keyboard.press("Escape")

    page.get_by_role("button", name=f"Use {first} again").press("Enter")
    expect(page.get_by_role("button", name=f"Empty {first}")).to_be_visible()
    expect(card(page, first)).to_contain_text("Ready")
