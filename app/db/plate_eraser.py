"""Finds and erases all rows about number plates: for good, unlike the deletion of one plate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Engine, delete, or_, select, update
from sqlalchemy.orm import Session

from app import plate_text
from app.db.engine import opened
from app.db.plate_tables import ClaudeCallTable, PlateTable, SessionTable, WatchTable
from app.db.plates import plate_of
from app.plates import StoredPlate


@dataclass(frozen=True, slots=True)
class PlateRows:
    """Which plates to erase.

    Attributes:
        plates: also those that were deleted from the lists.
        watch_ids: entries of the watch-list.
    """

    plates: Sequence[StoredPlate]
    watch_ids: Sequence[int] = ()

    @property
    def paths(self) -> list[str]:
        """Their images: the crops, and the whole images that show them."""
        found = {path for one in self.plates for path in (one.image_path, one.source_image_path)}
        return sorted(found - {""})


class PlateEraser:
    """Erases plates. Blocking; raises StoreError when the database fails.

    Finding and erasing are two steps, so that images are removed in between: while one of them
    cannot be, its row stays and names it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of_number(self, number: str) -> PlateRows:
        """All plates of a number, and its entries of the watch-list, in any spelling."""
        key = plate_text.folded(number)
        with opened(self._engine) as session:
            alike = _plates(session, PlateTable.shape == plate_text.shape(number))
            watched = session.execute(select(WatchTable.id, WatchTable.number))
            return PlateRows(
                [one for one in alike if plate_text.folded(one.plate_number) == key],
                [watch_id for watch_id, listed in watched if plate_text.folded(listed) == key],
            )

    def of_source(self, source: str, since: float, until: float) -> PlateRows:
        """All plates of a camera, or of uploads, from a period in Unix seconds."""
        begin, end = (datetime.fromtimestamp(ts, UTC) for ts in (since, until))
        moment = (PlateTable.timestamp >= begin) & (PlateTable.timestamp < end)
        with opened(self._engine) as session:
            return PlateRows(_plates(session, (PlateTable.source == source) & moment))

    def erase(self, rows: PlateRows) -> int:
        """Delete rows, with their sessions and the answers of Claude; returns how many plates."""
        ids = [plate.plate_id for plate in rows.plates]
        numbers = {plate.plate_number for plate in rows.plates} - {""}
        with opened(self._engine) as session:
            _forget_images(session, rows.paths)
            asked = or_(ClaudeCallTable.plate_id.in_(ids), ClaudeCallTable.answer.in_(numbers))
            session.execute(delete(ClaudeCallTable).where(asked))
            session.execute(delete(WatchTable).where(WatchTable.id.in_(rows.watch_ids)))
            session.execute(delete(PlateTable).where(PlateTable.id.in_(ids)))
            sessions = {p.session_id for p in rows.plates if p.session_id is not None}
            kept = select(PlateTable.detection_id).where(PlateTable.detection_id.in_(sessions))
            empty = sessions - set(session.scalars(kept))
            session.execute(delete(SessionTable).where(SessionTable.id.in_(empty)))
        return len(ids)


def _plates(session: Session, condition: ColumnElement[bool]) -> list[StoredPlate]:
    rows = session.scalars(select(PlateTable).where(condition).order_by(PlateTable.id))
    return [plate_of(row) for row in rows]


def _forget_images(session: Session, paths: Sequence[str]) -> None:
    """Remove the names of images from other plates and sessions that they show as well."""
    for column in (PlateTable.image_path, PlateTable.source_image_path):
        values = {column.key: ""}
        session.execute(update(PlateTable).where(column.in_(paths)).values(**values))
    shown = SessionTable.source_image_path.in_(paths)
    session.execute(update(SessionTable).where(shown).values(source_image_path=""))
