"""What the rules of all streams found, numbered, to everybody who wants to be told."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AbstractContextManager

from app.pipeline.hub import Feed, Subscription
from app.types import Event, Finding, Picture


class EventLog:
    """Args:
    first_id: number of the next event; it must count on over restarts.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, first_id: int = 1) -> None:
        self._feed: Feed[Event] = Feed(loop)
        self._lock = threading.Lock()
        self._next_id = first_id

    def tell(self, stream_id: str, finding: Finding, ts: float, picture: Picture | None) -> None:
        """Number an event and publish it; from any thread, in the order of the numbers."""
        with self._lock:
            self._feed.publish(Event(self._next_id, stream_id, ts, finding, picture))
            self._next_id += 1

    def subscribed(
        self, backlog: int = 256, *, stream_id: str | None = None
    ) -> AbstractContextManager[Subscription[Event]]:
        """Every event from here on, of one stream or of all."""
        if stream_id is None:
            return self._feed.subscribed(backlog)
        return self._feed.subscribed(backlog, lambda event: event.stream_id == stream_id)

    def close(self) -> None:
        """End all subscriptions after what waits."""
        self._feed.close()
