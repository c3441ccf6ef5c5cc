"""The composition root: starts the parts of Watchpost and stops them again.

``open_runtime`` starts everything that a server runs. It consists of smaller context managers, and
the Python API (``app.cameras``) uses some of them. Each part is entered on an ``AsyncExitStack`` as
soon as it exists: a start that fails undoes the earlier steps in reverse order, exactly as an
orderly end does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from app.access.audit import AuditLog
from app.access.opening import open_access, open_audit
from app.access.service import AccessService
from app.access.throttle import Throttle
from app.analytics.analyzer import AnalyzerFactory
from app.analytics.objects.daily_counts import DailyCounts
from app.analytics.rules import read_rule_settings
from app.analytics.rules.objects import HELPER as DAILY_COUNTS
from app.anpr.event_recorder import PlateEventRecorder
from app.anpr.files import CROPS, UPLOADS, PlateFiles
from app.anpr.read_queue import PlateReadQueue
from app.anpr.service import PlateService
from app.anpr.upload_alarms import UploadAlarms
from app.config import Settings
from app.data_folder import locked, make_folder
from app.db.daily_counts import DailyCountsRepository
from app.db.deliveries import DeliveryRepository
from app.db.engine import open_database
from app.db.event_pruner import EventPruner
from app.db.events import EventRepository
from app.db.footage import FootageRepository
from app.db.job_log import JobLogRepository
from app.db.jobs import JobRepository
from app.db.kept import KeptRepository
from app.db.plate_counts import PlateCounts
from app.db.plate_eraser import PlateEraser
from app.db.plate_search import PlateSearch
from app.db.plates import PlateRepository
from app.db.recordings import RecordingRepository
from app.db.routes import RouteRepository
from app.db.schedules import ScheduleRepository
from app.db.snapshots import SnapshotFolder
from app.db.stream_sessions import StreamSessionRepository
from app.db.streams import StreamRepository
from app.db.targets import TargetRepository
from app.db.vault import Vault, open_vault
from app.db.watchlist import ClaudeCalls, Watchlist
from app.db.writer import EventWriter
from app.errors import StoreError
from app.events import EventRow
from app.models import weights_file
from app.models.batching import BatchingRunner
from app.models.faces import FaceDetector, load_faces
from app.models.objects import ObjectDetector, load_objects
from app.models.plates.claude import ClaudeReader
from app.models.plates.networks import PlateNetworks, load_plates
from app.notify.base import NotifyContext
from app.notify.cameras import ManagedCameras
from app.notify.composer import Composer
from app.notify.dispatcher import Dispatcher
from app.pipeline import draw
from app.pipeline.event_log import EventLog
from app.pipeline.manager import StreamManager
from app.pipeline.push import PushStreams
from app.pipeline.registry import StreamStore
from app.pipeline.runner import NewPackets
from app.pipeline.sources.hardware import available_decoders
from app.process import background, on_exit_signal, worker_threads
from app.recording.context import JobContext
from app.recording.footage_opening import FootageParts, open_footage
from app.recording.job_manager import JobManager
from app.recording.job_metrics import JobMetrics
from app.recording.retention import (
    DiskSpace,
    PrunableEvents,
    PrunableFolder,
    PrunableRecordings,
)
from app.recording.schedules import Scheduler
from app.types import Analytics, StreamSpec
from app.urls import ReceiverCheck

if TYPE_CHECKING:
    from sqlalchemy import Engine

logger = logging.getLogger(__name__)

SNAPSHOTS = "snapshots"
CACHE = "cache"
RESUME_AFTER_S = 0.5
FLUSH_TIMEOUT_S = 3.0
"""How long the end waits for tasks that store the last events."""
STORE_COUNTS_S = 5.0
DEMO = StreamSpec("demo", "demo:", max_fps=15)

OnEvent = Callable[[EventRow, Path | None], None]


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks that all streams on one device share.

    Attributes:
        objects: None if no network for analytics is installed.
    """

    face_runner: BatchingRunner
    faces: FaceDetector
    objects: ObjectDetector | None


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


@dataclass(frozen=True, slots=True)
class Events:
    """The events of one database: the live log, the writer, and the stored events."""

    log: EventLog
    repository: EventRepository
    pruner: EventPruner
    writer: EventWriter


