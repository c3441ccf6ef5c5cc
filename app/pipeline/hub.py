"""The only module where threads meet asyncio.

A ``LatestValue`` passes the newest value (a stream's JPEG, its status) from a thread to any number
of coroutines. A slow subscriber misses values and slows nobody down: there is one slot for the
newest value, not a queue.

An ``EventStream`` passes every value, in order. Each subscriber has a bounded queue of its own,
and can read how many values it missed.

However often a thread publishes, the loop is woken at most once until it has caught up.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _LoopWaker:
    """Wakes the coroutines that wait, from any thread, with at most one call pending."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._wake_pending = False
        self._waiting: set[asyncio.Event] = set()

    def _wake_soon(self) -> None:
        with self._lock:
            if self._wake_pending:
                return
            self._wake_pending = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: no subscriber is left
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        with self._lock:
            self._wake_pending = False
        for event in self._waiting:
            event.set()


class LatestValue(_LoopWaker, Generic[T]):
    """Passes on the newest value. ``publish`` and ``close`` may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._newest: T | None = None
        self._version = 0
        self._closed = False

    @property
    def wanted(self) -> bool:
        """Whether there are subscribers; check it before creating a costly value."""
        return bool(self._waiting)

    def publish(self, value: T) -> None:
        with self._lock:
            self._newest = value
            self._version += 1
        self._wake_soon()

    def close(self) -> None:
        """End every subscription after the newest value."""
        with self._lock:
            self._closed = True
        self._wake_soon()

    async def subscribe(self) -> AsyncGenerator[T]:
        """Yield the newest value each time the subscriber is ready for one."""
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


class EventStream(_LoopWaker, Generic[T]):
    """Passes every value, in order, to each subscriber. Any thread may call ``publish``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._closed = False
        self._subscribers: set[Subscription[T]] = set()

    @property
    def wanted(self) -> bool:
        """Whether there are subscribers."""
        return bool(self._subscribers)

    def publish(self, value: T) -> None:
        with self._lock:
            if not self._subscribers:
                return
            for subscriber in self._subscribers:
                if subscriber.wants(value):
                    subscriber.add(value)
        self._wake_soon()

    def close(self) -> None:
        """End every subscription after the values that wait."""
        with self._lock:
            self._closed = True
        self._wake_soon()

    @contextlib.contextmanager
    def subscribed(
        self, backlog: int = 256, wants: Callable[[T], bool] = lambda _: True
    ) -> Iterator[Subscription[T]]:
        """Every value from here on; at most ``backlog`` of them wait for the subscriber.

        Args:
            wants: whether a value is for this subscriber; it must be quick.
        """
        subscriber: Subscription[T] = Subscription(self, backlog, wants)
        with self._lock:
            self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            with self._lock:
                self._subscribers.discard(subscriber)

    def _waiting_for(self, subscriber: Subscription[T], *, take: bool = False) -> list[T]:
        with self._lock:
            values = list(subscriber.values)
            if take:
                subscriber.values.clear()
            return values

    async def _next(self, subscriber: Subscription[T]) -> T:
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            while True:
                with self._lock:
                    if subscriber.values:
                        return subscriber.values.popleft()
                    if self._closed:
                        raise StopAsyncIteration
                await event.wait()
                event.clear()
        finally:
            self._waiting.discard(event)


class Subscription(Generic[T]):
    """The queue of one subscriber of an ``EventStream``, iterated by one coroutine."""

    def __init__(self, stream: EventStream[T], backlog: int, wants: Callable[[T], bool]) -> None:
        self.values: deque[T] = deque(maxlen=backlog)
        self.wants = wants
        self._stream = stream
        self._missed = 0

    def add(self, value: T) -> None:
        """Called by the ``EventStream`` under its lock. A full queue loses its oldest value."""
        self._missed += len(self.values) == self.values.maxlen
        self.values.append(value)

    def missed(self) -> int:
        """How many values this subscriber missed since the last call."""
        with self._stream._lock:
            missed, self._missed = self._missed, 0
        return missed

    def waiting(self) -> list[T]:
        """The values that this subscriber has not taken yet, oldest first."""
        return self._stream._waiting_for(self)

    def take_waiting(self) -> list[T]:
        """Take all values that wait, oldest first, without waiting for another."""
        return self._stream._waiting_for(self, take=True)

    def __aiter__(self) -> Subscription[T]:
        return self

    async def __anext__(self) -> T:
        return await self._stream._next(self)


async def outcome(future: concurrent.futures.Future[T], timeout_s: float) -> T:
    """Wait for a thread's result, without cancelling the future when the wait ends.

    Raises:
        TimeoutError: there is no result within ``timeout_s``.
    """
    waiting = asyncio.wrap_future(future)
    # An error that comes after the wait must not be reported by asyncio as never retrieved.
    waiting.add_done_callback(lambda late: late.cancelled() or late.exception())
    async with asyncio.timeout(timeout_s):
        return await asyncio.shield(waiting)


class LoopThread:
    """An event loop in a thread of its own, for programs without one.

    The thread does not keep the process alive. ``call`` may be used from every other thread.
    """

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop; blocks until it is done, and returns its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def close(self) -> None:
        """End the loop and its helper threads. Coroutines that still run are cancelled."""
        self.call(self._end_tasks())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _end_tasks(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        await self.loop.shutdown_default_executor()
