"""Takes the pictures of the README and of these pages from a real server: ``make pictures``.

The server runs on a free port with a folder of its own; its cameras are the demo, an address where
nothing answers, and the videos of a folder (``VIDEOS=…``), which must allow to be published. Those
in the repository are the previews of Intel's sample videos (CC BY 4.0).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
DESK = {"width": 1440, "height": 680}
STARTS_S = 90.0
SETTLES_MS = 5000
QUALITY = 82
ROOM = {"kind": "count", "name": "Room", "points": [[0.1, 0.3], [0.9, 0.3], [0.9, 1], [0.1, 1]]}
NOBODY = "rtsp://127.0.0.1:9/stream"
"""Nothing listens there: the wall shows what it says about a camera that cannot be reached."""


@contextlib.contextmanager
def server(videos: Path | None) -> Iterator[httpx.Client]:
    """A server with cameras, and a client of it."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        command = [sys.executable, "run.py", "--port", str(port), "--data-dir", folder, "--demo"]
        if videos is not None:
            command += ["--media-dir", str(videos)]
        process = subprocess.Popen(command, cwd=ROOT)
        try:
            url = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=url, timeout=STARTS_S, trust_env=False) as client:
                wait(lambda: client.get("/healthz").status_code == 200)
                add_cameras(client, videos)
                yield client
        finally:
            process.terminate()
            process.wait()


def wait(condition: object) -> None:
    """Until a condition holds; errors of the network mean that it does not."""
    assert callable(condition)
    until = time.monotonic() + STARTS_S
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            if condition():
                return
        time.sleep(0.5)
    raise TimeoutError(f"not within {STARTS_S:g} s")


def add_cameras(client: httpx.Client, videos: Path | None) -> None:
    """The videos as cameras, and one that cannot be reached."""
    files = sorted(videos.iterdir()) if videos is not None else []
    for file in files:
        name = file.stem.replace("_", " ").capitalize()
        body = {"camera_id": file.stem, "name": name, "source": file.name, "loop": True}
        body |= {"max_fps": 8, "analytics": ["objects"], "zones": [ROOM]}
        client.post("/cameras", json=body).raise_for_status()
    gate = {"camera_id": "gate", "name": "Gate", "source": NOBODY}
    client.post("/cameras", json=gate).raise_for_status()
    count = 1 + len(files)
    wait(lambda: states(client).count("running") == count)


def states(client: httpx.Client) -> list[str]:
    """The states of all cameras."""
    return [camera["state"] for camera in client.get("/cameras").json()]


def take(
    browser: Browser,
    url: str,
    name: str,
    viewport: dict[str, int],
    scheme: str,
    *,
    person: bool = True,
) -> None:
    """Take one picture; ``person``: once somebody is in the table of detections."""
    page = open_page(browser, viewport, scheme)
    page.goto(url)
    page.wait_for_timeout(SETTLES_MS)
    if person:
        page.get_by_role("row", name="person").first.wait_for(timeout=STARTS_S * 1000)
    save(page, name)
    page.context.close()


def open_page(browser: Browser, viewport: dict[str, int], scheme: str) -> Page:
    """An empty page of a window."""
    context = browser.new_context(
        viewport=viewport,  # type: ignore[arg-type]
        color_scheme=scheme,  # type: ignore[arg-type]
        locale="en-US",
        reduced_motion="reduce",
    )
    return context.new_page()


def save(page: Page, name: str) -> None:
    """The page as a WebP image of the documentation."""
    image = Image.open(io.BytesIO(page.screenshot()))
    image.convert("RGB").save(IMAGES / f"{name}.webp", quality=QUALITY, method=6)
    print(f"docs/images/{name}.webp")


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, help="folder of videos that may be published")
    options = parser.parse_args()
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with server(options.videos) as client, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        room = str(client.base_url)
        take(browser, f"{room}/#/live", "control-room", DESK, "dark", person=False)
        take(browser, f"{room}/#/live/demo", "camera", DESK, "light")
        take(browser, f"{room}/viewer#demo", "viewer", {"width": 1200, "height": 900}, "light")
        browser.close()


if __name__ == "__main__":
    main()
