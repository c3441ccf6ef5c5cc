"""Makes the message of a delivery from the events that it names."""

from __future__ import annotations

import asyncio
import secrets
import time

from app.errors import EventNotFound, NodeGone, NoSnapshot, StoreError
from app.events import EventRow
from app.notifications import Delivery
from app.notify.base import CameraFeed, Message
from app.notify.stores import EventReader

PATIENCE_S = 60.0
"""How old a message gets at most for the sake of a picture that cannot be read: a database comes
back, a file on a broken disk does not, and all other messages of the target wait for this one."""


class Composer:
    """Reads events when their message is sent, so that an erased event is never reported."""

    def __init__(self, events: EventReader, cameras: CameraFeed) -> None:
        self._events = events
        self._cameras = cameras

    async def message(self, delivery: Delivery) -> Message | None:
        """The message; None if all of its events were erased. Raises StoreError."""
        events = await asyncio.to_thread(self._read, delivery.event_ids)
        if not events:
            return None

        async def snapshot() -> bytes | None:
            try:
                return await asyncio.to_thread(self._snapshot, events)
            except StoreError:
                if time.time() - delivery.created_ts < PATIENCE_S:
                    raise
                return None

        return Message(
            delivery.message_id,
            delivery.stream_id,
            self._name(delivery.stream_id),
            delivery.created_ts,
            events,
            snapshot,
        )

    def test_message(self) -> Message:
        """A message that says that it is a test."""
        return Message(f"test_{secrets.token_hex(8)}", "", "", time.time())

    def _read(self, event_ids: tuple[int, ...]) -> list[EventRow]:
        found = []
        for event_id in event_ids:
            try:
                found.append(self._events.get(event_id))
            except EventNotFound:
                continue
        return found

    def _snapshot(self, events: list[EventRow]) -> bytes | None:
        for event in reversed(events):
            if event.snapshot:
                try:
                    return self._events.snapshot(event.event_id)
                except (EventNotFound, NoSnapshot, NodeGone):  # a message does not wait for it
                    continue
        return None

    def _name(self, stream_id: str) -> str:
        names = {one.spec.stream_id: one.spec.name for one in self._cameras.statuses()}
        return names.get(stream_id) or stream_id
