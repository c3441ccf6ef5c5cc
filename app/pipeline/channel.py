"""Bounded queues between threads, for live sources and for files."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

FILE_QUEUE = 4
"""Frames of a file that may wait between two threads."""


class Closed(Exception):
    """The channel was closed and nothing is left in it."""


class Channel(Generic[T]):
    """A bounded queue between two threads.

    A live producer must never wait, so the oldest item is dropped and counted. A file must not
    lose an item, so its producer waits for room.

    Args:
        size: how many items may wait.
        live: drop the oldest (True) or make ``put`` wait (False).
    """

    def __init__(self, size: int, *, live: bool) -> None:
        self.live = live
        self.dropped = 0
        self._size = size
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: T) -> T | None:
        """Add an item; returns the one that was dropped for it.

        Raises:
            Closed: the channel was closed before, or while waiting.
        """
        with self._changed:
            while not self.live and len(self._items) >= self._size and not self._closed:
                self._changed.wait()
            if self._closed:
                raise Closed
            oldest: T | None = None
            if len(self._items) >= self._size:
                oldest = self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()
            return oldest

    def get(self, timeout: float | None = None) -> T | None:
        """Take the oldest item, or None after ``timeout`` seconds without one.

        Raises:
            Closed: the channel is closed and empty.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._items:
                if self._closed:
                    raise Closed
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self, *, discard: bool = False) -> None:
        """Accept no more items. Those that wait are still handed out, unless ``discard``."""
        with self._changed:
            self._closed = True
            if discard:
                self._items.clear()
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._items)


class Broadcast(Generic[T]):
    """Sends every item of one thread to any number of others, which never slow it down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channels: tuple[Channel[T], ...] = ()
        self._closed = False

    @property
    def wanted(self) -> bool:
        """Whether there are subscribers."""
        return bool(self._channels)

    def publish(self, item: T) -> None:
        """Send an item to all subscribers."""
        for channel in self._channels:
            with contextlib.suppress(Closed):  # its thread left just now
                channel.put(item)

    @contextlib.contextmanager
    def subscribed(self, size: int) -> Iterator[Channel[T]]:
        """Every item from here on; where more than ``size`` wait, the oldest is dropped."""
        channel: Channel[T] = Channel(size, live=True)
        with self._lock:
            self._channels = (*self._channels, channel)
            if self._closed:
                channel.close()
        try:
            yield channel
        finally:
            with self._lock:
                self._channels = tuple(other for other in self._channels if other is not channel)
            channel.close(discard=True)

    def close(self) -> None:
        """End all subscriptions; items that wait are still handed out."""
        with self._lock:
            self._closed = True
            for channel in self._channels:
                channel.close()
