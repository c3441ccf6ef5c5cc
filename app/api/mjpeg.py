"""MJPEG as a FastAPI response, for VLC, ffplay and ``<img>``; the framing is ``app.mjpeg``."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from fastapi.responses import Response, StreamingResponse

from app.mjpeg import MEDIA_TYPE, multipart
from app.types import JpegFrame

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def mjpeg_response(frames: AsyncGenerator[JpegFrame]) -> StreamingResponse:
    """A response that sends each new frame until the stream ends."""
    return StreamingResponse(multipart(frames), media_type=MEDIA_TYPE, headers=HEADERS)


def jpeg_response(jpeg: bytes) -> Response:
    """The newest frame of a stream; caches must not store it."""
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def mjpeg_head() -> Response:
    """The response to HEAD; without a length, since that of GET has none."""
    response = Response(media_type=MEDIA_TYPE, headers=HEADERS)
    del response.headers["Content-Length"]
    return response
