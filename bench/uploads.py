"""Time of ``/api/upload`` on a real server: one photo after the other, and many at once.

    WATCHPOST_DATA=… ONEDNN_MAX_CPU_ISA=AVX2 python -m bench.uploads [--rapidocr] [--at-once 20]

Photos of cars are uploaded one after the other, and their time is that of the whole request. They
are sent twice: the first photos of a size also wait until the networks are compiled for it. With
``--rapidocr`` each is read by plain RapidOCR as well, in this process, while the server is idle.
Then as many as ``--at-once`` says are sent together, so often that each photo was sent once: which
are read, which are refused (429) with the time after which to try again, and whether those that
arrived first were read first. ``--max-waiting`` and ``--max-wait-s`` are the server's settings.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np

from bench.live import server
from bench.plates import rapidocr
from bench.table import show
from training.plate_lines import Photo, photos

WARM_UPS = 5
SENT_APART_S = 0.01
"""Between two requests that are sent together, so that their order is known."""


class Sent(NamedTuple):
    """One upload: its place in the order of sending, and the reply."""

    place: int
    status: int
    seconds: float
    ended_at: float
    retry_after: str


def send(client: httpx.Client, place: int, photo: Photo) -> Sent:
    """Upload one photo; status 0 is a time-out."""
    began_at = time.monotonic()
    try:
        reply = client.post("/api/upload", files={"file": (photo.path.name, photo.path.open("rb"))})
    except httpx.TimeoutException:
        return Sent(place, 0, time.monotonic() - began_at, time.monotonic(), "")
    ended_at = time.monotonic()
    retry_after = reply.headers.get("Retry-After", "")
    return Sent(place, reply.status_code, ended_at - began_at, ended_at, retry_after)


def one_by_one(client: httpx.Client, chosen: Sequence[Photo], plain: Any) -> None:
    """Time each photo's upload, twice, and plain RapidOCR on the same photo."""
    for photo in chosen[:WARM_UPS]:
        send(client, 0, photo)
    times: dict[str, list[float]] = {}
    for name in ("upload, first round", "upload, second round"):
        times[name] = [send(client, 0, photo).seconds * 1000 for photo in chosen]
    if plain is not None:
        times["plain RapidOCR"] = [_seconds(plain, photo) * 1000 for photo in chosen]
    rows = []
    for name, own in times.items():
        p50, p95 = np.percentile(own, [50, 95])
        rows.append([name, len(own), f"{p50:.0f}", f"{p95:.0f}", f"{p95 / p50:.1f}"])
    show("One after the other", ["what", "n", "p50 ms", "p95 ms", "p95 / p50"], rows)


def _seconds(plain: Any, photo: Photo) -> float:
    import cv2

    began_at = time.monotonic()
    plain(cv2.imread(str(photo.path)))
    return time.monotonic() - began_at


def together(client: httpx.Client, chosen: Sequence[Photo], at_once: int) -> None:
    """Send photos in groups, and print how long each group took and in which order it was read."""
    rows = []
    for start in range(0, len(chosen) - at_once + 1, at_once):
        group = chosen[start : start + at_once]
        with ThreadPoolExecutor(at_once) as pool:
            waiting = []
            for place, photo in enumerate(group):
                waiting.append(pool.submit(send, client, place, photo))
                time.sleep(SENT_APART_S)
            replies = [each.result() for each in waiting]
        read = [reply for reply in replies if reply.status == httpx.codes.OK]
        order = [reply.place for reply in sorted(read, key=lambda reply: reply.ended_at)]
        late = max(
            (abs(at - want) for at, want in zip(order, sorted(order), strict=True)), default=0
        )
        seconds = [reply.seconds for reply in replies]
        refused = [reply for reply in replies if reply.status == httpx.codes.TOO_MANY_REQUESTS]
        rows.append(
            [
                dict(Counter(reply.status for reply in replies)),
                f"{statistics.median(seconds):.1f}",
                f"{max(seconds):.1f}",
                late,
                ", ".join(sorted({reply.retry_after for reply in refused})) or "-",
            ]
        )
    head = ["replies", "p50 s", "slowest s", "places out of order", "Retry-After s"]
    show(f"{at_once} at once", head, rows)


def main(arguments: list[str]) -> None:
    """Start a server, upload to it and print the tables."""
    parser = argparse.ArgumentParser(prog="bench uploads", description=__doc__)
    parser.add_argument("--rapidocr", action="store_true", help="also time plain RapidOCR")
    parser.add_argument("--at-once", type=int, default=20, help="uploads that are sent together")
    parser.add_argument("--max-waiting", type=int, help="the server's setting")
    parser.add_argument("--max-wait-s", type=float, help="the server's setting")
    parser.add_argument("--every", type=int, default=1, help="only every Nth photo")
    parser.add_argument("--only-together", action="store_true", help="not one after the other")
    chosen = parser.parse_args(arguments)
    data = os.environ.get("WATCHPOST_DATA")
    if not data:
        sys.exit("set WATCHPOST_DATA to the folder with the photos")
    for name in ("max_waiting", "max_wait_s"):
        if getattr(chosen, name) is not None:
            os.environ[f"WATCHPOST_PLATES__{name.upper()}"] = str(getattr(chosen, name))
    cars = [photo for photo in photos(Path(data)) if photo.box is not None][:: chosen.every]
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (client, _):
        if not chosen.only_together:
            one_by_one(client, cars, rapidocr() if chosen.rapidocr else None)
        together(client, cars, chosen.at_once)


if __name__ == "__main__":
    main(sys.argv[1:])
