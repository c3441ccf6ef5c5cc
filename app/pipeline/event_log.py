"""What the rules of all streams found, numbered, to everybody who wants to be told.

Pictures go to the one who keeps them and to nobody else: what waits for a slow client must be
small. So there are two feeds, and a limit on how many pictures may wait to be kept.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from app.analytics.rules import event_types
from app.events import Event, EventFilter, EventRow, RuleEvent
from app.metric_types import Counter, counter
from app.pipeline.hub import EventStream, Subscription
from app.types import BlurredFrame

logger = logging.getLogger(__name__)

MAX_PICTURES = 32  # about 100 MB at 1080p
KEEPERS_BACKLOG = 1024
CLIENTS_BACKLOG = 256
PAGE = 200


def event_counter() -> Counter:
    """Events by type."""
    return counter("events", "Events that were reported.", type=event_types())


class EventLog:
    """Numbers the events of all streams and hands them to whoever follows.

    Args:
        first_id: number of the next event; it must continue over restarts.

    Attributes:
        counts: events by type, since this process began.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, first_id: int = 1) -> None:
        self._told: EventStream[Event] = EventStream(loop)
        self._kept: EventStream[Event] = EventStream(loop)
        self._pictures: weakref.WeakSet[BlurredFrame] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._next_id = first_id
        self.counts = event_counter()

    def tell(
        self,
        stream_id: str,
        rule_event: RuleEvent,
        ts: float,
        picture: BlurredFrame | None,
        session_id: str | None = None,
    ) -> None:
        """Number an event and publish it; from any thread, in the order of the numbers."""
        with self._lock:
            picture = self._afford(picture)
            event = Event(
                self._next_id, stream_id, ts, rule_event, picture, picture is not None, session_id
            )
            self._kept.publish(event)
            self._told.publish(replace(event, picture=None))
            self._next_id += 1
        self.counts.labels(rule_event.type).inc()

    def _afford(self, picture: BlurredFrame | None) -> BlurredFrame | None:
        """The picture, unless too many still wait to be kept: the event goes without it then."""
        if picture is None or picture in self._pictures:
            return picture
        if len(self._pictures) >= MAX_PICTURES:
            logger.warning("event %d: too many pictures wait, it gets none", self._next_id)
            return None
        self._pictures.add(picture)
        return picture

    @property
    def newest_id(self) -> int:
        """The number of the newest event; where nothing happened yet, one below the first."""
        with self._lock:
            return self._next_id - 1

    def subscribed(
        self, backlog: int = CLIENTS_BACKLOG, wants: Callable[[Event], bool] = lambda _: True
    ) -> AbstractContextManager[Subscription[Event]]:
        """Every event from here on that is wanted, without its picture."""
        return self._told.subscribed(backlog, wants)

    def pictured(self) -> AbstractContextManager[Subscription[Event]]:
        """Every event from here on, with its picture: for the one who keeps them."""
        return self._kept.subscribed(KEEPERS_BACKLOG)

    def close_clients(self) -> None:
        """End what clients follow; whoever keeps events still gets the last ones."""
        self._told.close()

    def close(self) -> None:
        """End all subscriptions after what waits."""
        self._told.close()
        self._kept.close()


class EventHistory(Protocol):
    """What happened before: ``app.db.writer`` has it."""

    def unwritten(self) -> list[EventRow]:
        """What is still on its way into the database, oldest first. On the loop's thread."""
        ...

    def after(self, event_id: int, wanted: EventFilter, limit: int) -> list[EventRow]:
        """The first kept events with larger numbers. Blocks; raises StoreError."""
        ...


@dataclass(frozen=True, slots=True)
class MissedEvents:
    """A client was too slow for so many events."""

    events: int


async def follow(
    log: EventLog, past: EventHistory, wanted: EventFilter, after_id: int | None
) -> AsyncIterator[EventRow | MissedEvents]:
    """Events as they happen, until the server ends; first those after ``after_id``, if given.

    A number that is yet to come is one of other data, from before a backup was restored: waiting
    until it is reached would keep the client in the dark, so such a client hears what is new.

    Raises:
        StoreError: the past cannot be read.
    """
    last_id = 0 if after_id is None else min(after_id, log.newest_id)
    with log.subscribed(wants=wanted.takes) as live:
        while after_id is not None:
            async for record in _replay(past, wanted, last_id):
                last_id = record.event_id
                yield record
            if not live.missed():  # else the past grew faster than it was told: again
                break
        async for event in live:
            if missed := live.missed():
                yield MissedEvents(missed)
            if event.event_id > last_id:
                yield EventRow.of(event)


async def _replay(past: EventHistory, wanted: EventFilter, last_id: int) -> AsyncIterator[EventRow]:
    """What was kept after ``last_id``, then what was on its way there when this began."""
    on_the_way = past.unwritten()
    while page := await asyncio.to_thread(past.after, last_id, wanted, PAGE):
        for record in page:
            last_id = record.event_id
            yield record
    for record in on_the_way:
        if record.event_id > last_id and wanted.takes_record(record):
            yield record
