"""Push streams: clients push frames, and anyone may watch.

Contract: ``docs/contracts/push-streams.md``.

``GET /stream/video/…`` and the WebSocket show every stream of the server, whichever API started it.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from app.api import push_examples
from app.api.audit_middleware import note
from app.api.camera_schemas import kind_of
from app.api.clear_view import check_clear_view, may_watch
from app.api.deps import (
    CallerDep,
    ClientSocketDep,
    EventLogDep,
    LanguageDep,
    ManagerDep,
    PushStreamsDep,
    SettingsDep,
)
from app.api.errors import ErrorReply
from app.api.mjpeg import mjpeg_head, mjpeg_response
from app.api.schemas import PushReply, PushRequest
from app.api.stream_socket import StreamSocket
from app.api.ws_messages import VERSION, LiveMessage
from app.errors import NotPushable, UpgradeRequired
from app.mjpeg import MEDIA_TYPE

SOCKET_DESCRIPTION = f"""
Connect with `ws://` or `wss://`; plain HTTP gets status 426. This works for **every** stream of the
server: push streams, RTSP streams, the demo.

**Watching.** Every client starts as a viewer. It gets `hello`, then a `result` for each frame (a
slow client gets the newest only), `event` for each event, `state` when the stream's state changes,
and `end` before the server closes the socket. With `?pictures=1` a binary message follows each
`result`: the JPEG of the same frame, faces blurred.

**Pushing** (only to streams of `POST /stream/request`). A client that sends a frame becomes a
pusher. A frame is a text message `data:image/jpeg;base64,…` (also `image/png`, `image/webp`), or a
binary message with the bytes of a JPEG, PNG or WebP file, which takes a quarter less traffic. The
limit is 16 MiB a message. Each frame is answered by an `ack` with its detections or by an `error`.
A frame that a newer one replaced before its turn is counted in `dropped` of the next ack, or
reported by a `dropped` message. For the lowest delay, and to lose no frame, send the next frame
after the answer to the last one. Several clients may push to one stream; their frames interleave.
Pushers get events, too. Pushing needs the right `control`; without it a frame is answered by an
`error` with the code `FORBIDDEN`.

**Ending.** A push stream ends 2 s after its last WebSocket has closed, or 60 s after it was created
if no client ever connected. Close codes: 1000 after `end`; 1001 or 1012, the server is shutting
down; 1008, too many bad frames in a row; 1009, a message far too large; 4404, no such stream (after
an `error`).

All messages are JSON texts with `type` and `version` (now {VERSION}); their schema is
`LiveMessage` below. Ignore types and fields that you do not know: new ones may be added.

Python (`pip install websockets`), which pushes an image file again and again:

```python
{push_examples.PYTHON}```

JavaScript for this computer's camera; paste it into the console of this page:

```js
{push_examples.JAVASCRIPT}```
"""

router = APIRouter(
    tags=["push streams"],
    responses={401: {"model": ErrorReply, "description": "Token needed"}},
)
UNKNOWN = {"model": ErrorReply, "description": "No such stream"}
NO_PICTURE = {"model": ErrorReply, "description": "The stream is stopped"}

StreamId = Annotated[str, Path(description="Of any stream of the server.", examples=["demo"])]


@router.post(
    "/stream/request",
    summary="Create a push stream",
    status_code=201,
    responses={
        400: {"model": ErrorReply, "description": "Unknown field or wrong value"},
        503: {"model": ErrorReply, "description": "Too many streams, or no analytics here"},
    },
)
async def request_push_stream(
    call: Request,
    manager: ManagerDep,
    push_streams: PushStreamsDep,
    caller: CallerDep,
    body: PushRequest | None = None,
) -> PushReply:
    """Create a stream that waits for frames on its WebSocket. The body is optional."""
    request = body or PushRequest()
    analytics = request.analytics
    if analytics is None:
        analytics = {"smoking": {}} if manager.has_analytics else {}
    off = request.blur == "off"
    stream_id = push_streams.open(
        name=request.name,
        analytics=analytics,
        blur=request.blur,
        rotate=request.rotate,
        clear_until=check_clear_view(request.clear_view, caller, call, uncovered=off),
        zones=request.zone_values(),
        lines=request.line_values(),
        record=request.record,
        clip_before_s=request.clip_before_s,
        clip_after_s=request.clip_after_s,
    )
    note(call, stream_id=stream_id)
    return PushReply.of(stream_id)


@router.get(
    "/stream/video/{stream_id}",
    summary="Watch a stream (MJPEG)",
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPE: {}}}, 404: UNKNOWN, 503: NO_PICTURE},
)
async def watch_video(
    stream_id: StreamId, manager: ManagerDep, caller: CallerDep
) -> StreamingResponse:
    """Blurred frames as MJPEG, for VLC, ffplay and ``<img>``. Waits for the first frame and ends
    with the stream; watching does not keep a push stream alive."""
    may_watch(manager, stream_id, caller)
    return mjpeg_response(manager.stream(stream_id).jpegs())


@router.head("/stream/video/{stream_id}", include_in_schema=False)
async def video_head(stream_id: StreamId, manager: ManagerDep) -> Response:
    manager.stream(stream_id)
    return mjpeg_head()


@router.delete(
    "/stream/{stream_id}",
    summary="End a push stream",
    status_code=204,
    responses={404: UNKNOWN, 409: {"model": ErrorReply, "description": "Not a push stream"}},
)
async def end_push_stream(stream_id: StreamId, manager: ManagerDep) -> None:
    """End it before its clients do; they are told with `end`. Its events are kept."""
    spec = manager.stream(stream_id).status.spec
    if kind_of(spec) != "push":
        raise NotPushable(stream_id=stream_id)
    await manager.disconnect(stream_id)


@router.websocket("/ws/stream/{stream_id}")
async def socket(
    client: ClientSocketDep,
    stream_id: str,
    manager: ManagerDep,
    push_streams: PushStreamsDep,
    events: EventLogDep,
    settings: SettingsDep,
    language: LanguageDep,
    caller: CallerDep,
    pictures: bool = False,
) -> None:
    await StreamSocket(
        client,
        stream_id,
        manager=manager,
        push_streams=push_streams,
        events=events,
        settings=settings.push,
        language=language,
        access=caller.access,
        pictures=pictures,
    ).run()


@router.get(
    "/ws/stream/{stream_id}",
    summary="WebSocket: push frames, watch results",
    description=SOCKET_DESCRIPTION,
    status_code=426,
    responses={
        200: {"model": LiveMessage, "description": "On the socket: any message of the server"},
        404: UNKNOWN,
        426: {"model": ErrorReply, "description": "Plain HTTP: connect with a WebSocket"},
    },
)
async def stream_socket(
    stream_id: StreamId,
    manager: ManagerDep,
    pictures: Annotated[bool, Query(description="Send the JPEG after each result.")] = False,
) -> None:
    del pictures  # only the socket uses it
    manager.stream(stream_id)
    raise UpgradeRequired
