"""What routes need, as annotated types: a signature tells where each argument comes from."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request

from app.api.messages import Language, language_of
from app.config import Settings
from app.pipeline.manager import StreamManager


def _manager(request: Request) -> StreamManager:
    manager: StreamManager = request.state.manager
    return manager


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _language(
    accept_language: Annotated[
        str | None, Header(description="`ko` (default), `en` or `ru`: the language of messages.")
    ] = None,
) -> Language:
    return language_of(accept_language)


Streams = Annotated[StreamManager, Depends(_manager)]
AppSettings = Annotated[Settings, Depends(_settings)]
CallerLanguage = Annotated[Language, Depends(_language)]
