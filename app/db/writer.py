"""Keeps events, beside the event loop: pictures as files, the rest as rows.

    what happens ──▶ draw, save the picture ──▶ waiting (bounded) ──▶ rows, many at once

No stream ever waits for this. A database that is locked or full is tried again, with what
happened meanwhile; when too much waits the oldest events are let go and counted. A disk
that is full costs pictures, not events.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import NamedTuple, Protocol

from app.db.events import Draft, EventRepository
from app.db.snapshots import SnapshotFolder
from app.errors import StoreError
from app.metric_types import Histogram
from app.types import Event, EventFilter, EventRow

logger = logging.getLogger(__name__)

MAX_WAITING = 2000
BATCH = 200
RETRY_FIRST_S, RETRY_MAX_S = 0.5, 10.0
SETTLE_S = 3.0
WRITE_BOUNDS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0)


class Arriving(Protocol):
    """The keeper's subscription, as ``app.pipeline.hub`` makes it."""

    def __aiter__(self) -> Arriving: ...

    async def __anext__(self) -> Event: ...

    def missed(self) -> int: ...

    def waiting(self) -> list[Event]: ...


class _Waiting(NamedTuple):
    draft: Draft
    since: float


class EventWriter:
    """Belongs to the event loop's thread; ``run`` does the work until the events end.

    Args:
        arriving: every event, with its picture.
        draw: makes the JPEG of an event that has a picture. Blocks.
        told: is given each event once its picture is saved, whatever the database does. Quick.

    Attributes:
        lost: events that will never be in the database.
        written: seconds from when an event came until it was in the database, of each.
    """

    def __init__(
        self,
        arriving: Arriving,
        repository: EventRepository,
        snapshots: SnapshotFolder,
        draw: Callable[[Event], bytes],
        told: Callable[[Draft], None] = lambda _: None,
    ) -> None:
        self.lost = 0
        self.written = Histogram(WRITE_BOUNDS_S)
        self._arriving = arriving
        self._repository = repository
        self._snapshots = snapshots
        self._draw = draw
        self._told = told
        self._drawing: Event | None = None
        self._waiting: deque[_Waiting] = deque()
        self._changed = asyncio.Condition()
        self._ended = False
        self._disk_failed = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self, timeout_s: float) -> None:
        """Write what waits, once no more events come; what cannot be written by then is lost."""
        task, self._task = self._task, None
        if task is None:
            return
        await asyncio.wait([task], timeout=timeout_s)
        if not task.done():
            task.cancel()
            self._lose(len(self.unwritten()), "the server ends and the database takes no events")

    # ── what others ask ──────────────────────────────────────────────────────────────────

    def unwritten(self) -> list[EventRow]:
        """What is on its way into the database, oldest first."""
        drawing = [] if self._drawing is None else [self._drawing]
        coming = [EventRow.of(event) for event in (*drawing, *self._arriving.waiting())]
        return [*(waiting.draft.record for waiting in self._waiting), *coming]

    @property
    def lag_s(self) -> float:
        """For how long the oldest event has waited for the database; 0 when none does."""
        return time.monotonic() - self._waiting[0].since if self._waiting else 0.0

    def after(self, event_id: int, wanted: EventFilter, limit: int) -> list[EventRow]:
        return self._repository.after(event_id, wanted, limit)

    async def settled(self, event_id: int) -> None:
        """Wait, within reason, until an event that was just told is in the database."""
        deadline = time.monotonic() + SETTLE_S
        async with self._changed:
            while any(record.event_id == event_id for record in self.unwritten()):
                left = deadline - time.monotonic()
                try:
                    await asyncio.wait_for(self._changed.wait(), left)
                except TimeoutError:
                    return

    # ── the work ─────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        await asyncio.gather(self._take(), self._write())

    async def _take(self) -> None:
        """Events to drafts: draw and save their pictures, one at a time."""
        async for event in self._arriving:
            self._drawing, since = event, time.monotonic()
            if missed := self._arriving.missed():
                self._lose(missed, "more events came than can be kept")
            draft = await asyncio.to_thread(self._drafted, event)
            self._told(draft)
            async with self._changed:
                self._drawing = None
                self._waiting.append(_Waiting(draft, since))
                self._changed.notify_all()
            if len(self._waiting) > MAX_WAITING:
                oldest = self._waiting.popleft().draft
                self._lose(1, "too many wait for the database")
                if oldest.snapshot:
                    await asyncio.to_thread(self._snapshots.delete, [oldest.snapshot])
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _drafted(self, event: Event) -> Draft:
        record = EventRow.of(event)
        if event.picture is None:
            return Draft(record)
        try:
            name = self._snapshots.save(event.event_id, event.ts, self._draw(event))
        except StoreError as error:
            if not self._disk_failed:  # one line each time a disk fills, not for each event
                logger.error("event %d is kept without its picture: %s", event.event_id, error)
            self._disk_failed = True
        except Exception:  # whatever is wrong with a picture, the event is kept
            logger.exception("event %d is kept without its picture", event.event_id)
        else:
            self._disk_failed = False
            return Draft(record, name)
        return Draft(replace(record, snapshot=False))

    async def _write(self) -> None:
        """Drafts to rows, until there will be no more."""
        pause_s = RETRY_FIRST_S
        while await self._something_waits():
            batch = list(islice(self._waiting, BATCH))
            try:
                drafts = [waiting.draft for waiting in batch]
                lost = await asyncio.to_thread(self._repository.add, drafts)
            except StoreError as error:
                if pause_s == RETRY_FIRST_S:
                    logger.error("events wait for the database: %s", error)
                await asyncio.sleep(pause_s)
                pause_s = min(RETRY_MAX_S, pause_s * 2)
                continue
            except Exception:  # one event that cannot be written must not keep the others waiting
                logger.exception("events that cannot be written")
                lost = len(batch)
            if pause_s != RETRY_FIRST_S:
                logger.info("the database takes events again")
            pause_s = RETRY_FIRST_S
            self._lose(lost, "they cannot be written")
            for waiting in batch[lost:]:
                self.written.observe(time.monotonic() - waiting.since)
            written = {id(waiting) for waiting in batch}
            async with self._changed:
                while self._waiting and id(self._waiting[0]) in written:
                    self._waiting.popleft()
                self._changed.notify_all()

    async def _something_waits(self) -> bool:
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting or self._ended)
            return bool(self._waiting)

    def _lose(self, count: int, why: str) -> None:
        if count:
            self.lost += count
            logger.error("%d events lost: %s (%d in all)", count, why, self.lost)
