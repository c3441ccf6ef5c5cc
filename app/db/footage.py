"""Queries about clips and continuous recordings; their files are deleted with their rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Engine, delete, func, select, update
from sqlalchemy.orm import Session

from app.db.engine import opened
from app.db.event_conditions import day_of, local_seconds
from app.db.event_marks import any_flagged
from app.db.tables import ClipTable, FootageTable, NodeErasureTable
from app.errors import StoreError
from app.footage import FILMS, Footage, Period
from app.local_time import DAY_S

_COLUMNS = ("stream_id", "kind", "begin_ts", "end_ts", "path", "bytes", "flagged", "ended")
_FILE, _CLIP = FootageTable, ClipTable
_VALUES = [getattr(_FILE, name) for name in (*_COLUMNS, "footage_id", "node")]
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
            add_footage(session, footage, event_ids)

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

    def last_segment(self, stream_id: str, before_ts: float) -> Footage | None:
        """The last segment of a stream that begins before a time."""
        earlier = _FILE.kind == "continuous", _FILE.begin_ts < before_ts
        query = select(*_VALUES).where(_FILE.stream_id == stream_id, *earlier)
        return next(iter(self._read(query.order_by(_FILE.begin_ts.desc()).limit(1))), None)

    def days(self, stream_id: str, period: Period, zone: ZoneInfo) -> dict[date, int]:
        """The local days of a period on which files begin, and their bytes; newest first."""
        second = local_seconds(_FILE.begin_ts, zone, *period)
        day = (second // DAY_S).label("day")
        query = (
            select(day, func.sum(_FILE.bytes))
            .where(*_of(stream_id, period))
            .group_by(day)
            .order_by(day.desc())
        )
        with opened(self._engine) as session:
            return {day_of(number): int(total) for number, total in session.execute(query)}

    def all(self) -> list[Footage]:
        """Every file on this machine."""
        here = select(*_VALUES).where(_FILE.node.is_(None))
        return self._read(here.order_by(_FILE.footage_id))

    def paths(self) -> set[str]:
        """The path of every file on this machine."""
        with opened(self._engine) as session:
            return set(session.scalars(select(_FILE.path).where(_FILE.node.is_(None))))

    def clip_of(self, event_id: int) -> Footage | None:
        """The file with the clip of an event."""
        query = select(*_VALUES).join(_CLIP).where(_CLIP.event_id == event_id)
        return next(iter(self._read(query)), None)

    def _read(self, query: Any) -> list[Footage]:
        with opened(self._engine) as session:
            return [Footage(*row) for row in session.execute(query)]

    # ── deleting ─────────────────────────────────────────────────────────────────────────

    def remove(self, footage: Iterable[Footage]) -> int:
        """Delete files, then their rows; returns how many. Raises StoreError.

        A node of a cluster deletes its files as soon as it answers.
        """
        ids, elsewhere = [], []
        for one in footage:
            if one.node is None:
                _unlink(self.root / one.path)
            else:
                elsewhere.append(NodeErasureTable(node=one.node, path=f"{FILMS}{one.path}"))
            ids.append(one.footage_id)
        with opened(self._engine) as session:
            session.add_all(elsewhere)
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


def add_footage(session: Session, footage: Footage, event_ids: Sequence[int]) -> None:
    """Add a file, and note that it has the clip of these events."""
    row = FootageTable(**{name: getattr(footage, name) for name in _COLUMNS}, node=footage.node)
    row.flagged = footage.flagged or any_flagged(session, event_ids)
    session.add(row)
    session.flush()
    for event_id in event_ids:
        session.merge(ClipTable(event_id=event_id, footage_id=row.footage_id))


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
