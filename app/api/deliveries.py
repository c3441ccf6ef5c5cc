"""Deliveries of notifications: what waits, what was sent, and what is dead and why."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Query

from app.api.errors import error_replies
from app.api.notify_deps import MAX_ID, NOTIFY_ERRORS, DeliveryId, NotifyDep
from app.api.notify_schemas import DeliveryPage, DeliveryReply, SentAgain
from app.errors import NotDead
from app.notifications import DeliveryFilter, DeliveryState

router = APIRouter(prefix="/api/deliveries", tags=["notifications"], responses=NOTIFY_ERRORS)

State = Annotated[DeliveryState | None, Query(description="Only in this state.")]
OfTarget = Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only to this target.")]
OfCamera = Annotated[str | None, Query(max_length=64, description="Only of this camera.")]


@router.get("", summary="List deliveries")
async def list_deliveries(
    notify: NotifyDep,
    state: State = None,
    target: OfTarget = None,
    camera: OfCamera = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Most rows of the reply.")] = 50,
    cursor: Annotated[
        int | None,
        Query(ge=0, le=MAX_ID, description="That of the reply before, for the next page."),
    ] = None,
) -> DeliveryPage:
    """Newest first. `dead` ones were given up after a day; their `answer` says why."""
    wanted = DeliveryFilter(state, target, camera)
    found = await asyncio.to_thread(notify.deliveries.page, wanted, limit + 1, cursor)
    more = len(found) > limit
    return DeliveryPage(
        cursor=found[limit - 1].delivery_id if more else None,
        deliveries=[DeliveryReply.of(one) for one in found[:limit]],
    )


@router.post("/send-dead", summary="Send all dead deliveries again")
async def send_dead_deliveries(
    notify: NotifyDep, target: OfTarget = None, camera: OfCamera = None
) -> SentAgain:
    """They are tried for another day."""
    wanted = DeliveryFilter(None, target, camera)
    count = await asyncio.to_thread(notify.deliveries.send_again, wanted, time.time())
    notify.dispatcher.ring()
    return SentAgain(deliveries=count)


@router.get("/{delivery_id}", summary="Show a delivery")
async def show_delivery(delivery_id: DeliveryId, notify: NotifyDep) -> DeliveryReply:
    """With what the other side answered."""
    return DeliveryReply.of(await asyncio.to_thread(notify.deliveries.get, delivery_id))


@router.post(
    "/{delivery_id}/send",
    summary="Send a dead delivery again",
    responses=error_replies({409: "It is not dead"}),
)
async def send_dead_delivery(delivery_id: DeliveryId, notify: NotifyDep) -> DeliveryReply:
    """It is tried for another day, under the same message id."""
    delivery = await asyncio.to_thread(notify.deliveries.get, delivery_id)
    sent = await asyncio.to_thread(
        notify.deliveries.send_again, DeliveryFilter(), time.time(), delivery_id
    )
    if not sent:
        raise NotDead(delivery_id=delivery_id, state=delivery.state.value)
    notify.dispatcher.ring()
    return DeliveryReply.of(await asyncio.to_thread(notify.deliveries.get, delivery_id))
