"""Locks that keep the changes of one stream, and of the streams of one input, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakValueDictionary


class StreamLock(asyncio.Lock):
    """The lock of one stream id, and how often a stop or disconnect has cancelled its start."""

    generation = 0


class StreamLocks:
    """A lock for each stream id and each input, for as long as somebody holds it.

    Args:
        fingerprint: equal for all spellings of the URL of one input.
    """

    def __init__(self, fingerprint: Callable[[str], str]) -> None:
        self._fingerprint = fingerprint
        self._locks: WeakValueDictionary[str, StreamLock] = WeakValueDictionary()

    def of(self, stream_id: str) -> StreamLock:
        """The lock that keeps the changes of one stream in order."""
        return self._locks.setdefault(stream_id, StreamLock())

    def of_input(self, source: str) -> StreamLock:
        """The lock for what finds or replaces the streams of one input."""
        return self.of(f"input {self._fingerprint(source)}")

    def next_generation(self, stream_id: str) -> StreamLock:
        """The id's lock, for ending it: a start that does not hold the lock yet is cancelled."""
        lock = self.of(stream_id)
        lock.generation += 1
        return lock
