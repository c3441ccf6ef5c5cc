"""Search for plates by a number or a part of it, look-alikes included; best first.

All queries use one index over ``shape``, ``is_deleted`` and ``id``: prefixes are searched in it,
other parts are found by scanning it, which reads no row of the table.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, func, select
from sqlalchemy.orm import Session

from app import plate_text
from app.db.engine import opened
from app.db.plate_tables import PlateTable
from app.db.plates import LIVING, of_cameras, plate_of
from app.plates import StoredPlate
from app.rights import Cameras

MOST_CANDIDATES = 5000
NEWEST = (PlateTable.id + 0).desc()
"""As a sum: for a plain column, SQLite would scan the whole table from its end."""
LAST = "\U0010ffff"


class PlateSearch:
    """Finds plates by number. Raises StoreError when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, query: str, limit: int, cameras: Cameras = None) -> list[StoredPlate]:
        """The number itself, then numbers that begin with the query, then those that contain it.

        If there are none, numbers that are one edit away. Newest first among equals.

        Args:
            cameras: whose plates are searched; None for all, and for uploads.
        """
        wanted = plate_text.shape(query)
        if not wanted:
            return []
        allowed = and_(LIVING, *of_cameras(PlateTable.source, cameras))
        with opened(self._engine) as session:
            found = _ids(session, allowed & (PlateTable.shape == wanted), limit)
            if len(found) < limit:
                begins = (PlateTable.shape > wanted) & (PlateTable.shape < wanted + LAST)
                found += _ids(session, allowed & begins, limit - len(found))
            if len(found) < limit:
                inside = PlateTable.shape.contains(wanted, autoescape=True)
                later = ~PlateTable.shape.startswith(wanted, autoescape=True)
                found += _ids(session, allowed & inside & later, limit - len(found))
            if not found:
                found = _one_edit_away(session, wanted, limit, allowed)
            rows = session.scalars(select(PlateTable).where(PlateTable.id.in_(found)))
            by_id = {row.id: plate_of(row) for row in rows}
        return [by_id[plate_id] for plate_id in found if plate_id in by_id]


def _ids(session: Session, condition: ColumnElement[bool], limit: int) -> list[int]:
    query = select(PlateTable.id).where(condition)
    return list(session.scalars(query.order_by(NEWEST).limit(limit)))


def _one_edit_away(
    session: Session, wanted: str, limit: int, allowed: ColumnElement[bool]
) -> list[int]:
    """Numbers one edit away: one edit leaves one half of the query unchanged."""
    middle = len(wanted) // 2
    if middle == 0:
        return []
    length: ColumnElement[Any] = func.length(PlateTable.shape)
    near = length.between(len(wanted) - 1, len(wanted) + 1)
    begins = PlateTable.shape.startswith(wanted[:middle], autoescape=True)
    ends = PlateTable.shape.endswith(wanted[middle:], autoescape=True)
    query = select(PlateTable.id, PlateTable.shape).where(near, begins | ends, allowed)
    rows = session.execute(query.order_by(NEWEST).limit(MOST_CANDIDATES))
    return [i for i, text in rows if plate_text.one_edit_apart(text, wanted)][:limit]
