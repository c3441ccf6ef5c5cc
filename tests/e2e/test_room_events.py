"""Events and recordings in the control room: a real browser, a real server, and its own data."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from support import browser as chrome
from support.encoded import FPS, encoded, seconds
from support.live_app import LiveApp
from support.poll import eventually
from support.room import OpenPage, pages
from support.rtsp import make_video

from app.events import EventRow
from app.footage import Ended, Footage, FootageKind
from app.recording.packet_file import PacketFile

pytestmark = pytest.mark.skipif(bool(chrome.available()), reason=chrome.available())

EVENTS, PAGE_ROWS, KEPT_PAGES = 600, 40, 6
NEWEST, PLATE = EVENTS, EVENTS - 5
SLOW_MS, SCROLL_S = 60_000, 60


def noon() -> float:
    """The middle of today or yesterday, at least an hour ago, in the browser's time zone, UTC."""
    day = time.time() // 86_400 * 86_400
    return day + 43_200 if time.time() - day > 50_000 else day - 43_200


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    folder = tmp_path_factory.mktemp("room")
    make_video(folder / "pattern.mp4", gop=8)
    with LiveApp(folder) as room:
        begin = noon()
        rows = [
            EventRow(
                number,
                "gate" if number % 2 else "yard",
                "zone_entered" if number % 3 else "zone_left",
                begin - (EVENTS - number) * 60,
                details={"label": "person", "zone": "door"},
            )
            for number in range(1, EVENTS + 1)
        ]
        rows[PLATE - 1] = EventRow(
            PLATE, "gate", "plate_seen", begin - 300, details={"plate_number": "AB123"}
        )
        assert room.state["event_repository"].add(rows) == 0
        record(room, "event", begin - 5, 75, event_ids=(NEWEST,))
        record(room, "continuous", begin - 60, 300, ended="stopped")
        record(room, "continuous", begin + 120, 300)
        yield room


def record(
    room: LiveApp,
    kind: FootageKind,
    begin_ts: float,
    frames: int,
    *,
    event_ids: tuple[int, ...] = (),
    ended: Ended | None = None,
) -> None:
    """A file of the camera ``yard``."""
    service = room.state["footage"]
    path: Path = service.files.new("yard", kind, begin_ts)
    packets = list(encoded(seconds(frames)))
    file = PacketFile(path, packets[0], fragmented=False)
    for packet in packets:
        file.add(packet)
    file.close()
    name = path.relative_to(service.files.root).as_posix()
    end_ts = begin_ts + frames / FPS
    footage = Footage("yard", kind, begin_ts, end_ts, name, path.stat().st_size, ended=ended)
    service.store.add(footage, event_ids)


@pytest.fixture
def open_page(browser: Browser, room: LiveApp) -> Iterator[OpenPage]:
    """Opens a place of the room in a fresh profile; errors of its scripts fail the test."""
    with pages(
        browser, room.url, SLOW_MS, locale="en-GB", timezone_id="UTC", reduced_motion="reduce"
    ) as open_page:
        yield open_page


def api(room: LiveApp, path: str) -> Any:
    reply = httpx.get(f"{room.url}{path}", trust_env=False)
    reply.raise_for_status()
    return reply.json()


def scroll(page: Page, to: str) -> None:
    page.evaluate(f"(() => {{ const e = document.querySelector('.events-scroll'); {to} }})()")
    page.wait_for_timeout(60)


def holds(page: Page, expression: str) -> None:
    """Wait until an expression is true; the page's policy forbids what Playwright has for it."""
    eventually(lambda: page.evaluate(expression), bool, 20, expression)


# ── events ───────────────────────────────────────────────────────────────────────────────────


def test_a_long_list_is_scrolled_to_its_end_and_back_with_few_rows(open_page: OpenPage) -> None:
    page = open_page("#/events")
    rows = page.locator(".events-row")
    expect(rows.first).to_be_visible()
    expect(page.get_by_role("heading", level=2).first).to_have_class("events-day")
    most = 0
    last = page.locator('li[data-id="1"]')

    def further() -> int:
        nonlocal most
        scroll(page, "e.scrollTop = e.scrollHeight")
        most = max(most, rows.count())
        return last.count()

    eventually(further, bool, SCROLL_S, "the end is reached")
    expect(last).to_be_visible()
    assert PAGE_ROWS < most <= KEPT_PAGES * PAGE_ROWS

    def back() -> int:
        scroll(page, "e.scrollTop = Math.max(0, e.scrollTop - 2000)")
        return int(page.evaluate("document.querySelector('.events-scroll').scrollTop"))

    eventually(back, lambda top: top == 0, SCROLL_S, "the beginning is reached")
    expect(page.locator(f'li[data-id="{NEWEST}"]')).to_be_visible()
    assert rows.count() <= KEPT_PAGES * PAGE_ROWS


