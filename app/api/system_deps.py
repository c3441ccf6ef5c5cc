"""The dependencies of routes that show the server itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from app.api.errors import error_replies
from app.config import Settings
from app.db.backup import DatabaseBackup

SYSTEM_ERRORS = error_replies({401: "Token needed", 403: "The caller lacks the right"})


@dataclass(frozen=True, slots=True)
class SystemServices:
    """What shows and changes the server itself.

    Attributes:
        started_ts: when this process began to serve, Unix seconds.
        copying: held while a backup is written.
    """

    settings: Settings
    database: DatabaseBackup
    started_ts: float
    copying: asyncio.Lock = field(default_factory=asyncio.Lock)


def _system(connection: HTTPConnection) -> SystemServices:
    services: SystemServices = connection.state.system
    return services


SystemDep = Annotated[SystemServices, Depends(_system)]
