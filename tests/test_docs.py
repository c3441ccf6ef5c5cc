"""The documentation: it builds, loads nothing from other hosts, and matches the code."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from fixtures import ROOT
from support import browser

from app.analytics.rules import event_types
from docs import generate

README_LINES = 120
LOADED = {
    "script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src",
    "video": "src", "audio": "src", "object": "data", "embed": "src", "use": "href",
}  # fmt: skip
NOT_LOADED = {"canonical", "next", "prev", "alternate"}
"""What a ``link`` may name without being fetched."""
STYLE_URL = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` builds it: any warning is an error."""
    pytest.importorskip("material", reason="mkdocs-material is not installed (make docs)")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


# ── other hosts ──────────────────────────────────────────────────────────────────────────────


class Assets(HTMLParser):
    """The URLs that a browser loads to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.asks_for_stars = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.asks_for_stars |= given.get("data-md-component") == "source"
        kinds = set((given.get("rel") or "").split())
        address = given.get(LOADED.get(tag, ""))
        if address and not (tag == "link" and kinds & NOT_LOADED):
            self.found.append(address)
        for candidate in (given.get("srcset") or "").split(","):
            self.found += candidate.split()[:1]
        self.found += style_urls(given.get("style") or "")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style":
            self.found += style_urls(data)


def style_urls(text: str) -> list[str]:
    return [one or other for one, other in STYLE_URL.findall(text)]


def elsewhere(addresses: list[str]) -> list[str]:
    """The URLs on other hosts."""
    return [address for address in addresses if urlsplit(address).netloc]


def test_pages_ask_no_other_host_for_anything(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assets = Assets()
        assets.feed(page.read_text(encoding="utf-8"))
        assert assets.found, page
        assert elsewhere(assets.found) == [], page
        assert not assets.asks_for_stars, "the theme would ask the repository's host"


def test_braces_of_messages_reach_the_page(site: Path) -> None:
    """An extension of Markdown takes them for attributes."""
    page = (site / "reference" / "errors" / "index.html").read_text(encoding="utf-8")
    assert "<td>{field}: {reason}</td>" in page


def test_styles_ask_no_other_host_for_anything(site: Path) -> None:
    styles = list(site.rglob("*.css"))
    assert styles
    for style in styles:
        assert elsewhere(style_urls(style.read_text(encoding="utf-8"))) == [], style


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://unpkg.com/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<img src="a.png" srcset="b.png 1x, https://cdn.example/c.png 2x">',
        "<style>@import 'https://cdn.example/a.css';</style>",
        '<p style="background: url(https://cdn.example/a.png)">',
    ],
)
def test_an_asset_from_elsewhere_would_be_seen(page: str) -> None:
    assets = Assets()
    assets.feed(page)
    assert len(elsewhere(assets.found)) == 1


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """The site on a free port."""
    handler = functools.partial(Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_browser_asks_no_other_host_either(address: str) -> None:
    if reason := browser.available():
        pytest.skip(reason)
    asked: list[str] = []
    with browser.chromium() as chromium:
        page = chromium.new_page()
        page.on("request", lambda request: asked.append(request.url))
        for path in ("/", "/speed/", "/reference/settings/"):
            page.goto(address + path, wait_until="networkidle")
        assert page.get_by_role("heading", level=1).inner_text().startswith("Settings")
    asked = [url for url in asked if not url.startswith(("data:", "blob:"))]
    assert len(asked) > 5
    assert [url for url in asked if not url.startswith(f"{address}/")] == []


# ── what the code says ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_generated_page_is_fresh(name: str) -> None:
    kept = (generate.FOLDER / name).read_text(encoding="utf-8")
    assert kept == generate.PAGES[name]() + "\n", "run: python -m docs.generate"


def test_every_event_has_a_meaning_and_no_meaning_is_left_over() -> None:
    assert set(generate.DETAILS) <= set(event_types())


def test_every_flag_is_beside_its_setting() -> None:
    text = (generate.FOLDER / "settings.md").read_text(encoding="utf-8")
    elsewhere = {"reload", "workers"}  # they are about the process, not settings
    for setting, flag in generate.flags_by_setting().items():
        assert setting in elsewhere or f"`{flag}` |" in text, flag


def test_every_row_of_a_generated_table_says_what_it_is() -> None:
    for name in generate.PAGES:
        text = (generate.FOLDER / name).read_text(encoding="utf-8")
        rows = [line for line in text.splitlines() if line.startswith("| `")]
        assert len(rows) > 20
        assert [row for row in rows if "|  |" in row] == []


# ── the README ───────────────────────────────────────────────────────────────────────────────


def test_the_readme_is_one_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= README_LINES


@pytest.mark.parametrize("name", ["README.md", "SECURITY.md", "CHANGELOG.md", "deploy/README.md"])
def test_links_outside_the_site_lead_somewhere(name: str) -> None:
    """Those inside it are checked when it is built."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not urlsplit(target).scheme:
            assert ((ROOT / name).parent / target).exists(), target


# ── the walk through the code ────────────────────────────────────────────────────────────────

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
STATIONS = re.findall(r"^\| \d+ \| `(app/[\w/]+\.py)` \| `([\w.]+)` \|", ARCHITECTURE, re.MULTILINE)


def names_in(path: Path) -> set[str]:
    """Functions and classes of a module, and methods as ``Class.method``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    top = [node for node in tree.body if isinstance(node, kinds)]
    inside = {
        f"{node.name}.{method.name}"
        for node in top
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, kinds)
    }
    return {node.name for node in top} | inside


@pytest.mark.parametrize(("path", "name"), STATIONS)
def test_a_station_of_the_walk_is_there(path: str, name: str) -> None:
    assert name in names_in(ROOT / path)


def test_each_walk_has_five_to_eight_stations() -> None:
    walks = ARCHITECTURE.partition("## A walk")[2].partition("\n## ")[0].split("\n### ")[1:]
    assert [walk.partition("\n")[0] for walk in walks] == [
        "One frame", "One photo", "One event", "One camera of a cluster",
    ]  # fmt: skip
    for walk in walks:
        assert 5 <= len(re.findall(r"^\| \d+ \|", walk, re.MULTILINE)) <= 8
    assert len(STATIONS) == sum(len(re.findall(r"^\| \d+ \|", w, re.MULTILINE)) for w in walks)


def test_files_that_the_architecture_names_are_there() -> None:
    named = re.findall(
        r"`((?:app|tests|docs|static|deploy|bench|training|examples)/[\w/.]*)`", ARCHITECTURE
    )
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_the_tree_names_every_package(page: str) -> None:
    tree = (ROOT / page).read_text(encoding="utf-8").partition("## The tree")[2]
    named = set(re.findall(r"^(?:  |\| `app/)(\w+)/", tree.partition("\n## ")[0], re.MULTILINE))
    packages = {path.parent.name for path in (ROOT / "app").glob("*/*.py")}
    assert len(packages) > 10
    assert packages - named == set()
