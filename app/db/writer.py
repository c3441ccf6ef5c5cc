"""Stores events in the background: pictures as files, the rest as rows.

    event ──▶ draw and save the picture ──▶ queue (bounded) ──▶ rows, many at once

No stream ever waits for this. Writes to a locked or full database are retried, together with
newer events; when the queue is full the oldest events are dropped and counted. A full disk
loses pictures, not events.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import NamedTuple, Protocol

from app.db.events import EventRepository
from app.db.snapshots import SnapshotFolder
from app.errors import StoreError
from app.events import Event, EventFilter, EventRow
from app.metric_types import Histogram, histogram

logger = logging.getLogger(__name__)

MAX_QUEUED = 20_000
BATCH = 500
GATHER_S = 0.05
"""After a write, how long events gather for the next one: each commit waits for the disk."""
RETRY_FIRST_S, RETRY_MAX_S = 0.5, 10.0
SETTLE_S = 3.0
WRITE_BOUNDS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0)


class EventSubscription(Protocol):
    """A subscription to all events with their pictures, as ``app.pipeline.hub`` makes it."""

    def __aiter__(self) -> EventSubscription: ...

    async def __anext__(self) -> Event: ...

    def missed(self) -> int: ...

    def waiting(self) -> list[Event]: ...


class _Queued(NamedTuple):
    row: EventRow
    since: float


def write_histogram() -> Histogram:
    """Seconds from an event to its row."""
    return histogram("database_write_seconds", "From an event to its row.", WRITE_BOUNDS_S)


class EventWriter:
    """Writes events to the database in the background; belongs to the event loop's thread.

    Args:
        events: every event, with its picture.
        draw: makes the JPEG of an event that has a picture. Blocks.
        on_saved: called with each event once its picture is saved, whatever the database does;
            must be quick.
        on_written: called each time events have become rows; must be quick.

    Attributes:
        lost: events that will never be in the database.
        written: seconds from an event's arrival to its row, one value for each event.
    """

    def __init__(
        self,
        events: EventSubscription,
        repository: EventRepository,
        snapshots: SnapshotFolder,
        draw: Callable[[Event], bytes],
        on_saved: Callable[[EventRow], None] = lambda _: None,
        on_written: Callable[[], None] = lambda: None,
    ) -> None:
        self.lost = 0
        self.written = write_histogram()
        self._events = events
        self._repository = repository
        self._snapshots = snapshots
        self._draw = draw
        self._on_saved = on_saved
        self._on_written = on_written
        self._drawing: Event | None = None
        self._queue: deque[_Queued] = deque()
        self._changed = asyncio.Condition()
        self._ended = False
        self._disk_failed = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self, timeout_s: float) -> None:
        """Write the queue to its end after the last event; what is not written in time is lost."""
        task, self._task = self._task, None
        if task is None:
            return
        await asyncio.wait([task], timeout=timeout_s)
        if not task.done():
            task.cancel()
            self._lose(
                len(self.unwritten()), "the server stops and the database is not accepting events"
            )

    # ── for callers ──────────────────────────────────────────────────────────────────────

    def unwritten(self) -> list[EventRow]:
        """Events that are not in the database yet, oldest first."""
        drawing = [] if self._drawing is None else [self._drawing]
        arriving = [EventRow.of(event) for event in (*drawing, *self._events.waiting())]
        return [*(queued.row for queued in self._queue), *arriving]

    @property
    def lag_s(self) -> float:
        """How long the oldest event has waited for the database; 0 if none is waiting."""
        return time.monotonic() - self._queue[0].since if self._queue else 0.0

    def after(self, event_id: int, wanted: EventFilter, limit: int) -> list[EventRow]:
        return self._repository.after(event_id, wanted, limit)

    async def settled(self, event_id: int) -> None:
        """Wait up to ``SETTLE_S`` until an event that has just happened is in the database."""
        deadline = time.monotonic() + SETTLE_S
        async with self._changed:
            while any(row.event_id == event_id for row in self.unwritten()):
                left = deadline - time.monotonic()
                try:
                    async with asyncio.timeout(left):
                        await self._changed.wait()
                except TimeoutError:
                    return

    # ── background work ──────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        await asyncio.gather(self._receive(), self._write())

    async def _receive(self) -> None:
        """Draw and save the pictures of events, one at a time, and queue the rows."""
        async for event in self._events:
            self._drawing, since = event, time.monotonic()
            if missed := self._events.missed():
                self._lose(missed, "they arrived faster than they could be stored")
            row = EventRow.of(event)
            if event.frame is not None:
                row = await asyncio.to_thread(self._save_picture, event, row)
            self._on_saved(row)
            async with self._changed:
                self._drawing = None
                self._queue.append(_Queued(row, since))
                self._changed.notify_all()
            if len(self._queue) > MAX_QUEUED:
                oldest = self._queue.popleft().row
                self._lose(1, "too many are waiting for the database")
                if oldest.snapshot_file:
                    await asyncio.to_thread(self._snapshots.delete, [oldest.snapshot_file])
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _save_picture(self, event: Event, row: EventRow) -> EventRow:
        """The event's row, with its picture if that could be drawn and saved."""
        try:
            name = self._snapshots.save(event.event_id, event.ts, self._draw(event))
        except StoreError as error:
            if not self._disk_failed:  # one line each time a disk fills, not for each event
                logger.error("event %d is stored without its picture: %s", event.event_id, error)
            self._disk_failed = True
        except Exception:  # whatever is wrong with the picture, the event is stored
            logger.exception("event %d is stored without its picture", event.event_id)
        else:
            self._disk_failed = False
            return replace(row, snapshot_file=name)
        return replace(row, snapshot=False)

    async def _write(self) -> None:
        """Write queued rows until no more will come."""
        pause_s = RETRY_FIRST_S
        while await self._has_queued():
            batch = list(islice(self._queue, BATCH))
            try:
                rows = [queued.row for queued in batch]
                lost = await asyncio.to_thread(self._repository.add, rows)
            except StoreError as error:
                if pause_s == RETRY_FIRST_S:
                    logger.error("events are waiting for the database: %s", error)
                await asyncio.sleep(pause_s)
                pause_s = min(RETRY_MAX_S, pause_s * 2)
                continue
            except Exception:  # one event that cannot be written must not block the others
                logger.exception("%d events cannot be written", len(batch))
                lost = len(batch)
            if pause_s != RETRY_FIRST_S:
                logger.info("the database accepts events again")
            pause_s = RETRY_FIRST_S
            self._lose(lost, "they cannot be written")
            for queued in batch[lost:]:
                self.written.observe(time.monotonic() - queued.since)
            self._on_written()
            written = {id(queued) for queued in batch}
            async with self._changed:
                while self._queue and id(self._queue[0]) in written:
                    self._queue.popleft()
                self._changed.notify_all()
            await self._gather()

    async def _gather(self) -> None:
        """Wait a moment for more events, unless there are enough or no more will come."""
        async with self._changed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER_S):
                    await self._changed.wait_for(lambda: len(self._queue) >= BATCH or self._ended)

    async def _has_queued(self) -> bool:
        """Wait for queued rows; False once there will be none."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._queue or self._ended)
            return bool(self._queue)

    def _lose(self, count: int, why: str) -> None:
        if count:
            self.lost += count
            logger.error("%d events lost: %s (%d in all)", count, why, self.lost)
