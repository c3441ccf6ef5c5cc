"""The server's worker threads, background tasks, exit signals and memory."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

WORKER_THREADS = 64
CANCEL_TIMEOUT_S = 3.0
FINISH_TIMEOUT_S = 3.0
COLLECT_AFTER_S = 1.0


class WorkerThreads(ThreadPoolExecutor):
    """Threads for blocking calls; those in progress can be awaited."""

    def __init__(self) -> None:
        super().__init__(WORKER_THREADS, thread_name_prefix="worker")
        self._calls: set[Future[Any]] = set()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call in a thread."""
        call = super().submit(fn, *args, **kwargs)
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return call

    async def finish_calls(self) -> None:
        """Wait for calls in progress, for ``FINISH_TIMEOUT_S`` at most.

        A call continues when the task that waits for it is cancelled, and it may use what is
        about to be closed.
        """
        if calls := [asyncio.wrap_future(call) for call in tuple(self._calls)]:
            await asyncio.wait(calls, timeout=FINISH_TIMEOUT_S)


@contextmanager
def worker_threads() -> Iterator[WorkerThreads]:
    """Give the event loop more threads for blocking calls than by default."""
    loop = asyncio.get_running_loop()
    executor = WorkerThreads()
    loop.set_default_executor(executor)
    try:
        yield executor
    finally:
        # A loop cannot be without an executor; this one starts no thread before it is used.
        loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="worker"))
        executor.shutdown(wait=False)


@asynccontextmanager
async def background(
    work: Coroutine[Any, Any, None], name: str, grace_s: float = 0.0
) -> AsyncIterator[None]:
    """Run a coroutine as a task; on leaving, it is cancelled if it does not end in ``grace_s``."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_log_failure)
    try:
        yield
    finally:
        await asyncio.wait([task], timeout=grace_s)
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_TIMEOUT_S)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("the background task %r failed", task.get_name(), exc_info=error)


@contextmanager
def on_exit_signal(callback: Callable[[], None]) -> Iterator[None]:
    """Run ``callback`` on the event loop on SIGTERM or SIGINT, before the earlier handler.

    uvicorn waits for open responses before it ends the lifespan, and an MJPEG response ends only
    when its stream does. So streams must stop at the signal, not in the lifespan.
    """
    loop = asyncio.get_running_loop()
    previous: dict[int, Any] = {}

    def chained(number: int, frame: object) -> None:
        loop.call_soon_threadsafe(callback)
        before = previous.get(number)
        if callable(before):
            before(number, frame)

    with ExitStack() as stack:
        with suppress(ValueError):  # not the main thread: a test's server, which gets no signals
            for number in (signal.SIGTERM, signal.SIGINT):
                previous[number] = signal.getsignal(number)
                signal.signal(number, chained)
                stack.callback(_restore_signal, number, chained, previous[number])
        yield


def _restore_signal(number: int, ours: Callable[..., None], before: Any) -> None:
    """Restore the earlier handler, unless another one was set in the meantime."""
    if signal.getsignal(number) is ours:
        signal.signal(number, before)


@contextmanager
def long_lived_objects() -> Iterator[None]:
    """Exempt what exists now, such as code and settings, from garbage collections.

    Otherwise a full collection looks at some 250,000 of these objects, during which all threads
    stand still for 150 to 200 ms. A collection before would find next to nothing of them to free.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class GarbageCollection:
    """Frees the memory of streams that have ended, a moment after their end.

    Parts of a stream refer to each other, so that only a full collection frees them, with their
    frames. Python decides on one by the number of objects, which are few here, and not by their
    size. Free memory then goes back to the system: glibc itself returns only what lies at the end
    of a heap, and a server in use grew by the holes before it. It belongs to the event loop's
    thread.
    """

    def __init__(self) -> None:
        self._due: asyncio.TimerHandle | None = None

    def soon(self) -> None:
        """Collect once ``COLLECT_AFTER_S`` has passed; further calls until then add nothing."""
        if self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.call_later(COLLECT_AFTER_S, self._collect)

    def _collect(self) -> None:
        self._due = None
        gc.collect()
        asyncio.get_running_loop().run_in_executor(None, return_free_memory)


def return_free_memory() -> None:
    """Return unused pages of the C library's heaps to the system, in some 10 ms (glibc only)."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)