@dataclass(frozen=True, slots=True)
class Jobs:
    """Collection jobs, their schedules, and the disk space for recordings."""

    repository: JobRepository
    log: JobLogRepository
    recordings: RecordingRepository
    metrics: JobMetrics
    manager: JobManager
    scheduler: Scheduler
    space: DiskSpace


@dataclass(frozen=True, slots=True)
class Privacy:
    """What erasure and export need of the database.

    Attributes:
        fingerprint: a keyed hash that stands for a text.
    """

    plates: PlateEraser
    kept: KeptRepository
    fingerprint: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Notify:
    """Targets and routes of notifications, and what is on its way."""

    targets: TargetRepository
    routes: RouteRepository
    deliveries: DeliveryRepository
    dispatcher: Dispatcher


@dataclass(frozen=True, slots=True)
class Runtime:
    """The running parts of a server.

    Attributes:
        networks: runners by purpose; None for a network that is not installed.
    """

    manager: StreamManager
    push_streams: PushStreams
    events: Events
    jobs: Jobs
    plates: Plates
    networks: Mapping[str, BatchingRunner | None]
    access: AccessService
    audit: AuditLog
    privacy: Privacy
    footage: FootageParts
    notify: Notify


@asynccontextmanager
async def open_runtime(
    settings: Settings, throttle: Throttle | None = None
) -> AsyncIterator[Runtime]:
    """Start everything that a server runs; on leaving, or if a step fails, stop it again.

    Args:
        throttle: slows guessing down; shared with the check of the server's token.

    Raises:
        SetupError: the data folder or the database cannot be used.
        DataFolderLocked: another process uses the data folder.
    """
    async with AsyncExitStack() as stack:
        threads = stack.enter_context(worker_threads())
        stack.enter_context(locked(settings.data_dir))
        secret = settings.secret_key.get_secret_value() if settings.secret_key else None
        vault = open_vault(settings.data_dir, secret)
        engine = await stack.enter_async_context(
            open_engine(settings.resolved_database_url(), vault, settings.recordings_dir())
        )
        stack.push_async_callback(threads.finish_calls)  # queries of tasks that were cancelled
        access = stack.enter_context(
            open_access(engine, vault, throttle or Throttle(), settings.oidc)
        )
        audit = await stack.enter_async_context(open_audit(settings, engine, vault))
        networks = await stack.enter_async_context(
            open_networks(settings, settings.device, settings.data_dir)
        )
        clips = FootageRepository(engine, settings.footage_dir())
        written = asyncio.Event()
        events = await stack.enter_async_context(
            open_events(engine, settings.data_dir / SNAPSHOTS, clips=clips, on_written=written.set)
        )
        plates = await stack.enter_async_context(
            _open_plates(settings, engine, networks.objects, events.log)
        )
        space = DiskSpace(settings.recordings_dir(), settings.space)
        make_folder(settings.recordings_dir())  # whose disk is watched
        footage = await stack.enter_async_context(
            open_footage(settings.footage_dir(), settings.recording, clips, events.log, space)
        )
        events.repository.has_pending_clip = footage.service.clips.is_pending
        await stack.enter_async_context(_record_plates(events.log, plates.service))
        daily_counts = await stack.enter_async_context(_open_daily_counts(engine))
        manager = await stack.enter_async_context(
            open_manager(
                settings,
                networks,
                StreamRepository(engine, vault),
                events.log,
                engine,
                plates.read_queue,
                daily_counts,
                footage.service.new_packets,
            )
        )
        jobs = await stack.enter_async_context(
            _open_jobs(settings, manager, engine, vault, events.pruner, plates.repository, space)
        )
        notify = await stack.enter_async_context(
            _open_notify(settings, manager, engine, vault, events.repository, written)
        )
        await stack.enter_async_context(
            background(_resume(manager, jobs.manager, demo=settings.demo), "resume")
        )
        stack.enter_context(on_exit_signal(lambda: _begin_shutdown(manager, events.log)))
        yield Runtime(
            manager,
            PushStreams(manager, settings.push),
            events,
            jobs,
            plates,
            {
                "faces": networks.face_runner,
                "objects": networks.objects.runner if networks.objects is not None else None,
                "text_lines": plates.networks.lines,
                "plate_text": plates.networks.text,
            },
            access,
            audit,
            Privacy(PlateEraser(engine), KeptRepository(engine), vault.fingerprint),
            footage,
            notify,
        )


