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
from app.recording.job_manager import Collector
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


Streams = Annotated[StreamManager, _held("manager")]
Pushes = Annotated[PushStreams, _held("pushes")]
Events = Annotated[EventLog, _held("events")]
Happened = Annotated[EventRepository, _held("happened")]
Writer = Annotated[EventWriter, _held("writer")]
Collect = Annotated[Collector, _held("collector")]
Jobs = Annotated[JobRepository, _held("jobs")]
Schedules = Annotated[Scheduler, _held("schedules")]
RecordingsFolder = Annotated[Path, Depends(_recordings_folder)]
AppSettings = Annotated[Settings, Depends(_settings)]
CallerLanguage = Annotated[Language, Depends(_language)]
