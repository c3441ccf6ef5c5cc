"""Push streams: clients push frames, anybody may watch.

Contract: ``docs/contracts/push-streams.md``.

``GET /stream/video/…`` and the WebSocket show every stream of the server, whatever its door.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response, StreamingResponse

from app.api import push_examples
from app.api.deps import (
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
from app.errors import UpgradeRequired
from app.mjpeg import MEDIA_TYPE

SOCKET_DESCRIPTION = f"""
Connect with `ws://` (or `wss://`); plain HTTP is answered with 426. Works for **every** stream of
the server: push streams, RTSP streams, the demo.

**Watching.** Whoever connects is a viewer: `hello`, then a `result` for each frame (the newest
wins), `event` when something happens, `state` when the stream's state changes, `end` before the
server closes the socket. With `?pictures=1` each `result` is directly followed by a binary
message: the JPEG of that same frame, faces blurred.

**Pushing** (streams of `POST /stream/request` only). Send a picture, and you are a pusher: a text
message `data:image/jpeg;base64,…` (also `image/png`, `image/webp`), or, a quarter less traffic, a
binary message with the bytes of the JPEG, PNG or WebP file. A message may have 16 MiB. Each of
them is answered: by an `ack` with what was seen in it, or by an `error`; one that a newer one
replaced before its turn is counted in the next ack's
`dropped` (or reported by a `dropped` message). A client
that sends the next picture when the last was answered gets all of them through and the lowest
delay. Several clients may push to one stream, their frames interleave. Events come to pushers too.

**Ending.** A push stream ends 2 s after its last WebSocket left, and 60 s after its making if
nobody ever connected. Close codes: 1000 after `end`; 1001 or 1012, the server shuts down; 1008,
too many bad frames in a row; 1009, a message far too large; 4404, no such stream (after an
`error`).

All messages are JSON texts with `type` and `version` (now {VERSION}); their schema is
`LiveMessage` below. Skip types and fields that you do not know: they may be added.

Python (`pip install websockets`), a picture file to push again and again:

```python
{push_examples.PYTHON}```

JavaScript, this computer's camera; paste it into the console of this very page:

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
    summary="Make a push stream",
    status_code=201,
    responses={
        400: {"model": ErrorReply, "description": "Unknown field or wrong value"},
        503: {"model": ErrorReply, "description": "Too many streams, or no analytics here"},
    },
)
async def request_stream(
    manager: ManagerDep, pushes: PushStreamsDep, body: PushRequest | None = None
) -> PushReply:
    """A stream that waits for pictures on its WebSocket; the body may be left out."""
    asked = body or PushRequest()
    analytics = asked.analytics
    if analytics is None:
        analytics = {"smoking": {}} if manager.has_analytics else {}
    stream_id = pushes.open(
        name=asked.name, analytics=analytics, blur=asked.blur, rotate=asked.rotate
    )
    return PushReply.of(stream_id)


@router.get(
    "/stream/video/{stream_id}",
    summary="Watch a stream (MJPEG)",
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPE: {}}}, 404: UNKNOWN, 503: NO_PICTURE},
)
async def video(stream_id: StreamId, manager: ManagerDep) -> StreamingResponse:
    """Blurred pictures as they come, for VLC, ffplay and ``<img>``. Waits for the first one and
    ends with the stream; watching does not keep a push stream alive."""
    return mjpeg_response(manager.stream(stream_id).jpegs())


@router.head("/stream/video/{stream_id}", include_in_schema=False)
async def video_head(stream_id: StreamId, manager: ManagerDep) -> Response:
    manager.stream(stream_id)
    return mjpeg_head()


@router.websocket("/ws/stream/{stream_id}")
async def socket(
    client: ClientSocketDep,
    stream_id: str,
    manager: ManagerDep,
    pushes: PushStreamsDep,
    events: EventLogDep,
    settings: SettingsDep,
    language: LanguageDep,
    pictures: bool = False,
) -> None:
    await StreamSocket(
        client,
        stream_id,
        manager=manager,
        pushes=pushes,
        events=events,
        settings=settings.push,
        language=language,
        pictures=pictures,
    ).run()


@router.get(
    "/ws/stream/{stream_id}",
    summary="WebSocket: push pictures, watch results",
    description=SOCKET_DESCRIPTION,
    status_code=426,
    responses={
        200: {"model": LiveMessage, "description": "On the socket: each message of the server"},
        404: UNKNOWN,
        426: {"model": ErrorReply, "description": "Plain HTTP: this is a WebSocket"},
    },
)
async def explain_socket(
    stream_id: StreamId,
    manager: ManagerDep,
    pictures: Annotated[bool, Query(description="Each result with its JPEG.")] = False,
) -> None:
    del pictures  # it is the socket's
    manager.stream(stream_id)
    raise UpgradeRequired
