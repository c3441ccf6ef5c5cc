"""A tab that shows nine cameras for a long time needs no more memory at the end than at first.

It takes a third of what ``WATCHPOST_MEMORY_MINUTES`` says; ``make test-long`` sets 30, ``make
test`` leaves it out. The server is scripted: the browser is measured and not the networks.
"""

from __future__ import annotations

import os
import time

import numpy as np
import psutil
import pytest
from playwright.sync_api import Page, expect
from support import browser as chrome
from support.scripted import ScriptedServer, camera, event

MINUTES = float(os.environ.get("WATCHPOST_MEMORY_MINUTES") or 0) / 3
CAMERAS = 9
WARM_UP = 1 / 3
SAMPLE_S = 2.0
BLOCK_S = 20.0
MIB = 2**20
GROWTH_MIB = 12
"""A picture that stays takes 1 MiB, and each camera has one a second."""

pytestmark = [
    pytest.mark.skipif(bool(chrome.available()), reason=chrome.available()),
    pytest.mark.skipif(MINUTES <= 0, reason="set WATCHPOST_MEMORY_MINUTES, or run make test-long"),
    pytest.mark.timeout(600 + 60 * MINUTES),
]


def rendering(page: Page) -> list[psutil.Process]:
    """The processes of the browser that render pages and draw them."""
    session = page.context.browser.new_browser_cdp_session()  # type: ignore[union-attr]
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return [psutil.Process(one["id"]) for one in found if one["type"] in ("renderer", "GPU")]


def test_a_wall_of_nine_cameras() -> None:
    with ScriptedServer() as server, chrome.chromium() as browser:
        server.reset()
        server.cameras = [camera(f"cam-{number}") for number in range(CAMERAS)]
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{server.url}/")
        expect(page.locator(".wall .tile")).to_have_count(CAMERAS)
        processes, began, found = rendering(page), time.monotonic(), []
        while (now := time.monotonic() - began) < MINUTES * 60:
            server.happening.put(event(int(now), "smoking_started", camera_id="cam-3"))
            used = sum(process.memory_full_info().uss for process in processes)
            found.append((now, used / MIB))
            page.wait_for_timeout(SAMPLE_S * 1000)
        assert len(server.asked) > MINUTES * 60 * CAMERAS / 3, "the pictures did not come"

    # Garbage is collected now and then, so the least of each block is compared.
    per_block = round(BLOCK_S / SAMPLE_S)
    blocks = np.array(found[: len(found) // per_block * per_block]).reshape(-1, per_block, 2)
    at_s, least = blocks[:, :, 0].mean(1), blocks[:, :, 1].min(1)
    late = at_s > MINUTES * 60 * WARM_UP
    slope, _ = np.polyfit(at_s[late], least[late], 1)
    growth = float(slope * np.ptp(at_s[late]))
    print(f"\n{least[late][0]:.0f} to {least[late][-1]:.0f} MiB, grown by {growth:.1f} MiB; ")
    print(" ".join(f"{value:.0f}" for value in least))
    assert growth < GROWTH_MIB
