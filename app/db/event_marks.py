"""What people add to events: flags and comments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from app.db.engine import opened
from app.db.tables import ClipTable, EventTable, FootageTable
from app.errors import EventNotFound
from app.events import EventComment


class EventMarks:
    """Flags and comments of events. Blocking; raises StoreError when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def flag(self, event_id: int, *, flagged: bool) -> None:
        """Flag an event and its clip, or unflag them. Raises EventNotFound.

        A clip that other flagged events share stays flagged.
        """
        with opened(self._engine) as session:
            _change(session, event_id, {"flagged": flagged})
            clip = select(ClipTable.footage_id).where(ClipTable.event_id == event_id)
            footage_id = session.scalar(clip)
            if footage_id is None:
                return
            shared = select(ClipTable.event_id).where(ClipTable.footage_id == footage_id)
            session.execute(
                update(FootageTable)
                .where(FootageTable.footage_id == footage_id)
                .values(flagged=any_flagged(session, list(session.scalars(shared))))
            )

    def comment(self, event_id: int, comment: EventComment | None) -> None:
        """Set the comment of an event, or remove it. Raises EventNotFound."""
        values: dict[str, Any] = dict.fromkeys(("comment", "comment_by", "comment_ts"))
        if comment is not None:
            values = {
                "comment": comment.text,
                "comment_by": comment.by,
                "comment_ts": comment.ts,
            }
        with opened(self._engine) as session:
            _change(session, event_id, values)


def any_flagged(session: Session, event_ids: Sequence[int]) -> bool:
    """Whether one of these events is flagged."""
    flagged = EventTable.event_id.in_(event_ids), EventTable.flagged.is_(True)
    return session.scalar(select(EventTable.event_id).where(*flagged).limit(1)) is not None


def _change(session: Session, event_id: int, values: dict[str, Any]) -> None:
    changed: Any = session.execute(
        update(EventTable).where(EventTable.event_id == event_id).values(values)
    )
    if changed.rowcount == 0:
        raise EventNotFound(event_id=event_id)
