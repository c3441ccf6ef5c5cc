"""The cameras of the control room, on a real server with real video: added, drawn on, deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support import browser as chrome
from support.fake_rtsp import FakeRtsp
from support.onvif_camera import OnvifCamera
from support.passage import write_passage
from support.poll import eventually
from support.rtsp import RtspServer
from support.watchpost import Server

pytestmark = pytest.mark.skipif(bool(chrome.available()), reason=chrome.available())

PATIENCE_MS = 60_000
EVENT_S = 60


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The room in a fresh profile; errors of its scripts fail the test."""
    context = browser.new_context(locale="en-US", reduced_motion="reduce")
    errors: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    expect.set_options(timeout=PATIENCE_MS)
    page.goto(f"{server.http.base_url}/#/cameras")
    yield page
    context.close()
    for one in server.http.get("/cameras").json():
        server.http.delete(f"/camera/{one['camera_id']}")
    assert not errors


@pytest.fixture
def hall(relay: RtspServer, tmp_path: Path) -> str:
    """The URL of a camera that somebody passes again and again."""
    write_passage(tmp_path / "passage.mp4")
    relay.publish_file("hall", tmp_path / "passage.mp4")
    return relay.url("hall")


def test_a_camera_is_added_a_zone_drawn_and_its_event_seen(
    page: Page, server: Server, hall: str
) -> None:
    page.get_by_role("link", name="Add camera").first.click()
    page.get_by_label("Video address").fill(hall)
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_alt_text("A picture of the camera, faces covered")).to_be_visible()
    expect(page.locator(".camera-test-report")).to_contain_text(re.compile("h264.*640 × 360"))
    page.get_by_label("Name", exact=True).fill("Hall")
    page.get_by_role("button", name="Add camera").click()
    expect(page.get_by_role("heading", name="Hall", level=1)).to_be_visible()
    expect(page.locator(".camera-state")).to_contain_text("Running")

    picture = page.locator(".place-stage")
    expect(picture.get_by_alt_text("Live picture")).to_be_visible()
    page.get_by_role("button", name="Zone", exact=True).click()
    box = picture.bounding_box()
    assert box is not None
    for x, y in ((0.5, 0.02), (0.98, 0.02), (0.98, 0.98), (0.5, 0.98)):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.keyboard.press("Enter")
    page.get_by_label("Name", exact=True).fill("Door")
    corner = page.get_by_role("button", name=re.compile("Corner 1 of Door: 50%"))
    corner.focus()
    page.keyboard.press("Shift+ArrowRight")
    expect(page.get_by_role("button", name=re.compile("Corner 1 of Door: 55%"))).to_be_focused()
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".places-count")).to_have_text(re.compile(r"\d+ now · \d+ today"))

    stored = server.http.get("/camera/hall").json()
    (zone,) = stored["zones"]
    assert (zone["name"], zone["kind"], len(zone["points"])) == ("Door", "count", 4)
    assert zone["points"][0] == pytest.approx([0.55, 0.02], abs=0.01)
    assert "objects" in stored["analytics"]
    eventually(
        lambda: server.http.get("/api/events", params={"zone": "Door"}).json()["events"],
        lambda found: any(one["event"] == "zone_entered" for one in found),
        EVENT_S,
        "somebody enters the zone",
    )
    expect(page.locator(".places-count")).to_have_text(re.compile(r"[1-9]\d* today"))


def test_a_camera_on_the_network_is_asked_for_its_streams(
    page: Page, server: Server, camera: str
) -> None:
    """A real camera is not at hand: see ``support/onvif_camera.py``."""
    streams = {"main": (camera, 640, 360), "sub": (f"{camera}-sub", 320, 180)}
    with OnvifCamera(streams) as found:
        page.get_by_role("link", name="Add camera").first.click()
        page.get_by_text("Search", exact=True).click()
        page.get_by_label("Or a camera's address").fill(found.service)
        page.get_by_role("button", name="Choose").click()
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Ask for its streams").click()
        expect(page.get_by_role("alert")).to_contain_text("wrong or missing user and password")
        page.get_by_label("Password").fill(found.password)
        page.get_by_role("button", name="Ask for its streams").click()
        expect(page.get_by_label("Main stream")).to_have_value(camera)
        expect(page.get_by_label("Second stream")).to_have_value(f"{camera}-sub")
    page.get_by_role("button", name="Use these streams").click()
    expect(page.get_by_label("Video address")).to_have_value(camera)
    page.get_by_role("button", name="Add camera").click()
    expect(page.get_by_role("heading", name="ACME Eye 2", level=1)).to_be_visible()
    (stored,) = server.http.get("/cameras").json()
    assert (stored["camera_id"], stored["source"]) == ("acme-eye-2", camera)
    assert server.http.get("/camera/acme-eye-2").json()["detect_url"] == f"{camera}-sub"


