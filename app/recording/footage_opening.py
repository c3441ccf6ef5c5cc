"""Starts what records clips and cameras, and stops it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.config import RecordingSettings
from app.pipeline.event_log import EventLog
from app.process import background
from app.recording.footage_export import FootageExporter
from app.recording.footage_files import FootageFiles
from app.recording.footage_retention import PrunableFootage
from app.recording.footage_service import FootageService
from app.recording.retention import DiskSpace
from app.recording.stores import FootageStore


@dataclass(frozen=True, slots=True)
class FootageParts:
    """Clips and continuous recordings of cameras."""

    service: FootageService
    exporter: FootageExporter


@asynccontextmanager
async def open_footage(
    root: Path,
    settings: RecordingSettings,
    store: FootageStore,
    log: EventLog,
    space: DiskSpace,
) -> AsyncIterator[FootageParts]:
    """Open clips and continuous recordings; on leaving, their files are closed.

    Args:
        root: the folder of the files.
        space: removes old ones.
    """
    space.register(PrunableFootage(store, settings))
    exporter = FootageExporter(root, space.has_room)
    await asyncio.to_thread(exporter.clear)
    service = FootageService(log, FootageFiles(root), store, settings, space.has_room)
    await service.recover()
    async with background(service.clips.run(), "clips"):
        try:
            yield FootageParts(service, exporter)
        finally:
            await service.close()
