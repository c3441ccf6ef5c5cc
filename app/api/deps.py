"""What routes need, as annotated types: a signature tells where each argument comes from."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header
from fastapi.requests import HTTPConnection

from app.api.messages import Language, language_of
from app.config import Settings
from app.db.events import EventRepository
from app.db.writer import EventWriter
from app.pipeline.events import EventLog
from app.pipeline.manager import StreamManager
from app.pipeline.push import PushStreams


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
AppSettings = Annotated[Settings, Depends(_settings)]
CallerLanguage = Annotated[Language, Depends(_language)]