def test_a_line_is_drawn_with_a_finger(browser: Browser, server: Server, camera: str) -> None:
    server.http.post("/cameras", json={"camera_id": "yard", "source": camera}).raise_for_status()
    context = browser.new_context(
        locale="en-US",
        has_touch=True,
        is_mobile=True,
        viewport={"width": 390, "height": 844},
    )
    page = context.new_page()
    page.goto(f"{server.http.base_url}/#/cameras/yard")
    picture = page.locator(".place-stage")
    expect(picture.get_by_alt_text("Live picture")).to_be_visible()
    page.get_by_role("button", name="Line", exact=True).tap()
    box = picture.bounding_box()
    assert box is not None
    assert box["y"] < 300, "the picture comes first on a phone"
    for x in (0.2, 0.8):
        page.touchscreen.tap(box["x"] + x * box["width"], box["y"] + 0.5 * box["height"])
    page.get_by_label("Side A").fill("street")
    page.get_by_role("button", name="Save").tap()
    expect(page.locator(".places-count")).to_contain_text("street → B 0")
    (line,) = server.http.get("/camera/yard").json()["lines"]
    page.get_by_role("button", name="Stop").tap()
    expect(page.get_by_text("No picture now.")).to_be_visible()
    page.get_by_role("button", name="Start", exact=True).tap()
    expect(picture.get_by_alt_text("Live picture")).to_be_visible()
    assert line["points"] == [
        pytest.approx([0.2, 0.5], abs=0.01),
        pytest.approx([0.8, 0.5], abs=0.01),
    ]
    context.close()
    server.http.delete("/camera/yard")


def test_a_wrong_address_shows_the_true_error_and_a_camera_is_still_kept(
    page: Page, server: Server
) -> None:
    with FakeRtsp("401 Unauthorized") as camera:
        page.get_by_role("link", name="Add camera").first.click()
        page.get_by_label("Video address").fill(camera.url("front"))
        page.get_by_label("User").fill("admin")
        page.get_by_label("Password").fill("p@ss/w:rd")
        page.get_by_role("button", name="Test connection").click()
        report = page.locator(".camera-test-report")
        expect(report).to_contain_text("wrong or missing user and password")
        expect(report).to_contain_text("Check user and password")
        page.get_by_label("Name", exact=True).fill("Front")
        page.get_by_role("button", name="Add camera").click()
        expect(page.get_by_role("heading", name="Front", level=1)).to_be_visible()
        expect(page.locator(".notice.bad")).to_contain_text("wrong or missing user and password")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".camera-state")).to_contain_text("Stopped")
    page.get_by_role("link", name="Cameras").last.click()
    stopped = page.locator(".camera-group").filter(has=page.get_by_role("heading", name="Stopped"))
    expect(stopped.get_by_role("link", name="Front")).to_be_visible()
    page.get_by_role("button", name="Delete: Front").click()
    dialog = page.get_by_role("dialog", name="Delete Front?")
    expect(dialog).to_contain_text("Its address, password, zones, lines and rules are lost.")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No cameras yet")).to_be_visible()
    assert server.http.get("/cameras").json() == []


def test_a_mask_alone_turns_no_counting_on(page: Page, server: Server, camera: str) -> None:
    server.http.post("/cameras", json={"camera_id": "yard", "source": camera}).raise_for_status()
    page.goto(f"{server.http.base_url}/#/cameras/yard")
    page.get_by_role("button", name="Mask", exact=True).click()
    page.get_by_role("button", name="Place it in the middle").click()
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".toast")).to_have_text("Saved")
    stored = server.http.get("/camera/yard").json()
    assert ([zone["kind"] for zone in stored["zones"]], stored["analytics"]) == (["ignore"], {})


def test_rules_are_turned_on_with_their_settings_and_hours(
    page: Page, server: Server, camera: str
) -> None:
    server.http.post("/cameras", json={"camera_id": "yard", "source": camera}).raise_for_status()
    page.goto(f"{server.http.base_url}/#/cameras/yard?tab=analytics")
    card = page.locator(".camera-rule").filter(has_text="People, vehicles")
    card.get_by_role("switch", name="Objects").check()
    card.get_by_text("Settings", exact=True).click()
    card.get_by_label("Stays in a zone after").fill("12")
    card.get_by_role("button", name="Add hours").click()
    card.get_by_label("Sat").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".toast")).to_have_text("Saved")
    rules = server.http.get("/camera/yard").json()["analytics"]
    days = ["mon", "tue", "wed", "thu", "fri", "sun"]
    assert rules == {
        "objects": {"loiter_s": 12, "hours": [{"days": days, "from": "22:00", "to": "06:00"}]}
    }