def test_filters_are_in_the_address_and_the_search_is_a_key_away(open_page: OpenPage) -> None:
    page = open_page("#/events")
    page.get_by_label("Type").select_option("zone_left")
    expect(page).to_have_url(re.compile("type=zone_left"))
    expect(page.get_by_text("200 events")).to_be_visible()
    page.reload()
    expect(page.get_by_text("200 events")).to_be_visible()
    page.get_by_role("button", name="Clear filters").click()
    page.locator("h1").click()
    page.keyboard.press("/")
    page.keyboard.type("ab-12")
    expect(page.locator(".events-row")).to_have_count(1)
    expect(page.locator(".events-row")).to_contain_text("AB123")
    expect(page).to_have_url(re.compile("plate=ab-12"))
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_role("button", name="Any day").click()
    dialog = page.get_by_role("dialog")
    dialog.locator(".calendar-day:enabled").first.click()
    expect(page).to_have_url(re.compile(r"day=\d{4}-\d\d-\d\d"))
    page.get_by_role("button", name="Flagged only").click()
    expect(page.get_by_text("Nothing matches these filters.")).to_be_visible()


def test_an_event_is_opened_flagged_and_commented_by_keyboard(
    open_page: OpenPage, room: LiveApp
) -> None:
    page = open_page("#/events?camera=yard")
    expect(page.locator(".events-row").first).to_be_visible()
    page.locator("h1").click()
    page.keyboard.press("j")
    expect(page.get_by_role("heading", name="Left a zone")).to_be_visible()
    video = page.locator("video.event-video")
    video.wait_for()
    holds(page, "document.querySelector('video.event-video').readyState >= 2")
    assert page.evaluate("document.querySelector('video.event-video').duration") > 10
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="Flagged", exact=True)).to_be_visible()
    assert api(room, f"/api/events/{NEWEST}")["flagged"] is True
    assert any(one.flagged for one in room.state["footage"].store.all())
    page.get_by_label("Comment").fill("the blue van")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("this machine,")).to_be_visible()
    assert api(room, f"/api/events/{NEWEST}")["comment"]["text"] == "the blue van"
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile(rf"events/{NEWEST - 2}\?camera=yard"))
    page.keyboard.press("k")
    expect(page).to_have_url(re.compile(rf"events/{NEWEST}\?"))
    link = page.get_by_role("link", name="Recording at this time")
    assert "#/recordings/yard?at=" in (link.get_attribute("href") or "")


def test_keys_of_the_view_leave_the_focused_control_its_own(
    open_page: OpenPage, room: LiveApp
) -> None:
    page = open_page("#/events?camera=yard")
    expect(page.locator(".events-row").first).to_be_visible()
    flagged = page.get_by_role("button", name="Flagged only")
    flagged.press("Enter")
    expect(flagged).to_have_attribute("aria-pressed", "true")
    flagged.press("Enter")
    page.locator(".events-row").nth(2).press("Enter")
    expect(page).to_have_url(re.compile(rf"events/{NEWEST - 4}\?camera=yard"))

    at = noon() - 60
    page = open_page(f"#/recordings/yard?at={at:.0f}")
    strip = page.get_by_role("slider", name="Position in the recording")
    begin = strip.get_attribute("aria-valuemin")
    page.get_by_title("Zoom in").press(" ")
    expect(strip).not_to_have_attribute("aria-valuemin", begin or "")
    expect(page.locator(".player video")).to_have_count(0)
    page.locator("h1").click()
    page.keyboard.press(" ")
    expect(page.locator(".player video")).to_have_count(1)


def test_new_events_appear_without_moving_what_is_read(open_page: OpenPage, room: LiveApp) -> None:
    page = open_page("#/events")
    expect(page.locator(".events-row").first).to_be_visible()
    room.wait_followed()
    room.tell("bag_taken", "gate", time.time())
    expect(page.locator(".events-row").first).to_contain_text("Bag taken by someone else")
    scroll(page, "e.scrollTop = 700")
    top = "document.querySelector('.events-scroll').scrollTop"
    shown = page.locator(".events-row").nth(12)
    before = shown.bounding_box()
    room.tell("bag_abandoned", "gate", time.time())
    button = page.get_by_role("button", name="1 new event")
    expect(button).to_be_visible()
    assert (shown.bounding_box(), page.evaluate(top)) == (before, 700)
    button.click()
    expect(page.locator(".events-row").first).to_contain_text("Bag abandoned")
    assert page.evaluate(top) == 0


