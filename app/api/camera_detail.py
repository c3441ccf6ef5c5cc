"""Cameras: streams that are watched here and published nowhere.

Contract: ``docs/contracts/cameras.md``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, WebSocket, WebSocketDisconnect
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from app import urls
from app.api.cameras import CameraStats, kind_of
from app.api.deps import ManagerDep, SettingsDep
from app.api.errors import ErrorReply
from app.api.events import VERSION, until_gone, with_pauses
from app.api.mjpeg import mjpeg_response
from app.api.schemas import ANALYTICS, Asked, Number, StreamStatsReply
from app.errors import NotACamera, WatchpostError
from app.mjpeg import MEDIA_TYPE
from app.pipeline.manager import StreamManager
from app.pipeline.sources.named import MAX_INDEX, MAX_PATH, source_url
from app.types import BlurStyle, JpegFrame, StreamSpec, StreamStatus, Transport, Zone

NOT_FOUND_CLOSE = 4404
STATS_EVERY_S = 1.0
ID = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"

router = APIRouter(
    tags=["cameras"],
    responses={
        code: {"model": ErrorReply, "description": description}
        for code, description in {
            400: "Wrong source, field or value",
            401: "Token needed",
            404: "No such camera",
            409: "The id is taken, or the stream is no camera",
            502: "A file or webcam cannot be read",
            503: "No picture",
        }.items()
    },
)

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
SOURCE = "a webcam's index, the path of a file, or an rtsp(s):// or http(s):// URL"


def _nameable(source: object) -> object:
    fits = (isinstance(source, str) and len(source) <= MAX_PATH) or (
        type(source) is int and 0 <= source <= MAX_INDEX
    )
    if not fits:
        raise ValueError(f"give {SOURCE} (an index is 0 to {MAX_INDEX})")
    return source


Source = Annotated[
    str | int,
    BeforeValidator(_nameable),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": MAX_PATH},
                {"type": "integer", "minimum": 0, "maximum": MAX_INDEX},
            ]
        }
    ),
]


class ZoneShape(BaseModel):
    """A polygon in shares of the picture's width and height."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["watch", "ignore"] = "watch"
    name: str = Field("", max_length=64)
    points: list[tuple[Share, Share]] = Field(min_length=3, max_length=64)

    def to_zone(self) -> Zone:
        return Zone(self.kind, tuple(self.points), self.name)


class CameraChanges(BaseModel):
    """What ``PATCH`` takes: only what is to change."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Gate", "max_fps": 5}]}
    )

    source: Source = Field(0, description=f"{SOURCE[0].upper()}{SOURCE[1:]}.")
    name: str | None = Field(None, max_length=100)
    loop: bool = Field(False, strict=True, description="A file begins anew at its end.")
    max_fps: Number = Field(15, ge=0.1, le=60)
    downscale: Number = Field(1.0, ge=0.1, le=1)
    blur: BlurStyle = Field("gaussian", description="How faces are covered.")
    blur_margin: Number = Field(0.25, ge=0, le=2)
    transport: Transport = "tcp"
    analytics: Asked = Field({}, description=ANALYTICS)
    zones: list[ZoneShape] = Field(default_factory=list, max_length=32)

    def changes(self, folders: Iterable[FilePath]) -> dict[str, Any]:
        """What was given, as fields of a spec. Raises InvalidRequest, AddressNotAllowed."""
        given: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        if "source" in given:
            given["source"] = source_url(self.source, folders)
        if "zones" in given:
            given["zones"] = tuple(zone.to_zone() for zone in self.zones)
        return given


class CameraRequest(CameraChanges):
    """What ``POST`` takes."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"camera_id": "CAM_01", "source": "rtsp://192.0.2.10/stream"}]
        },
    )

    camera_id: str = Field(pattern=ID)
    source: Source = Field(description=f"{SOURCE[0].upper()}{SOURCE[1:]}.")

    def to_spec(self, folders: Iterable[FilePath]) -> StreamSpec:
        given = self.changes(folders)
        return StreamSpec(given.pop("camera_id"), given.pop("source"), paced=True, **given)


class CameraDetail(BaseModel):
    """A camera with its settings, without user and password."""

    camera_id: str
    name: str
    source: str
    state: str
    last_error: str | None
    loop: bool
    max_fps: float
    downscale: float
    blur: BlurStyle
    blur_margin: float
    transport: Transport
    analytics: dict[str, dict[str, Any]]
    zones: list[ZoneShape]
    stats: CameraStats
    numbers: StreamStatsReply

    @classmethod
    def of(cls, status: StreamStatus) -> CameraDetail:
        spec = status.spec
        same = ("loop", "max_fps", "downscale", "blur", "blur_margin", "transport")
        return cls(
            **{name: getattr(spec, name) for name in same},
            camera_id=spec.stream_id,
            name=spec.name or spec.stream_id,
            source=_shown(spec.source),
            state=status.state.value,
            last_error=status.stats.last_error,
            analytics={name: dict(changes) for name, changes in spec.analytics.items()},
            zones=[ZoneShape(kind=z.kind, name=z.name, points=list(z.points)) for z in spec.zones],
            stats=CameraStats.of(status),
            numbers=StreamStatsReply.of(status.stats),
        )


