"""What routes need, as annotated types: a signature tells where each argument comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Header
from fastapi.requests import HTTPConnection

from app.api.i18n import Language, language_of
from app.config import Settings
from app.db.events import EventRepository
from app.db.jobs import JobRepository
from app.db.writer import EventWriter
from app.pipeline.event_log import EventLog
from app.pipeline.manager import StreamManager
from app.pipeline.push import PushStreams
from app.recording.job_manager import JobManager
from app.recording.schedules import Scheduler


def _held(name: str) -> Any:
    """What the lifespan hands to requests under that name; the annotation beside it says what."""

    def get(connection: HTTPConnection) -> Any:
        return getattr(connection.state, name)

    return Depends(get)


def _settings(connection: HTTPConnection) -> Settings:
    settings: Settings = connection.app.state.settings
    return settings


def _recordings_folder(connection: HTTPConnection) -> Path:
    settings: Settings = connection.app.state.settings
    return settings.recordings_dir()


def _language(
    accept_language: Annotated[
        str | None, Header(description="`ko` (default), `en` or `ru`: the language of messages.")
    ] = None,
) -> Language:
    return language_of(accept_language)


ManagerDep = Annotated[StreamManager, _held("manager")]
PushStreamsDep = Annotated[PushStreams, _held("pushes")]
EventLogDep = Annotated[EventLog, _held("events")]
EventRepositoryDep = Annotated[EventRepository, _held("happened")]
EventWriterDep = Annotated[EventWriter, _held("writer")]
JobManagerDep = Annotated[JobManager, _held("collector")]
JobRepositoryDep = Annotated[JobRepository, _held("jobs")]
SchedulerDep = Annotated[Scheduler, _held("schedules")]
RecordingsFolderDep = Annotated[Path, Depends(_recordings_folder)]
SettingsDep = Annotated[Settings, Depends(_settings)]
LanguageDep = Annotated[Language, Depends(_language)]
