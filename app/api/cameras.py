"""All streams of the server as cameras (contract ``docs/contracts/cameras.md``)."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.api.deps import ManagerDep
from app.api.errors import ErrorReply
from app.types import BlurStyle, StreamSpec, StreamStatus
from app.urls import scheme_of

Kind = Literal["demo", "rtsp", "push", "camera"]
KINDS: dict[str, Kind] = {"demo": "demo", "push": "push"}

router = APIRouter(
    tags=["cameras"],
    responses={401: {"model": ErrorReply, "description": "Token needed"}},
)


class CameraStats(BaseModel):
    """Numbers of the newest frame."""

    camera_id: str
    faces: int
    ids: int = Field(description="Persons that are followed.")
    bags: int
    owned: int = Field(description="Bags whose owner is known.")
    session_id: str | None = Field(description="This run of it, counted up each day.")

    @classmethod
    def of(cls, status: StreamStatus) -> CameraStats:
        names = ("faces", "ids", "bags", "owned", "session_id")
        values = {name: getattr(status.stats, name) for name in names}
        return cls(camera_id=status.spec.stream_id, **values)


class Camera(BaseModel):
    """One stream, whatever its door."""

    camera_id: str
    name: str
    kind: Kind = Field(description="The door that it came through.")
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
            kind=kind_of(spec),
            state=status.state.value,
            fps=stats.output_fps,
            width=stats.width,
            height=stats.height,
            blur=spec.blur,
            analytics=sorted(spec.analytics),
            stats=CameraStats.of(status),
        )


def kind_of(spec: StreamSpec) -> Kind:
    """The door that a stream came through; what is published belongs to stream control."""
    return KINDS.get(scheme_of(spec.source), "camera" if spec.output is None else "rtsp")


@router.get("/cameras", summary="List all streams and cameras")
async def list_cameras(streams: ManagerDep) -> list[Camera]:
    """Every stream of every door, with its state."""
    return [Camera.of(status) for status in streams.all()]
