"""The control room in a browser, and axe, which judges whether everybody can use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from playwright.sync_api import Browser, BrowserContext, Page, expect

from support.watchpost import ROOT

AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
WHY_NOT = "" if AXE.is_file() else "axe is not installed (npm --prefix web ci)"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class OpenPage(Protocol):
    """Opens a place of the room in a fresh profile; ``script`` runs before the page's own."""

    def __call__(self, place: str = "", script: str = "", **options: Any) -> Page: ...


@contextmanager
def pages(browser: Browser, base_url: str, timeout_ms: int, **usual: Any) -> Iterator[OpenPage]:
    """Open pages that are closed at the end; errors in their consoles fail the test.

    Args:
        usual: options of each profile, unless a page has others.
    """
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_page(place: str = "", script: str = "", **options: Any) -> Page:
        context = browser.new_context(**{**usual, **options})
        context.set_default_timeout(timeout_ms)
        contexts.append(context)
        page = context.new_page()
        if script:
            page.add_init_script(script)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{base_url}/{place}")
        return page

    expect.set_options(timeout=timeout_ms)
    yield open_page
    for context in contexts:
        context.close()
    assert not errors


def violations(page: Page) -> list[dict[str, Any]]:
    """What axe finds on the page, each with the elements; empty if all is well."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    options = json.dumps({"runOnly": TAGS, "resultTypes": ["violations"]})
    found = page.evaluate(f"axe.run(document, {options}).then((result) => result.violations)")
    return [
        {
            "rule": one["id"],
            "help": one["help"],
            "at": [node["html"][:150] for node in one["nodes"]],
        }
        for one in found
    ]
