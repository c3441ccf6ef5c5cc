"""What the routes for number plates take from a request; nobody gets what they may not see."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Depends, Path, Query

from app.api.deps import CallerDep, PlateRepositoryDep
from app.api.times import FORMATS, Time, utc
from app.errors import PlateNotFound, SessionNotFound
from app.plates import PlateFilter, StoredPlate, StoredSession
from app.rights import Cameras, Right

MAX_LIMIT = 1000
PLAIN = r"^[^\x00]*$"
"""PostgreSQL stores no zero bytes in texts."""

Id = Annotated[int, Path(ge=1, le=2**31 - 1, examples=[1])]
Skip = Annotated[int, Query(ge=0, le=2**31 - 1, description="How many to skip.")]


def _limit(
    limit: Annotated[int, Query(ge=0, description="Up to 1000; more is taken as 1000.")] = 100,
) -> int:
    return min(limit, MAX_LIMIT)


Limit = Annotated[int, Depends(_limit)]


def _cameras(caller: CallerDep) -> Cameras:
    """The cameras whose plates the caller may see; None for all, and for uploads."""
    return caller.access.cameras(Right.PLATES)


OwnCameras = Annotated[Cameras, Depends(_cameras)]


async def own_plate(plate_id: Id, rows: PlateRepositoryDep, cameras: OwnCameras) -> StoredPlate:
    """A plate that the caller may see, also a deleted one. Raises PlateNotFound."""
    plate = await asyncio.to_thread(rows.plate, plate_id, deleted=True)
    if cameras is not None and plate.source not in cameras:
        raise PlateNotFound(plate_id=plate_id)
    return plate


def existing(plate: Annotated[StoredPlate, Depends(own_plate)]) -> StoredPlate:
    """The plate, unless it was deleted. Raises PlateNotFound."""
    if plate.is_deleted:
        raise PlateNotFound(plate_id=plate.plate_id)
    return plate


OwnPlate = Annotated[StoredPlate, Depends(existing)]
OwnOrDeletedPlate = Annotated[StoredPlate, Depends(own_plate)]


async def _own_session(
    session_id: Id, rows: PlateRepositoryDep, cameras: OwnCameras
) -> StoredSession:
    """A session that the caller may see. Raises SessionNotFound."""
    session = await asyncio.to_thread(rows.session, session_id)
    if cameras is not None and session.source not in cameras:
        raise SessionNotFound(session_id=session_id)
    return session


OwnSession = Annotated[StoredSession, Depends(_own_session)]


def _filter(
    cameras: OwnCameras,
    plate_number: Annotated[
        str | None,
        Query(max_length=64, pattern=PLAIN, description="The number or a part of it."),
    ] = None,
    verified: Annotated[
        bool | None, Query(description="Only plates that were verified, or were not.")
    ] = None,
    since: Annotated[Time, Query(alias="from", description=f"{FORMATS}.")] = None,
    until: Annotated[Time, Query(alias="to", description=f"{FORMATS}.")] = None,
    source: Annotated[
        str | None,
        Query(max_length=64, pattern=PLAIN, description="`upload`, or a stream's id."),
    ] = None,
    min_confidence: Annotated[
        float | None, Query(ge=0, le=1, description="Lowest confidence.")
    ] = None,
) -> PlateFilter:
    return PlateFilter(
        plate_number, verified, utc(since), utc(until), source, min_confidence, cameras
    )


Wanted = Annotated[PlateFilter, Depends(_filter)]
