"""Live cameras: frame rate, latency and cost of 1, 2, 4, 5 and 8 streams.

A real RTSP server plays a 1080p15 clip to the server under test, which blurs it and publishes it
back. CPU and memory are those of Watchpost and its child processes. The cameras and the RTSP
server run on the same cores here, which they would not in practice: their CPU use is listed
separately.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench import clip
from bench.table import show

STREAMS = (1, 2, 4, 5, 8)
CLIPS = (clip.WANDERING, "people, one by one", "a man leaves a bag")
WARM_UP_S, MEASURE_S = 6, 12
HEAD = ("fps each", "latency p50 ms", "p95 ms", "dropped", "CPU cores", "MiB")
ROOT = Path(__file__).resolve().parent.parent


def run(
    names: Sequence[str] = CLIPS,
    counts: Sequence[int] = STREAMS,
    options: Mapping[str, Any] | None = None,
    flags: Sequence[str] = (),
) -> None:
    """Print a table for each of these clips that can be made here.

    Args:
        options: more options of each stream, such as ``{"analytics": ["bags"]}``.
        flags: of the server.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    from support import rtsp

    missing = rtsp.available()
    if missing:
        print(f"\nlive streams are not measured: {missing}")
        return
    head = ["streams", *HEAD, "CPU cores of cameras and RTSP server"]
    for name in clip.available():
        if name in names:
            with (
                tempfile.TemporaryDirectory() as folder,
                rtsp.RtspServer(serve={"cam": clip.make(20, fps=15, name=name)}) as cameras,
            ):
                place = Path(folder)
                rows = [measure(one, cameras, place, options or {}, flags) for one in counts]
            shown = " ".join([f", {json.dumps(options)}" if options else "", *flags])
            show(f"Live 1080p15 streams, RTSP to RTSP: {name}{shown}", head, rows)


def measure(
    count: int,
    cameras: object,
    folder: Path,
    options: Mapping[str, Any],
    flags: Sequence[str] = (),
) -> list[object]:
    """Run this many streams; returns the number, then the columns of ``HEAD``."""
    names = [f"cam{number}" for number in range(count)]
    with server(folder / str(count), *flags) as (client, pid):
        for number, name in enumerate(names):
            body = {
                "rtsp_url": cameras.url("/cam"),  # type: ignore[attr-defined]
                "output_url": cameras.url(f"/out{number}"),  # type: ignore[attr-defined]
                **options,
            }
            client.post(f"/api/streams/{name}/start", json=body).raise_for_status()
        return [count, *numbers(client, names, pid)]


@contextmanager
def server(folder: Path, *flags: str) -> Iterator[tuple[httpx.Client, int]]:
    """Run a server with this data folder; a client of it, and its process id."""
    port = _free_port()
    command = [sys.executable, str(ROOT / "run.py"), "--port", str(port), "--log-level", "error"]
    process = subprocess.Popen(
        [*command, "--data-dir", str(folder), *flags],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "WATCHPOST_STREAMS__START_TIMEOUT_S": "60"},
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=90) as client:
            _wait(client)
            yield client, process.pid
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(client: httpx.Client) -> None:
    for _ in range(600):
        try:
            client.get("/healthz")
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError("the server does not respond")


def numbers(client: httpx.Client, names: Sequence[str], pid: int) -> list[object]:
    """Measure these streams: the columns of ``HEAD``."""
    time.sleep(WARM_UP_S)
    before = _stats(client, names)
    cpu_before, started_at = _cpu_seconds(pid), time.monotonic()
    time.sleep(MEASURE_S)
    seconds = time.monotonic() - started_at
    cpu, others = (
        (now - then) / seconds for now, then in zip(_cpu_seconds(pid), cpu_before, strict=True)
    )
    after = _stats(client, names)
    published = [b["frames_published"] - a["frames_published"] for a, b in zip(before, after)]  # noqa: B905
    dropped = sum(b["frames_dropped"] - a["frames_dropped"] for a, b in zip(before, after))  # noqa: B905
    fps = [number / seconds for number in published]
    p50 = max(stats["latency_ms"]["p50"] for stats in after)
    p95 = max(stats["latency_ms"]["p95"] for stats in after)
    memory = sum(p.memory_info().rss for p in _family(pid)) / 2**20
    rates = f"{min(fps):.1f}" if len(names) == 1 else f"{min(fps):.1f}-{max(fps):.1f}"
    return [rates, p50, p95, dropped, f"{cpu:.2f}", f"{memory:.0f}", f"{others:.2f}"]


def _stats(client: httpx.Client, names: Sequence[str]) -> list[dict[str, Any]]:
    return [client.get(f"/api/streams/{name}").json()["data"]["stats"] for name in names]


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _cpu_seconds(pid: int) -> tuple[float, float]:
    """Return the CPU seconds of the server under test, and of all other child processes."""
    mine = {process.pid for process in _family(pid)}
    server = others = 0.0
    for process in psutil.Process().children(recursive=True):
        seconds = sum(process.cpu_times()[:2])
        if process.pid in mine:
            server += seconds
        else:
            others += seconds
    return server, others


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", action="append", help="default: three clips")
    parser.add_argument("--streams", type=int, nargs="+", default=STREAMS)
    parser.add_argument(
        "--options", type=json.loads, help='of each stream, as {"analytics": ["bags"]}'
    )
    parser.add_argument("--workers", help="of the server; above 1 it needs Ray")
    flags = parser.parse_args()
    workers = ["--workers", flags.workers] if flags.workers else []
    run(flags.clip or CLIPS, flags.streams, flags.options, workers)
