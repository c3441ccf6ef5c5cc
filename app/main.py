"""The web server's app: routers, middleware and documentation around one ``Runtime``."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import __version__, logs
from app.access.throttle import Throttle
from app.api import (
    accounts,
    audit,
    auth,
    backup,
    camera_setup,
    cameras,
    deliveries,
    demo,
    doctor,
    errors,
    event_reports,
    jobs,
    live_settings,
    nodes,
    oidc,
    plates,
    privacy,
    push,
    recordings,
    routes,
    rules,
    schedules,
    snapshot_links,
    storage,
    stored_events,
    streams,
    system,
    system_status,
    targets,
    tokens,
    two_factor,
    users,
    video,
    viewer,
)
from app.api import events as events_api
from app.api.audit_middleware import AuditMiddleware
from app.api.authorization import RightsMiddleware
from app.api.camera_setup import CameraSetup
from app.api.credentials import TrustedProxies
from app.api.deps import PlateServices
from app.api.doctor import DoctorService
from app.api.erasure import Eraser
from app.api.headers import SecurityHeadersMiddleware
from app.api.health import DatabaseProbe, HealthService
from app.api.notify_deps import NotifyServices
from app.api.openapi import complete_document, operation_id
from app.api.route_rights import RightsTable
from app.api.rules_schema import document_rules
from app.api.state import State
from app.api.system_deps import SystemServices
from app.api.upload_queue import UploadQueue
from app.api.video_socket import VideoMetrics
from app.config import Settings
from app.data_folder import api_token
from app.errors import DataFolderLocked, SetupError
from app.pipeline.connection_test import ConnectionTester
from app.process import long_lived_objects
from app.runtime import Runtime, open_runtime

logger = logging.getLogger(__name__)

SETUP_ERRORS = {f"{error.__module__}.{error.__name__}" for error in (SetupError, DataFolderLocked)}

DESCRIPTION = """
Self-hosted video analytics. Video comes in, faces are blurred before a pixel leaves, blurred
video goes out.

