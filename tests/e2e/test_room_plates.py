"""The view of plates in a real browser: photos are uploaded, and readings corrected by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from support import browser as chrome
from support.plates import photo_jpeg
from support.poll import eventually
from support.watchpost import Server

pytestmark = pytest.mark.skipif(bool(chrome.available()), reason=chrome.available())
SLOW_MS = 60_000
TRUTH, OTHER = "PJY5472", "RK884AL"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("plates")) as server:
        yield server


@pytest.fixture
def page(server: Server) -> Iterator[Page]:
    expect.set_options(timeout=SLOW_MS)
    errors: list[str] = []
    with chrome.chromium() as browser:
        page = browser.new_context(locale="en-US").new_page()
        page.set_default_timeout(SLOW_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://127.0.0.1:{server.port}/#/plates/upload")
        yield page
    assert not errors


def test_photos_are_read_in_order_and_corrected_without_a_mouse(
    page: Page, server: Server, tmp_path: Path
) -> None:
    files = {"one.jpg": photo_jpeg(TRUTH), "notes.jpg": b"no image", "two.jpg": photo_jpeg(OTHER)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    page.get_by_label("Choose photos").set_input_files([tmp_path / name for name in files])
    expect(page.get_by_role("heading", name="3 of 3 read")).to_be_visible()
    rows = page.locator(".uploads > li")
    assert [row.locator(".upload-name").inner_text() for row in rows.all()] == list(files)
    expect(rows.nth(1)).to_contain_text("Failed")
    expect(rows.nth(1).locator(".problem")).to_contain_text("image")
    numbers = page.locator(".plate-number")
    expect(numbers).to_have_count(2)
    expect(numbers.nth(0)).to_have_value(TRUTH)

    page.get_by_role("tab", name="Upload").focus()
    page.keyboard.press("ArrowLeft")
    numbers = page.locator(".plate-rows .plate-number")
    expect(numbers).to_have_count(2)
    numbers.first.focus()  # the newest stands first
    page.keyboard.type("RK 884 XX")
    page.keyboard.press("Escape")
    expect(numbers.first).to_have_value(OTHER)
    page.keyboard.press("End")
    page.keyboard.press("Backspace")
    page.keyboard.type("X")
    page.keyboard.press("Enter")
    expect(numbers.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Verify", pressed=True)).to_have_count(2)
    newest, oldest = server.http.get("/api/plates").json()
    assert (newest["plate_number"], newest["processed_by"]) == ("RK884AX", "manual")
    assert (oldest["plate_number"], oldest["processed_by"]) == (TRUTH, "local")
    assert (newest["is_verified"], oldest["is_verified"]) == (True, True)

    page.get_by_label("Number or part of it").fill("rk884ox")  # one edit away
    expect(numbers).to_have_count(1)
    page.get_by_role("link", name="Details of RK884AX").click()
    dialog = page.get_by_role("dialog").first
    expect(dialog.locator(".plate-photo rect")).to_be_visible()
    expect(dialog).to_contain_text(OTHER)  # the first reading
    dialog.get_by_role("button", name="Add to watch-list").click()
    page.get_by_role("dialog").last.get_by_label("Note").fill("stolen")
    page.get_by_role("button", name="Add", exact=True).click()
    eventually(
        lambda: server.http.get("/api/watchlist").json(),
        lambda entries: [one["number"] for one in entries] == ["RK884AX"],
        20,
        "it is on the watch-list",
    )
