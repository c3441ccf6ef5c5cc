"""All streams of the server as cameras (contract ``cameras.ru.md``)."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.api.deps import Streams
from app.api.errors import ErrorReply
from app.types import BlurStyle, StreamStatus
from app.urls import scheme_of

Kind = Literal["demo", "rtsp", "push", "camera"]
KINDS: dict[str, Kind] = {"demo": "demo", "push": "push", "rtsp": "rtsp", "rtsps": "rtsp"}

router = APIRouter(
    tags=["cameras"],
    responses={401: {"model": ErrorReply, "description": "Token needed"}},
)


class CameraStats(BaseModel):
    """Numbers of the newest frame."""

    camera_id: str
    faces: int = 0
    ids: int = 0
    bags: int = 0
    owned: int = 0
    session_id: str | None = None


class Camera(BaseModel):
    """One stream, whatever its door."""

    camera_id: str
    name: str
    kind: Kind = Field(description="Where its pictures come from.")
    state: str
    fps: float
    width: int | None
    height: int | None
    blur: BlurStyle
    analytics: list[str]
    stats: CameraStats

    @classmethod
    def of(cls, status: StreamStatus) -> Camera:
        spec, stats = status.spec, status.stats
        return cls(
            camera_id=spec.stream_id,
            name=spec.name or spec.stream_id,
            kind=KINDS.get(scheme_of(spec.source), "camera"),
            state=status.state.value,
            fps=stats.output_fps,
            width=stats.width,
            height=stats.height,
            blur=spec.blur,
            analytics=sorted(spec.analytics),
            stats=CameraStats(camera_id=spec.stream_id, faces=stats.faces),
        )


@router.get("/cameras", summary="List all streams and cameras")
async def list_cameras(streams: Streams) -> list[Camera]:
    """Every stream of every door, with its state."""
    return [Camera.of(status) for status in streams.all()]
