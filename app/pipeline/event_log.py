"""The events of all streams, numbered, for everybody who follows them.

Frames go only to those who keep events: what waits for a slow client must be small. So there are
separate feeds, and a limit on how many frames may wait to be kept.
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

MAX_FRAMES = 32  # about 100 MB at 1080p
KEEPER_BACKLOG = 8192
CLIENT_BACKLOG = 256
PAGE = 200


def event_counter() -> Counter:
    """Events by type."""
    return counter("events", "Events that were reported.", type=event_types())


class EventLog:
    """Numbers the events of all streams and publishes them.

    Args:
        first_id: number of the next event; it must continue over restarts.

    Attributes:
        counts: events by type, since this process began.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, first_id: int = 1) -> None:
        self._clients: EventStream[Event] = EventStream(loop)
        self._keepers: EventStream[Event] = EventStream(loop)
        self._recorded: EventStream[Event] = EventStream(loop)
        self._frames: weakref.WeakSet[BlurredFrame] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._next_id = first_id
        self.counts = event_counter()

    def report(
        self,
        stream_id: str,
        rule_event: RuleEvent,
        ts: float,
        frame: BlurredFrame | None,
        session_id: str | None = None,
        *,
        has_clip: bool = False,
        snapshot_file: str | None = None,
        node: str | None = None,
    ) -> int:
        """Number an event and publish it; from any thread, in the order of the numbers.

        Args:
            snapshot_file, node: of an event of a node, which has saved the snapshot.

        Returns:
            The number.
        """
        with self._lock:
            frame = self._within_limit(frame)
            event = Event(
                self._next_id,
                stream_id,
                ts,
                rule_event,
                frame,
                frame is not None or snapshot_file is not None,
                session_id,
                has_clip,
                snapshot_file,
                node,
            )
            self._keepers.publish(event)
            frameless = replace(event, frame=None)
            self._clients.publish(frameless)
            if has_clip:
                self._recorded.publish(frameless)
            self._next_id += 1
        self.counts.labels(rule_event.type).inc()
        return event.event_id

    def _within_limit(self, frame: BlurredFrame | None) -> BlurredFrame | None:
        """The frame, or None while too many wait to be kept: the event then has no snapshot."""
        if frame is None or frame in self._frames:
            return frame
        if len(self._frames) >= MAX_FRAMES:
            logger.warning("event %d has no snapshot: too many are waiting", self._next_id)
            return None
        self._frames.add(frame)
        return frame

    @property
    def newest_id(self) -> int:
        """The number of the newest event; where nothing happened yet, one below the first."""
        with self._lock:
            return self._next_id - 1

    def subscribed(
        self, backlog: int = CLIENT_BACKLOG, wants: Callable[[Event], bool] = lambda _: True
    ) -> AbstractContextManager[Subscription[Event]]:
        """Every event from here on that is wanted, without its frame."""
        return self._clients.subscribed(backlog, wants)

    def with_frames(self) -> AbstractContextManager[Subscription[Event]]:
        """Every event from here on, with its frame: for those who keep events."""
        return self._keepers.subscribed(KEEPER_BACKLOG)

    def with_clip(self) -> AbstractContextManager[Subscription[Event]]:
        """Every event from here on that gets a clip, without its frame."""
        return self._recorded.subscribed(KEEPER_BACKLOG)

    def close_clients(self) -> None:
        """End the subscriptions of clients; those who keep events still get the last ones."""
        self._clients.close()

    def close(self) -> None:
        """End all subscriptions once they have taken what waits."""
        for feed in (self._clients, self._keepers, self._recorded):
            feed.close()


class EventHistory(Protocol):
    """Past events, as ``app.db.writer`` has them."""

    def unwritten(self) -> list[EventRow]:
        """Events that are not in the database yet, oldest first. On the loop's thread."""
        ...

    def after(self, event_id: int, wanted: EventFilter, limit: int) -> list[EventRow]:
        """The first stored events with larger numbers. Blocks; raises StoreError."""
        ...


@dataclass(frozen=True, slots=True)
class MissedEvents:
    """How many events a client missed because it was too slow."""

    events: int


async def follow(
    log: EventLog, past: EventHistory, wanted: EventFilter, after_id: int | None
) -> AsyncIterator[EventRow | MissedEvents]:
    """Events as they happen, until the server ends; first those after ``after_id``, if given.

    A number above the newest one comes from before a backup was restored. Waiting until it is
    reached would hide everything from the client, so it gets the events from now on.

    Raises:
        StoreError: past events cannot be read.
    """
    last_id = 0 if after_id is None else min(after_id, log.newest_id)
    with log.subscribed(wants=wanted.takes) as live:
        while after_id is not None:
            async for record in _replay(past, wanted, last_id):
                last_id = record.event_id
                yield record
            if not live.missed():  # else events came faster than they were read: again
                break
        async for event in live:
            if missed := live.missed():
                yield MissedEvents(missed)
            if event.event_id > last_id:
                yield EventRow.of(event)


async def _replay(past: EventHistory, wanted: EventFilter, last_id: int) -> AsyncIterator[EventRow]:
    """Events stored after ``last_id``, then those that were not stored yet when this began."""
    unwritten = past.unwritten()
    while page := await asyncio.to_thread(past.after, last_id, wanted, PAGE):
        for record in page:
            last_id = record.event_id
            yield record
    for record in unwritten:
        if record.event_id > last_id and wanted.takes_record(record):
            yield record
