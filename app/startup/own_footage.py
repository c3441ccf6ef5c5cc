"""Opens the events of a script's cameras, with their clips and recordings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.config import Settings
from app.db.footage import FootageRepository
from app.footage import KeepDays
from app.pipeline.event_log import EventLog
from app.pipeline.runner import NewPackets
from app.process import background
from app.recording.footage_opening import open_footage
from app.recording.retention import DiskSpace
from app.startup.events import SNAPSHOTS, OnEvent, open_events

if TYPE_CHECKING:
    from sqlalchemy import Engine

FOOTAGE = "footage"
IDLE_S = 60.0
"""Several scripts may share a database and its folder."""


@dataclass(frozen=True, slots=True)
class RecordedEvents:
    """The live log of events, and what makes the ring of a stream that is recorded."""

    log: EventLog
    new_packets: NewPackets


@asynccontextmanager
async def open_recorded_events(
    settings: Settings,
    engine: Engine,
    folder: Path,
    on_event: OnEvent,
    keep_days: Callable[[], Mapping[str, KeepDays]],
) -> AsyncIterator[RecordedEvents]:
    """Open events, clips and recordings; on leaving, the last are written.

    Args:
        folder: for snapshots and footage, which are removed by age and for space.
        keep_days: as for ``open_footage``.
    """
    clips = FootageRepository(engine, folder / FOOTAGE)
    space = DiskSpace(folder, settings.space)
    async with AsyncExitStack() as stack:
        events = await stack.enter_async_context(
            open_events(engine, folder / SNAPSHOTS, on_event, clips)
        )
        footage = await stack.enter_async_context(
            open_footage(
                clips.root,
                settings.recording,
                clips,
                events.log,
                space,
                keep_days,
                idle_s=IDLE_S,
            )
        )
        await stack.enter_async_context(background(space.run(), "retention"))
        yield RecordedEvents(events.log, footage.service.new_packets)
