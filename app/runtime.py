"""The one composition root: builds the parts of Watchpost and takes them apart again.

``open_runtime`` is everything that a server runs. The smaller context managers are its building
blocks; the Python API (``app.cameras``) puts its cameras together from the same ones. Each part
is entered on an ``AsyncExitStack`` as soon as it exists, so a start that fails half way undoes
what was begun, in reverse order, exactly as an orderly end does.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.analytics.analyzer import AnalyzerFactory
from app.analytics.rules import read_rule_settings
from app.anpr.event_recorder import PlateEventRecorder
from app.anpr.files import CROPS, UPLOADS, PlateFiles
from app.anpr.read_queue import PlateReadQueue
from app.anpr.service import PlateService
from app.config import Settings
from app.db.engine import open_database
from app.db.events import EventRepository, StreamSessionRepository
from app.db.jobs import JobRepository
from app.db.plate_search import PlateSearch
from app.db.plates import PlateRepository
from app.db.snapshots import SnapshotFolder
from app.db.streams import StreamRepository
from app.db.vault import open_vault, read_or_make_secret
from app.db.watchlist import ClaudeCalls, Watchlist
from app.db.writer import EventWriter
from app.errors import DataFolderLocked, SetupError
from app.models import weights_file
from app.models.batching import BatchingRunner
from app.models.faces import FaceDetector, load_faces
from app.models.objects import ObjectDetector, load_objects
from app.models.plates.claude import ClaudeReader
from app.models.plates.networks import PlateNetworks, load_plates
from app.pipeline import draw
from app.pipeline.event_log import EventLog
from app.pipeline.manager import StreamManager
from app.pipeline.push import PushStreams
from app.pipeline.registry import StreamStore
from app.recording.context import JobContext
from app.recording.job_manager import JobManager, PrunableRecordings
from app.recording.retention import DiskSpace, PrunableEvents, PrunableFolder
from app.recording.schedules import Scheduler
from app.types import Analytics, EventRow, StreamSpec

if TYPE_CHECKING:
    from sqlalchemy import Engine

logger = logging.getLogger(__name__)

LOCK_FILE = "watchpost.lock"
TOKEN_FILE = "token"
SNAPSHOTS = "snapshots"
CACHE = "cache"
WORKER_THREADS = 64
RESUME_AFTER_S = 0.5
END_S = 3.0
"""How long a task that writes what is left is waited for at the end."""
DEMO = StreamSpec("demo", "demo:", max_fps=15)

OnEvent = Callable[[EventRow, Path | None], None]


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks that all streams on one device share.

    Attributes:
        objects: None where no network for analytics is installed.
    """

    face_runner: BatchingRunner
    faces: FaceDetector
    objects: ObjectDetector | None


@dataclass(frozen=True, slots=True)
class Plates:
    """Everything that reads and stores number plates.

    Attributes:
        read_queue: reads plates of streams; uploads are read by ``service``.
    """

    service: PlateService
    repository: PlateRepository
    search: PlateSearch
    watchlist: Watchlist
    read_queue: PlateReadQueue
    networks: PlateNetworks


@dataclass(frozen=True, slots=True)
class Events:
    """The events of the streams of one database: live, on their way to it, and stored."""

    log: EventLog
    repository: EventRepository
    writer: EventWriter


@dataclass(frozen=True, slots=True)
class Jobs:
    """Collection jobs, their schedules, and the disk space that recordings share."""

    repository: JobRepository
    manager: JobManager
    scheduler: Scheduler
    space: DiskSpace


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


