"""The whole server, assembled: the only file that knows every package."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import __version__, logs
from app.analytics.analyzer import AnalyzerFactory
from app.analytics.rules import read_rule_settings
from app.anpr.event_recorder import PlateEventRecorder
from app.anpr.files import CROPS, UPLOADS, PlateFiles
from app.anpr.read_queue import PlateReadQueue
from app.anpr.service import PlateService
from app.api import (
    auth,
    cameras,
    errors,
    jobs,
    plates,
    push,
    streams,
    system,
    viewer,
)
from app.api import events as events_api
from app.api.deps import PlateServices
from app.api.health import DatabaseProbe, HealthService
from app.api.rules_schema import document_rules
from app.config import Settings, usable_cpus
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
from app.models.faces import FaceDetector, load_faces
from app.models.objects import ObjectDetector, load_objects
from app.models.plates.claude import ClaudeReader
from app.models.plates.networks import PlateNetworks, load_plates
from app.pipeline import draw
from app.pipeline.event_log import EventLog
from app.pipeline.manager import StreamManager
from app.pipeline.push import PushStreams
from app.recording.context import JobContext
from app.recording.job_manager import JobManager, PrunableRecordings
from app.recording.retention import DiskSpace, PrunableEvents, PrunableFolder
from app.recording.schedules import Scheduler
from app.types import Analytics, StreamSpec

if TYPE_CHECKING:
    from sqlalchemy import Engine

logger = logging.getLogger(__name__)

LOCK_FILE = "watchpost.lock"
TOKEN_FILE = "token"
WORKER_THREADS = 64
SNAPSHOTS = "snapshots"
RESUME_AFTER_S = 0.5
WRITE_REST_S = 3.0
DEMO = StreamSpec("demo", "demo:", max_fps=15)

SETUP_ERRORS = {f"{error.__module__}.{error.__name__}" for error in (SetupError, DataFolderLocked)}

DESCRIPTION = """
Self-hosted video analytics. Video comes in, faces are blurred before a pixel leaves, blurred
video goes out.

