"""What the routes about plates need, as annotated types."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from fastapi import Depends
from fastapi.requests import HTTPConnection

from app.anpr.service import PlateDesk
from app.db.plate_search import PlateSearch
from app.db.plates import PlateRepository
from app.db.watchlist import Watchlist


class PlateDoor(NamedTuple):
    """All of it, as the lifespan hands it on."""

    desk: PlateDesk
    rows: PlateRepository
    search: PlateSearch
    watches: Watchlist


def _door(connection: HTTPConnection) -> PlateDoor:
    door: PlateDoor = connection.state.plates
    return door


Door = Annotated[PlateDoor, Depends(_door)]


def _desk(door: Door) -> PlateDesk:
    return door.desk


def _rows(door: Door) -> PlateRepository:
    return door.rows


def _search(door: Door) -> PlateSearch:
    return door.search


def _watches(door: Door) -> Watchlist:
    return door.watches


Desk = Annotated[PlateDesk, Depends(_desk)]
PlateRows = Annotated[PlateRepository, Depends(_rows)]
PlateSearcher = Annotated[PlateSearch, Depends(_search)]
Watches = Annotated[Watchlist, Depends(_watches)]
