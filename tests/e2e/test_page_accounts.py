"""Signing in on the page, in a browser on another machine, with the real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect
from support import browser as chrome
from support.identity_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    IdentityProvider,
    identity_provider,
)
from support.watchpost import Server

pytestmark = pytest.mark.skipif(bool(chrome.available()), reason=chrome.available())
expect.set_options(timeout=60_000)

PASSWORD = "a long enough password"


@contextmanager
def another_profile(browser: Browser) -> Iterator[Page]:
    """A page without the cookies and the storage of others."""
    with browser.new_context(locale="en-US") as context:
        yield context.new_page()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as server:
        yield server


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


def sign_in(page: Page, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill("kim")
    page.get_by_label("Password", exact=True).fill(password)
    page.locator("#account-form").get_by_role("button", name="Sign in").click()


def test_the_first_user_signs_in_out_and_in_again(browser: Browser, server: Server) -> None:
    with another_profile(browser) as page:
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
        expect(page.get_by_text("No cameras running")).to_be_visible()

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


def test_a_person_signs_in_and_out_at_an_identity_provider(
    browser: Browser, tmp_path: Path, provider: IdentityProvider
) -> None:
    provider.user |= {"groups": ["nobody of ours"]}
    settings = {
        "oidc__issuer": provider.issuer,
        "oidc__client_id": CLIENT_ID,
        "oidc__client_secret": CLIENT_SECRET,
        "oidc__name": "Our SSO",
        "oidc__create": "mapped",
        "oidc__roles": '{"staff": "viewer"}',
    }
    direct = {"NO_PROXY": "127.0.0.1"}
    with Server(tmp_path, direct, **settings) as server, another_profile(browser) as page:
        page.goto(f"http://{chrome.OUTSIDE}:{server.port}/viewer")
        page.get_by_role("button", name="Sign in with Our SSO").click()
        expect(page.get_by_role("alert")).to_contain_text("You have no account here")
        assert "problem" not in page.url

        provider.user |= {"groups": ["staff"]}
        page.get_by_role("button", name="Sign in with Our SSO").click()
        page.get_by_role("button", name="kim").click()
        expect(page.get_by_label("New password")).to_be_hidden()
        [cookie] = page.context.cookies(f"http://{chrome.OUTSIDE}")
        assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (
            "watchpost_session",
            True,
            "Strict",
        )
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Signed out")).to_be_visible()
        page.goto(f"http://{chrome.OUTSIDE}:{server.port}/viewer")
        expect(page.get_by_role("button", name="Sign in with Our SSO")).to_be_visible()
    for secret in (CLIENT_SECRET, cookie["value"], *provider.tokens):
        assert secret not in server.log()


def test_a_person_sets_up_an_authenticator_app_and_signs_in_with_it(
    browser: Browser, server: Server
) -> None:
    made = server.http.post("/api/setup", json={"name": "kim", "password": PASSWORD})
    assert made.status_code == 201
    with another_profile(browser) as page:
        page.goto(f"http://{chrome.OUTSIDE}:{server.port}/viewer")
        sign_in(page)
        page.get_by_role("button", name="kim").click()
        section = page.get_by_role("region", name="Two-factor sign-in")
        section.get_by_label("Current password").fill(PASSWORD)
        section.get_by_role("button", name="Set up").click()
        link = section.get_by_role("link", name="Open in an app").get_attribute("href")
        app = pyotp.parse_uri(link or "")
        assert isinstance(app, pyotp.TOTP)
        assert app.secret == section.locator("code").inner_text().replace(" ", "")
        section.get_by_label("Code from").fill("000000")
        section.get_by_role("button", name="Turn on").click()
        expect(section.get_by_role("alert")).to_contain_text("wrong")
        section.get_by_label("Code from").fill(app.now())
        section.get_by_role("button", name="Turn on").click()
        expect(section).to_contain_text("On. 10 recovery codes left.")
        codes = section.get_by_role("region", name="Recovery codes").inner_text().split()
        assert len(codes) == 10
        assert chrome.nameless(page) == []
        assert chrome.faint(page) == []

        page.get_by_role("button", name="Sign out").click()
        sign_in(page)
        page.locator("#account-form").get_by_label("Code from").fill(codes[0].lower())
        page.locator("#account-form").get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="kim").click()
        expect(section).to_contain_text("On. 9 recovery codes left.")
        expect(section.get_by_role("region", name="Recovery codes")).to_be_hidden()
    for secret in (app.secret, *codes, *(code.replace("-", "") for code in codes)):
        assert secret not in server.log()


def test_authorize_in_the_documentation_sends_the_token(browser: Browser, tmp_path: Path) -> None:
    token = "a-token-that-nobody-guesses-0123456789"
    with Server(tmp_path, auth__token=token) as server, another_profile(browser) as page:
        page.goto(f"http://{chrome.OUTSIDE}:{server.port}/docs?token={token}")
        page.locator("button.authorize").first.click()
        page.locator(".auth-container input").first.fill(token)
        page.locator(".auth-container button.authorize").first.click()
        page.locator(".close-modal").click()
        page.context.clear_cookies()  # from here on, only the header says who calls
        call = page.locator("#operations-cameras-list_cameras")
        call.locator(".opblock-summary").click()
        call.get_by_role("button", name="Try it out").click()
        call.get_by_role("button", name="Execute").click()
        status = call.locator(".live-responses-table tbody .response-col_status").first
        expect(status).to_contain_text("200")
