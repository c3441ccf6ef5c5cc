"""Every query about routes of notifications."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from app.db.engine import opened
from app.db.notify_tables import RouteTable, TargetTable
from app.errors import RouteNotFound, TargetNotFound
from app.local_time import Hours
from app.notifications import Route

logger = logging.getLogger(__name__)

_LISTS = ("cameras", "types", "labels", "zones")
_PLAIN = ("timezone", "max_per_minute", "group_s")


class RouteRepository:
    """Routes as rows. Blocking; raises StoreError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, route: Route) -> Route:
        """Add a route under a new number. Raises TargetNotFound."""
        with opened(self._engine) as session:
            _check_targets(session, route.target_ids)
            row = RouteTable(suppressed=0)
            _fill(row, route)
            session.add(row)
            session.flush()
            return replace(route, route_id=row.route_id, suppressed=0)

    def all(self) -> list[Route]:
        """All routes, oldest first."""
        with opened(self._engine) as session:
            return routes_of(session)

    def get(self, route_id: int) -> Route:
        """Raises RouteNotFound."""
        with opened(self._engine) as session:
            return _route(_row(session, route_id))

    def save(self, route: Route) -> None:
        """Write a changed route. Raises RouteNotFound, TargetNotFound."""
        with opened(self._engine) as session:
            _check_targets(session, route.target_ids)
            _fill(_row(session, route.route_id), route)

    def delete(self, route_id: int) -> None:
        """Remove a route; what is on its way is still delivered. Raises RouteNotFound."""
        with opened(self._engine) as session:
            _row(session, route_id)
            session.execute(delete(RouteTable).where(RouteTable.route_id == route_id))


def routes_of(session: Session) -> list[Route]:
    """All routes, oldest first."""
    return [_route(row) for row in session.scalars(select(RouteTable).order_by("route_id"))]


def _row(session: Session, route_id: int) -> RouteTable:
    row = session.get(RouteTable, route_id)
    if row is None:
        raise RouteNotFound(route_id=route_id)
    return row


def _check_targets(session: Session, target_ids: Sequence[int]) -> None:
    known = set(session.scalars(select(TargetTable.target_id)))
    for target_id in target_ids:
        if target_id not in known:
            raise TargetNotFound(target_id=target_id)


def _fill(row: RouteTable, route: Route) -> None:
    row.name, row.enabled, row.targets = route.name, route.enabled, list(route.target_ids)
    selection: dict[str, Any] = {name: list(getattr(route, name)) for name in _LISTS}
    selection |= {name: getattr(route, name) for name in _PLAIN}
    hours = [one.model_dump(mode="json", by_alias=True) for one in route.hours]
    row.selection = {**selection, "hours": [_short(one) for one in hours]}


def _short(hours: dict[str, Any]) -> dict[str, Any]:
    """``22:00:00`` as ``22:00``."""
    return {**hours, "from": hours["from"][:5], "to": hours["to"][:5]}


def _route(row: RouteTable) -> Route:
    selection = row.selection
    values: dict[str, Any] = {name: tuple(selection[name]) for name in _LISTS}
    values |= {name: selection[name] for name in _PLAIN}
    values["hours"] = tuple(Hours(**one) for one in selection["hours"])
    target_ids, suppressed = tuple(row.targets), row.suppressed
    return Route(row.route_id, row.name, row.enabled, target_ids, suppressed=suppressed, **values)
