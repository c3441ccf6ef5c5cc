"""MJPEG: JPEGs as parts of one HTTP response that never ends, for VLC, ffplay and ``<img>``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from fastapi.responses import Response, StreamingResponse

from app.types import JpegFrame

BOUNDARY = "frame"
MEDIA_TYPE = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def mjpeg_response(pictures: AsyncGenerator[JpegFrame]) -> StreamingResponse:
    return StreamingResponse(multipart(pictures), media_type=MEDIA_TYPE, headers=HEADERS)


def jpeg_response(jpeg: bytes) -> Response:
    """The newest frame of a stream, which no cache may keep."""
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def mjpeg_head() -> Response:
    """The reply to HEAD; without a length, since the body of GET has none."""
    response = Response(media_type=MEDIA_TYPE, headers=HEADERS)
    del response.headers["Content-Length"]
    return response


async def multipart(pictures: AsyncGenerator[JpegFrame]) -> AsyncIterator[bytes]:
    """Parts of a multipart/x-mixed-replace body, each with its length.

    The boundary follows each picture at once: a browser shows a part when it has seen its end,
    and would otherwise show each picture one picture late. So at the end of the stream the body
    just ends; another empty part, only to close the last boundary, would blank the picture.
    """
    delimiter = f"--{BOUNDARY}\r\n".encode()
    head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    yield delimiter
    async with aclosing(pictures):
        async for picture in pictures:
            yield head % len(picture.jpeg) + picture.jpeg + b"\r\n" + delimiter
