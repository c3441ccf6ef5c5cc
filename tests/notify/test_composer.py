"""Messages about events whose snapshot cannot be had."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from app.errors import EventNotFound, NodeGone, SnapshotRemoved, StoreError, WatchpostError
from app.events import EventRow
from app.notifications import Delivery, DeliveryState
from app.notify.composer import Composer
from app.types import StreamStatus


class Events:
    def __init__(self, error: WatchpostError) -> None:
        self.error = error

    def get(self, event_id: int) -> EventRow:
        return EventRow(event_id, "gate", "bag_placed", 1.0, snapshot=True)

    def snapshot(self, event_id: int) -> bytes:
        if event_id == 2:
            raise self.error
        return b"jpeg %d" % event_id


class Cameras:
    def statuses(self) -> Sequence[StreamStatus]:
        return []

    async def switch(self, camera_id: str, *, on: bool) -> None: ...


def snapshot_of(error: WatchpostError, *event_ids: int, age_s: float = 0.0) -> bytes | None:
    async def read() -> bytes | None:
        made_ts = time.time() - age_s
        waiting = DeliveryState.WAITING
        delivery = Delivery(1, "m", 1, 1, "gate", event_ids, waiting, 0, made_ts, made_ts)
        message = await Composer(Events(error), Cameras()).message(delivery)
        assert message is not None
        return await message.snapshot()

    return asyncio.run(read())


@pytest.mark.parametrize(
    "error", [EventNotFound(event_id=2), SnapshotRemoved(event_id=2), NodeGone(node="north")]
)
def test_a_message_does_not_wait_for_a_snapshot_that_cannot_be_had(error: WatchpostError) -> None:
    assert snapshot_of(error, 2) is None
    assert snapshot_of(error, 1, 2) == b"jpeg 1"


def test_a_message_waits_for_the_database() -> None:
    with pytest.raises(StoreError):
        snapshot_of(StoreError(reason="locked"), 2)


def test_a_picture_that_can_never_be_read_holds_nothing_up_for_long() -> None:
    assert snapshot_of(StoreError(reason="snapshot: Input/output error"), 2, age_s=61) is None
