"""Signing in on the page, in a browser on another machine, with the real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from support import browser as chrome
from support.watchpost import Server

pytestmark = pytest.mark.skipif(bool(chrome.available()), reason=chrome.available())
expect.set_options(timeout=20_000)

PASSWORD = "a long enough password"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as server:
        yield server


def sign_in(page: Page, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill("kim")
    page.get_by_label("Password", exact=True).fill(password)
    page.locator("#account-form").get_by_role("button", name="Sign in").click()


def test_the_first_user_signs_in_out_and_in_again(server: Server) -> None:
    with chrome.chromium() as browser:
        page = browser.new_context(locale="en-US").new_page()
        page.goto(f"http://{chrome.OUTSIDE}:{server.port}/viewer")
        page.get_by_role("button", name="Not now").click()  # the page asks for the token first
        page.get_by_role("button", name="Create the first user").click()
        page.get_by_label("Set-up code").fill("wrong")
        sign_in(page)
        expect(page.get_by_role("alert")).to_contain_text("set-up code is wrong")
        found = re.search(r"set-up code for the first one: (\S+)", server.log())
        assert found is not None
        page.get_by_label("Set-up code").fill(found[1])
        sign_in(page)
        expect(page.get_by_text("No streams are running")).to_be_visible()

        page.get_by_role("button", name="kim").click()
        expect(page.get_by_role("listitem")).to_contain_text("127.0.0.1")
        page.get_by_role("button", name="Sign out").click()
        sign_in(page, "not the password")
        expect(page.get_by_role("alert")).to_contain_text("wrong")
        sign_in(page)
        expect(page.get_by_role("button", name="kim")).to_be_visible()
        [cookie] = page.context.cookies()
        assert cookie["httpOnly"]
        assert page.evaluate("document.cookie") == ""
    for secret in (PASSWORD, found[1], cookie["value"]):
        assert secret not in server.log().replace(found[0], "")
