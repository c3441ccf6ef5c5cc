"""Readers of published streams."""

from __future__ import annotations

import time

import av

from support.rtsp import Picture, read_frames

RELAY_LATENCY_S = 1.0
"""The test's RTSP server shows a stream only some 50 ms after it took its first picture."""


def read_at_once(url: str, count: int = 1, timeout: float = 20) -> list[Picture]:
    """Read frames right after the stream was reported as running."""
    deadline = time.monotonic() + RELAY_LATENCY_S
    while True:
        try:
            return read_frames(url, count, timeout)
        except av.HTTPNotFoundError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def frame_times(url: str, count: int) -> list[float]:
    """The presentation times, in seconds, of ``count`` successive frames of a stream."""
    times: list[float] = []
    with av.open(url, options={"rtsp_transport": "tcp"}, timeout=20) as container:
        for frame in container.decode(video=0):
            times.append(float(frame.time or 0))
            if len(times) == count:
                break
    return times
