"""What notifications need of the database, as small protocols; ``app.db`` has them."""

from __future__ import annotations

from typing import Protocol

from app.events import EventRow
from app.notifications import Delivery, Target


class TargetStore(Protocol):
    """Targets as rows. Blocking; raises TargetNotFound, StoreError."""

    def all(self) -> list[Target]: ...

    def delete(self, target_id: int) -> None: ...


class DueDeliveries(Protocol):
    """What waits for a target. Blocking; raises StoreError."""

    def due(self, target_id: int, now: float, limit: int) -> list[Delivery]: ...

    def next_due(self, target_id: int, after: float) -> float | None: ...


class DeliveryResults(Protocol):
    """What became of deliveries. Blocking; raises StoreError."""

    def sent(self, delivery_id: int, now: float, answer: str) -> None: ...

    def failed(self, delivery_id: int, due_ts: float, answer: str) -> None: ...

    def give_up(self, delivery_id: int, now: float, answer: str) -> None: ...

    def wake(self, target_id: int, now: float) -> None: ...


class DeliveryStore(DueDeliveries, DeliveryResults, Protocol):
    """The outbox. Blocking; raises StoreError."""

    def tidy(self, now: float, keep_s: float, max_waiting: int) -> int: ...


class EventReader(Protocol):
    """Stored events. Blocking; raises EventNotFound, NoSnapshot, NodeGone, StoreError."""

    def get(self, event_id: int) -> EventRow: ...

    def snapshot(self, event_id: int) -> bytes: ...
