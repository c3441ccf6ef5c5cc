"""Starts, supervises and stops the threads of one stream.

Each thread runs its ``Worker`` under ``_supervise``, the only place that catches broadly. Failed
work is tried again after a growing pause, without end once the stream has run. Before that, a
permanent error ends the stream, so that a caller who waits for ``started`` gets it at once.

The state is never set: ``state`` is derived from the age of the last delivered frame, and from
which ends of the stream are lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Any, Protocol

from app.config import StreamSettings
from app.errors import FarEndError, SourceError, StartCancelled, WatchpostError
from app.failure_reason import FailureReason
from app.pace import Backoff, StallLimit
from app.pipeline.channel import Channel, Closed
from app.pipeline.stream_metrics import StreamMetrics
from app.types import StreamHealth, StreamSpec, StreamState
from app.urls import scrub, without_credentials

logger = logging.getLogger(__name__)

INPUT, OUTPUT, PREVIEW, ANALYSIS = "input", "output", "preview", "analysis"
SUBSTREAM, RECORDING = "substream", "recording"
SLOW_STREAM_INTERVALS = 3
TEMPORARY_REASONS = (FailureReason.TIMEOUT, FailureReason.STALLED)


class Closable(Protocol):
    """A source of values that ends for all its subscribers at once."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Worker:
    """The work of one thread.

    Attributes:
        name: of the thread and, in the log, of what is lost when the work fails.
        work: runs until nothing is left to do; raises an error when it fails.
        channels: those it fills; they are closed when the work is over.
        subscriptions: those it publishes to; they are closed when the work is over.
    """

    name: str
    work: Callable[[], None]
    channels: Sequence[Channel[Any]] = ()
    subscriptions: Sequence[Closable] = ()


