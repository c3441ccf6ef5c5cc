"""A camera's substream: a second, smaller one, in which objects are looked for.

It is read in a thread of its own. Whatever happens to it, the camera's first stream goes on: while
the second one is lost or late there is no frame of it, and the first one is looked at instead.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

from app.config import StreamSettings
from app.pipeline.sources.av import AvSource
from app.pipeline.sources.decode_plan import Demand
from app.pipeline.stream_metrics import RateCounter
from app.types import Frame, StreamSpec, SubstreamStats

KEPT = 8  # frames: half a second of most substreams
MAX_APART_S = 0.2  # a frame that is farther away in time shows something else
MAX_SKEW_S = 1.0  # clocks of one camera that differ by more are not to be trusted
MAX_AGE_S = 1.0  # a stream whose newest frame is older does not run


class Substream:
    """The newest frames of a substream, by the clock of the camera's first stream."""

    def __init__(self, spec: StreamSpec, settings: StreamSettings) -> None:
        assert spec.detect_url is not None
        self._source = AvSource(replace(spec, source=spec.detect_url, detect_url=None), settings)
        self._source.demand = lambda: Demand.LOOKS
        self._lock = threading.Lock()
        self._frames: deque[Frame] = deque(maxlen=KEPT)
        self._rate = RateCounter()
        self._skew_s = 0.0
        self._apart_s: float | None = None

    def read(self, stopping: threading.Event, on_frame: Callable[[], None]) -> None:
        """Read frames until the stream ends.

        Args:
            stopping: set when the stream is about to end.
            on_frame: called when a frame has arrived.

        Raises:
            SourceError: the input failed.
        """
        try:
            self._source.open()
            for frame in self._source.frames():
                if stopping.is_set():
                    return
                if frame is not None:
                    with self._lock:
                        self._frames.append(frame)
                        self._rate.add(time.monotonic())
                    on_frame()
        finally:
            with self._lock:
                self._frames.clear()
            self._source.close()

    def match_clock(self, first: Frame) -> None:
        """Compare the clocks of both streams, by a frame of the first one.

        Each frame's capture time is estimated from its arrival, so the difference of both encoders
        and ways is left. The camera's own clock, where it states it, shows how large that is.
        """
        newest = self._newest()
        if newest is None or first.sender_ts is None or newest.sender_ts is None:
            return
        skew_s = (newest.captured_at - first.captured_at) - (newest.sender_ts - first.sender_ts)
        self._skew_s = skew_s if abs(skew_s) < MAX_SKEW_S else 0.0

    def nearest(self, captured_at: float) -> Frame | None:
        """The frame nearest to a time of the first stream; None if there is none close to it."""
        with self._lock:
            frames = list(self._frames)
        found = min(frames, key=lambda frame: abs(self._time(frame) - captured_at), default=None)
        if found is None or abs(self._time(found) - captured_at) > MAX_APART_S:
            return None
        self._apart_s = abs(self._time(found) - captured_at)
        return found

    def after(self, captured_at: float) -> Iterator[Frame]:
        """The frames after a time of the first stream, with their times on its clock."""
        with self._lock:
            frames = list(self._frames)
        for frame in frames:
            if self._time(frame) > captured_at:
                yield replace(frame, captured_at=self._time(frame))

    @property
    def is_running(self) -> bool:
        """Whether its frames arrive."""
        newest = self._newest()
        return newest is not None and time.monotonic() - newest.captured_at < MAX_AGE_S

    @property
    def longest(self) -> int:
        """The longer side of its frames in pixels; 0 without a frame."""
        newest = self._newest()
        return 0 if newest is None else max(newest.image.width, newest.image.height)

    def stats(self, stands_in: bool) -> SubstreamStats:
        """What it is used for now, its rate and its size."""
        newest, apart_s = self._newest(), self._apart_s
        serves: Literal["frames", "looks"] = "frames" if stands_in else "looks"
        with self._lock:
            fps = self._rate.per_second(time.monotonic())
        return SubstreamStats(
            serves=serves if self.is_running else None,
            fps=fps,
            width=None if newest is None else newest.image.width,
            height=None if newest is None else newest.image.height,
            apart_ms=None if apart_s is None else round(apart_s * 1000, 1),
        )

    def _newest(self) -> Frame | None:
        with self._lock:
            return self._frames[-1] if self._frames else None

    def _time(self, frame: Frame) -> float:
        return frame.captured_at - self._skew_s
