"""Thread to asyncio: the only file that crosses.

A ``Topic`` carries the newest value of something (a stream's JPEG, its status) from the thread
that makes it to any number of coroutines. A subscriber that is slow misses values and slows
nobody: there is one slot for the newest value, not a queue. However often a thread publishes,
the loop is woken at most once until it has caught up.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Topic(Generic[T]):
    """Newest value wins. ``publish`` and ``close`` may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._newest: T | None = None
        self._version = 0
        self._closed = False
        self._wake_pending = False
        self._waiting: set[asyncio.Event] = set()

    @property
    def wanted(self) -> bool:
        """Whether anybody listens; whoever makes costly values asks first."""
        return bool(self._waiting)

    def publish(self, value: T) -> None:
        with self._lock:
            self._newest = value
            self._version += 1
        self._wake_soon()

    def close(self) -> None:
        """End every subscription after the value that is there."""
        with self._lock:
            self._closed = True
        self._wake_soon()

    async def subscribe(self) -> AsyncIterator[T]:
        """Yield each value that is newest when the subscriber is ready for one."""
        event = asyncio.Event()
        seen = self._version
        self._waiting.add(event)
        try:
            while True:
                with self._lock:
                    version, value, closed = self._version, self._newest, self._closed
                if version != seen and value is not None:
                    seen = version
                    yield value
                elif closed:
                    return
                else:
                    await event.wait()
                event.clear()
        finally:
            self._waiting.discard(event)

    def _wake_soon(self) -> None:
        with self._lock:
            if self._wake_pending:
                return
            self._wake_pending = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        with self._lock:
            self._wake_pending = False
        for event in self._waiting:
            event.set()


async def outcome(future: concurrent.futures.Future[T], timeout_s: float) -> T:
    """Wait for what a thread will say, without cancelling it when the wait ends.

    Raises:
        TimeoutError: when it says nothing within ``timeout_s``.
    """
    return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), timeout_s)
