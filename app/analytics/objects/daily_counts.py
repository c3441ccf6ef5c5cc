"""What streams have counted since midnight; it outlives the runs of a stream."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import date

from app.places import CountKey, DayCounts

MAX_STREAMS = 1000


class DailyCounts:
    """The counts of all streams, each of its newest day. Safe to use from all threads.

    Only the newest ``MAX_STREAMS`` streams that count are kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._days: dict[str, DayCounts] = {}
        self._changed: set[str] = set()

    def add(self, stream_id: str, day: date, key: CountKey) -> None:
        """Count one. With the first of a new day, those of the day before are forgotten."""
        with self._lock:
            counts = dict(self._of(stream_id, day))
            counts[key] = counts.get(key, 0) + 1
            self._keep(DayCounts(stream_id, day, counts))

    def merge(self, more: DayCounts) -> None:
        """Add counts of a day; those of a day that is over are dropped."""
        with self._lock:
            known = self._days.get(more.stream_id)
            if not more.counts or (known is not None and known.day > more.day):
                return
            counts = dict(self._of(more.stream_id, more.day))
            for key, count in more.counts.items():
                counts[key] = counts.get(key, 0) + count
            self._keep(DayCounts(more.stream_id, more.day, counts))

    def newest(self, stream_id: str) -> DayCounts | None:
        """The counts of a stream on its newest day; None if it has counted nothing."""
        with self._lock:
            return self._days.get(stream_id)

    def of(self, stream_id: str, day: date) -> dict[CountKey, int]:
        """The counts of a stream on a day, by what is counted."""
        with self._lock:
            return dict(self._of(stream_id, day))

    def restore(self, stored: Iterable[DayCounts]) -> None:
        """Go on from counts that were stored."""
        with self._lock:
            for counts in stored:
                self._days.setdefault(counts.stream_id, counts)

    def take_changed(self) -> list[DayCounts]:
        """The counts that have changed since the last call."""
        with self._lock:
            changed = [self._days[stream_id] for stream_id in sorted(self._changed)]
            self._changed.clear()
            return changed

    def put_back(self, counts: Iterable[DayCounts]) -> None:
        """Note again that these have changed: they could not be stored."""
        with self._lock:
            self._changed |= {one.stream_id for one in counts if one.stream_id in self._days}

    def _keep(self, counts: DayCounts) -> None:
        self._days.pop(counts.stream_id, None)
        self._days[counts.stream_id] = counts
        self._changed.add(counts.stream_id)
        if len(self._days) > MAX_STREAMS:
            oldest = next(iter(self._days))
            del self._days[oldest]
            self._changed.discard(oldest)

    def _of(self, stream_id: str, day: date) -> dict[CountKey, int]:
        found = self._days.get(stream_id)
        return {} if found is None or found.day != day else dict(found.counts)
