"""What routes need, as annotated types: a signature tells where each argument comes from."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header
from starlette.requests import HTTPConnection

from app.api.messages import Language, language_of
from app.config import Settings
from app.db.events import EventRepository
from app.db.writer import EventWriter
from app.pipeline.events import EventLog
from app.pipeline.manager import StreamManager


def _manager(request: HTTPConnection) -> StreamManager:
    manager: StreamManager = request.state.manager
    return manager


def _settings(request: HTTPConnection) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _events(request: HTTPConnection) -> EventLog:
    events: EventLog = request.state.events
    return events


def _happened(request: HTTPConnection) -> EventRepository:
    happened: EventRepository = request.state.happened
    return happened


def _writer(request: HTTPConnection) -> EventWriter:
    writer: EventWriter = request.state.writer
    return writer


def _language(
    accept_language: Annotated[
        str | None, Header(description="`ko` (default), `en` or `ru`: the language of messages.")
    ] = None,
) -> Language:
    return language_of(accept_language)


Streams = Annotated[StreamManager, Depends(_manager)]
Events = Annotated[EventLog, Depends(_events)]
Happened = Annotated[EventRepository, Depends(_happened)]
Writer = Annotated[EventWriter, Depends(_writer)]
AppSettings = Annotated[Settings, Depends(_settings)]
CallerLanguage = Annotated[Language, Depends(_language)]
