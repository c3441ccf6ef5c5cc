"""Push streams over a real server and real sockets: their latency, and the cost of viewers.

Latency: each client sends a 720p JPEG, and the next one when its ack arrives. Viewers: one client
pushes at a steady rate, and 1 or 200 clients in a separate process watch the stream as MJPEG, in
turn; the server's CPU time is compared.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from app.pipeline.sources.demo import camera_view, demo_photos
from bench.live import ROOT, _cpu_seconds, _free_port, _wait
from bench.table import show

PUSHERS = (1, 8)
WARM_UP_S, MEASURE_S = 4.0, 15.0
VIEWERS = (1, 200)
VIEWED_FPS = 5.0
ROUNDS = 3
Timing = dict[str, float]


def run() -> None:
    """Print a table of latencies, and one of the cost of viewers."""
    jpegs = _jpegs()
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for count in PUSHERS:
            with _server(Path(folder) / f"push{count}") as (port, _):
                rows.append([count, *asyncio.run(_latency(port, jpegs, count))])
        size = f"{statistics.mean(map(len, jpegs)) / 1024:.0f} KiB"
        head = ["clients", "total frames/s", "p50 ms", "p95 ms", "server p50 ms", "dropped"]
        show(f"720p JPEG ({size}) in, JSON out, each client paced by its acks", head, rows)
        with _server(Path(folder) / "viewers") as (port, pid):
            rounds = [_viewing(port, pid, jpegs) for _ in range(ROUNDS)]
    rows = [
        [
            "1 → 200",
            *(f"{many['cpu']:.2f} / {one['cpu']:.2f}" for one, many in rounds),
            f"{statistics.median(many['cpu'] / one['cpu'] for one, many in rounds):.2f}",
            min(int(many["fewest"]) for _, many in rounds),
        ]
    ]
    head = ["MJPEG viewers", *(f"CPU cores {n + 1}" for n in range(ROUNDS)), "ratio", "fewest"]
    show(
        f"200 viewers against 1, 720p at {VIEWED_FPS:g} fps; fewest frames of a viewer",
        head,
        rows,
    )


def _jpegs() -> list[bytes]:
    """Return JPEGs of quality 80, 1280 x 720, of the demo's wandering camera."""
    photos = [np.asarray(cv2.imread(str(photo)), np.uint8) for photo in demo_photos()]
    views = [camera_view(photos, second * 0.5) for second in range(48)]
    return [bytes(cv2.imencode(".jpg", v, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]) for v in views]


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[tuple[int, int]]:
    """Start a separate server; yield its port and process id."""
    port = _free_port()
    command = [sys.executable, str(ROOT / "run.py"), "--port", str(port), "--log-level", "error"]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--data-dir", str(folder)],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "WATCHPOST_FACES__TIMEOUT_S": "20"},
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=90) as client:
            _wait(client)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait()


def _request(port: int) -> str:
    """Request a stream without analytics, which are measured elsewhere."""
    made = httpx.post(f"http://127.0.0.1:{port}/stream/request", json={"analytics": []}, timeout=60)
    return str(made.raise_for_status().json()["stream_id"])


def _connect(port: int, stream_id: str) -> connect:
    return connect(f"ws://127.0.0.1:{port}/ws/stream/{stream_id}", compression=None, proxy=None)


async def _answer(socket: ClientConnection) -> dict[str, object]:
    while True:
        message: dict[str, object] = json.loads(await socket.recv())
        if message["type"] in ("ack", "dropped", "error"):
            return message


# ── latency ──────────────────────────────────────────────────────────────────────────────────


async def _latency(port: int, jpegs: list[bytes], count: int) -> list[object]:
    begin = time.monotonic() + WARM_UP_S
    clients = [_push(port, jpegs, begin, begin + MEASURE_S) for _ in range(count)]
    timings = [timing for each in await asyncio.gather(*clients) for timing in each]
    total = sorted(timing["total"] for timing in timings)
    server = statistics.median(timing["server"] for timing in timings)
    p50, p95 = (total[int(share * (len(total) - 1))] for share in (0.5, 0.95))
    dropped = int(sum(timing["dropped"] for timing in timings))
    return [f"{len(timings) / MEASURE_S:.1f}", f"{p50:.0f}", f"{p95:.0f}", f"{server:.0f}", dropped]


async def _push(port: int, jpegs: list[bytes], begin: float, end: float) -> list[Timing]:
    """Push to a new stream; return the times in milliseconds of frames sent after ``begin``."""
    timings: list[Timing] = []
    async with _connect(port, _request(port)) as socket:
        number = 0
        while (sent_at := time.monotonic()) < end:
            await socket.send(jpegs[number % len(jpegs)])
            number += 1
            answer = await _answer(socket)
            if answer["type"] == "ack" and sent_at >= begin:
                total = (time.monotonic() - sent_at) * 1000
                server = answer["timing"]["total_ms"]  # type: ignore[index]
                dropped = float(answer["dropped"])  # type: ignore[arg-type]
                timings.append({"total": total, "server": server, "dropped": dropped})
    return timings


# ── viewers ──────────────────────────────────────────────────────────────────────────────────


def _viewing(port: int, pid: int, jpegs: list[bytes]) -> list[Timing]:
    """Return the server's CPU cores and the fewest frames of a viewer, with 1 and 200 viewers."""
    return [asyncio.run(_viewed(port, pid, jpegs, count)) for count in VIEWERS]


async def _viewed(port: int, pid: int, jpegs: list[bytes], count: int) -> Timing:
    stream_id = _request(port)
    async with _connect(port, stream_id) as socket:
        pushing = asyncio.create_task(_push_steadily(socket, jpegs))
        viewers = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.push", str(port), stream_id, str(count)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert viewers.stdout is not None
        await viewers.stdout.readline()  # all of them have their first frame
        (before, _), started_at = _cpu_seconds(pid), time.monotonic()
        fewest = int(await viewers.stdout.readline())
        cpu = (_cpu_seconds(pid)[0] - before) / (time.monotonic() - started_at)
        await viewers.wait()
        pushing.cancel()
    return {"cpu": cpu, "fewest": fewest}


async def _push_steadily(socket: ClientConnection, jpegs: list[bytes]) -> None:
    due, number = time.monotonic(), 0
    while True:
        await socket.send(jpegs[number % len(jpegs)])
        await _answer(socket)
        number += 1
        due = max(due + 1 / VIEWED_FPS, time.monotonic())
        await asyncio.sleep(due - time.monotonic())


async def _watch_all(port: int, stream_id: str, count: int) -> None:
    """Print ``ready``, then the fewest frames that a viewer received in ``MEASURE_S``."""
    received = [0] * count
    watching = [asyncio.create_task(_watch(port, stream_id, received, n)) for n in range(count)]
    while not all(received):
        await asyncio.sleep(0.1)
    before = list(received)
    print("ready", flush=True)
    await asyncio.sleep(MEASURE_S)
    print(min(now - then for now, then in zip(received, before, strict=True)), flush=True)
    for task in watching:
        task.cancel()


async def _watch(port: int, stream_id: str, received: list[int], number: int) -> None:
    """Read an MJPEG response, as cheaply as Python can, and count its frames."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    writer.write(f"GET /stream/video/{stream_id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    while line := await reader.readline():
        if line.startswith(b"Content-Length: "):
            await reader.readexactly(int(line.split()[1]))
            received[number] += 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("stream_id")
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    asyncio.run(_watch_all(options.port, options.stream_id, options.count))
