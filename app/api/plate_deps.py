"""What the routes about plates need, as annotated types."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from fastapi import Depends
from fastapi.requests import HTTPConnection

from app.anpr.service import PlateService
from app.db.plate_search import PlateSearch
from app.db.plates import PlateRepository
from app.db.watchlist import Watchlist


class PlateServices(NamedTuple):
    """All of it, as the lifespan hands it on."""

    desk: PlateService
    rows: PlateRepository
    search: PlateSearch
    watches: Watchlist


def _door(connection: HTTPConnection) -> PlateServices:
    door: PlateServices = connection.state.plates
    return door


PlateServicesDep = Annotated[PlateServices, Depends(_door)]


def _desk(door: PlateServicesDep) -> PlateService:
    return door.desk


def _rows(door: PlateServicesDep) -> PlateRepository:
    return door.rows


def _search(door: PlateServicesDep) -> PlateSearch:
    return door.search


def _watches(door: PlateServicesDep) -> Watchlist:
    return door.watches


PlateServiceDep = Annotated[PlateService, Depends(_desk)]
PlateRepositoryDep = Annotated[PlateRepository, Depends(_rows)]
PlateSearchDep = Annotated[PlateSearch, Depends(_search)]
WatchlistDep = Annotated[Watchlist, Depends(_watches)]
