"""The demo of ``make run``: what a newcomer sees first, at 15 frames a second if all goes well.

Blur and the smoking rule at 1280 x 720, without a viewer; the demo's frames are drawn by the server
itself, which costs CPU time, too. With ``ONEDNN_MAX_CPU_ISA=AVX2`` it runs as on most small boxes.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import httpx

from bench.live import HEAD, numbers, server
from bench.table import show

ROUNDS = 2
START_S = 60


def run() -> None:
    """Print the demo's frame rate, delay and cost."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            with server(Path(folder) / str(number), "--demo") as (client, pid):
                _wait_for_demo(client)
                rows.append([number + 1, *numbers(client, ["demo"], pid)[:-1]])
    show("The demo, 1280 x 720, blur and smoking", ["round", *HEAD], rows)


def _wait_for_demo(client: httpx.Client) -> None:
    for _ in range(START_S * 10):
        reply = client.get("/api/streams/demo")
        if reply.is_success and reply.json()["data"]["status"] == "running":
            return
        time.sleep(0.1)
    raise TimeoutError("the demo does not run")


if __name__ == "__main__":
    run()
