"""MJPEG framing: JPEGs as the parts of one HTTP body, which lasts as long as its source."""

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


class JpegSplitter:
    """Extracts JPEG images from a stream of bytes, whatever is between them.

    Cameras write the delimiters of ``multipart/x-mixed-replace`` in many ways, omit the first one,
    or send wrong lengths. The end of an image is found by its own markers; thumbnails inside it do
    not count as images. Truncated images are skipped.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0  # everything before this was examined
        self._in_scan = False

    @property
    def waiting(self) -> int:
        """Number of bytes of the unfinished image."""
        return len(self._data)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Add bytes, and return the images that they complete."""
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
        """Drop what is before an image; False if there is none yet."""
        if self._at:
            return True
        start = self._data.find(START_OF_IMAGE)
        self._skip(start if start >= 0 else max(0, len(self._data) - len(START_OF_IMAGE) + 1))
        if start >= 0:
            self._at = 2
        return start >= 0

    def _find_end(self) -> int | None:
        """Where the image ends; 0 if another begins before that, None while it is not known.

        It goes from marker to marker: each has the length of its segment. Compressed data has none
        and lasts until the next marker.
        """
        data = self._data
        while self._at + 1 < len(data):
            if self._in_scan:
                found = _NEXT_MARKER.search(data, self._at)
                self._at = len(data) - 1 if found is None else found.start()
                if found is None:
                    return None
                self._in_scan = False
            elif data[self._at] != START_OF_IMAGE[0]:  # truncated: look for another image after it
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
