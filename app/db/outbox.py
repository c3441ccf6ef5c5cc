"""Puts messages about new events into the outbox, in the transaction that stores the events.

So there is no moment at which an event is stored and its message is not, whenever the process is
killed; and an attempt to store that is repeated adds no second message.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.notify_tables import DeliveryTable, RouteTable, TargetTable
from app.db.routes import routes_of
from app.events import EventRow
from app.notifications import DeliveryState, Route

MAX_GROUPED = 50
MINUTE_S = 60.0


def enqueue(session: Session, events: Sequence[EventRow]) -> None:
    """Add what the routes want to report of events that this transaction stores."""
    routes = [route for route in routes_of(session) if route.enabled and route.target_ids]
    routes.sort(key=lambda route: route.group_s)  # of several, the one that waits least tells it
    if not routes:
        return
    enabled = set(session.scalars(select(TargetTable.target_id).where(TargetTable.enabled)))
    now = time.time()
    for event in events:
        reached: set[int] = set()  # a target that several routes lead to gets one message
        for route in routes:
            if not route.takes(event):
                continue
            for target_id in route.target_ids:
                if target_id in enabled and target_id not in reached:
                    reached.add(target_id)
                    _add(session, route, target_id, event, now)


def _add(session: Session, route: Route, target_id: int, event: EventRow, now: float) -> None:
    if route.group_s and _joins_group(session, route, target_id, event, now):
        return
    if route.max_per_minute is not None:
        mine = (DeliveryTable.route_id == route.route_id, DeliveryTable.target_id == target_id)
        recent = select(func.count()).where(*mine, DeliveryTable.created_ts > now - MINUTE_S)
        if (session.scalar(recent) or 0) >= route.max_per_minute:
            session.get_one(RouteTable, route.route_id).suppressed += 1
            return
    session.add(
        DeliveryTable(
            message_id=f"msg_{secrets.token_hex(12)}",
            target_id=target_id,
            route_id=route.route_id,
            stream_id=event.stream_id,
            event_ids=[event.event_id],
            state=DeliveryState.WAITING.value,
            failures=0,
            created_ts=now,
            due_ts=now + route.group_s,
        )
    )  # written before the next query; numbers are given in this order, and messages sent in it


def _joins_group(
    session: Session, route: Route, target_id: int, event: EventRow, now: float
) -> bool:
    """Whether a message that is not due yet takes the event, too."""
    collecting = session.scalar(
        select(DeliveryTable)
        .where(
            DeliveryTable.target_id == target_id,
            DeliveryTable.state == DeliveryState.WAITING.value,
            DeliveryTable.stream_id == event.stream_id,
            DeliveryTable.route_id == route.route_id,
            DeliveryTable.failures == 0,
            DeliveryTable.due_ts > now,
        )
        .order_by(DeliveryTable.delivery_id.desc())
        .limit(1)
    )
    if collecting is None or len(collecting.event_ids) >= MAX_GROUPED:
        return False
    collecting.event_ids = [*collecting.event_ids, event.event_id]
    return True
