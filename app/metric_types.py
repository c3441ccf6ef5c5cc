"""Numbers that any thread may add to and anybody may read: what ``/metrics`` is made of.

Nothing here knows who reads them, or when; counting costs about two microseconds.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class HistogramSnapshot:
    """A histogram at one moment.

    Attributes:
        buckets: upper bounds and how many values were not above them; the last bound is
            infinite, so its count is that of all values.
        total: sum of all values.
    """

    buckets: tuple[tuple[float, int], ...]
    total: float

    @property
    def count(self) -> int:
        return self.buckets[-1][1]


class Histogram:
    """How often values fell below each of a few bounds.

    Args:
        bounds: ascending, finite.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = (*bounds, float("inf"))
        self._counts = [0] * len(self._bounds)
        self._total = 0.0
        self._lock = threading.Lock()

    def observe(self, value: float) -> None:
        with self._lock:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._total += value

    def read(self) -> HistogramSnapshot:
        with self._lock:
            counts, total = tuple(self._counts), self._total
        return HistogramSnapshot(tuple(zip(self._bounds, accumulate(counts), strict=True)), total)


class CounterMap(Generic[K]):
    """How often each of a few things happened. Its keys come from the program, never from users.

    Args:
        known: keys that are there from the beginning, at 0.
    """

    def __init__(self, *known: K) -> None:
        self._counts: Counter[K] = Counter(dict.fromkeys(known, 0))
        self._lock = threading.Lock()

    def add(self, key: K, count: int = 1) -> None:
        with self._lock:
            self._counts[key] += count

    def read(self) -> dict[K, int]:
        with self._lock:
            return dict(self._counts)
