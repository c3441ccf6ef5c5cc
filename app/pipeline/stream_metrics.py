"""The counters and rates of a stream. Safe to use from all its threads."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from app.metric_types import HistogramSnapshot, histogram
from app.pace import unix_time
from app.types import StreamStats

WINDOW_S = 5.0
RECENT_S = 60.0
LATENCIES = 512
LATENCY_BOUNDS_S = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


class RateCounter:
    """Events a second over the last five seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: deque[tuple[float, int]] = deque()

    def add(self, now: float, count: int = 1) -> None:
        """Count the events since the last call, the newest of them now."""
        with self._lock:
            self._counts.append((now, count))
            self._forget(now)

    def per_second(self, now: float) -> float:
        with self._lock:
            self._forget(now)
            if len(self._counts) < 2:
                return 0.0
            first_at, first = self._counts[0]
            later = sum(count for _, count in self._counts) - first
            # Frames that waited while a connection opened leave in one burst: that is not a rate.
            return round(later / max(now - first_at, 1.0), 2)

    def _forget(self, now: float) -> None:
        while self._counts and now - self._counts[0][0] > WINDOW_S:
            self._counts.popleft()


class StreamGauges(NamedTuple):
    """The measurements of a run that only operators need.

    Attributes:
        latency: seconds from the camera to the far end.
        waiting: how many frames wait between its threads, by queue.
    """

    latency: HistogramSnapshot
    waiting: dict[str, int]


class StreamMetrics:
    """Counters of one run of one stream.

    Attributes:
        latency: seconds from the camera to the far end, of every frame.
    """

    def __init__(self) -> None:
        self.latency = histogram(
            "stream_latency_seconds", "From the camera to the far end.", LATENCY_BOUNDS_S
        )
        self._lock = threading.Lock()
        self._started_at = time.monotonic()
        self._input, self._output = RateCounter(), RateCounter()
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._counts = dict.fromkeys(("in", "skipped", "published", "withheld", "errors"), 0)
        self._reconnects = 0
        self._faces = 0
        self._last_error: str | None = None
        self._well_since = math.inf
        self._last_frame_ts: float | None = None
        self._size: tuple[int, int] | None = None
        self.last_delivered_at: float | None = None

    def frame_in(self, arrived: int = 1) -> None:
        """Count a frame of the source, and those before it that were not decoded."""
        with self._lock:
            self._counts["in"] += arrived
            self._counts["skipped"] += max(0, arrived - 1)
            self._input.add(time.monotonic(), arrived)

    def withheld(self) -> None:
        with self._lock:
            self._counts["withheld"] += 1

    def seen(self, faces: int, size: tuple[int, int]) -> None:
        with self._lock:
            self._faces, self._size = faces, size

    def delivered(self, captured_at: float, delivered_at: float) -> None:
        self.latency.observe(delivered_at - captured_at)
        with self._lock:
            self._counts["published"] += 1
            self._output.add(delivered_at)
            self._latencies.append(delivered_at - captured_at)
            self.last_delivered_at = delivered_at
            self._last_frame_ts = unix_time(captured_at)

    @property
    def output_fps(self) -> float:
        with self._lock:
            return self._output.per_second(time.monotonic())

    @property
    def last_error(self) -> str | None:
        """What fails now, or failed until less than ``RECENT_S`` seconds ago."""
        return self._last_error if time.monotonic() - self._well_since < RECENT_S else None

    def error(self, text: str) -> None:
        with self._lock:
            self._counts["errors"] += 1
            self._last_error, self._well_since = text, math.inf

    def recovered(self) -> None:
        """Nothing fails any more."""
        with self._lock:
            self._well_since = min(self._well_since, time.monotonic())

    def reconnect(self) -> None:
        with self._lock:
            self._reconnects += 1

    def stats(self, *, dropped: int, codec: str | None, followed: Mapping[str, int]) -> StreamStats:
        """All counters and rates now.

        Args:
            dropped: frames that the stream's channels dropped.
            followed: objects of each kind that its analytics follow.
        """
        now = time.monotonic()
        with self._lock:
            p50, p95 = _percentiles_ms(self._latencies)
            width, height = self._size or (None, None)
            return StreamStats(
                input_fps=self._input.per_second(now),
                output_fps=self._output.per_second(now),
                frames_in=self._counts["in"],
                frames_skipped=self._counts["skipped"],
                frames_dropped=dropped,
                frames_published=self._counts["published"],
                frames_withheld=self._counts["withheld"],
                faces=self._faces,
                followed=followed,
                last_frame_ts=self._last_frame_ts,
                error_count=self._counts["errors"],
                reconnects=self._reconnects,
                last_error=self.last_error,
                latency_p50_ms=p50,
                latency_p95_ms=p95,
                codec=codec,
                width=width,
                height=height,
                uptime_s=round(now - self._started_at, 1),
            )


def _percentiles_ms(latencies: deque[float]) -> tuple[float | None, float | None]:
    if not latencies:
        return None, None
    ordered = sorted(latencies)
    return tuple(round(ordered[int(share * (len(ordered) - 1))] * 1000, 1) for share in (0.5, 0.95))  # type: ignore[return-value]
