"""The dependencies of routes, as annotated types: a signature shows where each argument is from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Header, WebSocket
from fastapi.requests import HTTPConnection

from app.access.audit import AuditLog
from app.access.service import AccessService
from app.anpr.service import PlateService
from app.api.authorization import caller_of
from app.api.i18n import Language, default_of, language_of
from app.api.websockets import ClientSocket
from app.config import Settings
from app.db.event_counts import EventCounts
from app.db.event_marks import EventMarks
from app.db.events import EventRepository
from app.db.job_log import JobLogRepository
from app.db.jobs import JobRepository
from app.db.plate_counts import PlateCounts
from app.db.plate_search import PlateSearch
from app.db.plates import PlateRepository
from app.db.recordings import RecordingRepository
from app.db.watchlist import Watchlist
from app.db.writer import EventWriter
from app.pipeline.directory import StreamDirectory
from app.pipeline.event_log import EventLog
from app.pipeline.push import PushStreams
from app.recording.footage_export import FootageExporter
from app.recording.footage_frames import FootageFrames
from app.recording.footage_service import FootageService
from app.recording.job_manager import JobManager
from app.recording.retention import DiskSpace
from app.recording.running_jobs import RunningJobs
from app.recording.schedules import Scheduler
from app.rights import Caller, Right
from app.types import StreamStatus


class PlateServices(NamedTuple):
    """Everything that the routes for number plates need."""

    service: PlateService
    repository: PlateRepository
    search: PlateSearch
    counts: PlateCounts
    watchlist: Watchlist


def _state(name: str) -> Any:
    """A dependency on the lifespan's state of that name; its type is in the annotation."""

    def get(connection: HTTPConnection) -> Any:
        return getattr(connection.state, name)

    return Depends(get)


def _caller(connection: HTTPConnection) -> Caller:
    return caller_of(connection.scope)


def _settings(connection: HTTPConnection) -> Settings:
    settings: Settings = connection.app.state.settings
    return settings


def _recordings_folder(connection: HTTPConnection) -> Path:
    settings: Settings = connection.app.state.settings
    return settings.recordings_dir()


def _language(
    connection: HTTPConnection,
    accept_language: Annotated[
        str | None,
        Header(
            description="`en` (default), `ko` (default of the stream control API) or `ru`: the "
            "language of messages."
        ),
    ] = None,
) -> Language:
    return language_of(accept_language, default_of(connection.url.path))


def _plate_language(
    accept_language: Annotated[
        str | None, Header(description="`ru` (default), `en` or `ko`: the language of messages.")
    ] = None,
) -> Language:
    return language_of(accept_language, "ru")


def _client_socket(websocket: WebSocket) -> ClientSocket:
    settings: Settings = websocket.app.state.settings
    return ClientSocket(websocket, settings.push.send_timeout_s)


def _plates(connection: HTTPConnection) -> PlateServices:
    plates: PlateServices = connection.state.plates
    return plates


def visible(statuses: Iterable[StreamStatus], caller: Caller) -> list[StreamStatus]:
    """The streams that a caller may watch."""
    return [one for one in statuses if caller.access.may(Right.VIEW, one.spec.stream_id)]


PlateServicesDep = Annotated[PlateServices, Depends(_plates)]


def _plate_service(plates: PlateServicesDep) -> PlateService:
    return plates.service


def _plate_repository(plates: PlateServicesDep) -> PlateRepository:
    return plates.repository


def _plate_search(plates: PlateServicesDep) -> PlateSearch:
    return plates.search


def _plate_counts(plates: PlateServicesDep) -> PlateCounts:
    return plates.counts


def _watchlist(plates: PlateServicesDep) -> Watchlist:
    return plates.watchlist


AuditLogDep = Annotated[AuditLog, _state("audit")]
AccessServiceDep = Annotated[AccessService, _state("access")]
CallerDep = Annotated[Caller, Depends(_caller)]
ManagerDep = Annotated[StreamDirectory, _state("manager")]
PushStreamsDep = Annotated[PushStreams, _state("push_streams")]
EventLogDep = Annotated[EventLog, _state("event_log")]
EventRepositoryDep = Annotated[EventRepository, _state("event_repository")]
EventMarksDep = Annotated[EventMarks, _state("event_marks")]
EventCountsDep = Annotated[EventCounts, _state("event_counts")]
EventWriterDep = Annotated[EventWriter, _state("event_writer")]
JobManagerDep = Annotated[JobManager, _state("job_manager")]
JobRepositoryDep = Annotated[JobRepository, _state("job_repository")]
JobLogRepositoryDep = Annotated[JobLogRepository, _state("job_log_repository")]
RecordingRepositoryDep = Annotated[RecordingRepository, _state("recording_repository")]
RunningJobsDep = Annotated[RunningJobs, _state("running_jobs")]
FootageDep = Annotated[FootageService, _state("footage")]
ExporterDep = Annotated[FootageExporter, _state("exporter")]
FramesDep = Annotated[FootageFrames, _state("frames")]
SpaceDep = Annotated[DiskSpace, _state("space")]
SchedulerDep = Annotated[Scheduler, _state("scheduler")]
RecordingsFolderDep = Annotated[Path, Depends(_recordings_folder)]
SettingsDep = Annotated[Settings, Depends(_settings)]
LanguageDep = Annotated[Language, Depends(_language)]
PlateLanguageDep = Annotated[Language, Depends(_plate_language)]
ClientSocketDep = Annotated[ClientSocket, Depends(_client_socket)]
PlateServiceDep = Annotated[PlateService, Depends(_plate_service)]
PlateRepositoryDep = Annotated[PlateRepository, Depends(_plate_repository)]
PlateSearchDep = Annotated[PlateSearch, Depends(_plate_search)]
PlateCountsDep = Annotated[PlateCounts, Depends(_plate_counts)]
WatchlistDep = Annotated[Watchlist, Depends(_watchlist)]
