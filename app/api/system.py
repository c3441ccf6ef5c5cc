"""The server itself: is it there, and which one is it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
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


@router.get("/", include_in_schema=False)
async def root(request: Request) -> Response:
    """A person is led to the documentation; a program is told that the server runs."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/docs")
    return JSONResponse({"message": "Camera Collector API is running!"})


@router.get("/healthz", summary="Is the process alive")
async def healthz() -> Health:
    return Health()


@router.get("/api/version", summary="Version, licence and source")
async def version() -> Version:
    return Version()
