"""Live video in a browser: H.264 through Media Source beside MJPEG, on this machine.

A client pushes pictures in which a clock is painted as black and white blocks. Chromium shows the
page's player, and reads the clock from what is on its canvas. Traffic and the server's CPU time are
those of viewers without a browser, in a process of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import numpy.typing as npt
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect

from app.pipeline.sources.demo import camera_view, demo_photos
from bench.live import ROOT, _cpu_seconds, server
from bench.table import show

SIZE = (720, 480)
RATES = (5.0, 15.0)
BITS, BLOCK, BAR = 20, 24, 120
WARM_UP_S, MEASURE_S = 4.0, 10.0
VIEWERS = (1, 4)
PATHS = {"H.264": "/api/streams/{id}/video", "MJPEG": "/ws/stream/{id}?pictures=1"}
Image = npt.NDArray[np.uint8]

READ_CLOCK = """([seconds, bits, block, width, height]) => new Promise((done) => {
  const video = document.querySelector(".video-player video");
  const canvas = document.querySelector(".video-player canvas");
  const copy = new OffscreenCanvas(bits * block, block);
  const ink = copy.getContext("2d", { willReadFrequently: true });
  const fresh = [], ages = [], end = performance.now() + seconds * 1000;
  let last = -1;
  const read = () => {
    const [shown, across, down] = video.videoWidth
      ? [video, video.videoWidth, video.videoHeight] : [canvas, canvas.width, canvas.height];
    const scale = Math.min(across / width, down / height);
    const left = (across - width * scale) / 2, top = (down - height * scale) / 2;
    const area = [bits * block * scale, block * scale];
    ink.drawImage(shown, left, top, ...area, 0, 0, bits * block, block);
    const { data } = ink.getImageData(0, block / 2, bits * block, 1);
    let clock = 0;
    for (let bit = 0; bit < bits; bit++) {
      clock = clock * 2 + (data[(bit * block + block / 2) * 4] > 127 ? 1 : 0);
    }
    const age = (Date.now() % 2 ** bits - clock + 2 ** bits) % 2 ** bits;
    ages.push(age);
    if (clock !== last) fresh.push(age);
    last = clock;
    if (performance.now() < end) requestAnimationFrame(read);
    else done({ fresh: fresh.slice(1), ages });
  };
  requestAnimationFrame(read);
})"""


def run() -> None:
    """Print a table of delays, and one of traffic and CPU time."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support import browser

    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (client, pid):
        port = client.base_url.port
        if reason := browser.available():
            print(f"\nno delays: {reason}")
        else:
            rows = [row for fps in RATES for row in _delays(client, port, fps)]
            head = ["frames/s", "shown as", "frames", "p50 ms", "p95 ms", "age on screen p95 ms"]
            show(
                f"Glass to glass, {SIZE[0]}x{SIZE[1]} pushed, Chromium on this machine", head, rows
            )
        rows = _costs(client, port, pid)
    head = ["viewers", "shown as", "kbit/s a viewer", "CPU cores of the server, all in"]
    show(f"Traffic and CPU, {SIZE[0]}x{SIZE[1]} at {RATES[0]:g} frames/s", head, rows)


# ── delays ───────────────────────────────────────────────────────────────────────────────────


def _delays(client: httpx.Client, port: int | None, fps: float) -> Iterator[list[object]]:
    from support import browser

    with pushed(client, port, fps) as stream_id, browser.chromium() as chromium:
        for shown_as in PATHS:
            page = chromium.new_page(viewport={"width": 1280, "height": 800})
            if shown_as == "MJPEG":
                page.add_init_script("delete window.MediaSource; delete window.ManagedMediaSource;")
            page.goto(f"http://127.0.0.1:{port}/#/live/{stream_id}")
            page.wait_for_selector(".video-player canvas[data-frame]", timeout=60_000)
            page.keyboard.press("b")  # no boxes: the video shows itself
            time.sleep(WARM_UP_S)
            seen = page.evaluate(READ_CLOCK, [MEASURE_S, BITS, BLOCK, *SIZE])
            p50, p95 = _percentiles(seen["fresh"])
            old = _percentiles(seen["ages"])[1]
            count = len(seen["fresh"])
            yield [f"{fps:g}", shown_as, count, f"{p50:.0f}", f"{p95:.0f}", f"{old:.0f}"]
            page.close()


