"""What routes need, as annotated types: a signature tells where each argument comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import Depends, Header
from fastapi.requests import HTTPConnection

from app.api.messages import Language, language_of
from app.config import Settings
from app.db.events import EventRepository
from app.db.jobs import JobRepository
from app.db.writer import EventWriter
from app.pipeline.collector import Collector
from app.pipeline.events import EventLog
from app.pipeline.manager import StreamManager
from app.pipeline.push import PushStreams
from app.pipeline.schedules import Scheduler


def _manager(connection: HTTPConnection) -> StreamManager:
    manager: StreamManager = connection.state.manager
    return manager


def _pushes(connection: HTTPConnection) -> PushStreams:
    pushes: PushStreams = connection.state.pushes
    return pushes


def _events(connection: HTTPConnection) -> EventLog:
    events: EventLog = connection.state.events
    return events


def _settings(connection: HTTPConnection) -> Settings:
    settings: Settings = connection.app.state.settings
    return settings


def _happened(connection: HTTPConnection) -> EventRepository:
    happened: EventRepository = connection.state.happened
    return happened


def _writer(connection: HTTPConnection) -> EventWriter:
    writer: EventWriter = connection.state.writer
    return writer


def _collector(connection: HTTPConnection) -> Collector:
    collector: Collector = connection.state.collector
    return collector


def _jobs(connection: HTTPConnection) -> JobRepository:
    jobs: JobRepository = connection.state.jobs
    return jobs


def _schedules(connection: HTTPConnection) -> Scheduler:
    schedules: Scheduler = connection.state.schedules
    return schedules


def _recordings_folder(connection: HTTPConnection) -> Path:
    settings: Settings = connection.app.state.settings
    return settings.recordings_dir()


def _language(
    accept_language: Annotated[
        str | None, Header(description="`ko` (default), `en` or `ru`: the language of messages.")
    ] = None,
) -> Language:
    return language_of(accept_language)


Streams = Annotated[StreamManager, Depends(_manager)]
Pushes = Annotated[PushStreams, Depends(_pushes)]
Events = Annotated[EventLog, Depends(_events)]
Happened = Annotated[EventRepository, Depends(_happened)]
Writer = Annotated[EventWriter, Depends(_writer)]
Collect = Annotated[Collector, Depends(_collector)]
Jobs = Annotated[JobRepository, Depends(_jobs)]
Schedules = Annotated[Scheduler, Depends(_schedules)]
RecordingsFolder = Annotated[Path, Depends(_recordings_folder)]
AppSettings = Annotated[Settings, Depends(_settings)]
CallerLanguage = Annotated[Language, Depends(_language)]
