"""Chromium with a window size, a language, and a camera."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from support.faces import decode_jpeg, portrait
from support.rtsp import Picture

OUTSIDE = "cam.example"
"""A name of this machine that browsers and the server take for another's: no loopback, no https."""

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
    f"--host-resolver-rules=MAP {OUTSIDE} 127.0.0.1",
)
NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """The browser of this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def available() -> str:
    """Why tests with a browser cannot run here; empty if they can."""
    return "" if executable() else "no Chromium on this machine (apt-get install chromium)"


@contextmanager
def chromium(camera: Path | None = None) -> Iterator[Browser]:
    """A browser with an empty profile; its camera shows a file, or else a test pattern."""
    flags = [*FLAGS, *([f"--use-file-for-fake-video-capture={camera}"] if camera else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=flags)
        try:
            yield browser
        finally:
            browser.close()


def make_camera(path: Path, size: tuple[int, int] = (640, 360), frames: int = 30) -> Path:
    """A motion JPEG for the browser's camera: a person who moves from side to side."""
    person = portrait(size[1])
    room = size[0] - person.shape[1]
    with path.open("wb") as file:
        for number in range(frames):
            image = np.full((size[1], size[0], 3), 90, np.uint8)
            left = round(room / 2 * (1 + np.sin(2 * np.pi * number / frames)))
            image[:, left : left + person.shape[1]] = person
            file.write(cv2.imencode(".jpg", image)[1].tobytes())
    return path


GRAB = """async (selector) => {
  const shown = document.querySelector(selector);
  const copy = document.createElement("canvas");
  copy.width = shown.videoWidth || shown.width;
  copy.height = shown.videoHeight || shown.height;
  copy.getContext("2d").drawImage(shown, 0, 0);
  return copy.toDataURL("image/jpeg", 0.95);
}"""


def grab(page: Page, selector: str = "#picture") -> Picture:
    """The current image of a canvas or a video of the page, BGR, in its own resolution."""
    data: str = page.evaluate(GRAB, selector)
    return decode_jpeg(base64.b64decode(data.partition(",")[2]))


BOXES = """() => {
  const canvas = document.querySelector("#boxes");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let inked = 0;
  for (let index = 3; index < data.length; index += 4) inked += data[index] > 0;
  return inked;
}"""


def inked(page: Page) -> int:
    """The number of drawn pixels on the canvas above the video."""
    return int(page.evaluate(BOXES))


# All controls, with the name that a screen reader announces.
OPERABLE = {"button", "link", "textbox", "combobox", "checkbox", "DisclosureTriangle", "img"}


def nameless(page: Page) -> list[dict[str, Any]]:
    """The controls and images of the page without an accessible name."""
    session = page.context.new_cdp_session(page)
    tree = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    return [
        node
        for node in tree
        if not node.get("ignored")
        and node.get("role", {}).get("value") in OPERABLE
        and not node.get("name", {}).get("value", "").strip()
    ]


CONTRASTS = """() => {
  const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const parse = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const brightness = ([red, green, blue]) =>
    0.2126 * channel(red / 255) + 0.7152 * channel(green / 255) + 0.0722 * channel(blue / 255);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.8) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const text = [...element.childNodes]
      .filter((node) => node.nodeType === Node.TEXT_NODE)
      .map((node) => node.data.trim())
      .join("");
    if (!text || !element.checkVisibility()) continue;
    if (element.closest(".unseen, .skip, option, :disabled")) continue;
    const one = brightness(parse(getComputedStyle(element).color));
    const other = brightness(behind(element));
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) found.push([text.slice(0, 40), Math.round(ratio * 100) / 100]);
  }
  return found;
}"""


def faint(page: Page) -> list[tuple[str, float]]:
    """Texts whose contrast is below 4.5 : 1 (WCAG AA), with their contrast."""
    return [(text, ratio) for text, ratio in page.evaluate(CONTRASTS)]
