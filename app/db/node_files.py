"""Rows about what the nodes of a cluster store: films, snapshots, and what they must delete."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Engine, delete, select, update

from app.db.engine import opened
from app.db.footage import add_footage
from app.db.tables import EventTable, FootageTable, JobFileTable, JobTable, NodeErasureTable
from app.footage import FILMS, PICTURES, RECORDINGS, Footage
from app.local_time import DAY_S

BATCH = 500


class NodeFileRepository:
    """What nodes store, as rows. Blocking; raises StoreError when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, node: str, footage: Footage, event_ids: Sequence[int]) -> None:
        """Add a file of a node; one that has a row already stays as it is."""
        mine = FootageTable.node == node, FootageTable.path == footage.path
        with opened(self._engine) as session:
            if session.scalar(select(FootageTable.footage_id).where(*mine).limit(1)) is None:
                add_footage(session, replace(footage, node=node), event_ids)

    def films(self, node: str) -> set[str]:
        """The paths of the films of a node."""
        with opened(self._engine) as session:
            return set(session.scalars(select(FootageTable.path).where(FootageTable.node == node)))

    def recordings(self, node: str) -> set[str]:
        """The paths of the files of jobs that a node has, or had."""
        mine = select(JobFileTable.path).where(JobFileTable.node == node)
        with opened(self._engine) as session:
            return set(session.scalars(mine))

    def flagged(self, node: str) -> frozenset[str]:
        """What a node deletes last: flagged films, snapshots of flagged events, flagged jobs."""
        films = select(FootageTable.path).where(
            FootageTable.node == node, FootageTable.flagged.is_(True)
        )
        pictures = select(EventTable.snapshot).where(
            EventTable.flagged.is_(True), EventTable.node == node, EventTable.snapshot.is_not(None)
        )
        jobs = select(JobTable.job_id).where(JobTable.flagged.is_(True))
        recordings = select(JobFileTable.path).where(
            JobFileTable.node == node, JobFileTable.job_id.in_(jobs)
        )
        with opened(self._engine) as session:
            return frozenset(
                [f"{FILMS}{path}" for path in session.scalars(films)]
                + [f"{PICTURES}{name}" for name in session.scalars(pictures)]
                + [f"{RECORDINGS}{path}" for path in session.scalars(recordings)]
            )

    def removed(self, node: str, paths: Iterable[str]) -> None:
        """A node has deleted these files to free space."""
        paths = list(paths)
        films = [path.removeprefix(FILMS) for path in paths if path.startswith(FILMS)]
        pictures = [path.removeprefix(PICTURES) for path in paths if path.startswith(PICTURES)]
        recordings = [
            path.removeprefix(RECORDINGS) for path in paths if path.startswith(RECORDINGS)
        ]
        with opened(self._engine) as session:
            for some in _batches(recordings):
                of_jobs = JobFileTable.node == node, JobFileTable.path.in_(some)
                gone = update(JobFileTable).where(*of_jobs, JobFileTable.removed_ts.is_(None))
                session.execute(gone.values(removed_ts=time.time()))
            for some in _batches(films):
                mine = FootageTable.node == node, FootageTable.path.in_(some)
                session.execute(delete(FootageTable).where(*mine))
            for day, names in _by_day(pictures).items():
                of_day = EventTable.ts >= day, EventTable.ts < day + DAY_S  # which has an index
                for some in _batches(names):
                    theirs = EventTable.snapshot.in_(some), EventTable.node == node, *of_day
                    session.execute(update(EventTable).where(*theirs).values(snapshot=None))

    def erasures(self, node: str) -> dict[int, str]:
        """Files that a node must delete, by numbers to confirm them with; some at a time."""
        mine = select(NodeErasureTable).where(NodeErasureTable.node == node)
        with opened(self._engine) as session:
            rows = session.scalars(mine.order_by(NodeErasureTable.erasure_id).limit(BATCH))
            return {row.erasure_id: row.path for row in rows}

    def erased(self, numbers: Collection[int]) -> None:
        """Files of ``erasures`` are deleted."""
        with opened(self._engine) as session:
            session.execute(
                delete(NodeErasureTable).where(NodeErasureTable.erasure_id.in_(numbers))
            )


def _by_day(names: Iterable[str]) -> dict[float, list[str]]:
    """Snapshots, whose names begin with the date of their event, by its beginning."""
    found: dict[float, list[str]] = {}
    for name in names:
        day = datetime.fromisoformat(name.partition("/")[0]).replace(tzinfo=UTC)
        found.setdefault(day.timestamp(), []).append(name)
    return found


def _batches(names: Sequence[str]) -> Iterable[Sequence[str]]:
    return (names[start : start + BATCH] for start in range(0, len(names), BATCH))