Calls from this machine need no token. Others need one, as `Authorization: Bearer …` (**Authorize**
on this page) or `?token=…`, or the cookie of a sign-in. Every error has the form
`{"code", "message", "details"}`; `Accept-Language` (`en`, `ko`, `ru`) chooses the language of
messages.
"""

TAGS = [
    {"name": "streams", "description": "RTSP in, faces blurred, RTSP out."},
    {"name": "push streams", "description": "Frames over a WebSocket in, results and MJPEG out."},
    {
        "name": "cameras",
        "description": "Files, webcams, RTSP and HTTP video: watched, and kept over restarts.",
    },
    {"name": "events", "description": "Events: live, resumed, and as history."},
    {
        "name": "notifications",
        "description": "Targets that get events, routes that lead to them, and what is on its way.",
    },
    {
        "name": "plates",
        "description": "Number plates: upload a photo; view, correct, search, count and delete "
        "readings; the watch-list.",
    },
    {
        "name": "recordings",
        "description": "Clips of events and continuous recordings of cameras, faces covered.",
    },
    {"name": "collection", "description": "Jobs that record video as files."},
    {"name": "accounts", "description": "Signing in, users, and API tokens."},
    {"name": "privacy", "description": "What is kept and how long; erasure with proof; export."},
    {"name": "system", "description": "Health, version, metrics."},
]


ROUTERS = (
    streams.router,
    video.router,
    push.router,
    cameras.router,
    demo.router,
    camera_setup.router,
    rules.router,
    events_api.router,
    event_reports.router,  # before the ids of events
    stored_events.router,
    recordings.router,
    storage.router,
    nodes.router,
    targets.router,
    routes.router,
    deliveries.router,
    snapshot_links.router,
    plates.router,
    accounts.router,
    oidc.router,
    two_factor.router,
    users.router,
    tokens.router,
    audit.router,
    privacy.router,
    system.router,
    doctor.router,
    system_status.router,
    live_settings.router,
    backup.router,
    viewer.router,
    schedules.router,
    jobs.router,  # last, since its /ws/{job_id} matches every name below /ws
)
"""In this order: of two routes that match, the first is taken."""


def build_app() -> FastAPI:
    """Build the app with settings from the environment, as ``uvicorn main:app`` serves it."""
    return create_app(Settings())


def create_app(settings: Settings) -> FastAPI:
    """Assemble the app. Nothing is opened or started before its lifespan begins.

    Raises:
        SetupError: the data folder cannot be used.
    """
    logs.install("debug" if settings.debug else settings.log_level)
    if settings.auth.disabled:
        logger.warning("authentication is off: anyone may watch and control every stream")
    throttle = Throttle()
    authentication = Middleware(
        auth.TokenAuthMiddleware,
        token=None if settings.auth.disabled else api_token(settings),
        require_token=settings.auth.require_token,
        disabled=settings.auth.disabled,
        throttle=throttle,
        proxies=TrustedProxies(settings.auth.trusted_proxies, settings.auth.proxy_user_header),
    )
    table = RightsTable()
    authorization = Middleware(RightsMiddleware, table=table)
    app = FastAPIOffline(
        title="Watchpost",
        version=__version__,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=lifespan,
        middleware=[
            Middleware(ConciseStartupErrors),
            Middleware(SecurityHeadersMiddleware),
            Middleware(AuditMiddleware, table=table),
            authentication,
            authorization,
        ],
        redoc_url=None,
        generate_unique_id_function=operation_id,
        license_info={"name": "AGPL-3.0-or-later"},
    )
    app.state.settings = settings
    app.state.throttle = throttle
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", viewer.files(), name="static")
    errors.install(app)
    document_rules(app)
    complete_document(app)
    return app


class ConciseStartupErrors:
    """Middleware that reports a failed start with one line where the reason is known.

    Starlette would report the traceback.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_reason(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                name, _, reason = message["message"].strip().rpartition("\n")[2].partition(": ")
                if name in SETUP_ERRORS:
                    message["message"] = reason
            await send(message)

        await self._app(scope, receive, send_reason if scope["type"] == "lifespan" else send)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[State]:
    """Start the server's parts before the first request, and stop them after the last."""
    async with open_runtime(app.state.settings, app.state.throttle) as runtime:
        with long_lived_objects():
            yield _state(runtime, app.state.settings)


def _state(runtime: Runtime, settings: Settings) -> State:
    events, jobs, plates = runtime.events, runtime.jobs, runtime.plates
    notify = runtime.notify
    return {
        "manager": runtime.streams,
        "camera_setup": CameraSetup(ConnectionTester(runtime.manager)),
        "push_streams": runtime.push_streams,
        "event_log": events.log,
        "event_repository": events.repository,
        "event_marks": events.marks,
        "event_counts": events.counts,
        "event_writer": events.writer,
        "job_repository": jobs.repository,
        "job_log_repository": jobs.log,
        "recording_repository": jobs.recordings,
        "job_manager": jobs.manager,
        "running_jobs": jobs.manager.running,
        "scheduler": jobs.scheduler,
        "access": runtime.access,
        "audit": runtime.audit,
        "eraser": Eraser(
            events.repository,
            events.pruner,
            runtime.privacy.plates,
            plates.service.files,
            jobs.recordings,
            settings.recordings_dir(),
            runtime.privacy.fingerprint,
            runtime.footage.service.store,
            runtime.footage.exporter,
            runtime.footage.frames,
        ),
        "kept": runtime.privacy.kept,
        "plates": PlateServices(
            plates.service, plates.repository, plates.search, plates.counts, plates.watchlist
        ),
        "notify": NotifyServices(
            notify.targets,
            notify.routes,
            notify.deliveries,
            notify.dispatcher,
            notify.vapid,
            notify.links,
        ),
        "health": HealthService(
            runtime.streams,
            jobs.metrics,
            runtime.footage.service.metrics,
            jobs.manager.running,
            events.log,
            events.writer,
            jobs.space,
            plates.service,
            plates.read_queue,
            runtime.networks,
            DatabaseProbe(jobs.repository),
            notify.dispatcher.metrics,
            notify.deliveries,
            VideoMetrics(),
        ),
        "footage": runtime.footage.service,
        "exporter": runtime.footage.exporter,
        "frames": runtime.footage.frames,
        "space": jobs.space,
        "doctor": DoctorService(settings),
        "uploads": UploadQueue(
            plates.service.at_once, settings.plates.max_waiting, settings.plates.max_wait_s
        ),
        "system": SystemServices(settings, runtime.database, time.time()),
    }
