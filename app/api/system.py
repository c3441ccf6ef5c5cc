"""The server itself: is it there, and which one is it."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from app import __version__

SOURCE_URL = "https://github.com/watchpost/watchpost"

router = APIRouter(tags=["system"])


class Health(BaseModel):
    status: str = "ok"


class Version(BaseModel):
    """The AGPL asks that users of a server can get its source."""

    name: str = "watchpost"
    version: str = __version__
    license: str = "AGPL-3.0-or-later"
    source: str = SOURCE_URL


@router.get("/healthz", summary="Is the process alive")
async def healthz() -> Health:
    return Health()


@router.get("/api/version", summary="Version, licence and source")
async def version() -> Version:
    return Version()