@asynccontextmanager
async def open_runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """Start everything that a server runs; on leaving, or if any step fails, undo all of it.

    Raises:
        SetupError: the data folder or the database cannot be used.
        DataFolderLocked: another process uses the data folder.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(_worker_threads())
        stack.enter_context(locked(settings.data_dir))
        engine = await stack.enter_async_context(open_engine(settings.resolved_database_url()))
        secret = settings.secret_key.get_secret_value() if settings.secret_key else None
        vault = open_vault(settings.data_dir, secret)
        networks = await stack.enter_async_context(
            open_networks(settings, settings.device, settings.data_dir)
        )
        plates = await stack.enter_async_context(_open_plates(settings, engine, networks.objects))
        events = await stack.enter_async_context(open_events(engine, settings.data_dir / SNAPSHOTS))
        await stack.enter_async_context(_record_plates(events.log, plates.service))
        manager = await stack.enter_async_context(
            open_manager(
                settings,
                networks,
                StreamRepository(engine, vault),
                events.log,
                engine,
                plates.read_queue,
            )
        )
        jobs = await stack.enter_async_context(
            _open_jobs(
                settings,
                manager,
                JobRepository(engine, vault),
                events.repository,
                plates.repository,
            )
        )
        await stack.enter_async_context(
            _background(_resume(manager, jobs.manager, demo=settings.demo), "resume")
        )
        stack.enter_context(_on_exit_signal(lambda: _begin_shutdown(manager, events.log)))
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
        )


# ── building blocks of the server and the Python API ─────────────────────────────────────────


@asynccontextmanager
async def open_engine(url: str) -> AsyncIterator[Engine]:
    """The database, at the newest schema. Raises SetupError."""
    engine = await asyncio.to_thread(open_database, url)
    try:
        yield engine
    finally:
        engine.dispose()


@asynccontextmanager
async def open_networks(
    settings: Settings, device: str, data_dir: Path | None = None
) -> AsyncIterator[Networks]:
    """The networks for faces and for analytics.

    Args:
        data_dir: holds compiled networks and weights of the operator's own; None for neither.
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
    engine: Engine, snapshot_folder: Path, on_event: OnEvent | None = None
) -> AsyncIterator[Events]:
    """The log of events and the writer that stores them; on leaving, what waits is written.

    Args:
        on_event: called with each event once its snapshot is saved, and the snapshot's path if
            it has one. It must return quickly.
    """
    snapshots = SnapshotFolder(snapshot_folder)
    repository = EventRepository(engine, snapshots)
    log = EventLog(asyncio.get_running_loop(), await asyncio.to_thread(repository.next_id))

    def saved(row: EventRow) -> None:
        if on_event is not None:
            path = snapshot_folder / row.snapshot_file if row.snapshot_file is not None else None
            on_event(row, path)

    with log.pictured() as arriving:
        writer = EventWriter(arriving, repository, snapshots, draw.snapshot, saved)
        writer.start()
        try:
            yield Events(log, repository, writer)
        finally:
            log.close()
            await writer.close(END_S)


@asynccontextmanager
async def open_manager(
    settings: Settings,
    networks: Networks,
    store: StreamStore,
    log: EventLog,
    engine: Engine,
    read_queue: PlateReadQueue | None = None,
) -> AsyncIterator[StreamManager]:
    """The manager of all streams; on leaving, they are stopped.

    Args:
        read_queue: reads number plates; None where streams cannot ask for that.
    """
    services = {"plates": read_queue} if read_queue is not None else {}
    analyzers = AnalyzerFactory(settings.objects, read_rule_settings(), networks.objects, services)
    manager = StreamManager(
        settings.streams,
        settings.faces,
        networks.faces,
        store,
        analyzers,
        log,
        StreamSessionRepository(engine).next_today,
    )
    try:
        yield manager
    finally:
        await manager.close()


# ── building blocks of the server alone ──────────────────────────────────────────────────────


@asynccontextmanager
async def _open_plates(
    settings: Settings, engine: Engine, objects: ObjectDetector | None
) -> AsyncIterator[Plates]:
    """Everything that reads and stores number plates; Claude only where there is a key."""
    options, repository = settings.plates, PlateRepository(engine)
    async with AsyncExitStack() as stack:
        networks = await asyncio.to_thread(load_plates, settings.data_dir / CACHE)
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
        service = PlateService(options, reader, claude, repository, files)
        search = PlateSearch(engine)
        yield Plates(service, repository, search, watchlist, read_queue, networks)


@asynccontextmanager
async def _record_plates(log: EventLog, service: PlateService) -> AsyncIterator[None]:
    """Store the plates that streams see; on leaving, those that wait are stored first."""
    recorder = PlateEventRecorder(log, service)
    async with _background(recorder.run(), "plate events", END_S):
        try:
            yield
        finally:
            log.close()  # ends the task once it has taken what waits


@asynccontextmanager
async def _open_jobs(
    settings: Settings,
    manager: StreamManager,
    store: JobRepository,
    events: EventRepository,
    plates: PlateRepository,
) -> AsyncIterator[Jobs]:
    """Collection jobs with schedules and retention; on leaving, their files are closed."""
    folder = settings.recordings_dir()
    _make_folder(folder)
    space = DiskSpace(folder, settings.space)
    space.register(PrunableRecordings(folder, store))
    space.register(PrunableEvents(settings.data_dir / SNAPSHOTS, events, settings.space))
    _register_plate_files(space, settings.data_dir, plates)
    ctx = JobContext(manager, store, space, settings.collect, settings.streams, folder)
    async with AsyncExitStack() as stack:
        job_manager = JobManager(ctx, settings.allowed_folders)
        stack.push_async_callback(job_manager.close)
        scheduler = Scheduler(job_manager, store)
        await stack.enter_async_context(_background(space.run(), "retention"))
        await stack.enter_async_context(_background(scheduler.run(), "schedules"))
        yield Jobs(store, job_manager, scheduler, space)