class Supervisor:
    """Runs the workers of one stream and knows its state.

    Args:
        keeps_trying: the stream has run before, so an error at the start does not end it.

    Attributes:
        started: done when the far end has the first frame; holds the error if it never will.
        stopping: set once the stream is to end.
    """

    def __init__(
        self,
        spec: StreamSpec,
        settings: StreamSettings,
        metrics: StreamMetrics,
        *,
        keeps_trying: bool,
    ) -> None:
        self.started: Future[None] = Future()
        self.stopping = threading.Event()
        self._stall_limit = StallLimit(settings.stall_timeout_s, spec.stall_timeout_s)
        self._spec = spec
        self._settings = settings
        self._metrics = metrics
        self._has_run = keeps_trying
        self._far_end = OUTPUT
        self._lost: set[str] = set()
        self._failure: WatchpostError | None = None
        self._workers: Sequence[Worker] = ()
        self._threads: list[threading.Thread] = []

    # ── threads ──────────────────────────────────────────────────────────────────────────

    def start(self, workers: Sequence[Worker]) -> None:
        """Give each worker a thread. Without a worker for an output, the preview is the far end."""
        self._workers = workers
        if all(worker.name != OUTPUT for worker in workers):
            self._far_end = PREVIEW
        for worker in workers:
            name = f"{self._spec.stream_id}-{worker.name}"
            thread = threading.Thread(target=self._run, args=(worker,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End all threads; blocks. False when one still waits for the network after that time.

        Such a thread ends at its own time limit, and none of its frames are delivered any more.
        """
        deadline = time.monotonic() + timeout_s
        self._close_channels()
        self.begin_shutdown(StartCancelled(stream_id=self._spec.stream_id))
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def begin_shutdown(self, why: WatchpostError) -> None:
        """Fail the start with this error if a caller waits for it, and end all subscriptions."""
        _settle(self.started, why)
        for worker in self._workers:
            for subscription in worker.subscriptions:
                subscription.close()

    def _close_channels(self) -> None:
        self.stopping.set()
        for worker in self._workers:
            for channel in worker.channels:
                channel.close(discard=True)

    def _run(self, worker: Worker) -> None:
        self._supervise(worker)
        for channel in worker.channels:
            channel.close()
        for subscription in worker.subscriptions:
            subscription.close()
        if worker.name == self._far_end:  # a file without frames: its caller must get an error
            url = without_credentials(self._spec.source)
            _settle(self.started, SourceError(end=INPUT, reason=FailureReason.ENDED, url=url))

    def _supervise(self, worker: Worker) -> None:
        """Repeat the work until it is done, the stream stops, or the error is permanent."""
        backoff = Backoff(self._settings.backoff_first_s, self._settings.backoff_max_s)
        while not self.stopping.is_set():
            try:
                worker.work()
                return
            except Closed:
                return
            except WatchpostError as error:
                failure = error
            except Exception as error:
                logger.exception("stream %s: %s crashed", self._spec.stream_id, worker.name)
                failure = WatchpostError(end=worker.name, reason=type(error).__name__)
            if self.stopping.is_set():
                return
            if worker.name not in self._lost:  # it worked in between
                backoff.reset()
            self.mark_lost(worker.name, failure)
            if not self._has_run and self._is_vital(worker.name) and _is_permanent(failure):
                self._failure = failure
                self._close_channels()
                _settle(self.started, failure)
                return
            self.stopping.wait(backoff.next())

    # ── lost and recovered ends ──────────────────────────────────────────────────────────

    def mark_lost(self, end: str, error: WatchpostError) -> None:
        """Count a failure. It is logged when an end is lost, not for each attempt.

        Args:
            end: a worker's name, or ``ANALYSIS``.
        """
        text = scrub(str(error))
        if end not in self._lost:
            logger.warning("stream %s: %s", self._spec.stream_id, text)
            if self._has_run and end in (INPUT, self._far_end):
                self._metrics.reconnect()
        if end == INPUT:
            self._stall_limit.begin()
        self._lost.add(end)
        self._metrics.error(text)

    def mark_recovered(self, end: str) -> None:
        """Note that an end works; log it if it was lost."""
        if end in self._lost:
            self._lost.discard(end)
            logger.info("stream %s: %s is back", self._spec.stream_id, end)
            if not self._lost:
                self._metrics.recovered()

    def on_frame(self, captured_at: float) -> None:
        """Note that the source has delivered a frame."""
        self.mark_recovered(INPUT)
        self._stall_limit.seen(captured_at)

    def on_delivered(self, end: str, captured_at: float, delivered_at: float) -> None:
        """Note that the far end of a sink has taken a frame."""
        self.mark_recovered(end)
        if end != self._far_end:
            return
        self._metrics.delivered(captured_at, delivered_at)
        self._has_run = True
        _settle(self.started, None)

    def _is_vital(self, end: str) -> bool:
        """Whether the stream needs this end. Analytics, a substream, a recording, or a preview
        beside an output may fail."""
        if end in (ANALYSIS, SUBSTREAM, RECORDING):
            return False
        return end != PREVIEW or self._far_end == PREVIEW

    @property
    def _has_lost_vital_end(self) -> bool:
        return any(self._is_vital(end) for end in tuple(self._lost))

    # ── state ────────────────────────────────────────────────────────────────────────────

    @property
    def state(self) -> StreamState:
        """The state of the stream, derived each time it is read."""
        if self._failure is not None:
            return StreamState.FAILED
        if self.stopping.is_set() or not any(thread.is_alive() for thread in self._threads):
            return StreamState.STOPPED
        lost, last = self._has_lost_vital_end, self._metrics.last_delivered_at
        if last is None:
            return StreamState.RECONNECTING if self._has_run and lost else StreamState.STARTING
        interval_s = max(1 / self._spec.max_fps, self._spec.interval or 0.0)
        patience_s = max(self._stall_limit.seconds, SLOW_STREAM_INTERVALS * interval_s)
        if lost or time.monotonic() - last > patience_s:
            return StreamState.RECONNECTING
        return StreamState.RUNNING

    @property
    def health(self) -> StreamHealth:
        """The state, and why the stream does not run, if that is known."""
        known = self._has_lost_vital_end or self._failure is not None
        return StreamHealth(self.state, self._metrics.last_error if known else None)


def _is_permanent(failure: WatchpostError) -> bool:
    """Whether trying again within the next seconds cannot help."""
    return not (isinstance(failure, FarEndError) and failure.details["reason"] in TEMPORARY_REASONS)


def _settle(future: Future[None], failure: WatchpostError | None) -> None:
    """Complete a future; only the first call counts."""
    try:
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)
    except InvalidStateError:
        pass
