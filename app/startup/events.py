"""Opens the log of events and the writer that stores them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.db.event_counts import EventCounts
from app.db.event_marks import EventMarks
from app.db.event_pruner import EventPruner
from app.db.events import EventRepository
from app.db.footage import FootageRepository
from app.db.snapshots import SnapshotFolder
from app.db.writer import EventWriter
from app.events import EventRow
from app.pipeline import draw
from app.pipeline.event_log import EventLog

if TYPE_CHECKING:
    from sqlalchemy import Engine

SNAPSHOTS = "snapshots"
FLUSH_TIMEOUT_S = 3.0
"""How long the end waits for tasks that store the last events."""
OnEvent = Callable[[EventRow, Path | None], None]


@dataclass(frozen=True, slots=True)
class Events:
    """The events of one database: the live log, the writer, and the stored events.

    Attributes:
        marks: flags and comments.
    """

    log: EventLog
    repository: EventRepository
    pruner: EventPruner
    marks: EventMarks
    counts: EventCounts
    writer: EventWriter


@asynccontextmanager
async def open_events(
    engine: Engine,
    snapshot_folder: Path,
    on_event: OnEvent | None = None,
    clips: FootageRepository | None = None,
    on_written: Callable[[], None] = lambda: None,
) -> AsyncIterator[Events]:
    """Open the log of events and the writer that stores them; on leaving, the last are written.

    Args:
        on_event: called with each event once its snapshot is saved, and with the snapshot's path
            if it has one. It must return quickly.
        clips: has the clips of events, which are deleted with them.
        on_written: called when events, and messages about them, are in the database.
    """
    snapshots = SnapshotFolder(snapshot_folder)
    repository = EventRepository(engine, snapshots)
    log = EventLog(asyncio.get_running_loop(), await asyncio.to_thread(repository.next_id))

    def saved(row: EventRow) -> None:
        if on_event is not None:
            path = snapshot_folder / row.snapshot_file if row.snapshot_file is not None else None
            on_event(row, path)

    with log.with_frames() as arriving:
        writer = EventWriter(arriving, repository, snapshots, draw.snapshot, saved, on_written)
        writer.start()
        try:
            pruner = EventPruner(engine, snapshots, clips)
            yield Events(log, repository, pruner, EventMarks(engine), EventCounts(engine), writer)
        finally:
            log.close()
            await writer.close(FLUSH_TIMEOUT_S)
