"""The page in a real browser, with a scripted server that sends what real ones rarely do."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from fastapi import WebSocket, WebSocketDisconnect
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from support import browser as chrome
from support.poll import eventually
from support.scripted import (
    PUSHED,
    ScriptedServer,
    detection,
    event,
    hello,
    message,
    picture,
    playing,
    result,
)

pytestmark = pytest.mark.skipif(bool(chrome.available()), reason=chrome.available())

expect.set_options(timeout=10_000)

PERSON = detection("person", (160, 90, 320, 270))
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><b>Gate"

OpenPage = Callable[..., Page]


@pytest.fixture
def scripted(scripted_server: ScriptedServer) -> ScriptedServer:
    """The scripted server, without the scripts of earlier tests."""
    scripted_server.reset()
    return scripted_server


@pytest.fixture
def open_page(browser: Browser, scripted: ScriptedServer) -> Iterator[OpenPage]:
    """Opens the page, in a fresh profile each time; errors in its console fail the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_page(
        after: str = "", *, host: str = "127.0.0.1", script: str = "", **options: Any
    ) -> Page:
        context = browser.new_context(**{"locale": "en-US", "reduced_motion": "reduce", **options})
        contexts.append(context)
        page = context.new_page()
        if script:
            page.add_init_script(script)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda m: errors.append(m.text) if is_page_error(m) else None)
        page.goto(f"{scripted.url.replace('127.0.0.1', host)}/viewer{after}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors


def is_page_error(message: ConsoleMessage) -> bool:
    """Whether the page itself has an error; failures of the server do not count."""
    at_server = ("WebSocket connection to", "Failed to load resource")
    return message.type == "error" and not message.text.startswith(at_server)


# ── the picture and its boxes ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ratio", [1, 2])
def test_boxes_lie_where_the_picture_has_them(
    scripted: ScriptedServer, open_page: OpenPage, ratio: int
) -> None:
    scripted.scripts["gate"] = playing(PERSON)
    page = open_page("#gate", device_scale_factor=ratio, viewport={"width": 1200, "height": 900})
    eventually(lambda: chrome.inked(page), bool, 10, "boxes appear")

    shown = page.evaluate(
        """() => {
          const canvas = document.querySelector("#boxes");
          const ink = canvas.getContext("2d");
          const at = (x, y) => [...ink.getImageData(x, y, 1, 1).data];
          const scale = canvas.width / 640;
          return {
            sharp: canvas.width / canvas.clientWidth,
            left: at(Math.round(160 * scale), Math.round(180 * scale)),
            bottom: at(Math.round(240 * scale), Math.round(270 * scale)),
            inside: at(Math.round(240 * scale), Math.round(180 * scale)),
          };
        }"""
    )
    assert shown["sharp"] == pytest.approx(ratio, abs=0.01)
    for edge in ("left", "bottom"):
        assert np.allclose(shown[edge], [0x5C, 0xC8, 0xFF, 255], atol=3), edge
    assert shown["inside"] == [0, 0, 0, 0]

    page.get_by_role("button", name="Boxes").click()
    assert chrome.inked(page) == 0
    expect(page.get_by_role("button", name="Boxes")).to_have_attribute("aria-pressed", "false")


def test_zones_and_lines_are_drawn_and_named_in_events(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    corners = [[0.5, 0.25], [1, 0.25], [1, 0.75], [0.5, 0.75]]
    zone = {"kind": "count", "name": "", "points": corners, "color": "#ff0000"}
    line = {"name": "", "points": [[0.1, 0.5], [0.4, 0.5]], "sides": ["A", "B"]}
    crossed = {"label": "person", "line": "door", "from": "street", "to": "yard"}

    async def script(socket: WebSocket) -> None:
        await socket.send_json(hello(zones=[zone], lines=[line]))
        await socket.send_json(event(1, "line_crossed", details=crossed))
        for frame in range(2000):
            await socket.send_json(result(frame))
            await socket.send_bytes(picture(frame))
            await asyncio.sleep(0.05)

    scripted.scripts["gate"] = script
    page = open_page("#gate")
    eventually(lambda: chrome.inked(page), bool, 10, "the places appear")
    colours = page.evaluate(
        """() => {
          const canvas = document.querySelector("#boxes");
          const ink = canvas.getContext("2d");
          const row = (y, from, to) => {
            const x = Math.round(from * canvas.width);
            const width = Math.round((to - from) * canvas.width);
            const { data } = ink.getImageData(x, Math.round(y * canvas.height) - 3, width, 7);
            const found = new Set();
            for (let i = 0; i < data.length; i += 4) found.add(data.slice(i, i + 3).join(" "));
            return [...found];
          };
          return { zone: row(0.25, 0.6, 0.9), line: row(0.5, 0.15, 0.35), none: row(0.9, 0, 1) };
        }"""
    )
    assert "255 0 0" in colours["zone"]
    assert "255 209 102" in colours["line"]
    assert colours["none"] == ["0 0 0"]
    entry = page.locator("#events li")
    expect(entry).to_contain_text("Crossed a line: door")
    expect(entry).to_contain_text("person · street → yard")


def test_the_boxes_are_those_of_the_very_picture(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    """Frames of two brightnesses, each with a box in its own place, as fast as possible."""

    async def script(socket: WebSocket) -> None:
        await socket.send_json(hello())
        for frame in range(2000):
            left = 40 if frame % 2 else 340
            await socket.send_json(result(frame, detection("person", (left, 90, left + 200, 270))))
            await socket.send_bytes(picture(frame % 2 * 5))
            await asyncio.sleep(0.01)

    scripted.scripts["gate"] = script
    page = open_page("#gate")
    eventually(lambda: chrome.inked(page), bool, 10, "boxes appear")
    seen: list[list[bool]] = page.evaluate(
        """async () => {
          const picture = document.querySelector("#picture");
          const boxes = document.querySelector("#boxes");
          const copy = document.createElement("canvas");
          const seen = [];
          for (let index = 0; index < 60; index += 1) {
            await new Promise((resolve) => setTimeout(resolve, 21));
            copy.width = copy.height = 1;
            const one = copy.getContext("2d");
            one.drawImage(picture, 0, 0, 1, 1);
            const bright = one.getImageData(0, 0, 1, 1).data[0] > 80;
            const x = Math.round((40 / 640) * boxes.width);
            const y = Math.round(boxes.height / 2);
            seen.push([bright, boxes.getContext("2d").getImageData(x, y, 1, 1).data[3] > 0]);
          }
          return seen;
        }"""
    )
    assert all(bright == at_left for bright, at_left in seen)
    assert {bright for bright, _ in seen} == {True, False}


def test_the_picture_changes_its_shape(scripted: ScriptedServer, open_page: OpenPage) -> None:
    """A phone that is turned: the boxes stay on the frame."""

    async def script(socket: WebSocket) -> None:
        await socket.send_json(hello())
        for frame in range(1000):
            width, height = (640, 360) if frame < 5 else (360, 640)
            whole = detection("person", (0, 0, width, height))
            await socket.send_json(result(frame, whole, width=width, height=height))
            await socket.send_bytes(picture(frame, (width, height)))
            await asyncio.sleep(0.1)

    scripted.scripts["gate"] = script
    page = open_page("#gate")
    expect(page.locator("#size")).to_have_text("360 × 640")
    page.wait_for_timeout(500)
    stage = page.locator("#stage").bounding_box()
    assert stage is not None
    columns: list[int] = page.evaluate(
        """() => {
          const canvas = document.querySelector("#boxes");
          const row = canvas.getContext("2d").getImageData(0, canvas.height / 2, canvas.width, 1);
          const inked = [...Array(canvas.width).keys()].filter((x) => row.data[4 * x + 3] > 200);
          return [inked[0], inked.at(-1)];
        }"""
    )
    wide = stage["height"] * 360 / 640
    middle = stage["width"] / 2
    assert columns == pytest.approx([middle - wide / 2, middle + wide / 2], abs=4)


def test_nothing_is_decoded_that_is_not_drawn(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    """A hidden page gets no animation frames; only the newest frame waits until it does."""
    scripted.scripts["gate"] = playing(PERSON)
    page = open_page(
        "#gate",
        script="""
          window.decoded = 0; window.held = [];
          const decode = createImageBitmap;
          window.createImageBitmap = (...all) => { window.decoded += 1; return decode(...all); };
          window.requestAnimationFrame = (draw) => window.held.push(draw);
        """,
    )
    expect(page.locator("#rows tr")).to_have_count(1)
    page.wait_for_timeout(1500)
    assert page.evaluate("[window.decoded, window.held.length]") == [0, 1]
    page.evaluate("window.held.pop()()")
    eventually(lambda: chrome.inked(page), bool, 5, "the newest picture is drawn")
    assert page.evaluate("window.decoded") == 1


def test_memory_stays_flat(scripted: ScriptedServer, open_page: OpenPage) -> None:
    async def script(socket: WebSocket) -> None:
        await socket.send_json(hello())
        large = picture(3, (1920, 1080))
        for frame in range(5000):
            boxes = [detection("person", (9, 9, 99, 99), frame * 10 + n) for n in range(10)]
            await socket.send_json(result(frame, *boxes, width=1920, height=1080))
            await socket.send_bytes(large)
            await socket.send_json(event(frame))
            await asyncio.sleep(0.02)

    scripted.scripts["gate"] = script
    page = open_page("#gate")
    session = page.context.new_cdp_session(page)

    def used() -> tuple[float, float]:
        session.send("HeapProfiler.collectGarbage")
        heap = session.send("Runtime.getHeapUsage")
        nodes = session.send("Memory.getDOMCounters")["nodes"]
        return (heap["usedSize"] + heap.get("backingStorageSize", 0)) / 2**20, nodes

    session.send("Performance.enable")
    page.wait_for_timeout(4000)
    mebibytes, nodes = used()
    page.wait_for_timeout(6000)
    later, later_nodes = used()
    assert page.locator("#events li").count() == 100
    assert later - mebibytes < 2
    assert later_nodes - nodes < 300


# ── results and events ───────────────────────────────────────────────────────────────────────


def test_results_are_rows(scripted: ScriptedServer, open_page: OpenPage) -> None:
    scripted.scripts["gate"] = playing(
        PERSON,
        detection("cigarette", (9, 9, 30, 20), None, 0.52),
        detection("drone", (1, 1, 9, 9), 8),
    )
    page = open_page("#gate", timezone_id="UTC")
    rows = page.locator("#rows tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text(re.compile(r"person.*91%.*#4.*\d+:\d\d:\d\d.*\(\d+ s\)"))
    expect(rows.nth(1)).to_contain_text(re.compile(r"cigarette.*52%.*–"))
    expect(rows.nth(2)).to_contain_text("drone")  # a class that came after this page
    expect(page.locator("#fps")).to_have_text("10 fps")
    expect(page.locator("#latency")).to_have_text("48 ms")
    expect(page.locator("#size")).to_have_text("640 × 360")
    expect(page.locator("#blur")).to_have_text("blurred")
    expect(page.locator("#picture")).to_have_attribute(
        "aria-label", "Video of Gate: 1 person, 1 cigarette, 1 drone"
    )


def test_guesses_are_not_named(scripted: ScriptedServer, open_page: OpenPage) -> None:
    scripted.scripts["gate"] = playing(detection("face", (160, 90, 320, 270), 7, 0.11))
    page = open_page("#gate")
    expect(page.locator("#rows-note")).to_have_text(
        "Nothing detected right now. 1 uncertain, a dotted box."
    )
    expect(page.locator("#rows tr")).to_have_count(0)
    assert chrome.inked(page) > 0
    scripted.scripts["gate"] = playing(PERSON, detection("face", (9, 9, 30, 30), 8, 0.2))
    page.get_by_role("button", name="Stop").click()
    page.go_back()
    expect(page.locator("#rows-note")).to_have_text("1 uncertain, a dotted box.")
    expect(page.locator("#rows tr")).to_have_count(1)


def test_raw_json_on_demand(scripted: ScriptedServer, open_page: OpenPage) -> None:
    scripted.scripts["gate"] = playing(PERSON)
    page = open_page("#gate")
    expect(page.locator("#rows tr")).to_have_count(1)
    assert page.locator("#raw-text").text_content() == ""
    page.get_by_text("Raw JSON").click()
    expect(page.locator("#raw-text")).to_contain_text('"detections"')
    shown = json.loads(page.locator("#raw-text").text_content() or "")
    assert shown["detections"] == [PERSON]


def test_events_are_a_log_with_pictures(scripted: ScriptedServer, open_page: OpenPage) -> None:
    async def then(socket: WebSocket) -> None:
        await socket.send_json(event(17, snapshot="/api/events/17/snapshot.jpg"))
        await socket.send_json(event(17, snapshot="/api/events/17/snapshot.jpg"))  # said twice
        await socket.send_json(event(18, "smoking_ended", duration_s=3.4))
        await socket.send_json(event(19, "something_new", track_id=None, confidence=None))
        await socket.send_json(event(20, snapshot="https://192.0.2.1/foreign.jpg"))
        await socket.send_json(message("missed", events=3))

    scripted.scripts["gate"] = playing(then=then)
    page = open_page("#gate")
    entries = page.locator("#events li")
    expect(entries).to_have_count(5)
    expect(entries.nth(0)).to_contain_text("3 events were missed")
    expect(entries.nth(2)).to_contain_text("Something new")
    expect(entries.nth(3)).to_contain_text("Smoking ended")
    expect(entries.nth(3)).to_contain_text("lasted 3.4 s")
    expect(entries.nth(4)).to_contain_text("Smoking started")
    expect(entries.nth(4)).to_contain_text("track 4 · confidence 83%")
    entries.nth(4).scroll_into_view_if_needed()
    image = entries.nth(4).get_by_role("img", name="Snapshot of the event")
    eventually(lambda: image.evaluate("it => it.naturalWidth"), bool, 5, "the snapshot loads")
    href = entries.nth(1).locator("a").get_attribute("href")
    assert href and href.startswith(scripted.url)  # never another host, whatever the message says
    expect(page.locator("#announcer")).to_contain_text("new event")


def test_the_number_of_a_plate_is_shown(scripted: ScriptedServer, open_page: OpenPage) -> None:
    async def then(socket: WebSocket) -> None:
        await socket.send_json(event(8, "plate_seen", details={"plate_number": "PJY5472"}))
        await socket.send_json(event(9, "plate_match", details={"plate_number": "PJY5472"}))
        await socket.send_json(event(10, "camera_moved", details={"plate_number": 7}))

    scripted.scripts["gate"] = playing(then=then)
    page = open_page("#gate")
    expect(page.locator("#events li strong")).to_have_text(
        ["Camera moved", "Plate on the watch-list: PJY5472", "Plate read: PJY5472"]
    )


def test_events_of_the_time_before(scripted: ScriptedServer, open_page: OpenPage) -> None:
    async def then(socket: WebSocket) -> None:
        await socket.send_json(event(8, "bag_taken"))

    scripted.history = [event(8, "bag_taken"), event(7, "bag_abandoned"), event(5)]
    scripted.scripts["gate"] = playing(then=then)
    page = open_page("#gate")
    entries = page.locator("#events li strong")
    expect(entries).to_have_text(["Bag taken by someone else", "Bag abandoned", "Smoking started"])


def test_names_of_strangers_are_text(scripted: ScriptedServer, open_page: OpenPage) -> None:
    evil = detection("<i>person</i>", (9, 9, 99, 99))

    async def then(socket: WebSocket) -> None:
        await socket.send_json(event(1, HOSTILE))

    scripted.cameras = [
        {"camera_id": HOSTILE, "name": HOSTILE, "kind": HOSTILE, "state": "running"}
    ]
    scripted.scripts[HOSTILE] = playing(evil, then=then, name=HOSTILE, blur=HOSTILE)
    page = open_page()
    page.locator("#streams button").click()
    expect(page.locator("#stream-name")).to_have_text(HOSTILE)
    expect(page.locator("#rows tr")).to_contain_text("<i>person</i>")
    expect(page.locator("#events li")).to_contain_text("onerror")
    page.get_by_role("button", name="Share").click()
    assert page.locator("main img, main b, main i").count() == 0
    assert page.title() == f"{HOSTILE} – Watchpost"
    assert "<" not in page.locator("#share-page").input_value()


# ── how streams begin and end ────────────────────────────────────────────────────────────────


def test_the_end_is_said_plainly(scripted: ScriptedServer, open_page: OpenPage) -> None:
    async def then(socket: WebSocket) -> None:
        await socket.send_json(message("end", reason="the last client left"))
        await socket.close(1000)

    scripted.scripts["gate"] = playing(PERSON, then=then)
    page = open_page("#gate")
    expect(page.locator("#curtain")).to_contain_text("The stream has ended")
    expect(page.locator("#curtain")).to_contain_text("Reason: the last client left")
    expect(page.locator("#state")).to_have_text("Ended")
    page.wait_for_timeout(1500)
    assert scripted.opened["gate"] == 1  # it does not come back by itself
    scripted.scripts["gate"] = playing(PERSON)
    page.get_by_role("button", name="Watch again").click()
    expect(page.locator("#state")).to_have_text("Live")


def test_a_server_that_shuts_down_is_waited_for(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    async def then(socket: WebSocket) -> None:
        scripted.scripts["gate"] = playing(PERSON)
        await socket.send_json(message("end", reason="the server is shutting down"))
        await socket.close(1001)
        raise WebSocketDisconnect

    scripted.scripts["gate"] = playing(PERSON, then=then)
    page = open_page("#gate")
    eventually(lambda: scripted.opened["gate"], lambda n: n == 2, 10, "it comes back")
    expect(page.locator("#state")).to_have_text("Live")


@pytest.mark.parametrize("unknown", ["nobody", "%&?#é ", "with/slash", "../cameras"])
def test_an_unknown_id(scripted: ScriptedServer, open_page: OpenPage, unknown: str) -> None:
    page = open_page()
    page.get_by_label("Stream ID").fill(unknown)
    page.get_by_role("button", name="Watch Stream").click()
    expect(page.locator("#curtain")).to_contain_text(f"There is no stream “{unknown.strip()}”")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#curtain")).to_contain_text("There is no stream")


def test_a_closed_door_is_not_run_against(scripted: ScriptedServer, open_page: OpenPage) -> None:
    async def script(socket: WebSocket) -> None:
        await socket.send_json(hello())
        await socket.close(1008, "too many bad frames")

    scripted.scripts["gate"] = script
    page = open_page("#gate")
    expect(page.locator("#curtain")).to_contain_text("too many bad frames")
    page.wait_for_timeout(1200)
    assert scripted.opened["gate"] == 1


def test_a_lost_connection_comes_back(scripted: ScriptedServer, open_page: OpenPage) -> None:
    seen = threading.Event()

    async def then(socket: WebSocket) -> None:
        if not seen.is_set():  # it is lost again and again until the page was read
            await socket.close(1011)
            raise WebSocketDisconnect

    scripted.scripts["gate"] = playing(PERSON, then=then)
    page = open_page("#gate")
    for place in ("banner", "announcer"):
        page.wait_for_function(f"() => {place}.textContent.includes('Connection lost')")
    seen.set()
    expect(page.locator("#state")).to_have_text("Live")
    expect(page.locator("#banner")).to_be_hidden()
    held = scripted.opened["gate"]
    page.wait_for_timeout(1200)
    assert scripted.opened["gate"] == held >= 2, "the last connection holds"


def test_a_stream_that_is_back_later_than_its_server(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    async def then(socket: WebSocket) -> None:
        del scripted.scripts["gate"]
        await socket.close(1012)
        raise WebSocketDisconnect

    scripted.scripts["gate"] = playing(PERSON, then=then)
    page = open_page("#gate")
    expect(page.locator("#banner")).to_contain_text("not on the server at the moment")
    scripted.scripts["gate"] = playing(PERSON)
    # It may just have come back by itself, and the button with the banner is gone.
    page.locator("#banner-retry").dispatch_event("click")
    expect(page.locator("#state")).to_have_text("Live")


def test_what_the_stream_says_about_its_source(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    async def then(socket: WebSocket) -> None:
        await socket.send_json(message("state", state="reconnecting", reason="no answer in time"))
        await asyncio.sleep(60)

    scripted.scripts["gate"] = playing(PERSON, then=then)
    page = open_page("#gate")
    expect(page.locator("#state")).to_have_text("Reconnecting")
    expect(page.locator("#banner")).to_contain_text("Reason: no answer in time")


def test_silence_is_said(scripted: ScriptedServer, open_page: OpenPage) -> None:
    async def then(_: WebSocket) -> None:
        await asyncio.sleep(60)

    scripted.scripts["gate"] = playing(PERSON, then=then)
    page = open_page("#gate")
    expect(page.locator("#banner")).to_contain_text(re.compile(r"No new frame for \d+ s"))
    expect(page.locator("#state")).to_have_text("No video")


def test_links_and_the_back_button(scripted: ScriptedServer, open_page: OpenPage) -> None:
    scripted.scripts = {"one": playing(name="First"), "two": playing(name="Second")}
    page = open_page("?stream=one")
    expect(page.locator("#stream-name")).to_have_text("First")
    page.get_by_label("Stream ID").fill("two")
    page.keyboard.press("Enter")
    expect(page.locator("#stream-name")).to_have_text("Second")
    assert page.url.endswith("/viewer#two")
    page.go_back()
    expect(page.locator("#stream-name")).to_have_text("First")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#curtain")).to_contain_text("Choose a stream")
    assert page.url.endswith("/viewer")
    expect(page.get_by_label("Stream ID")).to_be_focused()


def test_shared_addresses_are_those_of_the_watched_stream(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    scripted.scripts = {"one": playing(name="First"), "two": playing(name="Second")}
    page = open_page("#one")
    page.get_by_role("button", name="Share").click()
    expect(page.locator("#share-page")).to_have_value(re.compile("/viewer#one$"))
    page.get_by_label("Stream ID").fill("two")
    page.keyboard.press("Enter")
    expect(page.locator("#stream-name")).to_have_text("Second")
    expect(page.locator("#share-page")).to_have_value(re.compile("/viewer#two$"))
    expect(page.locator("#share-video")).to_have_value(re.compile("/stream/video/two$"))


@pytest.mark.parametrize("locale", ["en-US", "ru-RU", "ko-KR"])
def test_on_a_phone_the_video_stands_first(
    scripted: ScriptedServer, open_page: OpenPage, locale: str
) -> None:
    scripted.scripts["gate"] = playing(PERSON)
    page = open_page("#gate", locale=locale, viewport={"width": 390, "height": 844})
    page.locator("#account-open").evaluate(
        """(button) => {
          button.hidden = false;
          button.textContent = "Create the first user of this server";
        }"""
    )
    expect(page.locator("#fps")).not_to_have_text("–")
    stage, header = page.locator("#stage").bounding_box(), page.locator(".top").bounding_box()
    form = page.locator("#watch-form").bounding_box()
    assert stage is not None
    assert header is not None
    assert form is not None
    assert header["height"] < 64, "the header has one line"
    assert stage["y"] <= header["y"] + header["height"] + 12
    assert form["y"] > stage["y"] + stage["height"]
    expect(page.get_by_role("heading", name="Watchpost")).to_be_attached()


def test_on_a_phone_a_label_hides_nearly_nothing(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    """Of nine people at one place some are named, by letters without a plate."""
    people = [detection("person", (160, 100, 320, 260), track_id=n) for n in range(9)]
    scripted.scripts["gate"] = playing(*people)
    page = open_page("#gate", viewport={"width": 390, "height": 844})
    expect(page.locator("#fps")).not_to_have_text("–")
    page.wait_for_timeout(300)
    covered: float = page.evaluate(
        """() => {
          const canvas = document.querySelector("#boxes");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let inked = 0;
          for (let index = 3; index < data.length; index += 4) inked += data[index] > 100;
          return inked / (canvas.width * canvas.height);
        }"""
    )
    assert 0.02 < covered < 0.05


def test_the_list_of_what_runs(scripted: ScriptedServer, open_page: OpenPage) -> None:
    scripted.cameras = [
        {
            "camera_id": "gate",
            "name": "Main gate",
            "kind": "rtsp",
            "state": "running",
            "fps": 14.8,
            "width": 1280,
            "height": 720,
            "reduced": {"message": "This machine looks for objects 2 times a second."},
        },
        {"camera_id": "yard", "name": "yard", "kind": "push", "state": "failed", "fps": None},
        {"camera_id": "attic", "name": "Attic", "kind": "camera", "state": "stopped", "fps": None},
    ]
    scripted.scripts["gate"] = playing(PERSON)
    page = open_page()
    gate = page.get_by_role("button", name="Main gate")
    expect(gate).to_contain_text("Live · RTSP · 15 fps · 1280 × 720 · gate")
    expect(gate.locator(".stream-reduced")).to_have_text(
        "This machine looks for objects 2 times a second."
    )
    expect(page.get_by_role("button", name="yard")).to_contain_text("Failed · Pushed")
    expect(page.get_by_role("button", name="Attic")).to_have_count(0)
    gate.click()
    expect(gate).to_have_attribute("aria-current", "true")
    expect(gate).to_be_focused()
    scripted.cameras = scripted.cameras[:1]
    expect(page.get_by_role("button", name="yard")).to_have_count(0)
    scripted.cameras = []
    expect(page.locator("#streams-note")).to_contain_text("No cameras running")


# ── languages ────────────────────────────────────────────────────────────────────────────────


def test_every_text_in_every_language(open_page: OpenPage) -> None:
    page = open_page()
    catalogue = page.evaluate("import('/static/viewer/catalogue.js').then((it) => it.CATALOGUE)")
    categories = page.evaluate(
        """(tags) => Object.fromEntries(tags.map((tag) =>
             [tag, new Intl.PluralRules(tag).resolvedOptions().pluralCategories]))""",
        list(catalogue),
    )
    assert list(catalogue) == ["en", "ru", "ko"]
    for language, texts in catalogue.items():
        assert set(texts) == set(catalogue["en"]), language
        for key, text in texts.items():
            if isinstance(text, dict):
                assert set(text) == set(categories[language]), (language, key)
            forms = text.values() if isinstance(text, dict) else [text]
            english = catalogue["en"][key]
            english = english["other"] if isinstance(english, dict) else english
            for form in forms:
                assert form.strip()
                assert set(re.findall(r"{\w+}", form)) == set(re.findall(r"{\w+}", english)), key


def test_every_text_of_the_markup_is_in_the_catalogue(open_page: OpenPage) -> None:
    page = open_page()
    missing = page.evaluate(
        """async () => {
          const { CATALOGUE } = await import("/static/viewer/catalogue.js");
          const used = [...document.querySelectorAll("[data-i18n], [data-i18n-label]")]
            .flatMap(({ dataset }) => [dataset.i18n, dataset.i18nLabel]).filter(Boolean);
          return used.filter((key) => !(key in CATALOGUE.en));
        }"""
    )
    assert missing == []


@pytest.mark.parametrize(
    ("locale", "button"),
    [
        ("en-GB", "Watch Stream"),
        ("ru-RU", "Смотреть поток"),
        ("ko-KR", "스트림 보기"),
        ("fr-FR", "Watch Stream"),
    ],
)
def test_the_browsers_language(open_page: OpenPage, locale: str, button: str) -> None:
    page = open_page(locale=locale)
    expect(page.get_by_role("button", name=button)).to_be_visible()


def test_switching_the_language(scripted: ScriptedServer, open_page: OpenPage) -> None:
    async def then(socket: WebSocket) -> None:
        await socket.send_json(event(1))

    scripted.scripts["gate"] = playing(PERSON, then=then)
    page = open_page("#gate")
    expect(page.locator("#rows tr")).to_contain_text("person")
    page.get_by_label("Language").select_option("ru")
    expect(page.locator("html")).to_have_attribute("lang", "ru")
    expect(page.locator("#rows tr")).to_contain_text("человек")
    expect(page.locator("#events li")).to_contain_text("Начал курить")
    expect(page.locator("#state")).to_have_text("В эфире")
    page.reload()
    expect(page.get_by_role("button", name="Смотреть поток")).to_be_visible()  # remembered
    page.get_by_label("Язык").select_option("ko")
    expect(page.locator("#rows tr")).to_contain_text("사람")


# ── for everybody ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_names_and_contrasts(scripted: ScriptedServer, open_page: OpenPage, scheme: str) -> None:
    async def then(socket: WebSocket) -> None:
        await socket.send_json(event(1, snapshot="/api/events/1/snapshot.jpg"))
        await socket.send_json(message("missed", events=1))

    scripted.cameras = [
        {"camera_id": "gate", "name": "Main gate", "kind": "rtsp", "state": "running"}
    ]
    scripted.scripts["gate"] = playing(PERSON, then=then)
    page = open_page("#gate", color_scheme=scheme)
    expect(page.locator("#events li")).to_have_count(2)
    page.get_by_role("button", name="Share").click()
    page.get_by_text("Raw JSON").click()
    assert chrome.nameless(page) == []
    assert chrome.faint(page) == []
    page.goto(page.url.partition("#")[0] + "#nobody")
    expect(page.locator("#curtain")).to_contain_text("There is no stream")
    assert chrome.faint(page) == []


def test_the_check_of_contrasts_finds_faint_text(open_page: OpenPage) -> None:
    page = open_page()
    page.locator(".foot").evaluate("it => it.style.color = 'rgb(200 205 210)'")
    assert chrome.faint(page)
    page.locator("#token-cancel, #streams-title").first.evaluate("it => it.remove()")
    page.locator("#watch-form button").evaluate("it => it.textContent = ''")
    assert chrome.nameless(page)


def test_by_keyboard_alone(scripted: ScriptedServer, open_page: OpenPage) -> None:
    scripted.cameras = [
        {"camera_id": "gate", "name": "Main gate", "kind": "rtsp", "state": "running"}
    ]
    scripted.scripts["gate"] = playing(PERSON)
    page = open_page()
    expect(page.locator("#streams button")).to_have_count(1)
    page.keyboard.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#stage")).to_be_focused()
    assert page.url.endswith("/viewer")  # the skip link is no stream
    for _ in range(4):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.className") == "stream":
            break
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Live")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize("locale", ["en-US", "ru-RU"])
def test_nothing_is_cut_off(scripted: ScriptedServer, open_page: OpenPage, locale: str) -> None:
    scripted.cameras = [
        {"camera_id": f"a-camera-with-a-rather-long-name-{n}", "kind": "rtsp", "state": "running"}
        for n in range(8)
    ]
    scripted.scripts["gate"] = playing(PERSON, name="A stream with quite a long name " * 3)
    page = open_page("#gate", locale=locale)
    expect(page.locator("#rows tr")).to_have_count(1)
    for width in (320, 390, 768, 1024, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


# ── this computer's camera ───────────────────────────────────────────────────────────────────


def pushed_to(
    received: list[bytes], *, answering: bool, patience: float = 60
) -> Callable[[WebSocket], Any]:
    """A stream with a pusher and a viewer; answers each frame or none."""

    async def script(socket: WebSocket) -> None:
        await socket.send_json(hello(name="Webcam"))
        if "pictures" in socket.query_params:
            await asyncio.sleep(patience)
            return
        while True:
            received.append(await socket.receive_bytes())
            if answering:
                timing = {"waited_ms": 1.0, "processed_ms": 40.0, "total_ms": 41.2}
                await socket.send_json(
                    message(
                        "ack",
                        frame=len(received),
                        dropped=0,
                        timing=timing,
                        width=640,
                        height=480,
                        detections=[PERSON],
                    )
                )

    return script


def test_the_camera_is_sent_as_fast_as_it_is_answered(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    received: list[bytes] = []
    scripted.scripts[PUSHED] = pushed_to(received, answering=True)
    page = open_page()
    page.get_by_role("button", name="Send my camera").click()
    expect(page.locator("#webcam-saw")).to_have_text("1 person")
    expect(page.locator("#webcam-rate")).to_contain_text("answered in 41 ms")
    expect(page.locator("#stream-name")).to_have_text("Webcam")  # and it is watched at once
    expect(page.locator("#webcam-share-video")).to_have_value(
        f"{scripted.url}/stream/video/{PUSHED}"
    )
    expect(page.get_by_role("button", name="Stop sending")).to_be_focused()
    eventually(lambda: len(received), lambda n: n > 20, 10, "frames keep coming")
    assert all(frame.startswith(b"\xff\xd8") for frame in received)
    assert scripted.requests == [{"name": "Webcam"}]

    page.get_by_role("button", name="Stop sending").click()
    expect(page.get_by_role("button", name="Send my camera")).to_be_focused()
    expect(page.locator("#webcam-preview")).to_be_hidden()
    expect(page.locator("#curtain")).to_contain_text("Choose a stream")
    seen = len(received)
    page.wait_for_timeout(700)
    assert len(received) == seen


def test_no_more_than_two_frames_go_unanswered(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    received: list[bytes] = []
    scripted.scripts[PUSHED] = pushed_to(received, answering=False)
    page = open_page()
    page.get_by_role("button", name="Send my camera").click()
    eventually(lambda: len(received), lambda n: n == 2, 10, "two frames")
    page.wait_for_timeout(1500)
    assert len(received) == 2
    eventually(lambda: len(received), lambda n: n > 2, 6, "they count as lost at last")


def test_the_camera_goes_on_after_a_lost_connection(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    received: list[bytes] = []
    pushed = pushed_to(received, answering=True)

    async def script(socket: WebSocket) -> None:
        if "pictures" not in socket.query_params and not received:
            received.append(b"\xff\xd8")
            await socket.send_json(hello())
            await socket.receive_bytes()
            await socket.close(1011)
            return
        await pushed(socket)

    scripted.scripts[PUSHED] = script
    page = open_page()
    page.get_by_role("button", name="Send my camera").click()
    eventually(lambda: len(received), lambda n: n > 5, 10, "frames come again")
    expect(page.locator("#webcam-problem")).to_be_hidden()
    assert len(scripted.requests) == 1


def test_the_camera_gets_a_new_stream_when_its_own_is_gone(
    scripted: ScriptedServer, open_page: OpenPage
) -> None:
    received: list[bytes] = []

    async def script(socket: WebSocket) -> None:
        if "pictures" not in socket.query_params and len(scripted.requests) == 1:
            await socket.send_json(message("error", code="STREAM_NOT_FOUND", message="?"))
            await socket.close(4404)
            return
        await pushed_to(received, answering=True)(socket)

    scripted.scripts[PUSHED] = script
    page = open_page()
    page.get_by_role("button", name="Send my camera").click()
    eventually(lambda: len(received), lambda n: n > 3, 10, "frames come")
    assert len(scripted.requests) == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NotAllowedError", "did not allow camera access"),
        ("NotFoundError", "No camera was found"),
        ("NotReadableError", "Another program may be using it"),
    ],
)
def test_why_there_is_no_camera(open_page: OpenPage, name: str, said: str) -> None:
    page = open_page(
        script=f"navigator.mediaDevices.getUserMedia ="
        f" () => Promise.reject(new DOMException('no', '{name}'));"
    )
    page.get_by_role("button", name="Send my camera").click()
    expect(page.locator("#webcam-problem")).to_contain_text(said)
    expect(page.get_by_role("button", name="Send my camera")).to_be_enabled()


def test_browsers_give_no_camera_over_plain_http(open_page: OpenPage) -> None:
    page = open_page(host=chrome.OUTSIDE)
    assert page.evaluate("isSecureContext") is False
    page.get_by_role("button", name="Send my camera").click()
    expect(page.locator("#webcam-problem")).to_contain_text("https or from localhost")


def test_copying_an_address_over_plain_http(scripted: ScriptedServer, open_page: OpenPage) -> None:
    scripted.scripts["gate"] = playing()
    page = open_page("#gate", host=chrome.OUTSIDE)
    page.get_by_role("button", name="Share").click()
    page.locator("#share button").first.click()
    expect(page.locator("#share button").first).to_have_text("Copied")
    expect(page.locator("#share button").first).to_have_text("Copy")