# ── building blocks of the server and the Python API ─────────────────────────────────────────


@asynccontextmanager
async def open_engine(
    url: str, vault: Vault | None = None, recordings: Path | None = None
) -> AsyncIterator[Engine]:
    """Open the database and migrate it to the newest schema. Raises SetupError.

    Args:
        vault: encrypts URLs that older versions stored in plain text.
        recordings: the folder of the files of jobs, some of which are renamed.
    """
    engine = await asyncio.to_thread(open_database, url, vault, recordings)
    try:
        yield engine
    finally:
        engine.dispose()


@asynccontextmanager
async def open_networks(
    settings: Settings, device: str, data_dir: Path | None = None
) -> AsyncIterator[Networks]:
    """Load the networks for faces and for analytics.

    Args:
        data_dir: folder with compiled networks and the operator's own weights, if there is one.
    """
    cache = data_dir / CACHE if data_dir is not None else None
    async with AsyncExitStack() as stack:
        face_runner = await asyncio.to_thread(load_faces, device, cache)
        stack.push_async_callback(asyncio.to_thread, face_runner.close)
        faces = FaceDetector(
            face_runner,
            min_confidence=settings.faces.keep_confidence,
            longest=settings.faces.width,
        )
        objects = None
        if settings.objects.weights is not None or weights_file.SHIPPED.exists():
            objects = await asyncio.to_thread(load_objects, settings.objects, device, data_dir)
            stack.push_async_callback(asyncio.to_thread, objects.close)
        else:
            logger.warning("no analytics: %s is missing", weights_file.SHIPPED)
        yield Networks(face_runner, faces, objects)


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
            yield Events(log, repository, EventPruner(engine, snapshots, clips), writer)
        finally:
            log.close()
            await writer.close(FLUSH_TIMEOUT_S)


@asynccontextmanager
async def open_manager(
    settings: Settings,
    networks: Networks,
    store: StreamStore,
    log: EventLog,
    engine: Engine,
    read_queue: PlateReadQueue | None = None,
    daily_counts: DailyCounts | None = None,
    new_packets: NewPackets = lambda _: None,
) -> AsyncIterator[StreamManager]:
    """Open the manager of all streams; on leaving, they are stopped.

    Args:
        read_queue: reads number plates; None if streams cannot use that rule.
        daily_counts: keeps what streams count; None if each run of a stream begins at 0.
        new_packets: makes the ring of a stream that is recorded.
    """
    services: dict[str, object] = {"plates": read_queue} if read_queue is not None else {}
    if daily_counts is not None:
        services[DAILY_COUNTS] = daily_counts
    analyzers = AnalyzerFactory(settings.objects, read_rule_settings(), networks.objects, services)
    manager = StreamManager(
        settings.streams,
        settings.faces,
        networks.faces,
        store,
        analyzers,
        log,
        StreamSessionRepository(engine).next_today,
        new_packets,
    )
    try:
        yield manager
    finally:
        await manager.close()


# ── building blocks of the server alone ──────────────────────────────────────────────────────


