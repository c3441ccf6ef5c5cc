"""Draw the icons that phones need from ``public/icon.svg``.

Run it with ``.venv/bin/python web/scripts/icons.py``. It needs the development packages and
Chromium; set ``CHROMIUM`` if it is elsewhere.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PUBLIC = Path(__file__).parents[1] / "public"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
MASKED = 0.72
"""Share of a maskable icon within which no system cuts anything off."""


def draw(page: Page, svg: str, name: str, size: int) -> None:
    page.set_viewport_size({"width": size, "height": size})
    page.set_content(f"<style>*{{margin:0}}svg{{display:block;width:{size}px}}</style>{svg}")
    page.screenshot(path=PUBLIC / f"{name}.png", omit_background=True)


def main() -> None:
    icon = (PUBLIC / "icon.svg").read_text(encoding="utf-8")
    square = icon.replace(' rx="8"', "", 1)
    edge = 32 * (1 / MASKED - 1) / 2
    box = f"{-edge} {-edge} {32 + 2 * edge} {32 + 2 * edge}"
    masked = icon.replace("0 0 32 32", box, 1).replace(
        '<rect width="32" height="32" rx="8"', '<rect x="-16" y="-16" width="64" height="64"', 1
    )
    outline = re.sub(r"<rect [^>]*rx=\"8\"[^>]*/>", "", icon).replace("#8be3d0", "#fff")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        for size in (192, 512):
            draw(page, icon, f"icon-{size}", size)
        draw(page, square, "icon-180", 180)
        draw(page, masked, "icon-maskable-512", 512)
        draw(page, outline, "badge-96", 96)
        browser.close()


if __name__ == "__main__":
    main()
