"""Deletes events: their rows, their pictures and their clips together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, delete, func, select

from app.db.engine import opened
from app.db.event_conditions import of_plate
from app.db.events import LAST_DELETED, last_deleted
from app.db.footage import FootageRepository
from app.db.snapshots import SnapshotFolder
from app.db.tables import CounterTable, EventTable, NodeErasureTable
from app.footage import PICTURES

BATCH = 500
_HERE = EventTable.node.is_(None)
"""The snapshot is on this machine."""


class EventPruner:
    """Counts and deletes events. Blocking; raises StoreError when the database fails.

    Args:
        footage: has the clips of events; None where no clips are recorded.
    """

    def __init__(
        self, engine: Engine, snapshots: SnapshotFolder, footage: FootageRepository | None = None
    ) -> None:
        self._engine = engine
        self._snapshots = snapshots
        self._footage = footage

    def count(self) -> int:
        """Number of all events."""
        with opened(self._engine) as session:
            return session.scalar(select(func.count()).select_from(EventTable)) or 0

    def flagged_snapshots(self) -> set[str]:
        """The names of the pictures of flagged events."""
        flagged = EventTable.flagged.is_(True), EventTable.snapshot.is_not(None), _HERE
        with opened(self._engine) as session:
            names = session.scalars(select(EventTable.snapshot).where(*flagged))
            return {name for name in names if name is not None}

    def delete_oldest(self, count: int) -> tuple[int, int]:
        """Delete the oldest events that are not flagged; returns how many, and the bytes that their
        pictures had."""
        oldest = _snapshots().where(EventTable.flagged.is_(False)).order_by(EventTable.event_id)
        return self._delete(oldest.limit(count))

    def delete_before(self, ts: float, limit: int, *, flagged: bool = False) -> tuple[int, int]:
        """Delete events from before a moment, the oldest first; returns as ``delete_oldest``.

        Args:
            flagged: delete those that are flagged; else only those that are not.
        """
        older = _snapshots().where(EventTable.ts < ts, EventTable.flagged.is_(flagged))
        return self._delete(older.order_by(EventTable.ts).limit(limit))

    def delete_with_snapshots(self, names: Sequence[str]) -> int:
        """Delete the events that have these snapshots; returns how many that were."""
        return self._delete(_snapshots().where(EventTable.snapshot.in_(names), _HERE), names)[0]

    def delete_one(self, event_id: int) -> int:
        """Delete one event; returns how many that was."""
        return self._erase(_snapshots().where(EventTable.event_id == event_id))

    def delete_of_camera(self, camera: str, since: float, until: float) -> int:
        """Delete the events of a camera from a period in Unix seconds; returns how many."""
        period = (EventTable.ts >= since) & (EventTable.ts < until)
        return self._erase(_snapshots().where(EventTable.stream_id == camera, period))

    def delete_of_plate(self, number: str) -> int:
        """Delete the events that contain a plate's number; returns how many."""
        return self._erase(_snapshots().where(of_plate(number)))

    def _erase(self, query: Any) -> int:
        """Delete events for good, with all that shows them."""
        return self._delete(query, erase=True)[0]

    def _delete(
        self, query: Any, names: Sequence[str] = (), *, erase: bool = False
    ) -> tuple[int, int]:
        """Delete events.

        Args:
            erase: delete their clips even if other events share them.
        """
        with opened(self._engine) as session:
            rows = session.execute(query).all()
        ids = [row.event_id for row in rows]
        if self._footage is not None:  # before the rows, so that a failure leaves what names them
            for start in range(0, len(ids), BATCH):
                self._footage.remove_clips(ids[start : start + BATCH], shared=erase)
        with opened(self._engine) as session:
            session.add_all(
                NodeErasureTable(node=row.node, path=f"{PICTURES}{row.snapshot}")
                for row in rows
                if row.node is not None and row.snapshot is not None
            )
            session.execute(delete(EventTable).where(EventTable.event_id.in_(ids)))
            if ids:  # a number is never used twice
                newest = max(*ids, last_deleted(session))
                session.merge(CounterTable(name=LAST_DELETED, value=newest))
        here = {row.snapshot for row in rows if row.snapshot and row.node is None}
        freed = self._snapshots.delete({*names, *here})
        return len(ids), freed


def _snapshots() -> Any:
    return select(EventTable.event_id, EventTable.snapshot, EventTable.node)