def _percentiles(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[int(0.95 * (len(ordered) - 1))]


# ── traffic and CPU ──────────────────────────────────────────────────────────────────────────


def _costs(client: httpx.Client, port: int | None, pid: int) -> list[list[object]]:
    rows: list[list[object]] = []
    with pushed(client, port, RATES[0]) as stream_id:
        time.sleep(WARM_UP_S)
        rows.append([0, "–", "–", f"{_cpu(pid, lambda: time.sleep(MEASURE_S)):.3f}"])
        for count in VIEWERS:
            for shown_as, path in PATHS.items():
                url = f"ws://127.0.0.1:{port}{path.format(id=stream_id)}"
                command = [sys.executable, "-m", "bench.browser", url, str(count)]
                with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as viewers:
                    assert viewers.stdout is not None
                    viewers.stdout.readline()  # all of them have their first frame
                    received: list[str] = []
                    cores = _cpu(pid, lambda v=viewers, r=received: r.append(v.stdout.readline()))  # type: ignore[misc]
                kbit_s = float(received[0]) * 8 / 1000 / MEASURE_S / count
                rows.append([count, shown_as, f"{kbit_s:.0f}", f"{cores:.3f}"])
    return rows


def _cpu(pid: int, work: Callable[[], object]) -> float:
    """CPU cores that the server uses meanwhile."""
    before, begun_at = _cpu_seconds(pid)[0], time.monotonic()
    work()
    return (_cpu_seconds(pid)[0] - before) / (time.monotonic() - begun_at)


async def _watch_all(url: str, count: int) -> None:
    """Print ``ready``, then the bytes that all viewers received in ``MEASURE_S``."""
    received = [0] * count
    watching = [asyncio.create_task(_watch(url, received, number)) for number in range(count)]
    while not all(received):
        await asyncio.sleep(0.1)
    before = sum(received)
    print("ready", flush=True)
    await asyncio.sleep(MEASURE_S)
    print(sum(received) - before, flush=True)
    for task in watching:
        task.cancel()


async def _watch(url: str, received: list[int], number: int) -> None:
    async with connect_async(url, compression=None, proxy=None, max_size=None) as socket:
        async for message in socket:
            received[number] += len(message)


# ── the clock ────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def pushed(client: httpx.Client, port: int | None, fps: float) -> Iterator[str]:
    """A push stream whose pictures show the time; its id."""
    stream_id = str(client.post("/stream/request", json={"analytics": []}).json()["stream_id"])
    over = threading.Event()
    url = f"ws://127.0.0.1:{port}/ws/stream/{stream_id}"
    thread = threading.Thread(target=_push, args=(url, fps, over), daemon=True)
    thread.start()
    try:
        yield stream_id
    finally:
        over.set()
        thread.join()


def _push(url: str, fps: float, over: threading.Event) -> None:
    photos = [np.asarray(cv2.imread(str(photo)), np.uint8) for photo in demo_photos()]
    below = (SIZE[0], SIZE[1] - BAR)  # so that no face that is covered touches the clock
    views = [cv2.resize(camera_view(photos, n / fps), below) for n in range(round(20 * fps))]
    with connect(url, compression=None, proxy=None) as socket:
        reader = threading.Thread(target=_ignore, args=(socket,), daemon=True)
        reader.start()
        due, number = time.monotonic(), 0
        while not over.is_set():
            view = cv2.copyMakeBorder(views[number % len(views)], BAR, 0, 0, 0, cv2.BORDER_CONSTANT)
            paint(np.asarray(view, np.uint8), int(time.time() * 1000))
            socket.send(bytes(cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]))
            number, due = number + 1, due + 1 / fps
            time.sleep(max(0.0, due - time.monotonic()))


def _ignore(socket: Any) -> None:
    for _ in socket:
        pass


def paint(image: Image, clock: int) -> None:
    """Paint the lowest bits of a number as blocks at the top of an image."""
    for bit in range(BITS):
        left = bit * BLOCK
        image[:BLOCK, left : left + BLOCK] = 255 * (clock >> (BITS - 1 - bit) & 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    asyncio.run(_watch_all(options.url, options.count))