Calls from this machine need nothing; from elsewhere they need the token, as
`Authorization: Bearer …` or `?token=…`. Every error has the form `{"code", "message", "details"}`;
`Accept-Language` (`ko`, `en`, `ru`) chooses the words.
"""

TAGS = [
    {"name": "streams", "description": "RTSP in, faces blurred, RTSP out."},
    {"name": "push streams", "description": "Pictures over a WebSocket in, results and MJPEG out."},
    {"name": "cameras", "description": "Files, webcams, RTSP and HTTP video, watched and kept."},
    {"name": "events", "description": "What happened: live, resumed, as history."},
    {
        "name": "plates",
        "description": "Number plates: upload a photo, look at what was read, correct it, search, "
        "count, erase; numbers that are waited for.",
    },
    {"name": "collection", "description": "Jobs that keep video as files."},
    {"name": "system", "description": "Health, version, metrics."},
]


class State(TypedDict):
    """What the lifespan hands to requests as ``request.state``."""

    manager: StreamManager
    pushes: PushStreams
    events: EventLog
    happened: EventRepository
    writer: EventWriter
    jobs: JobRepository
    collector: JobManager
    schedules: Scheduler
    plates: PlateServices
    instruments: HealthService
    reading: asyncio.Semaphore


def build_app() -> FastAPI:
    """The app with settings from the environment: what ``uvicorn main:app`` serves."""
    return create_app(Settings())


def create_app(settings: Settings) -> FastAPI:
    """Assemble the app. Nothing is opened or started before its lifespan begins.

    Raises:
        SetupError: when the data folder cannot be used.
    """
    logs.install("debug" if settings.debug else settings.log_level)
    if settings.auth.disabled:
        logger.warning("no authentication: everybody may watch and control every stream")
    token = None if settings.auth.disabled else _token(settings)
    gate = Middleware(
        auth.TokenAuthMiddleware,
        token=token,
        require_token=settings.auth.require_token,
        disabled=settings.auth.disabled,
    )
    app = FastAPIOffline(
        title="Watchpost",
        version=__version__,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=lifespan,
        middleware=[Middleware(ConciseStartupErrors), gate],
        redoc_url=None,
        license_info={"name": "AGPL-3.0-or-later"},
    )
    app.state.settings = settings
    app.include_router(streams.router)
    app.include_router(push.router)
    app.include_router(cameras.router)
    app.include_router(events_api.router)
    app.include_router(plates.router)
    app.include_router(system.router)
    app.include_router(viewer.router)
    app.include_router(jobs.router)  # the last: its /ws/{job_id} takes every name below /ws
    app.mount("/static", viewer.ViewerFiles(), name="static")
    errors.install(app)
    document_rules(app)
    return app


class ConciseStartupErrors:
    """A start that fails for a known reason says that reason, instead of a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_plainly(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                name, _, reason = message["message"].strip().rpartition("\n")[2].partition(": ")
                if name in SETUP_ERRORS:
                    message["message"] = reason
            await send(message)

        await self._app(scope, receive, send_plainly if scope["type"] == "lifespan" else send)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[State]:
    """Everything that lives as long as the server, in the order in which it may be used."""
    settings: Settings = app.state.settings
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="worker"))
    with locked(settings.data_dir):
        secret = settings.secret_key.get_secret_value() if settings.secret_key else None
        engine = open_database(settings.resolved_database_url())
        vault = open_vault(settings.data_dir, secret)
        store = StreamRepository(engine, vault)
        network = load_faces(settings.device, settings.data_dir / "cache")
        objects = _objects(settings)
        faces = FaceDetector(network, min_confidence=settings.faces.keep_confidence)
        snapshots = SnapshotFolder(settings.data_dir / SNAPSHOTS)
        happened = EventRepository(engine, snapshots)
        events = EventLog(loop, happened.next_id())
        open_ones = ExitStack()
        reading = open_ones.enter_context(plate_reading(settings, engine, objects))
        door, read_queue = reading.door, reading.read_queue
        helpers = {"plates": read_queue}
        analyzers = AnalyzerFactory(settings.objects, read_rule_settings(), objects, helpers)
        sessions = StreamSessionRepository(engine)
        manager = StreamManager(
            settings.streams, settings.faces, faces, store, analyzers, events, sessions.next_today
        )
        job_rows = JobRepository(engine, vault)
        collection = Collection(settings, manager, job_rows)
        pictures = settings.data_dir / SNAPSHOTS
        collection.space.register(PrunableEvents(pictures, happened, settings.space))

        def verified() -> set[Path]:
            return {settings.data_dir / path for path in door.rows.verified_pictures()}

        for folder in (CROPS, UPLOADS):
            collection.space.register(
                PrunableFolder(settings.data_dir / folder, "*", protected=verified)
            )
        networks = {
            "faces": network,
            "objects": objects.runner if objects is not None else None,
            "text_lines": reading.networks.lines,
            "plate_text": reading.networks.text,
        }
        resuming = asyncio.create_task(_resume(manager, collection, demo=settings.demo))

        def begin_shutdown() -> None:
            manager.begin_shutdown()
            events.close_clients()

        restore_signals = _on_exit_signal(lambda: loop.call_soon_threadsafe(begin_shutdown))
        keeping = asyncio.create_task(PlateEventRecorder(events, door.desk).run())
        with events.pictured() as arriving:
            writer = EventWriter(arriving, happened, snapshots, draw.snapshot)
            writer.start()
            try:
                yield {
                    "manager": manager,
                    "pushes": PushStreams(manager, settings.push),
                    "events": events,
                    "happened": happened,
                    "writer": writer,
                    "jobs": job_rows,
                    "collector": collection.collector,
                    "schedules": collection.schedules,
                    "plates": door,
                    "instruments": HealthService(
                        manager,
                        collection.collector,
                        events,
                        writer,
                        collection.space,
                        door.desk,
                        read_queue,
                        networks,
                        DatabaseProbe(job_rows),
                    ),
                    # A picture of 50 megapixels takes 150 MB while it is read.
                    "reading": asyncio.Semaphore(usable_cpus()),
                }
            finally:
                restore_signals()
                resuming.cancel()
                await collection.close()
                await manager.close()
                events.close()
                await writer.close(WRITE_REST_S)
                await asyncio.wait([keeping], timeout=WRITE_REST_S)
                await asyncio.to_thread(open_ones.close)
                await asyncio.to_thread(network.close)
                if objects is not None:
                    await asyncio.to_thread(objects.close)
                engine.dispose()