def test_what_happened_while_one_was_away(open_page: OpenPage, room: LiveApp) -> None:
    page = open_page("#/events")
    expect(page.locator(".events-row").first).to_be_visible()
    page.evaluate(
        "for (const name of Object.keys(localStorage)) if (name.includes('events.seen'))"
        f" localStorage.setItem(name, '{noon() - 3000}')"
    )
    page.reload()
    away = page.locator(".events-away")
    expect(away).to_contain_text("Since your last visit")
    expect(away).to_contain_text("Entered a zone")
    away.get_by_role("button", name="Mark as seen").click()
    expect(away).to_have_count(0)


# ── recordings ───────────────────────────────────────────────────────────────────────────────


def test_a_recording_is_scrubbed_played_and_downloaded(open_page: OpenPage, room: LiveApp) -> None:
    at = noon()
    page = open_page(f"#/recordings/yard?at={at:.0f}")
    strip = page.get_by_role("slider", name="Position in the recording")
    expect(strip).to_have_attribute("aria-valuenow", f"{at:.0f}")
    strip.focus()
    page.keyboard.press("ArrowLeft")
    expect(strip).to_have_attribute("aria-valuenow", f"{at - 10:.0f}")
    page.keyboard.press("Shift+ArrowRight")
    expect(strip).to_have_attribute("aria-valuenow", f"{at + 50:.0f}")
    expect(page.locator(".player")).to_have_text("Nothing is recorded at this time")
    page.keyboard.press("Shift+ArrowLeft")

    box = strip.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2 - 4, box["y"] + 20)
    expect(page.locator(".timeline-preview img")).to_be_visible()
    page.mouse.move(0, 0)

    page.get_by_role("button", name="Begin here").click()
    page.locator(".player-start").click()
    holds(page, "document.querySelector('.player video')?.currentTime > 0.4")
    eventually(
        lambda: float(strip.get_attribute("aria-valuenow") or 0),
        lambda now: at - 12 <= now < at,
        10,
        "the playhead follows",
    )
    strip.focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="End here").click()
    href = page.get_by_role("link", name="Download MP4").get_attribute("href")
    assert href is not None
    film = httpx.get(href, trust_env=False)
    assert film.status_code == 200, f"{href}: {film.text} {at}"
    assert film.headers["content-type"] == "video/mp4"
    gaps = page.locator(".card").filter(has_text="Not recorded")
    expect(gaps).to_contain_text("the camera or the server was stopped")


def test_jobs_are_started_followed_played_and_deleted(open_page: OpenPage, room: LiveApp) -> None:
    page = open_page("#/recordings?tab=jobs")
    page.get_by_role("button", name="Start a job").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("A try")
    dialog.get_by_label("Minutes").fill("0.1")
    dialog.get_by_label("Another source").fill("pattern.mp4")
    dialog.get_by_role("button", name="Start a job").click()
    row = page.get_by_role("row").filter(has_text="A try")
    expect(row).to_contain_text("Completed", timeout=60_000)
    row.get_by_role("button", name="A try", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Play").click()
    holds(page, "document.querySelector('.job-video')?.readyState >= 2")
    expect(dialog.get_by_role("link", name="Download")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    row.get_by_role("button", name="Delete: A try").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    assert api(room, "/collect/jobs")["total"] == 0

    page.get_by_role("button", name="Add a schedule").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Nights")
    dialog.get_by_label("Time of day").fill("03:30")
    dialog.get_by_label("Days").select_option("1-5")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Monday to Friday, 03:30 · 60 min")).to_be_visible()
    (schedule,) = api(room, "/collect/schedules")
    assert (schedule["cron"], schedule["timezone"]) == ("30 3 * * 1-5", "UTC")
    page.get_by_role("button", name="Delete: Nights").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Nothing is scheduled.")).to_be_visible()


def test_space_left_and_what_goes_next(open_page: OpenPage, room: LiveApp) -> None:
    room.state["space"].sweep()
    page = open_page("#/recordings?tab=storage")
    expect(page.get_by_text(re.compile(r"of .* free"))).to_be_visible()
    first = page.get_by_role("row").nth(1)
    expect(first).to_contain_text("yard")


def test_schedules_and_jobs_name_their_cameras(open_page: OpenPage, room: LiveApp) -> None:
    camera = {"camera_id": "front", "name": "Front door", "source": "pattern.mp4", "loop": True}
    schedule = {"sources": ["front"], "duration": 60, "cron": "30 3 * * *"}
    with httpx.Client(base_url=room.url, trust_env=False, timeout=SLOW_MS / 1000) as client:
        client.post("/cameras", json=camera).raise_for_status()
        made = client.post("/collect/schedules", json=schedule).json()
        page = open_page("#/recordings?tab=jobs")
        expect(page.get_by_role("cell", name="Front door", exact=True)).to_be_visible()
        client.delete(f"/collect/schedules/{made['schedule_id']}").raise_for_status()
        client.delete("/camera/front").raise_for_status()
