"""Queries about sessions and plates; search and counts have modules of their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, func, select
from sqlalchemy.orm import Session, selectinload

from app import plate_text
from app.db.engine import opened
from app.db.plate_tables import PlateTable, SessionTable
from app.errors import PlateNotFound, SessionNotFound
from app.plates import (
    NewPlate,
    NewSession,
    PlateFilter,
    StoredPlate,
    StoredSession,
)
from app.rights import Cameras

MANUAL = "manual"
EXPORT_PAGE = 1000
LIVING = PlateTable.is_deleted.is_(False)


class PlateRepository:
    """Sessions and plates as rows. Raises StoreError when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, new: NewSession) -> StoredSession:
        """One session with its plates, all or nothing."""
        at = new.at or datetime.now(UTC)
        with opened(self._engine) as session:
            row = SessionTable(
                filename=new.filename,
                timestamp=at,
                processing_time=new.processing_time_ms,
                total_plates_detected=len(new.plates),
                source=new.source,
                source_image_path=new.source_image_path,
            )
            session.add(row)
            session.flush()
            for plate in new.plates:
                session.add(_row(plate, row, at))
            session.flush()
            return _session(row)

    def sessions(
        self, skip: int, limit: int, cameras: Cameras = None
    ) -> tuple[list[StoredSession], int]:
        """Newest first, and how many there are, of all sources or of some cameras."""
        allowed = of_cameras(SessionTable.source, cameras)
        newest = (
            select(SessionTable)
            .where(*allowed)
            .order_by(SessionTable.timestamp.desc(), SessionTable.id.desc())
        )
        with opened(self._engine) as session:
            count = select(func.count()).select_from(SessionTable).where(*allowed)
            total = session.scalar(count) or 0
            page = newest.offset(skip).limit(limit).options(selectinload(SessionTable.plates))
            return [_session(row) for row in session.scalars(page)], total

    def session(self, session_id: int) -> StoredSession:
        with opened(self._engine) as session:
            row = session.get(SessionTable, session_id)
            if row is None:
                raise SessionNotFound(session_id=session_id)
            return _session(row)

    def plates(self, wanted: PlateFilter, skip: int, limit: int) -> tuple[list[StoredPlate], int]:
        """Newest first, and how many match."""
        conditions = _conditions(wanted)
        newest = (
            select(PlateTable)
            .where(*conditions)
            .order_by(*newest_first())
            .offset(skip)
            .limit(limit)
        )
        with opened(self._engine) as session:
            count = select(func.count()).select_from(PlateTable).where(*conditions)
            return [plate_of(row) for row in session.scalars(newest)], session.scalar(count) or 0

    def export(self, wanted: PlateFilter) -> Iterator[StoredPlate]:
        """All matching plates, newest first, without those added or deleted meanwhile.

        Rows are fetched in pages, by id: timestamps that other programs wrote have another
        text form in SQLite and cannot be compared with ours.
        """
        query = select(PlateTable.id).where(*_conditions(wanted)).order_by(*newest_first())
        with opened(self._engine) as session:
            numbered = list(session.scalars(query))
        for start in range(0, len(numbered), EXPORT_PAGE):
            page = numbered[start : start + EXPORT_PAGE]
            with opened(self._engine) as session:
                rows = session.scalars(select(PlateTable).where(PlateTable.id.in_(page), LIVING))
                found = {row.id: plate_of(row) for row in rows}
            yield from (found[plate_id] for plate_id in page if plate_id in found)

    def plate(self, plate_id: int, *, deleted: bool = False) -> StoredPlate:
        """Raises PlateNotFound, also for a deleted plate unless ``deleted`` is set."""
        with opened(self._engine) as session:
            return plate_of(_get(session, plate_id, deleted=deleted))

    def update(self, plate_id: int, changes: dict[str, Any]) -> StoredPlate:
        """Change columns. A changed number marks the reading as corrected by a person, who is
        certain."""
        with opened(self._engine) as session:
            row = _get(session, plate_id)
            number = changes.get("plate_number")
            if number is not None and number != row.plate_number:
                row.processed_by, row.confidence = MANUAL, float(bool(number))
            for name, value in changes.items():
                setattr(row, name, value)
            session.flush()
            return plate_of(row)

    def delete(self, plate_id: int) -> None:
        """Hide a plate; its row stays."""
        with opened(self._engine) as session:
            _get(session, plate_id).is_deleted = True

    def forget_pictures(self, plate_id: int) -> list[str]:
        """Remove a plate's images from every row that names them; returns their paths.

        The source image shows the plate too, so it is removed with every crop of it.
        """
        with opened(self._engine) as session:
            row = _get(session, plate_id, deleted=True)
            shown = PlateTable.source_image_path == row.source_image_path
            same = [row]
            if row.source_image_path:
                same = list(session.scalars(select(PlateTable).where(shown)))
                named = SessionTable.source_image_path == row.source_image_path
                for found in session.scalars(select(SessionTable).where(named)):
                    found.source_image_path = ""
            paths = {row.source_image_path, *(plate.image_path for plate in same)}
            for plate in same:
                plate.image_path = plate.source_image_path = ""
            return sorted(paths - {""})

    def verified_pictures(self) -> set[str]:
        """Paths of the images of plates that a person verified."""
        wanted = select(PlateTable.image_path, PlateTable.source_image_path).where(
            PlateTable.is_verified
        )
        with opened(self._engine) as session:
            return {path for row in session.execute(wanted) for path in row if path}


