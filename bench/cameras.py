"""Eight file cameras at ten and at five frames per second: their frame rates, fairness and cost.

The server under test plays the files itself, at their own speed, and runs the bag rule on each.
Then a ninth camera is added that never responds, and the eight are measured again. "objects/s" is
how often objects are detected in each, which a busy machine does less often.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench import clip
from bench.table import show

CAMERAS, RATES = 8, (10, 5)
CONFIGURED_OBJECT_FPS = 5.0
WARM_UP_S, MEASURE_S = 10, 20
ROOT = Path(__file__).resolve().parent.parent
CLIPS = ("left_bag_outdoor.avi", "indoor_people_one_by_one.mp4", "plaza_crowd_720p.mp4")


def run(rates: Sequence[int] = RATES) -> None:
    """Print a table of each camera, and one of the totals, for each of these frame rates."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.fake_rtsp import FakeRtsp
    from support.watchpost import free_port

    for fps in rates:
        _run(fps, _files(), free_port(), FakeRtsp)


def _run(fps: int, files: list[Path], port: int, silent_camera: Any) -> None:
    rows: list[list[object]] = []
    sums: list[list[object]] = []
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder), port, files) as site:
        for number in range(CAMERAS):
            _add(site.http, f"cam{number}", str(files[number % len(files)]), fps)
        each, total = _measure(site, "eight")
        rows += each
        sums.append(total)
        with silent_camera() as silent:
            _add(site.http, "hangs", silent.url(), fps)
            each, total = _measure(site, "eight and one that hangs")
            rows += each
            sums.append(total)
    head = ["cameras", "camera", "file", "fps", "latency p50 ms", "p95 ms", "dropped"]
    head.append("objects/s")
    show(f"Eight file cameras at {fps} fps with the bag rule", head, rows)
    head = ["cameras", "total fps", "lowest", "fairness", "median p95 ms", "CPU cores", "MiB"]
    show("Totals (fairness: Jain's index, 1 is even)", head, sums)


class _Site:
    """A running server."""

    def __init__(self, http: httpx.Client, pid: int) -> None:
        self.http = http
        self.process = psutil.Process(pid)

    def cpu_s(self) -> float:
        return sum(sum(p.cpu_times()[:2]) for p in self._family())

    def mib(self) -> float:
        return sum(p.memory_info().rss for p in self._family()) / 2**20

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@contextmanager
def _server(folder: Path, port: int, files: list[Path]) -> Iterator[_Site]:
    command = [sys.executable, str(ROOT / "run.py"), "--port", str(port), "--log-level", "error"]
    for parent in sorted({str(file.parent) for file in files}):
        command += ["--media-dir", parent]
    server = subprocess.Popen(
        [*command, "--data-dir", str(folder)],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "WATCHPOST_STREAMS__START_TIMEOUT_S": "90"},
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as http:
            for _ in range(600):
                try:
                    http.get("/healthz")
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield _Site(http, server.pid)
    finally:
        server.terminate()
        server.wait()


def _files() -> list[Path]:
    folder = Path(os.environ.get("WATCHPOST_DATA", "")) / "videos"
    there = [folder / name for name in CLIPS if (folder / name).exists()]
    return there or [clip.make(20)]


def _add(http: httpx.Client, camera_id: str, source: str, fps: int) -> None:
    body = {"camera_id": camera_id, "source": source, "max_fps": fps, "loop": True}
    if "://" in source:
        del body["loop"]
    http.post("/cameras", json={**body, "analytics": ["bags"]}).raise_for_status()


def _measure(site: _Site, name: str) -> tuple[list[list[object]], list[object]]:
    """Return a row for each camera, and the row of the totals."""
    time.sleep(WARM_UP_S)
    before, cpu, began = _numbers(site.http), site.cpu_s(), time.monotonic()
    time.sleep(MEASURE_S)
    after, seconds = _numbers(site.http), time.monotonic() - began
    cores = (site.cpu_s() - cpu) / seconds
    rows: list[list[object]] = []
    rates: list[float] = []
    for camera_id, now in sorted(after.items()):
        then, latency = before[camera_id]["numbers"], now["numbers"]["latency_ms"]
        numbers = now["numbers"]
        rate = (numbers["frames_published"] - then["frames_published"]) / seconds
        dropped = numbers["frames_dropped"] - then["frames_dropped"]
        rates.append(rate)
        p50, p95 = latency["p50"], latency["p95"]
        file = Path(now["source"]).name
        objects = f"{now['object_fps']:.1f}"
        rows.append([name, camera_id, file, f"{rate:.1f}", p50, p95, dropped, objects])
    fair = sum(rates) ** 2 / max(1e-9, len(rates) * sum(rate**2 for rate in rates))
    p95 = statistics.median(float(row[5] or 0) for row in rows)  # type: ignore[arg-type]
    total = [f"{sum(rates):.1f}", f"{min(rates):.1f}", f"{fair:.3f}", f"{p95:.0f}"]
    return rows, [name, *total, f"{cores:.2f}", f"{site.mib():.0f}"]


def _numbers(http: httpx.Client) -> dict[str, dict[str, Any]]:
    reduced = {row["camera_id"]: row["reduced"] or {} for row in http.get("/cameras").json()}
    cameras: dict[str, dict[str, Any]] = {}
    for camera_id in (f"cam{n}" for n in range(CAMERAS)):
        object_fps = reduced[camera_id].get("object_fps")
        object_fps = CONFIGURED_OBJECT_FPS if object_fps is None else object_fps
        cameras[camera_id] = {**http.get(f"/camera/{camera_id}").json(), "object_fps": object_fps}
    return cameras
