"""Cameras: streams that are watched here and not published; and all streams as cameras.

Contract: ``docs/contracts/cameras.md``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from app.api.audit_middleware import note
from app.api.camera_schemas import (
    Camera,
    CameraChanges,
    CameraDetail,
    CameraRequest,
    CameraStats,
    kind_of,
)
from app.api.clear_view import check_clear_view, check_right, may_watch
from app.api.deps import CallerDep, ClientSocketDep, LanguageDep, ManagerDep, SettingsDep, visible
from app.api.errors import ErrorReply, error_replies
from app.api.events import with_pauses
from app.api.mjpeg import jpeg_response, mjpeg_response
from app.api.websockets import FORBIDDEN, NOT_FOUND, ClientSocket
from app.errors import Forbidden, NotACamera, StreamNotFound, WatchpostError
from app.mjpeg import MEDIA_TYPE
from app.pipeline.directory import StreamDirectory
from app.rights import Right
from app.types import JpegFrame, StreamSpec

STATS_EVERY_S = 1.0

router = APIRouter(
    tags=["cameras"],
    responses={401: {"model": ErrorReply, "description": "Token needed"}},
)
ERRORS = error_replies(
    {
        400: "Wrong source, field or value",
        404: "No such camera",
        409: "The id is taken, or the stream is not a camera",
        502: "A file or webcam cannot be read",
        503: "No frame to show",
    }
)

CameraId = Annotated[str, Path(description="Of any stream of the server.", examples=["CAM_01"])]


@router.get("/cameras", summary="List all streams and cameras")
async def list_cameras(
    manager: ManagerDep, caller: CallerDep, language: LanguageDep
) -> list[Camera]:
    """Every stream, whichever API started it, with its state."""
    return [
        Camera.of(status, language, manager.node_of(status.spec.stream_id))
        for status in visible(manager.all(), caller)
    ]


@router.post("/cameras", status_code=201, summary="Add a camera", responses=ERRORS)
async def add_camera(
    body: CameraRequest,
    request: Request,
    manager: ManagerDep,
    settings: SettingsDep,
    caller: CallerDep,
) -> CameraDetail:
    """Store a camera and run it. A network camera is stored even if it cannot be reached now; the
    server keeps trying. A file or webcam must work at once."""
    off = body.blur == "off"
    check_clear_view(body.clear_view, caller, request, uncovered=off, camera=body.camera_id)
    note(request, camera_id=body.camera_id)
    spec = await asyncio.to_thread(body.to_spec, settings.allowed_folders())
    return CameraDetail.of(await manager.put_camera(spec, replace=False))


@router.get("/camera/{camera_id}", summary="Show a camera", responses=ERRORS)
async def show_camera(camera_id: CameraId, manager: ManagerDep) -> CameraDetail:
    """Its settings, with passwords in URLs masked, and its state."""
    return CameraDetail.of(manager.stream(camera_id).status)


@router.patch("/camera/{camera_id}", summary="Change a camera", responses=ERRORS)
async def change_camera(
    camera_id: CameraId,
    body: CameraChanges,
    request: Request,
    manager: ManagerDep,
    settings: SettingsDep,
    caller: CallerDep,
) -> CameraDetail:
    """Change the given fields and restart the camera. If it cannot run with them, nothing
    changes."""
    spec = _camera(manager, camera_id)
    off = body.blur == "off" and "blur" in body.model_fields_set
    check_clear_view(body.clear_view, caller, request, uncovered=off, camera=camera_id)
    if "blur" not in body.model_fields_set and spec.is_clear(time.time()):
        check_right(caller, camera_id)  # else its clear view could be turned to another source
    changes = await asyncio.to_thread(body.changes, settings.allowed_folders())
    return CameraDetail.of(await manager.put_camera(replace(spec, **changes), replace=True))


@router.delete("/camera/{camera_id}", status_code=204, summary="Remove a camera", responses=ERRORS)
async def remove_camera(camera_id: CameraId, manager: ManagerDep) -> None:
    """Stop and remove it. Its events are kept."""
    _camera(manager, camera_id)
    await manager.disconnect(camera_id)


@router.post("/camera/{camera_id}/start", summary="Start a camera", responses=ERRORS)
async def start_camera(camera_id: CameraId, manager: ManagerDep) -> CameraDetail:
    """Run a stopped camera again, with the settings it had. One that runs is left alone."""
    _camera(manager, camera_id)
    if manager.stream(camera_id).alive:
        return CameraDetail.of(manager.stream(camera_id).status)
    return CameraDetail.of(await manager.run_again(camera_id))


@router.post("/camera/{camera_id}/restart", summary="Restart a camera", responses=ERRORS)
async def restart_camera(camera_id: CameraId, manager: ManagerDep) -> CameraDetail:
    """End its connection and open it again; a stopped camera is started."""
    _camera(manager, camera_id)
    return CameraDetail.of(await manager.run_again(camera_id))


@router.post("/camera/{camera_id}/stop", summary="Stop a camera", responses=ERRORS)
async def stop_camera(camera_id: CameraId, manager: ManagerDep) -> CameraDetail:
    """End it, and keep its settings and events; it stays stopped when the server restarts."""
    _camera(manager, camera_id)
    await manager.stop(camera_id)
    return CameraDetail.of(manager.stream(camera_id).status)


def _camera(manager: StreamDirectory, camera_id: str) -> StreamSpec:
    """The settings of a camera. Raises StreamNotFound, NotACamera."""
    spec = manager.stream(camera_id).status.spec
    if kind_of(spec) != "camera":
        raise NotACamera(camera_id=camera_id)
    return spec


@router.get("/camera/{camera_id}/stats", summary="Show a camera's statistics", responses=ERRORS)
async def camera_stats(camera_id: CameraId, manager: ManagerDep) -> CameraStats:
    """What is counted in the newest frame."""
    return CameraStats.of(manager.stream(camera_id).status)


@router.get(
    "/camera/{camera_id}/jpeg",
    summary="Latest frame",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, **ERRORS},
)
async def camera_jpeg(
    camera_id: CameraId,
    manager: ManagerDep,
    caller: CallerDep,
    width: Annotated[
        int | None,
        Query(ge=16, le=16384, description="Of a smaller image, rounded up. Default: as it is."),
    ] = None,
) -> Response:
    """The newest blurred frame; 503 while there is none."""
    may_watch(manager, camera_id, caller)
    return jpeg_response(await manager.stream(camera_id).snapshot(width))


@router.get(
    "/camera/{camera_id}/mjpeg",
    summary="Watch (MJPEG)",
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPE: {}}}, **ERRORS},
)
async def camera_mjpeg(
    camera_id: CameraId, manager: ManagerDep, caller: CallerDep
) -> StreamingResponse:
    """Blurred frames as MJPEG, until the camera is stopped or changed."""
    may_watch(manager, camera_id, caller)
    return mjpeg_response(manager.stream(camera_id).jpegs())


@router.websocket("/ws/camera/{camera_id}")
async def socket(
    client: ClientSocketDep,
    camera_id: str,
    manager: ManagerDep,
    caller: CallerDep,
    pictures: Annotated[str, Query()] = "1",
) -> None:
    """A camera's statistics as JSON and its frames as binary JPEG messages, the newest of each:
    statistics before every frame, and every second without one. `?pictures=0` sends statistics
    only."""
    await client.accept()
    try:
        if not caller.access.may(Right.VIEW, camera_id):
            raise StreamNotFound(stream_id=camera_id)
        may_watch(manager, camera_id, caller)
        frames = manager.stream(camera_id).jpegs()
    except WatchpostError as error:
        await client.refuse(error, FORBIDDEN if isinstance(error, Forbidden) else NOT_FOUND)
        return
    await client.run(_send(client, manager, camera_id, frames if pictures != "0" else _none()))


async def _send(
    client: ClientSocket, manager: StreamDirectory, camera_id: str, frames: AsyncIterator[JpegFrame]
) -> None:
    with suppress(WatchpostError):  # the camera was removed
        async for frame in with_pauses(frames, STATS_EVERY_S):
            statistics = CameraStats.of(manager.stream(camera_id).status).model_dump_json()
            await client.send(statistics, *(() if frame is None else (frame.jpeg,)))
    await client.close(reason="the stream is over")


async def _none() -> AsyncIterator[JpegFrame]:
    """An iterator that never yields a frame."""
    await asyncio.Event().wait()
    nothing: tuple[JpegFrame, ...] = ()
    for frame in nothing:
        yield frame