def _shown(source: str) -> str:
    scheme, _, rest = source.partition(":")
    return rest if scheme in ("file", "webcam") else urls.without_credentials(source)


CameraId = Annotated[str, Path(description="Of any stream of the server.", examples=["CAM_01"])]


@router.post("/cameras", status_code=201, summary="Add a camera")
async def add(body: CameraRequest, streams: ManagerDep, settings: SettingsDep) -> CameraDetail:
    """Keep a camera and run it. A camera in the network is kept even while it cannot be reached:
    it is tried again and again. A file or webcam must work now."""
    spec = await asyncio.to_thread(body.to_spec, settings.allowed_folders())
    return CameraDetail.of(await streams.keep(spec, known=False))


@router.get("/camera/{camera_id}", summary="Show a camera")
async def show(camera_id: CameraId, streams: ManagerDep) -> CameraDetail:
    return CameraDetail.of(streams.get(camera_id))


@router.patch("/camera/{camera_id}", summary="Change a camera")
async def change(
    camera_id: CameraId, body: CameraChanges, streams: ManagerDep, settings: SettingsDep
) -> CameraDetail:
    """Change what is given and run it anew. What cannot run leaves the camera as it was."""
    spec = _camera(streams, camera_id)
    changes = await asyncio.to_thread(body.changes, settings.allowed_folders())
    return CameraDetail.of(await streams.keep(replace(spec, **changes), known=True))


@router.delete("/camera/{camera_id}", status_code=204, summary="Remove a camera")
async def remove(camera_id: CameraId, streams: ManagerDep) -> None:
    """Stop and forget it. Its events stay."""
    _camera(streams, camera_id)
    await streams.disconnect(camera_id)


def _camera(streams: StreamManager, camera_id: str) -> StreamSpec:
    """Raises StreamNotFound, NotACamera."""
    spec = streams.get(camera_id).spec
    if kind_of(spec) != "camera":
        raise NotACamera(camera_id=camera_id)
    return spec


@router.get("/camera/{camera_id}/stats", summary="Its numbers")
async def stats(camera_id: CameraId, streams: ManagerDep) -> CameraStats:
    return CameraStats.of(streams.get(camera_id))


@router.get(
    "/camera/{camera_id}/jpeg",
    summary="Latest picture",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
)
async def jpeg(camera_id: CameraId, streams: ManagerDep) -> Response:
    """The newest blurred picture; 503 while there is none."""
    picture = await streams.snapshot(camera_id)
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


@router.get(
    "/camera/{camera_id}/mjpeg",
    summary="Watch (MJPEG)",
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPE: {}}}},
)
async def mjpeg(camera_id: CameraId, streams: ManagerDep) -> StreamingResponse:
    """Blurred pictures as they come, until the camera is stopped or changed."""
    return mjpeg_response(streams.pictures(camera_id))


@router.websocket("/ws/camera/{camera_id}")
async def socket(
    websocket: WebSocket,
    camera_id: str,
    streams: ManagerDep,
    pictures: Annotated[str, Query()] = "1",
) -> None:
    """Its numbers as JSON and its pictures as binary JPEG messages, the newest of each: numbers
    before every picture, and every second without one. `?pictures=0` sends numbers only."""
    await websocket.accept()
    try:
        shown = streams.pictures(camera_id)
    except WatchpostError as error:
        refusal = {"type": "error", "version": VERSION, "code": error.code, "message": str(error)}
        await websocket.send_json(refusal)
        await websocket.close(NOT_FOUND_CLOSE)
        return
    talking = _send(websocket, streams, camera_id, shown if pictures != "0" else _none())
    with contextlib.suppress(WebSocketDisconnect):
        await until_gone(websocket, talking)


async def _send(
    websocket: WebSocket, streams: StreamManager, camera_id: str, shown: AsyncIterator[JpegFrame]
) -> None:
    with contextlib.suppress(WatchpostError):  # it was removed
        async for picture in with_pauses(shown, STATS_EVERY_S):
            numbers = CameraStats.of(streams.get(camera_id))
            await websocket.send_text(numbers.model_dump_json())
            if picture is not None:
                await websocket.send_bytes(picture.jpeg)
    await websocket.close()


async def _none() -> AsyncIterator[JpegFrame]:
    """Nothing, for ever."""
    await asyncio.Event().wait()
    nothing: tuple[JpegFrame, ...] = ()
    for picture in nothing:
        yield picture
