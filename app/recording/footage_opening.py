"""Starts what records clips and cameras, and stops it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.config import RecordingSettings
from app.footage import KeepDays
from app.pipeline.event_log import EventLog
from app.process import background
from app.recording.footage_export import FootageExporter
from app.recording.footage_files import FootageFiles
from app.recording.footage_frames import FootageFrames
from app.recording.footage_retention import PrunableFootage
from app.recording.footage_service import FootageService
from app.recording.retention import DiskSpace
from app.recording.stores import FootageStore


@dataclass(frozen=True, slots=True)
class FootageParts:
    """Clips and continuous recordings of cameras."""

    service: FootageService
    exporter: FootageExporter
    frames: FootageFrames


@asynccontextmanager
async def open_footage(
    root: Path,
    settings: RecordingSettings,
    store: FootageStore,
    log: EventLog,
    space: DiskSpace,
    keep_days: Callable[[], Mapping[str, KeepDays]] = dict,
    *,
    idle_s: float | None = 0.0,
) -> AsyncIterator[FootageParts]:
    """Open clips and continuous recordings; on leaving, their files are closed.

    Args:
        root: the folder of the files.
        space: removes old ones.
        keep_days: returns how long those of streams are kept that do not leave it to the settings;
            it may block.
        idle_s: how long files must not have been written to before they count as left by a killed
            process; others may record into the same folder. None: the caller recovers them.
    """
    space.register(PrunableFootage(store, settings, keep_days))
    exporter = FootageExporter(root, space.has_room)
    await asyncio.to_thread(exporter.clear)
    service = FootageService(log, FootageFiles(root), store, settings, space.has_room)
    if idle_s is not None:
        await service.recover(idle_s)
    async with background(service.clips.run(), "clips"):
        try:
            yield FootageParts(service, exporter, FootageFrames(root))
        finally:
            await service.close()
