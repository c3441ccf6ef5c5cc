"""Queries about clips and continuous recordings; their files are deleted with their rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Engine, delete, select, update
from sqlalchemy.orm import Session

from app.db.engine import opened
from app.db.tables import ClipTable, FootageTable
from app.errors import StoreError
from app.footage import Footage, Period

_COLUMNS = ("stream_id", "kind", "begin_ts", "end_ts", "path", "bytes", "flagged")
_FILE, _CLIP = FootageTable, ClipTable
_VALUES = [getattr(_FILE, name) for name in (*_COLUMNS, "footage_id")]
"""In the order of the fields of ``Footage``; there may be tens of thousands of rows."""


class FootageRepository:
    """Footage as rows. Blocking; raises StoreError when the database fails.

    Args:
        root: the folder that paths are relative to.
    """

    def __init__(self, engine: Engine, root: Path) -> None:
        self._engine = engine
        self.root = root

    # ── writing ──────────────────────────────────────────────────────────────────────────

    def add(self, footage: Footage, event_ids: Sequence[int] = ()) -> None:
        """Add a file, and note that it has the clip of these events."""
        with opened(self._engine) as session:
            row = FootageTable(**{name: getattr(footage, name) for name in _COLUMNS})
            session.add(row)
            session.flush()
            for event_id in event_ids:
                session.merge(ClipTable(event_id=event_id, footage_id=row.footage_id))

    def flag(self, stream_id: str, period: Period, *, flagged: bool) -> int:
        """Flag the files of a stream from a period, or unflag them; returns how many."""
        with opened(self._engine) as session:
            changed: Any = session.execute(
                update(_FILE).where(*_of(stream_id, period)).values(flagged=flagged)
            )
            return int(changed.rowcount)

    # ── reading ──────────────────────────────────────────────────────────────────────────

    def of_stream(self, stream_id: str, period: Period) -> list[Footage]:
        """The files of a stream that overlap a period, in order."""
        query = select(*_VALUES).where(*_of(stream_id, period))
        return self._read(query.order_by(_FILE.begin_ts, _FILE.footage_id))

    def all(self) -> list[Footage]:
        """Every file."""
        return self._read(select(*_VALUES))

    def paths(self) -> set[str]:
        """The path of every file."""
        with opened(self._engine) as session:
            return set(session.scalars(select(_FILE.path)))

    def clip_of(self, event_id: int) -> Footage | None:
        """The file with the clip of an event."""
        query = select(*_VALUES).join(_CLIP).where(_CLIP.event_id == event_id)
        return next(iter(self._read(query)), None)

    def _read(self, query: Any) -> list[Footage]:
        with opened(self._engine) as session:
            return [Footage(*row) for row in session.execute(query)]

    # ── deleting ─────────────────────────────────────────────────────────────────────────

    def remove(self, footage: Iterable[Footage]) -> int:
        """Delete files, then their rows; returns how many. Raises StoreError."""
        ids = []
        for one in footage:
            _unlink(self.root / one.path)
            ids.append(one.footage_id)
        with opened(self._engine) as session:
            session.execute(delete(_FILE).where(_FILE.footage_id.in_(ids)))
        return len(ids)

    def remove_clips(self, event_ids: Sequence[int], *, shared: bool) -> int:
        """Delete the clips of events; returns how many files that were.

        Args:
            shared: also those that other events have, too.
        """
        with opened(self._engine) as session:
            mine = select(_CLIP.footage_id).where(_CLIP.event_id.in_(event_ids))
            ids = set(session.scalars(mine))
            if not shared:
                others = _CLIP.footage_id.in_(ids), _CLIP.event_id.not_in(event_ids)
                ids -= set(session.scalars(select(_CLIP.footage_id).where(*others)))
            unused = select(*_VALUES).where(_FILE.footage_id.in_(ids))
            files = [Footage(*row) for row in session.execute(unused)]
        self.remove(files)  # with the rows of their clips
        with opened(self._engine) as session:
            session.execute(delete(_CLIP).where(_CLIP.event_id.in_(event_ids)))
        return len(files)


def events_with_clip(session: Session, event_ids: Sequence[int]) -> set[int]:
    """Which of these events have a clip."""
    return set(session.scalars(select(_CLIP.event_id).where(_CLIP.event_id.in_(event_ids))))


def _of(stream_id: str, period: Period) -> tuple[ColumnElement[bool], ...]:
    return (
        _FILE.stream_id == stream_id,
        _FILE.begin_ts < period.end_ts,
        _FILE.end_ts > period.begin_ts,
    )


def _unlink(path: Path) -> None:
    """Delete a file, and the folder of its day if that is empty then. Raises StoreError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(reason=f"footage: {error.strerror}") from None
    with contextlib.suppress(OSError):  # not empty
        path.parent.rmdir()
