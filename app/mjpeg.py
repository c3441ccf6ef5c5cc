"""MJPEG framing: JPEGs as the parts of one HTTP body, which lasts as long as its source."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from app.types import JpegFrame

BOUNDARY = "frame"
MEDIA_TYPE = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
DELIMITER = f"--{BOUNDARY}\r\n".encode()
_PART_HEADERS = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"


def part(jpeg: bytes) -> bytes:
    """One JPEG with its headers, and the delimiter after it.

    A browser shows a part once it has seen the part's end: without the delimiter it would show each
    frame one frame late. At the end of the stream the body just ends, since an empty last part
    would blank the image.
    """
    return _PART_HEADERS % len(jpeg) + jpeg + b"\r\n" + DELIMITER


async def multipart(frames: AsyncGenerator[JpegFrame]) -> AsyncGenerator[bytes]:
    """The whole body, as chunks: the first delimiter, then a part for each frame."""
    yield DELIMITER
    async with aclosing(frames):
        async for frame in frames:
            yield part(frame.jpeg)
