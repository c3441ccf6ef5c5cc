"""Counts of plates and sessions: statistics and activity."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Engine, case, func, select
from sqlalchemy.orm import Session

from app.db.engine import opened
from app.db.plate_tables import PlateTable, SessionTable
from app.db.plates import LIVING, MANUAL, newest_first, of_cameras, plate_of
from app.plates import PlateStatistics
from app.rights import Cameras

NEWEST = 10
MOST_PARTS = 1000


class PlateCounts:
    """Counts plates. Raises StoreError when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def statistics(self, cameras: Cameras = None) -> PlateStatistics:
        """Totals over all plates that are not deleted, and the newest of them.

        Args:
            cameras: whose plates are counted; None for all, and for uploads.
        """
        plates = [LIVING, *of_cameras(PlateTable.source, cameras)]
        with opened(self._engine) as session:
            total, verified, unread, confidence = session.execute(
                select(
                    func.count(),
                    func.sum(case((PlateTable.is_verified, 1), else_=0)),
                    func.sum(case((PlateTable.plate_number == "", 1), else_=0)),
                    func.avg(PlateTable.confidence),
                ).where(*plates)
            ).one()
            count = select(func.count()).select_from(SessionTable)
            counted = count.where(*of_cameras(SessionTable.source, cameras))
            sessions = session.scalar(counted) or 0
            newest = select(PlateTable).where(*plates).order_by(*newest_first()).limit(NEWEST)
            return PlateStatistics(
                total,
                verified or 0,
                unread or 0,
                sessions,
                confidence or 0.0,
                tuple(plate_of(row) for row in session.scalars(newest)),
            )

    def activity(self, cameras: Cameras = None) -> dict[str, dict[str, int]]:
        """Counts of living plates by hour (UTC), day, source and who read them.

        ``corrected`` counts the readings that a person changed, ``confirmed`` those that a person
        marked as verified unchanged.
        """
        moment = PlateTable.timestamp
        if self._engine.dialect.name == "sqlite":
            hour: ColumnElement[Any] = func.strftime("%H", moment)
            day: ColumnElement[Any] = func.strftime("%Y-%m-%d", moment)
        else:
            moment = func.timezone("UTC", moment)  # type: ignore[assignment]
            hour, day = func.to_char(moment, "HH24"), func.to_char(moment, "YYYY-MM-DD")
        corrected = PlateTable.processed_by == MANUAL
        plates = [LIVING, *of_cameras(PlateTable.source, cameras)]
        with opened(self._engine) as session:
            checked = session.execute(
                select(
                    func.sum(case((corrected, 1), else_=0)),
                    func.sum(case((PlateTable.is_verified & ~corrected, 1), else_=0)),
                ).where(*plates)
            ).one()
            return {
                "per_hour": _counted(session, hour, plates),
                "per_day": _counted(session, day, plates),
                "by_source": _counted(session, PlateTable.source, plates),
                "by_reader": _counted(session, PlateTable.processed_by, plates),
                "checked": {"corrected": checked[0] or 0, "confirmed": checked[1] or 0},
            }


def _counted(session: Session, group: Any, plates: list[ColumnElement[bool]]) -> dict[str, int]:
    query = select(group, func.count()).where(*plates).group_by(group).order_by(group)
    rows: list[Any] = list(session.execute(query))
    return {str(name): count for name, count in rows[-MOST_PARTS:]}