def of_cameras(source: Any, cameras: Cameras) -> list[ColumnElement[bool]]:
    """The condition that a column of sources names one of the cameras; none for all of them."""
    return [] if cameras is None else [source.in_(cameras)]


def newest_first() -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """The order of lists: by time, and by id among equals."""
    return PlateTable.timestamp.desc(), PlateTable.id.desc()


def _conditions(wanted: PlateFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [LIVING, *of_cameras(PlateTable.source, wanted.cameras)]
    if wanted.number:
        part = plate_text.shape(wanted.number)
        named = PlateTable.shape.contains(part, autoescape=True)
        # Uses the search index; the rows themselves are fetched only for matches.
        found.append(PlateTable.id.in_(select(PlateTable.id).where(named, LIVING)))
    if wanted.verified is not None:
        found.append(PlateTable.is_verified.is_(wanted.verified))
    if wanted.since is not None:
        found.append(PlateTable.timestamp >= wanted.since)
    if wanted.until is not None:
        found.append(PlateTable.timestamp <= wanted.until)
    if wanted.source is not None:
        found.append(PlateTable.source == wanted.source)
    if wanted.min_confidence is not None:
        found.append(PlateTable.confidence >= wanted.min_confidence)
    return found


def _get(session: Session, plate_id: int, *, deleted: bool = False) -> PlateTable:
    row = session.get(PlateTable, plate_id)
    if row is None or (row.is_deleted and not deleted):
        raise PlateNotFound(plate_id=plate_id)
    return row


def _row(plate: NewPlate, session: SessionTable, at: datetime) -> PlateTable:
    read = plate.read
    x_min, y_min, x_max, y_max = (round(side) for side in read.box)
    return PlateTable(
        plate_number=read.text,
        confidence=read.confidence,
        timestamp=at,
        image_path=plate.image_path,
        source_image_path=session.source_image_path,
        x_min=x_min,
        y_min=y_min,
        x_max=x_max,
        y_max=y_max,
        processed_by=read.processed_by,
        alternative_readings="/".join((read.text, *read.alternatives))
        if read.alternatives
        else None,
        detection_id=session.id,
        country=read.country,
        votes=dict(read.votes),
        source=session.source,
        first_reading=read.text,
    )


def _session(row: SessionTable) -> StoredSession:
    return StoredSession(
        row.id,
        row.filename,
        _utc(row.timestamp),
        row.processing_time,
        row.total_plates_detected,
        row.source,
        row.source_image_path,
        tuple(plate_of(plate) for plate in row.plates if not plate.is_deleted),
    )


def plate_of(row: PlateTable) -> StoredPlate:
    return StoredPlate(
        row.id,
        row.plate_number,
        row.confidence,
        _utc(row.timestamp),
        row.image_path,
        row.source_image_path,
        (row.x_min, row.y_min, row.x_max, row.y_max),
        row.processed_by,
        row.alternative_readings,
        row.is_verified,
        row.is_deleted,
        row.detection_id,
        row.country,
        row.votes,
        row.source,
        row.first_reading,
    )


def _utc(moment: datetime) -> datetime:
    """The time in UTC; SQLite stores no time zone, and everything there is in UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
