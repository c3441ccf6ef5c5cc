"""The pages as the server sends them: authentication and security headers."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from fixtures import REMOTE, ROOT, Running, asgi

from app.analytics.rules import event_types
from app.api.auth import COOKIE
from app.api.system import SOURCE_URL

from .conftest import TOKEN

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGE = (ROOT / "static" / "viewer.html").read_text(encoding="utf-8")
ROOM = (ROOT / "static" / "app" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("path", "page"), [("/", ROOM), ("/viewer", PAGE)])
async def test_a_person_gets_the_page_from_anywhere(path: str, page: str, served: Running) -> None:
    for client in (("127.0.0.1", 5), REMOTE):
        async with served.client(client) as browser:
            reply = await browser.get(path, headers=HTML)
        assert reply.status_code == 200
        assert reply.text == page


async def test_head_says_what_get_would(served: Running) -> None:
    for path, page in (("/", ROOM), ("/viewer", PAGE)):
        reply = await asgi(served.app, path, method="HEAD", headers=HTML)
        assert (reply.status, reply.body) == (200, b"")
        assert reply.headers["content-length"] == str(len(page.encode()))
        assert reply.headers["content-type"].startswith("text/html")


async def test_a_program_is_told_that_the_server_runs(served: Running) -> None:
    reply = await asgi(served.app, "/")
    assert reply.body == b'{"message":"Camera Collector API is running!"}'


async def test_the_token_is_gone_from_the_address_after_the_way_to_the_page(
    served: Running,
) -> None:
    reply = await asgi(served.app, "/", headers=HTML, client=REMOTE, query=f"token={TOKEN}")
    assert (reply.status, reply.headers["location"]) == (307, "./")
    assert reply.headers["set-cookie"].startswith(f"{COOKIE}={TOKEN};")
    assert "HttpOnly" in reply.headers["set-cookie"]


@pytest.mark.parametrize(
    "path",
    ["/", "/viewer", "/static/viewer.html", "/static/viewer/main.js", "/static/app/main.js"],
)
async def test_browsers_are_held_to_strict_rules(path: str, served: Running) -> None:
    async with served.client(REMOTE) as browser:
        headers = (await browser.get(path, headers=HTML)).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["content-security-policy"]
    assert "script-src" not in policy  # nothing more than the default allows
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-cache"


async def test_files_are_sent_compressed(served: Running) -> None:
    async with served.client(REMOTE) as browser:
        reply = await browser.get("/static/app/main.js", headers={"accept-encoding": "gzip"})
        assert reply.headers["content-encoding"] == "gzip"
        assert reply.content == (ROOT / "static" / "app" / "main.js").read_bytes()
        headers = {"accept-encoding": "gzip", "if-none-match": reply.headers["etag"]}
        assert (await browser.get("/static/app/main.js", headers=headers)).status_code == 304


async def test_scripts_come_as_scripts(served: Running) -> None:
    async with served.client(REMOTE) as browser:
        reply = await browser.get("/static/viewer/main.js")
    assert "javascript" in reply.headers["content-type"]


def test_the_page_names_no_other_host_but_the_one_of_its_source() -> None:
    links = set(re.findall(r"https?://[^\s\"'<]+", PAGE))
    assert links == {SOURCE_URL}
    for file in (ROOT / "static" / "viewer").glob("*.js"):
        assert not re.findall(r"[\"'`](?:https?:)?//", file.read_text(encoding="utf-8")), file


def test_nothing_is_inline_and_no_html_is_made_of_strings() -> None:
    assert not re.search(r"\son\w+=|style=|<style|javascript:", PAGE)
    assert not re.search(r"<script(?![^>]*\bsrc=)", PAGE)
    for file in (ROOT / "static" / "viewer").glob("*.js"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)


def test_every_event_has_words_in_each_of_the_pages_languages() -> None:
    catalogue = (ROOT / "static" / "viewer" / "names.js").read_text(encoding="utf-8")
    named = Counter(re.findall(r'^ *"event\.(\w+)":', catalogue, re.MULTILINE))
    assert named == dict.fromkeys(event_types(), 3)
