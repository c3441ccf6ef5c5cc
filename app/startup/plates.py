"""Opens what reads and stores number plates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.anpr.event_recorder import PlateEventRecorder
from app.anpr.files import PlateFiles
from app.anpr.photos import PhotoReader
from app.anpr.read_queue import PlateReadQueue
from app.anpr.service import PlateService
from app.anpr.upload_alarms import UploadAlarms
from app.config import Settings, usable_cpus
from app.db.plate_counts import PlateCounts
from app.db.plate_search import PlateSearch
from app.db.plates import PlateRepository
from app.db.watchlist import ClaudeCalls, Watchlist
from app.models.objects import ObjectDetector
from app.models.plates.claude import ClaudeReader
from app.models.plates.networks import PlateNetworks, load_plates
from app.pipeline.event_log import EventLog
from app.process import background
from app.startup.events import FLUSH_TIMEOUT_S
from app.startup.networks import CACHE

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class Plates:
    """The parts that read and store number plates.

    Attributes:
        read_queue: reads the plates of streams; ``service`` reads those of uploads.
    """

    service: PlateService
    repository: PlateRepository
    search: PlateSearch
    counts: PlateCounts
    watchlist: Watchlist
    read_queue: PlateReadQueue
    networks: PlateNetworks


@asynccontextmanager
async def open_plates(
    settings: Settings, engine: Engine, objects: ObjectDetector | None, log: EventLog
) -> AsyncIterator[Plates]:
    """Open the parts that read and store number plates; Claude only if there is a key."""
    options, repository = settings.plates, PlateRepository(engine)
    async with AsyncExitStack() as stack:
        networks = await asyncio.to_thread(load_plates, settings.device, settings.data_dir / CACHE)
        stack.push_async_callback(asyncio.to_thread, networks.close)
        reader = networks.reader(objects, options.countries)
        claude = None
        if settings.claude_api_key is not None:
            claude = ClaudeReader(
                settings.claude_api_key.get_secret_value(),
                settings.claude_model,
                ClaudeCalls(engine),
                daily=options.claude_daily,
                countries=options.countries,
            )
            stack.callback(claude.close)
        watchlist = Watchlist(engine)
        read_queue = PlateReadQueue(reader, watchlist)
        stack.push_async_callback(asyncio.to_thread, read_queue.close)
        files = PlateFiles(settings.data_dir)
        alarms = UploadAlarms(log, read_queue.watch_entries)
        photos = PhotoReader(reader, options.max_pixels, usable_cpus())
        service = PlateService(options, photos, claude, repository, files, alarms.check)
        search, counts = PlateSearch(engine), PlateCounts(engine)
        yield Plates(service, repository, search, counts, watchlist, read_queue, networks)


@asynccontextmanager
async def record_plates(log: EventLog, service: PlateService) -> AsyncIterator[None]:
    """Store the plates that streams see; on leaving, the last ones are stored first."""
    recorder = PlateEventRecorder(log, service)
    async with background(recorder.run(), "plate events", FLUSH_TIMEOUT_S):
        try:
            yield
        finally:
            log.close()  # ends the task once it has taken the waiting events