def _objects(settings: Settings) -> ObjectDetector | None:
    """The network for analytics; None where none is shipped and none is named."""
    if settings.objects.weights is None and not weights_file.SHIPPED.exists():
        logger.warning("no analytics: %s is missing", weights_file.SHIPPED)
        return None
    return load_objects(settings.objects, settings.device, settings.data_dir)


class Collection:
    """Jobs, their schedules, and the room for what they keep."""

    def __init__(self, settings: Settings, manager: StreamManager, store: JobRepository) -> None:
        folder = settings.recordings_dir()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(reason=f"Data folder {folder}: {error.strerror}") from None
        self.space = DiskSpace(folder, settings.space)
        self.space.register(PrunableRecordings(folder, store))
        shop = JobContext(manager, store, self.space, settings.collect, settings.streams, folder)
        self.collector = JobManager(shop, settings.allowed_folders)
        self.schedules = Scheduler(self.collector, store)
        self._tasks = [
            asyncio.create_task(self.space.run()),
            asyncio.create_task(self.schedules.run()),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.collector.close()


class PlateReading(NamedTuple):
    """What reads plates: of uploads through the door, of streams through the attendant."""

    door: PlateServices
    read_queue: PlateReadQueue
    networks: PlateNetworks


@contextmanager
def plate_reading(
    settings: Settings, engine: Engine, objects: ObjectDetector | None
) -> Iterator[PlateReading]:
    """All that reads and keeps number plates; Claude is asked only where a key was given."""
    options, rows = settings.plates, PlateRepository(engine)
    networks = load_plates(settings.data_dir / "cache")
    reader = networks.reader(objects, options.countries)
    with closing(networks), ExitStack() as open_ones:
        claude = None
        if settings.claude_api_key is not None:
            key = settings.claude_api_key.get_secret_value()
            claude = ClaudeReader(
                key,
                settings.claude_model,
                ClaudeCalls(engine),
                daily=options.claude_daily,
                countries=options.countries,
            )
            open_ones.enter_context(closing(claude))
        watches = Watchlist(engine)
        read_queue = open_ones.enter_context(closing(PlateReadQueue(reader, watches)))
        desk = PlateService(options, reader, claude, rows, PlateFiles(settings.data_dir))
        door = PlateServices(desk, rows, PlateSearch(engine), watches)
        yield PlateReading(door, read_queue, networks)


async def _resume(manager: StreamManager, collection: Collection, *, demo: bool) -> None:
    """Bring streams back once the server answers: if its port is taken it ends before that."""
    await asyncio.sleep(RESUME_AFTER_S)
    await manager.resume()
    if demo:
        analytics: Analytics = {"smoking": {}} if manager.has_analytics else {}
        manager.start_ephemeral(replace(DEMO, analytics=analytics))
    await collection.collector.resume()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the data folder, so that a second server never publishes what this one does.

    The system frees the lock with the process, however that ends.

    Raises:
        DataFolderLocked: another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_FILE).open("a+", encoding="utf-8")
    except OSError as error:
        raise SetupError(reason=f"Data folder {folder}: {error.strerror}") from None
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


def _token(settings: Settings) -> str:
    """The configured token, or the one in the data folder, made and shown once."""
    if settings.auth.token is not None:
        return settings.auth.token.get_secret_value()
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        token, made = read_or_make_secret(settings.data_dir / TOKEN_FILE)
    except OSError as error:
        raise SetupError(reason=f"Data folder {settings.data_dir}: {error.strerror}") from None
    if made:
        print(f"Token for calls from other machines (kept in {TOKEN_FILE}): {token}", flush=True)
    return token


def _on_exit_signal(tell: Callable[[], object]) -> Callable[[], None]:
    """Also run ``tell`` when the process is asked to end; returns what undoes that.

    uvicorn waits for open responses before it ends the lifespan, and an MJPEG response ends
    only when its viewer is told: so they must be told at the signal.
    """
    previous: dict[int, Any] = {}

    def chained(number: int, frame: object) -> None:
        tell()
        before = previous.get(number)
        if callable(before):
            before(number, frame)

    with suppress(ValueError):  # not the main thread: a test's server, which no signal ends
        for number in (signal.SIGTERM, signal.SIGINT):
            previous[number] = signal.getsignal(number)
            signal.signal(number, chained)

    def restore() -> None:
        with suppress(ValueError):
            for number, handler in previous.items():
                if signal.getsignal(number) is chained:
                    signal.signal(number, handler)

    return restore
