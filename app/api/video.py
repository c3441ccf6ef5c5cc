"""H.264 video of every stream, for browsers: fragmented MP4 over a WebSocket."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from fastapi.requests import HTTPConnection

from app.api.deps import CallerDep, ClientSocketDep, LanguageDep, ManagerDep
from app.api.errors import ErrorReply
from app.api.video_messages import VideoSocketMessage
from app.api.video_socket import VideoMetrics, VideoSocket
from app.errors import UpgradeRequired

DESCRIPTION = """
Connect with `ws://` or `wss://`; plain HTTP gets status 426. This works for **every** stream of the
server, as long as its faces are covered.

For [Media Source Extensions](https://www.w3.org/TR/media-source-2/): a text message describes each
binary one, which follows it.

1. `video`, then the initialisation segment: codec, size, timescale. They come again when the
   encoder changes, as when the size does.
2. `frame`, then a fragment (`moof` and `mdat`): one frame. `time` is its presentation time, `ts`
   when it was captured, and `detections` has the boxes of exactly this frame.

The first frame is the newest keyframe, with which decoding can begin; those after it follow at
once, so the first `ts` may be up to two seconds old: seek to the newest frame. Frames are encoded
once for all viewers, and once for RTSP output, clips and recordings, too: `encoded_for` says for
whom. A viewer that is too slow misses frames up to a keyframe; one that reads nothing is
disconnected. Messages of the client are ignored.

Close codes: 1000 after `end`; 1001 or 1012, the server is shutting down; 1008, the right to watch
has ended; 4404, no such stream; 4409, this stream has no video (`NO_VIDEO`): use MJPEG. The last
two come after an `error`. Ignore types and fields that you do not know.
"""

router = APIRouter(
    prefix="/api/streams",
    tags=["streams"],
    responses={401: {"model": ErrorReply, "description": "Token needed"}},
)


def _metrics(connection: HTTPConnection) -> VideoMetrics:
    metrics: VideoMetrics = connection.state.health.video_metrics
    return metrics


VideoMetricsDep = Annotated[VideoMetrics, Depends(_metrics)]


@router.websocket("/{stream_id}/video")
async def socket(
    client: ClientSocketDep,
    stream_id: str,
    manager: ManagerDep,
    language: LanguageDep,
    caller: CallerDep,
    metrics: VideoMetricsDep,
) -> None:
    await VideoSocket(client, stream_id, manager, language, caller.access, metrics).run()


@router.get(
    "/{stream_id}/video",
    summary="WebSocket: watch (H.264)",
    description=DESCRIPTION,
    status_code=426,
    responses={
        200: {"model": VideoSocketMessage, "description": "On the socket: any text message"},
        404: {"model": ErrorReply, "description": "No such stream"},
        426: {"model": ErrorReply, "description": "Plain HTTP: connect with a WebSocket"},
    },
)
async def stream_video(
    stream_id: Annotated[str, Path(description="Of any stream of the server.", examples=["cam-1"])],
    manager: ManagerDep,
) -> None:
    manager.stream(stream_id)
    raise UpgradeRequired
