"""Signing in to the control room, in a browser on another machine, with the real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect
from support import browser as chrome
from support.identity_provider import CLIENT_ID, CLIENT_SECRET, identity_provider
from support.watchpost import Server

pytestmark = pytest.mark.skipif(bool(chrome.available()), reason=chrome.available())

TOKEN = "a-token/with+odd=characters&more"
PASSWORD = "a long enough password"
SEEN_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=SEEN_MS)
    with chrome.chromium() as browser:
        yield browser


def open_room(browser: Browser, server: Server, after: str = "") -> Page:
    page = browser.new_context(locale="en-US").new_page()
    page.goto(f"http://{chrome.OUTSIDE}:{server.port}/{after}")
    return page


def sign_in(page: Page) -> None:
    page.get_by_label("Name").fill("kim")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.locator("button[type=submit]").click()


def sign_out(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()
    page.get_by_role("dialog").get_by_role("button", name="Sign out").click()


def expect_open(page: Page) -> None:
    expect(page.get_by_role("heading", name="Welcome to Watchpost")).to_be_visible()


def test_by_token_as_the_first_user_and_with_two_factors(browser: Browser, tmp_path: Path) -> None:
    with Server(tmp_path, auth__token=TOKEN) as server:
        page = open_room(browser, server)
        expect(page.get_by_role("heading", name="Enter the access token")).to_be_visible()
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("alert")).to_contain_text("not the server's token")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Open").click()
        expect_open(page)
        assert "token" not in page.url
        assert page.evaluate("document.cookie") == ""
        sign_out(page, "Settings")
        expect(page.get_by_role("heading", name="Enter the access token")).to_be_visible()

        page.get_by_role("button", name="Create the first user").click()
        found = re.search(r"set-up code for the first one: (\S+)", server.log())
        assert found is not None
        page.get_by_label("Set-up code").fill(found[1])
        sign_in(page)
        expect_open(page)

        page.get_by_role("button", name="kim").click()
        dialog = page.get_by_role("dialog", name="kim")
        expect(dialog.get_by_role("listitem")).to_contain_text("127.0.0.1")
        form = dialog.locator("form", has_text="Two-factor sign-in")
        form.get_by_label("Current password").fill(PASSWORD)
        form.get_by_role("button", name="Set up").click()
        link = form.get_by_role("link", name="Open in an app").get_attribute("href")
        app = pyotp.parse_uri(link or "")
        assert isinstance(app, pyotp.TOTP)
        form.get_by_label("Code from").fill(app.now())
        form.get_by_role("button", name="Turn on").click()
        expect(form).to_contain_text("On. 10 recovery codes left.")
        codes = form.get_by_role("region", name="Recovery codes").inner_text().split()
        dialog.get_by_role("button", name="Sign out").click()

        sign_in(page)
        page.get_by_label("Code from").fill("000000")
        page.locator("button[type=submit]").click()
        expect(page.get_by_role("alert")).to_contain_text("wrong")
        page.get_by_label("Code from").fill(codes[0])
        page.locator("button[type=submit]").click()
        expect_open(page)
    for secret in (PASSWORD, TOKEN, app.secret, *codes):
        assert secret not in server.log()


def test_a_token_in_the_address_leaves_it(browser: Browser, tmp_path: Path) -> None:
    with Server(tmp_path, auth__token="plain-token") as server:
        page = open_room(browser, server, "?token=plain-token#/live")
        expect_open(page)
        assert page.url.endswith(f":{server.port}/#/live")


def test_a_session_that_ends_shows_the_sign_in(browser: Browser, tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.http.post("/api/setup", json={"name": "kim", "password": PASSWORD})
        page = open_room(browser, server)
        sign_in(page)
        expect_open(page)
        page.context.clear_cookies()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_an_identity_provider_leads_back_to_the_room(browser: Browser, tmp_path: Path) -> None:
    with identity_provider() as provider:
        provider.user |= {"groups": ["staff"]}
        settings = {
            "oidc__issuer": provider.issuer,
            "oidc__client_id": CLIENT_ID,
            "oidc__client_secret": CLIENT_SECRET,
            "oidc__name": "Our SSO",
            "oidc__create": "mapped",
            "oidc__roles": '{"staff": "viewer"}',
        }
        with Server(tmp_path, {"NO_PROXY": "127.0.0.1"}, **settings) as server:
            page = open_room(browser, server)
            page.get_by_role("button", name="Sign in with Our SSO").click()
            expect_open(page)
            assert page.url == f"http://{chrome.OUTSIDE}:{server.port}/"
            expect(page.get_by_role("button", name="Start the demo")).to_have_count(0)
