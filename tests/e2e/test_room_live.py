"""The live view of the control room, with a scripted server."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from support import browser as chrome
from support.poll import eventually
from support.room import OpenPage, pages
from support.scripted import ScriptedServer, camera, detection, event, playing

pytestmark = pytest.mark.skipif(bool(chrome.available()), reason=chrome.available())

PERSON = detection("person", (160, 90, 320, 270))
SEEN_MS = 60_000


@pytest.fixture
def scripted(scripted_server: ScriptedServer) -> ScriptedServer:
    """The scripted server with three cameras, one of which runs."""
    scripted_server.reset()
    scripted_server.cameras = [
        camera("gate"),
        camera("yard", "reconnecting", problem="connection refused"),
        camera("shed", "stopped"),
    ]
    return scripted_server


@pytest.fixture
def open_page(browser: Browser, scripted: ScriptedServer) -> Iterator[OpenPage]:
    """Opens the room, in a fresh profile each time; errors in its console fail the test."""
    with pages(
        browser, scripted.url, SEEN_MS, locale="en-US", reduced_motion="reduce"
    ) as open_page:
        yield open_page


def tiles(page: Page) -> Locator:
    return page.locator(".wall .tile")


# ── the wall ─────────────────────────────────────────────────────────────────────────────────


def test_each_tile_says_what_its_camera_does(open_page: OpenPage) -> None:
    page = open_page()
    expect(tiles(page)).to_have_count(2)
    expect(tiles(page).nth(0)).to_have_text(re.compile("Gate.*2 people, 1 face"))
    expect(tiles(page).nth(1)).to_have_text(re.compile("Reconnecting.*connection refused.*Yard"))
    stopped = page.get_by_role("heading", name="Stopped").locator("..")
    expect(stopped.get_by_role("link", name="Shed")).to_be_visible()


def test_pictures_come_slowly_and_only_for_running_cameras_that_are_seen(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    scripted.cameras = [camera(f"cam-{number}") for number in range(12)]
    page = open_page(viewport={"width": 390, "height": 400})
    eventually(lambda: scripted.asked.count("cam-0") >= 3, bool, 20, "three pictures")
    counts = {name: scripted.asked.count(name) for name in scripted.asked}
    assert counts["cam-0"] <= 6, "more than once a second"
    assert "cam-8" not in counts, "a tile below the screen asks for pictures"
    page.get_by_role("link", name="Cam-8").scroll_into_view_if_needed()
    eventually(lambda: "cam-8" in scripted.asked, bool, 10, "the tile that is seen now")
    assert "cam-11" not in scripted.asked, "nine cameras a page"


def test_what_a_camera_gives_up_is_said(scripted: ScriptedServer, open_page: OpenPage) -> None:
    message = "This machine looks for objects 2 instead of 5 times a second."
    reduced = {"message": message, "object_fps": 2, "crops": True, "face_gap_ms": 0, "fps": None}
    scripted.cameras = [camera("gate", reduced=reduced)]
    scripted.scripts["gate"] = playing(PERSON)
    page = open_page()
    expect(tiles(page).first).to_contain_text(message)
    tiles(page).first.click()
    expect(page.get_by_text(message)).to_be_visible()


def test_an_alarm_lights_up_its_camera(scripted: ScriptedServer, open_page: OpenPage) -> None:
    page = open_page()
    page.clock.install()
    expect(tiles(page)).to_have_count(2)
    scripted.happening.put(event(1, "smoking_ended", camera_id="gate"))
    scripted.happening.put(event(2, "zone_entered", camera_id="gate", details={"zone": "Door"}))
    lit = page.locator(".tile[data-alarm]")
    expect(lit).to_have_count(1)
    expect(lit).to_contain_text("Entered a zone: Door")
    expect(lit).to_contain_text("Gate")
    expect(page.get_by_role("status").filter(has_text="gate: Entered a zone")).to_have_count(1)
    page.clock.fast_forward(20_000)
    expect(lit).to_have_count(0)


def test_alarms_of_cameras_on_other_pages_are_said(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    scripted.cameras = [camera(f"cam-{number}") for number in range(10)]
    page = open_page()
    expect(tiles(page)).to_have_count(9)
    scripted.happening.put(event(1, "bag_abandoned", camera_id="cam-9"))
    page.get_by_role("link", name=re.compile("Cam-9.*Bag abandoned")).click()
    assert page.url.endswith("/#/live/cam-9")


def test_the_number_of_tiles_is_kept(scripted: ScriptedServer, open_page: OpenPage) -> None:
    scripted.cameras = [camera(f"cam-{number}") for number in range(6)]
    page = open_page()
    expect(tiles(page)).to_have_count(6)
    page.get_by_text("4", exact=True).click()
    expect(tiles(page)).to_have_count(4)
    page.get_by_role("button", name="Next").click()
    expect(tiles(page)).to_have_count(2)
    expect(tiles(page).first).to_contain_text("Cam-4")
    page.reload()
    expect(tiles(page)).to_have_count(4)


def test_a_layout_of_ones_own(scripted: ScriptedServer, open_page: OpenPage) -> None:
    scripted.cameras = [camera(f"cam-{number}") for number in range(6)]
    page = open_page()
    page.get_by_role("button", name="Layouts").click()
    dialog = page.get_by_role("dialog", name="Layouts")
    expect(dialog.get_by_role("button", name="Save")).to_be_disabled()
    dialog.get_by_label("Name").fill("Entrances")
    dialog.get_by_label("Cam-5").check()
    dialog.get_by_label("Cam-2").check()
    dialog.get_by_role("button", name="Move Cam-2 up").click()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    expect(tiles(page)).to_have_text([re.compile("Cam-2"), re.compile("Cam-5")])
    page.reload()
    expect(tiles(page)).to_have_text([re.compile("Cam-2"), re.compile("Cam-5")])
    page.get_by_label("Layout", exact=True).select_option("All cameras")
    expect(tiles(page)).to_have_count(6)
    page.get_by_label("Layout", exact=True).select_option("Entrances")
    page.get_by_role("button", name="Layouts").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(tiles(page)).to_have_count(6)
    expect(page.get_by_label("Layout", exact=True)).to_have_count(0)


def test_the_keyboard_goes_everywhere(scripted: ScriptedServer, open_page: OpenPage) -> None:
    scripted.cameras = [camera(f"cam-{number}") for number in range(4)]
    for number in range(4):
        scripted.scripts[f"cam-{number}"] = playing(PERSON)
    page = open_page()
    expect(tiles(page)).to_have_count(4)
    for key, tile in (("ArrowRight", 0), ("ArrowRight", 1), ("ArrowDown", 3)):
        page.keyboard.press(key)
        expect(tiles(page).nth(tile)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Cam-1", level=1)).to_be_visible()
    assert page.url.endswith("/#/live/cam-1")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="Cam-2", level=1)).to_be_visible()
    page.keyboard.press("f")
    expect(page.locator(".stage:fullscreen")).to_have_count(1)
    page.keyboard.press("f")
    expect(page.locator(".stage:fullscreen")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(tiles(page).nth(2)).to_be_focused()


# ── one camera ───────────────────────────────────────────────────────────────────────────────


def test_share_follows_to_another_camera(scripted: ScriptedServer, open_page: OpenPage) -> None:
    scripted.cameras = [camera("gate"), camera("yard")]
    page = open_page("#/live/gate")
    for name in ("gate", "yard"):
        page.get_by_role("button", name="Share").click()
        dialog = page.get_by_role("dialog", name="Share")
        expect(dialog.get_by_role("textbox", name="This camera")).to_have_value(
            re.compile(f"/#/live/{name}$")
        )
        expect(dialog.get_by_role("textbox", name="The video")).to_have_value(
            re.compile(f"/camera/{name}/mjpeg$")
        )
        dialog.get_by_role("button", name="Copy: This camera").click()
        expect(page.locator(".toast").first).to_be_visible()
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        page.keyboard.press("ArrowRight")


def test_an_old_address_of_a_stream_still_leads_to_it(open_page: OpenPage) -> None:
    page = open_page("#gate")
    expect(page.get_by_role("heading", name="Gate", level=1)).to_be_visible()


def test_a_camera_that_does_not_exist(open_page: OpenPage) -> None:
    page = open_page("#/live/nowhere")
    expect(page.get_by_text("There is no camera “nowhere”")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_events_of_the_camera_are_listed(scripted: ScriptedServer, open_page: OpenPage) -> None:
    scripted.history = [event(7, "bag_abandoned", camera_id="gate")]
    page = open_page("#/live/gate")
    expect(page.get_by_role("link", name=re.compile("Bag abandoned"))).to_be_visible()
    scripted.happening.put(event(8, "smoking_started", camera_id="gate"))
    scripted.happening.put(event(9, "bag_placed", camera_id="yard"))
    listed = page.locator(".recent-event")
    expect(listed).to_have_text([re.compile("Smoking started"), re.compile("Bag abandoned")])


# ── the first visit, and rights ──────────────────────────────────────────────────────────────


def test_the_first_visit_says_what_this_is(scripted: ScriptedServer, open_page: OpenPage) -> None:
    scripted.cameras = []
    page = open_page()
    expect(page.get_by_role("heading", name="Welcome to Watchpost")).to_be_visible()
    expect(page.get_by_role("link", name="Add a camera")).to_have_attribute("href", "#/cameras/new")
    expect(page.get_by_role("button", name="Start the demo")).to_be_visible()
    expect(page.get_by_role("link", name="webcam")).to_have_attribute("href", "viewer")
    page = open_page("#/recordings")
    expect(page.get_by_role("heading", name="No cameras yet")).to_be_visible()
    expect(page.get_by_role("link", name="Add camera")).to_have_attribute("href", "#/cameras/new")


def test_going_back_closes_the_dialogs_of_the_navigation(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    scripted.cameras = []
    page = open_page("#/cameras")
    page.get_by_role("link", name="Live").click()
    page.get_by_role("button", name="Settings").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="No cameras yet")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("locale", ["en-US", "ru-RU", "ko-KR"])
def test_the_first_visit_fits_on_a_phone(
    locale: str, scripted: ScriptedServer, open_page: OpenPage
) -> None:
    scripted.cameras = []
    page = open_page(locale=locale, viewport={"width": 390, "height": 844})
    expect(page.locator(".empty-actions a").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_who_may_only_watch_sees_no_buttons_for_more(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    scripted.cameras, scripted.rights = [], ["view"]
    page = open_page()
    expect(page.get_by_role("heading", name="Welcome to Watchpost")).to_be_visible()
    expect(page.get_by_role("button", name="Start the demo")).to_have_count(0)
    names = page.get_by_role("navigation").get_by_role("link")
    expect(names).to_have_text(["Watchpost", "Live", "Events", "Cameras", "Recordings"])
    page.goto(page.url.partition("#")[0] + "#/system")
    expect(page.get_by_role("heading", name="No such page", level=1)).to_be_visible()


def test_language_and_theme_are_kept(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("button", name="Settings").click()
    page.get_by_text("Dark").click()
    page.get_by_text("Русский").click()
    page.keyboard.press("Escape")
    for _ in range(2):
        expect(page.get_by_role("heading", name="Видео", level=1)).to_be_visible()
        assert page.evaluate("document.documentElement.lang") == "ru"
        assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"
        page.reload()


def test_on_a_phone_the_picture_stands_first(scripted: ScriptedServer, open_page: OpenPage) -> None:
    scripted.scripts["gate"] = playing(PERSON)
    page = open_page("#/live/gate", viewport={"width": 390, "height": 844})
    box = page.locator(".stage").bounding_box()
    assert box is not None
    assert box["y"] < 100
    assert (box["x"], box["width"]) == (0, 390)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
