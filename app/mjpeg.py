"""MJPEG framing: JPEGs as the parts of one HTTP body that does not end while its source lives."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from app.types import JpegFrame

BOUNDARY = "frame"
MEDIA_TYPE = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
DELIMITER = f"--{BOUNDARY}\r\n".encode()
START_OF_IMAGE = b"\xff\xd8\xff"
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_ALONE = (0x01, *range(0xD0, 0xD8))
"""Markers without a length: TEM and RST0 to RST7 (ITU-T T.81, table B.1)."""
_NEXT_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_PART_HEADERS = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"


def part(jpeg: bytes) -> bytes:
    """One JPEG with its headers, and the delimiter that follows it.

    The delimiter follows at once because a browser shows a part when it has seen the part's end,
    and would otherwise show each frame one frame late. So at the end of the stream the body just
    ends; another empty part, only to close the last delimiter, would blank the image.
    """
    return _PART_HEADERS % len(jpeg) + jpeg + b"\r\n" + DELIMITER


async def multipart(frames: AsyncGenerator[JpegFrame]) -> AsyncGenerator[bytes]:
    """The whole body, as chunks: the first delimiter, then a part for each frame."""
    yield DELIMITER
    async with aclosing(frames):
        async for frame in frames:
            yield part(frame.jpeg)


class JpegSplitter:
    """Cuts JPEG images out of a stream of bytes, whatever stands between them.

    Cameras write the delimiters of ``multipart/x-mixed-replace`` in many ways, leave the first one
    out, or send wrong lengths. Where an image ends, its own markers say; thumbnails inside of it
    are no images. What was cut off is skipped.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0  # everything before was looked at
        self._in_scan = False

    @property
    def waiting(self) -> int:
        """Bytes of an image that has not ended."""
        return len(self._data)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Add bytes; returns the images that they complete."""
        self._data += chunk
        images: list[bytes] = []
        while self._begins():
            end = self._find_end()
            if end is None:
                break
            if end > 0:
                images.append(bytes(self._data[:end]))
            self._skip(end or self._at)
        return images

    def _begins(self) -> bool:
        """Drop what stands before an image; False where there is none yet."""
        if self._at:
            return True
        start = self._data.find(START_OF_IMAGE)
        self._skip(start if start >= 0 else max(0, len(self._data) - len(START_OF_IMAGE) + 1))
        if start >= 0:
            self._at = 2
        return start >= 0

    def _find_end(self) -> int | None:
        """Where the image ends; 0 where another begins before that, None while that is not known.

        From marker to marker: each tells how long its segment is, except for the one before
        compressed data, which last until the next marker.
        """
        data = self._data
        while self._at + 1 < len(data):
            if self._in_scan:
                found = _NEXT_MARKER.search(data, self._at)
                self._at = len(data) - 1 if found is None else found.start()
                if found is None:
                    return None
                self._in_scan = False
            elif data[self._at] != START_OF_IMAGE[0]:  # cut off before: look for another behind it
                self._at = len(START_OF_IMAGE) - 1
                return 0
            marker = data[self._at + 1]
            if marker == _END:
                return self._at + 2
            if marker == _START:
                return 0
            if marker == START_OF_IMAGE[0]:  # fill byte
                self._at += 1
            elif marker in _ALONE:
                self._at += 2
            elif self._at + 4 > len(data):
                return None
            else:
                self._in_scan = marker == _SCAN
                self._at += 2 + max(2, int.from_bytes(data[self._at + 2 : self._at + 4], "big"))
        return None

    def _skip(self, count: int) -> None:
        del self._data[:count]
        self._at, self._in_scan = 0, False
