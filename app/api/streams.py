"""Stream control: RTSP in, faces blurred, RTSP out.

Contract: ``docs/contracts/stream-control.md``.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from app import urls
from app.api.camera_schemas import kind_of
from app.api.clear_view import check_clear_view, may_watch
from app.api.deps import CallerDep, LanguageDep, ManagerDep, visible
from app.api.errors import error_replies
from app.api.i18n import reply
from app.api.mjpeg import jpeg_response, mjpeg_response
from app.api.reduced import ReducedReply
from app.api.schemas import (
    EXAMPLE_INPUT,
    Envelope,
    RegisterRequest,
    StartRequest,
    StreamBrief,
    StreamByInput,
    StreamConfig,
    StreamDetail,
    StreamDisconnected,
    StreamRegistered,
    StreamRow,
    StreamStarted,
    StreamStatsReply,
)
from app.errors import InvalidRequest, OtherApi, StreamNotFound
from app.mjpeg import MEDIA_TYPE
from app.pipeline.directory import StreamDirectory

RESERVED = ("by-input", "register")
OTHER_KINDS = {"push": "push stream"}

router = APIRouter(
    prefix="/api/streams",
    tags=["streams"],
    responses=error_replies(
        {
            400: "Wrong URL, field or value",
            401: "Token needed",
            404: "No such stream",
            409: "Conflict with a running stream",
            502: "Input or output refused",
            503: "Not RUNNING within 10 s",
        }
    ),
)

StreamId = Annotated[
    str,
    Path(
        description="Chosen by the caller: letters, digits, dot, dash, underscore.",
        examples=["cam-1"],
    ),
]
NewStreamId = Annotated[StreamId, Path(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")]


@router.get("", summary="List streams")
async def list_streams(manager: ManagerDep, caller: CallerDep) -> Envelope[list[StreamRow]]:
    """All streams that publish over RTSP, with their state."""
    shown = visible(manager.all(), caller)
    return Envelope(data=[StreamRow.of(s) for s in shown if s.spec.output is not None])


@router.get("/by-input", summary="Find or create by input URL")
async def find_or_create_stream(
    request: Request,
    input_url: Annotated[
        str, Query(description="An rtsp:// or rtsps:// URL.", examples=[EXAMPLE_INPUT])
    ],
    manager: ManagerDep,
    language: LanguageDep,
) -> Envelope[StreamByInput]:
    """Return the output of the stream that reads this input, in any state. If there is none,
    create it and wait until it runs. The call is idempotent."""
    source = urls.check_rtsp(pasted_url(request.url.query) or input_url)
    status, created = await manager.find_or_create(source)
    spec = status.spec
    return Envelope(
        data=StreamByInput(
            stream_id=spec.stream_id,
            input_url=urls.without_credentials(spec.source),
            output_url=urls.without_credentials(spec.output or ""),
            name=spec.name or spec.stream_id,
            status=status.state.value,
            message=reply("STREAM_CREATED" if created else "STREAM_FOUND", language),
        )
    )


@router.post("/register", summary="Replace all streams of an input")
async def register_stream(body: RegisterRequest, manager: ManagerDep) -> Envelope[StreamRegistered]:
    """Disconnect all streams that read this input, start a new one and wait until it runs."""
    status = await manager.register(urls.check_rtsp(body.rtsp_url))
    return Envelope(
        data=StreamRegistered(output_url=urls.without_credentials(status.spec.output or ""))
    )


@router.get("/{stream_id}", summary="Show a stream")
async def show_stream(
    stream_id: StreamId, manager: ManagerDep, language: LanguageDep
) -> Envelope[StreamDetail]:
    """State, effective settings and statistics."""
    status = manager.stream(stream_id).status
    return Envelope(
        data=StreamDetail(
            stream_id=stream_id,
            status=status.state.value,
            config=StreamConfig.of(status.spec),
            stats=StreamStatsReply.of(status.stats),
            reduced=ReducedReply.of(status.stats.reduced, language),
        )
    )


@router.post("/{stream_id}/start", summary="Start")
async def start_stream(
    stream_id: NewStreamId,
    body: StartRequest,
    request: Request,
    manager: ManagerDep,
    caller: CallerDep,
) -> Envelope[StreamStarted]:
    """Start and wait until it runs. The same call again returns the running stream."""
    if stream_id in RESERVED:
        raise InvalidRequest(field="stream_id", reason=f"{stream_id} is a reserved name")
    off = body.blur == "off"
    check_clear_view(body.clear_view, caller, request, uncovered=off, camera=stream_id)
    await _check_own(manager, stream_id)
    status = await manager.start(body.to_spec(stream_id))
    return Envelope(
        data=StreamStarted(
            stream_id=stream_id, status=status.state.value, config=StreamConfig.of(status.spec)
        )
    )


@router.post("/{stream_id}/stop", summary="Stop")
async def stop_stream(stream_id: StreamId, manager: ManagerDep) -> Envelope[StreamBrief]:
    """Stop the stream and keep it; ``restart`` starts it again."""
    await _check_own(manager, stream_id)
    await manager.stop(stream_id)
    return Envelope(data=StreamBrief(stream_id=stream_id, status="STOPPED"))


@router.post("/{stream_id}/restart", summary="Restart")
async def restart_stream(stream_id: StreamId, manager: ManagerDep) -> Envelope[StreamBrief]:
    """Stop, start with the same settings, wait until it runs."""
    await _check_own(manager, stream_id)
    status = await manager.restart(stream_id)
    return Envelope(data=StreamBrief(stream_id=stream_id, status=status.state.value))


@router.post("/{stream_id}/disconnect", summary="Disconnect")
async def disconnect_stream(
    stream_id: StreamId, manager: ManagerDep, language: LanguageDep
) -> Envelope[StreamDisconnected]:
    """Stop the stream, release its resources and remove it. Succeeds also if it is gone already."""
    await _check_own(manager, stream_id)
    await manager.disconnect(stream_id)
    return Envelope(
        data=StreamDisconnected(
            stream_id=stream_id,
            status="DISCONNECTED",
            message=reply("DISCONNECTED", language),
        )
    )


@router.get(
    "/{stream_id}/jpeg",
    summary="Latest frame",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
)
async def stream_jpeg(stream_id: StreamId, manager: ManagerDep, caller: CallerDep) -> Response:
    """The newest blurred frame; 503 while there is none."""
    may_watch(manager, stream_id, caller)
    return jpeg_response(await manager.stream(stream_id).snapshot())


@router.get(
    "/{stream_id}/mjpeg",
    summary="Watch (MJPEG)",
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPE: {}}}},
)
async def stream_mjpeg(
    stream_id: StreamId, manager: ManagerDep, caller: CallerDep
) -> StreamingResponse:
    """Blurred frames as MJPEG, for VLC, ffplay and ``<img>``, until the stream ends."""
    may_watch(manager, stream_id, caller)
    return mjpeg_response(manager.stream(stream_id).jpegs())


async def _check_own(manager: StreamDirectory, stream_id: str) -> None:
    """Raises OtherApi for a camera or a push stream; the demo has no other API."""
    await manager.load()
    try:
        spec = manager.stream(stream_id).status.spec
    except StreamNotFound:
        return
    kind = "demo" if spec.output is not None else kind_of(spec)
    if kind != "demo":
        raise OtherApi(stream_id=stream_id, kind=OTHER_KINDS.get(kind, kind))


def pasted_url(query: str) -> str | None:
    """The input URL of a query without percent-encoding, as the contract shows it.

    ``input_url=rtsp://host/path?channel=1&subtype=0`` means one URL with two parameters, which
    ordinary query parsing would split. None if the query is properly encoded.
    """
    own = [part for part in query.split("&") if not part.startswith("token=")]
    name, _, url = "&".join(own).partition("=")
    scheme, colon, rest = url.partition("://")
    if name != "input_url" or not colon or "%" in scheme:
        return None
    authority, slash, path = rest.partition("/")
    encoded_path = "?" not in path and "%3f" in path.lower()
    return f"{scheme}://{authority}{slash}{unquote(path) if encoded_path else path}"
