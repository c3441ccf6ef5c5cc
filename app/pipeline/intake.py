"""Chooses which frames of a source are processed, and how many at the same time."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

from app.budget import StreamBudget
from app.pace import RateLimit
from app.pipeline.channel import FILE_QUEUE, Channel
from app.pipeline.stream_metrics import RateCounter
from app.types import Rate, StreamSpec
from app.urls import scheme_of

IN_PROGRESS = 2
"""Frames of a live stream that are processed at the same time: the network looks at one while
another is blurred or turned to pixels. With more, each only waits for the others."""
SLOW, FAST = 2.0, 1.0
"""Intervals between frames. When processing one takes longer than the first, other streams use the
cores, and a second frame in progress would only be old when it is shown: there is one at a time,
until one takes less than the second."""
RECENT_S = 5.0
ENOUGH = 0.9  # of the frames of the source
WARM_UP_S = 10.0
"""After its first frame: networks are compiled, which says nothing about the machine's speed."""
WAITED = 0.5  # intervals; what a newer frame replaces sooner came in a burst


class Numbered(Protocol):
    """A frame, as far as this module has to know it."""

    @property
    def number(self) -> int: ...
    @property
    def captured_at(self) -> float: ...


F = TypeVar("F", bound=Numbered)


class FrameIntake(Channel[F]):
    """A place for the newest frame of a live source, or a short queue for those of a file.

    While ``IN_PROGRESS`` frames of a live source are in progress, or one on a busy machine, no
    other is handed out: it waits here, where a newer one replaces it.

    Args:
        budget: counts the frames that are replaced because the machine is too slow.
        on_skipped: called with the number of a frame that was replaced.
    """

    def __init__(
        self,
        spec: StreamSpec,
        *,
        live: bool,
        budget: StreamBudget | None,
        on_skipped: Callable[[int], None],
    ) -> None:
        super().__init__(1 if live else FILE_QUEUE, live=live)
        self._limit = RateLimit(spec.max_fps)
        self._interval_s = 1 / spec.max_fps
        # A client that pushes as fast as it can does not mean that the machine is too slow.
        self._budget = None if scheme_of(spec.source) == "push" else budget
        self._on_skipped = on_skipped
        self._wanted, self._taken = RateCounter(), RateCounter()
        self._skipped_at = -math.inf
        self._began: deque[float] = deque()  # of the frames in progress
        self._most = IN_PROGRESS
        self._put_at = 0.0
        self._first_at: float | None = None

    def put(self, item: F) -> F | None:
        """Add a frame unless ``max_fps`` forbids it; returns the one that was dropped for it."""
        if not self._limit.take(item.captured_at):
            return None
        oldest = super().put(item)
        now = time.monotonic()
        if oldest is not None:
            self._on_skipped(oldest.number)
            if now - self._put_at > WAITED * self._interval_s and self._count(skipped=True):
                self._skipped_at = now
        self._put_at = now
        self._wanted.add(now)
        return oldest

    def get(self, timeout: float | None = None) -> F | None:
        """Take the oldest frame once another may be in progress; ``done`` ends its progress."""
        with self._changed:
            while self.live and len(self._began) >= self._most and not self._closed:
                self._changed.wait()
        item = super().get(timeout)
        if item is not None:
            now = time.monotonic()
            with self._changed:
                self._began.append(now)
            self._taken.add(now)
            self._count(skipped=False)
        return item

    def _count(self, *, skipped: bool) -> bool:
        """Count a frame in the budget; returns whether it counts."""
        now = time.monotonic()
        self._first_at = self._first_at or now
        if self._budget is None or now - self._first_at < WARM_UP_S:
            return False
        self._budget.count(skipped=skipped)
        return True

    @property
    def slower(self) -> Rate | None:
        """How many frames a second are processed, if the machine cannot process all."""
        now = time.monotonic()
        rate = Rate(self._taken.per_second(now), self._wanted.per_second(now))
        lately = now - self._skipped_at < RECENT_S
        return rate if lately and rate.now < ENOUGH * rate.wanted else None

    @property
    def busy(self) -> bool:
        """Whether frames take so long that there is one at a time."""
        return self._most < IN_PROGRESS

    def done(self) -> None:
        """Note that a frame was processed, or withheld."""
        with self._changed:
            took_s = time.monotonic() - self._began.popleft()
            apart_s = self._apart_s
            if self._budget is not None and took_s > SLOW * apart_s:
                self._most = 1
            elif took_s < FAST * apart_s:
                self._most = IN_PROGRESS
            self._changed.notify_all()

    @property
    def _apart_s(self) -> float:
        """The time between two frames: longer than ``max_fps`` allows if the source sends fewer."""
        rate = self._wanted.per_second(time.monotonic())
        return max(self._interval_s, 1 / rate) if rate else self._interval_s