def _register_plate_files(space: DiskSpace, data_dir: Path, plates: PlateRepository) -> None:
    def verified() -> set[Path]:
        return {data_dir / path for path in plates.verified_pictures()}

    for folder in (CROPS, UPLOADS):
        space.register(PrunableFolder(data_dir / folder, "*", protected=verified))


async def _resume(manager: StreamManager, jobs: JobManager, *, demo: bool) -> None:
    """Bring streams and jobs back once the server answers.

    The pause lets a server whose port is taken exit before anything is started.
    """
    await asyncio.sleep(RESUME_AFTER_S)
    await manager.resume()
    if demo:
        analytics: Analytics = {"smoking": {}} if manager.has_analytics else {}
        manager.start_ephemeral(replace(DEMO, analytics=analytics))
    await jobs.resume()


def _begin_shutdown(manager: StreamManager, log: EventLog) -> None:
    manager.begin_shutdown()
    log.close_clients()


# ── the process ──────────────────────────────────────────────────────────────────────────────


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the data folder, so that no second server publishes the streams of this one.

    The system releases the lock with the process, however that ends.

    Raises:
        DataFolderLocked: another process holds it.
        SetupError: the folder cannot be written.
    """
    with _folder_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_FILE).open("a+", encoding="utf-8")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise DataFolderLocked(folder=str(folder), pid=file.read() or "unknown") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def api_token(settings: Settings) -> str:
    """The configured token, or the one in the data folder, which is printed when it is made.

    Raises:
        SetupError: the folder cannot be written.
    """
    if settings.auth.token is not None:
        return settings.auth.token.get_secret_value()
    _make_folder(settings.data_dir)
    with _folder_errors(settings.data_dir):
        token, made = read_or_make_secret(settings.data_dir / TOKEN_FILE)
    if made:
        print(f"Token for calls from other machines (kept in {TOKEN_FILE}): {token}", flush=True)
    return token


def _make_folder(folder: Path) -> None:
    with _folder_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _folder_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SetupError(reason=f"Data folder {folder}: {error.strerror}") from None


@contextmanager
def _worker_threads() -> Iterator[None]:
    """Give the event loop more threads for blocking calls than its default executor has."""
    loop = asyncio.get_running_loop()
    executor = ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="worker")
    loop.set_default_executor(executor)
    try:
        yield
    finally:
        # A loop cannot be without an executor; this one starts no thread before it is used.
        loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="worker"))
        executor.shutdown(wait=False)


@asynccontextmanager
async def _background(
    work: Coroutine[Any, Any, None], name: str, patience_s: float = 0.0
) -> AsyncIterator[None]:
    """Run a coroutine as a task; on leaving, it may end by itself for a while, then must."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_log_failure)
    try:
        yield
    finally:
        await asyncio.wait([task], timeout=patience_s)
        task.cancel()
        await asyncio.wait([task], timeout=END_S)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("the background task %r failed", task.get_name(), exc_info=error)


@contextmanager
def _on_exit_signal(callback: Callable[[], None]) -> Iterator[None]:
    """Also run ``callback`` on the event loop when the process is asked to end.

    uvicorn waits for open responses before it ends the lifespan, and an MJPEG response ends only
    when its stream does: so streams must know at the signal.
    """
    loop = asyncio.get_running_loop()
    previous: dict[int, Any] = {}

    def chained(number: int, frame: object) -> None:
        loop.call_soon_threadsafe(callback)
        before = previous.get(number)
        if callable(before):
            before(number, frame)

    with ExitStack() as stack:
        with suppress(ValueError):  # not the main thread: a test's server, which no signal ends
            for number in (signal.SIGTERM, signal.SIGINT):
                previous[number] = signal.getsignal(number)
                signal.signal(number, chained)
                stack.callback(_restore_signal, number, chained, previous[number])
        yield


def _restore_signal(number: int, ours: Callable[..., None], before: Any) -> None:
    """Put the earlier handler back, unless somebody has set another one meanwhile."""
    if signal.getsignal(number) is ours:
        signal.signal(number, before)
