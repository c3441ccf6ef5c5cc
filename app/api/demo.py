"""Starts the demo from the page."""

from __future__ import annotations

from fastapi import APIRouter

from app.api.camera_schemas import Camera
from app.api.deps import LanguageDep, ManagerDep
from app.api.errors import error_replies
from app.pipeline.demo import DEMO_ID, start_demo

router = APIRouter(
    tags=["cameras"], responses=error_replies({401: "Token needed", 503: "The server is stopping"})
)


@router.post("/api/demo", summary="Start the demo", status_code=201)
async def begin_demo(manager: ManagerDep, language: LanguageDep) -> Camera:
    """A stream of bundled photographs, to look around without a camera. It ends with the server,
    or with `POST /api/streams/demo/disconnect`. Where it runs already, nothing changes."""
    start_demo(manager)
    return Camera.of(manager.stream(DEMO_ID).status, language)
