"""Routes of notifications: which events go to which targets."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from app.api.account_schemas import Done
from app.api.audit_middleware import note
from app.api.errors import error_replies
from app.api.notify_deps import NOTIFY_ERRORS, NotifyDep, RouteId
from app.api.notify_schemas import RouteChange, RouteReply, RouteRequest
from app.errors import TooManyTargets

MAX_ROUTES = 200

router = APIRouter(prefix="/api/routes", tags=["notifications"], responses=NOTIFY_ERRORS)


@router.get("", summary="List routes")
async def list_routes(notify: NotifyDep) -> list[RouteReply]:
    """Oldest first."""
    return [RouteReply.of(route) for route in await asyncio.to_thread(notify.routes.all)]


@router.post(
    "",
    summary="Add a route",
    status_code=201,
    responses=error_replies({409: "There are too many routes"}),
)
async def add_route(body: RouteRequest, request: Request, notify: NotifyDep) -> RouteReply:
    """Events that happen from now on take it. A target to which several routes lead is told of an
    event once, by the oldest of them."""
    if len(await asyncio.to_thread(notify.routes.all)) >= MAX_ROUTES:
        raise TooManyTargets(count=MAX_ROUTES, what="routes")
    route = await asyncio.to_thread(notify.routes.add, body.to_route())
    note(request, route_id=route.route_id)
    return RouteReply.of(route)


@router.get("/{route_id}", summary="Show a route")
async def show_route(route_id: RouteId, notify: NotifyDep) -> RouteReply:
    """Which events it sends, and where."""
    return RouteReply.of(await asyncio.to_thread(notify.routes.get, route_id))


@router.patch("/{route_id}", summary="Change a route")
async def change_route(route_id: RouteId, body: RouteChange, notify: NotifyDep) -> RouteReply:
    """What is already on its way stays there."""
    route = body.applied_to(await asyncio.to_thread(notify.routes.get, route_id))
    await asyncio.to_thread(notify.routes.save, route)
    return RouteReply.of(route)


@router.delete("/{route_id}", summary="Remove a route")
async def remove_route(route_id: RouteId, notify: NotifyDep) -> Done:
    """What is already on its way is still delivered."""
    await asyncio.to_thread(notify.routes.delete, route_id)
    return Done()
