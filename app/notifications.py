"""The values of notifications: targets, routes that lead to them, and deliveries.

A *target* is where messages go, such as a webhook or a broker. A *route* says which events go to
which targets. A *delivery* is one message on its way to one target; it names its events by id, so
what it says is read when it is sent, and an erased event is never reported.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from app.events import EventRow
from app.local_time import Hours, time_zone, within
from app.metric_types import Counter, Histogram, counter, histogram

LATENCY_BOUNDS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 600.0, 3600.0, 86_400.0)
PASSED_AFTER = 5
"""Failed attempts after which later messages of the same camera may pass."""
Outcome = Literal["sent", "failed", "dead"]
OUTCOMES: tuple[Outcome, ...] = ("sent", "failed", "dead")


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Target:
    """Where messages go.

    Attributes:
        kind: an entry of ``app.notify.targets.TARGETS``.
        options: of its kind, with all secrets: never show them as they are.
        error: why it cannot be used, such as options that were encrypted with another key.
    """

    target_id: int
    kind: str
    name: str
    enabled: bool
    options: Mapping[str, Any] = field(repr=False)
    created_ts: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Which events go where; an empty selection takes all.

    Attributes:
        cameras, types, labels, zones: what an event must have, one of each. An event without a
            label or a zone is not taken by a route that asks for one.
        hours: the only hours in which events are taken, in ``timezone``.
        max_per_minute: events beyond this are not sent, but counted in ``suppressed``.
        group_s: events of one camera within this time become one message.
    """

    route_id: int
    name: str
    enabled: bool
    target_ids: tuple[int, ...]
    cameras: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    hours: Sequence[Hours] = ()
    timezone: str | None = None
    max_per_minute: int | None = None
    group_s: float = 0.0
    suppressed: int = 0

    def takes(self, event: EventRow) -> bool:
        """Whether an event goes this way."""
        details = event.details
        zones = {details.get("zone"), *_texts(details.get("zones"))}
        return (
            self.enabled
            and (not self.cameras or event.stream_id in self.cameras)
            and (not self.types or event.type in self.types)
            and (not self.labels or details.get("label") in self.labels)
            and (not self.zones or not zones.isdisjoint(self.zones))
            and within(self.hours, event.ts, (self.timezone and time_zone(self.timezone)) or None)
        )


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way to one target.

    Attributes:
        message_id: the same for every attempt, so that a receiver can drop repeats.
        route_id: None if the route was removed since.
        failures: attempts that failed.
        due_ts: when the next attempt is due.
        finished_ts: when it was sent or given up.
        answer: what the other side said last, without secrets.
    """

    delivery_id: int
    message_id: str
    target_id: int
    route_id: int | None
    stream_id: str
    event_ids: tuple[int, ...]
    state: DeliveryState
    failures: int
    created_ts: float
    due_ts: float
    finished_ts: float | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Selects deliveries; None selects all."""

    state: DeliveryState | None = None
    target_id: int | None = None
    stream_id: str | None = None


@dataclass(frozen=True, slots=True)
class ServerKey:
    """A secret key that this server made for one purpose."""

    key_id: int
    secret: str = field(repr=False)
    created_ts: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits for one kind of target, and how much was given up.

    Attributes:
        oldest_s: how long the oldest waiting delivery has waited.
    """

    kind: str
    waiting: int
    dead: int
    oldest_s: float


class NotifyMetrics:
    """What is counted while messages are sent.

    Attributes:
        attempts: attempts by kind of target and outcome; ``dead`` counts those given up.
        latency: seconds from an event to its acceptance by the other side.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        self.attempts: Counter = counter(
            "notifications", "Attempts to deliver a message.", kind=kinds, outcome=OUTCOMES
        )
        self.latency: Histogram = histogram(
            "notification_seconds",
            "From an event to its acceptance by a target.",
            LATENCY_BOUNDS_S,
        )

    def count(self, kind: str, outcome: Outcome) -> None:
        self.attempts.labels(kind, outcome).inc()

    def accepted(self, event_ts: float) -> None:
        self.latency.observe(max(0.0, time.time() - event_ts))
