"""The dependencies of routes for notifications."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from fastapi import Depends, Path
from fastapi.requests import HTTPConnection

from app.api.errors import error_replies
from app.db.deliveries import DeliveryRepository
from app.db.routes import RouteRepository
from app.db.targets import TargetRepository
from app.notify.dispatcher import Dispatcher
from app.notify.snapshot_links import SnapshotLinks
from app.notify.vapid import Vapid

MAX_ID = 2**31 - 1
NOTIFY_ERRORS = error_replies(
    {
        400: "Wrong field or value",
        401: "Token needed",
        403: "The caller is no administrator",
        404: "No such target, route or delivery",
    }
)


class NotifyServices(NamedTuple):
    """Everything that the routes for notifications need."""

    targets: TargetRepository
    routes: RouteRepository
    deliveries: DeliveryRepository
    dispatcher: Dispatcher
    vapid: Vapid
    links: SnapshotLinks


def _notify(connection: HTTPConnection) -> NotifyServices:
    services: NotifyServices = connection.state.notify
    return services


NotifyDep = Annotated[NotifyServices, Depends(_notify)]
TargetId = Annotated[int, Path(ge=1, le=MAX_ID, examples=[3])]
RouteId = Annotated[int, Path(ge=1, le=MAX_ID, examples=[3])]
DeliveryId = Annotated[int, Path(ge=1, le=MAX_ID, examples=[3])]