@asynccontextmanager
async def _open_plates(
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
        service = PlateService(options, reader, claude, repository, files, alarms.check)
        search, counts = PlateSearch(engine), PlateCounts(engine)
        yield Plates(service, repository, search, counts, watchlist, read_queue, networks)


@asynccontextmanager
async def _open_daily_counts(engine: Engine) -> AsyncIterator[DailyCounts]:
    """Open the counts since midnight, and store what changes; on leaving, the last changes."""
    counts, repository = DailyCounts(), DailyCountsRepository(engine)
    counts.restore(await asyncio.to_thread(repository.load, date.today()))
    async with background(_store_counts(counts, repository), "daily counts"):
        yield counts
    await _store_changes(counts, repository)


async def _store_counts(counts: DailyCounts, repository: DailyCountsRepository) -> None:
    while True:
        await asyncio.sleep(STORE_COUNTS_S)
        await _store_changes(counts, repository)


async def _store_changes(counts: DailyCounts, repository: DailyCountsRepository) -> None:
    changed = counts.take_changed()
    if not changed:
        return
    try:
        await asyncio.to_thread(repository.save, changed)
    except StoreError as error:
        counts.put_back(changed)
        logger.warning("the counts of zones and lines are not stored yet: %s", error)


@asynccontextmanager
async def _record_plates(log: EventLog, service: PlateService) -> AsyncIterator[None]:
    """Store the plates that streams see; on leaving, the last ones are stored first."""
    recorder = PlateEventRecorder(log, service)
    async with background(recorder.run(), "plate events", FLUSH_TIMEOUT_S):
        try:
            yield
        finally:
            log.close()  # ends the task once it has taken the waiting events


@asynccontextmanager
async def _open_jobs(
    settings: Settings,
    manager: StreamManager,
    engine: Engine,
    vault: Vault,
    events: EventPruner,
    plates: PlateRepository,
    space: DiskSpace,
) -> AsyncIterator[Jobs]:
    """Open collection jobs, schedules and retention; on leaving, the jobs' files are closed."""
    folder = settings.recordings_dir()
    make_folder(folder)
    jobs, job_log = JobRepository(engine, vault), JobLogRepository(engine, vault)
    recordings = RecordingRepository(engine, vault)
    space.register(PrunableRecordings(folder, recordings))
    space.register(PrunableEvents(settings.data_dir / SNAPSHOTS, events, settings.space))
    _register_plate_files(space, settings.data_dir, plates)
    ctx = JobContext(
        manager, jobs, job_log, recordings, space, settings.collect, settings.streams, folder
    )
    async with AsyncExitStack() as stack:
        job_manager = JobManager(ctx, settings.allowed_folders)
        stack.push_async_callback(job_manager.close)
        scheduler = Scheduler(job_manager, ScheduleRepository(engine, vault))
        await stack.enter_async_context(background(space.run(), "retention"))
        await stack.enter_async_context(background(scheduler.run(), "schedules"))
        yield Jobs(jobs, job_log, recordings, ctx.metrics, job_manager, scheduler, space)


@asynccontextmanager
async def _open_notify(
    settings: Settings,
    manager: StreamManager,
    engine: Engine,
    vault: Vault,
    events: EventRepository,
    written: asyncio.Event,
) -> AsyncIterator[Notify]:
    """Open the outbox of notifications; on leaving, what was not sent waits for the next start."""
    targets, deliveries = TargetRepository(engine, vault), DeliveryRepository(engine)
    cameras = ManagedCameras(manager)
    check = ReceiverCheck(settings.notify.local_receivers)
    instance = vault.fingerprint("this server")[:16]
    context = NotifyContext(settings.notify, check, cameras, instance)
    composer = Composer(events, cameras)
    dispatcher = Dispatcher(targets, deliveries, composer, context, written)
    async with background(dispatcher.run(), "notifications"):
        yield Notify(targets, RouteRepository(engine), deliveries, dispatcher)


def _register_plate_files(space: DiskSpace, data_dir: Path, plates: PlateRepository) -> None:
    def verified() -> set[Path]:
        return {data_dir / path for path in plates.verified_pictures()}

    for folder in (CROPS, UPLOADS):
        space.register(PrunableFolder(data_dir / folder, "*", protected=verified))


async def _resume(manager: StreamManager, jobs: JobManager, *, demo: bool) -> None:
    """Resume streams and jobs once the server answers.

    The pause lets a server whose port is taken exit before a stream is started.
    """
    await asyncio.sleep(RESUME_AFTER_S)
    await asyncio.to_thread(available_decoders)  # tried before a camera waits for them
    await manager.resume()
    if demo:
        analytics: Analytics = {"smoking": {}} if manager.has_analytics else {}
        manager.start_ephemeral(replace(DEMO, analytics=analytics))
    await jobs.resume()


def _begin_shutdown(manager: StreamManager, log: EventLog) -> None:
    manager.begin_shutdown()
    log.close_clients()
