"""Pictures that clients push: JPEG, PNG or WebP, one at a time, decoded by FFmpeg's libraries."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import av
import numpy as np
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from app.config import StreamSettings
from app.errors import BadFrame
from app.failure_reason import FailureReason
from app.pipeline.channel import Channel
from app.types import Frame, StreamSpec

MAGIC = {b"\xff\xd8\xff": "mjpeg", b"\x89PNG\r\n\x1a\n": "png"}
CHECK_S = 0.5
ORIENTATION_TAG = 0x0112
EXIF_WITHIN, MAX_TAGS = 4096, 200
TURNS = {
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (3, True),
    6: (3, False),
    7: (1, True),
    8: (1, False),
}
"""By orientation: quarter turns to the left, and whether the picture is mirrored after that."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """One encoded picture on its way in.

    Attributes:
        number: counts up over all pushers of a stream; results carry it.
        lost: called when the picture cannot be used, or, with None, when a newer one replaced it;
            from the thread where that is noticed.
    """

    data: bytes = field(repr=False)
    number: int
    received_at: float
    lost: Callable[[BadFrame | None], None]


class PushSource:
    """Live: a newer picture replaces one that still waits. Never ends by itself."""

    live = True

    def __init__(self, spec: StreamSpec, settings: StreamSettings) -> None:
        del spec
        self.codec = ""
        self.dropped = 0
        self._max_pixels = settings.max_pixels
        self._waiting: Channel[Pushed] = Channel(1, live=True)

    def push(self, pushed: Pushed) -> None:
        """Hand a picture over, from any thread."""
        oldest = self._waiting.put(pushed)
        self.dropped = self._waiting.dropped
        if oldest is not None:
            oldest.lost(None)

    def open(self) -> None:
        """There is nothing to connect to."""

    def frames(self) -> Iterator[Frame | None]:
        while True:
            pushed = self._waiting.get(timeout=CHECK_S)
            if pushed is None:
                yield None
                continue
            taken_at = time.monotonic()
            try:
                image = decode(pushed.data, self._max_pixels)
            except BadFrame as error:
                pushed.lost(error)
                continue
            self.codec = codec_of(pushed.data)
            yield Frame(image, pushed.received_at, pushed.number, taken_at)

    def close(self) -> None:
        """There is nothing to let go of."""


def codec_of(data: bytes) -> str:
    """FFmpeg's name of a picture's format. Raises BadFrame for anything but the three."""
    for magic, codec in MAGIC.items():
        if data.startswith(magic):
            return codec
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if not data:
        raise BadFrame(reason=FailureReason.EMPTY)
    raise BadFrame(reason=FailureReason.NO_PICTURE)


def decode(data: bytes, max_pixels: int) -> av.VideoFrame:
    """The picture in its own pixel format. Raises BadFrame, before the memory for it is taken."""
    codec = codec_of(data)
    decoder = cast(VideoCodecContext, av.CodecContext.create(codec, "r"))
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(max_pixels), "err_detect": "explode"}
    try:
        images = decoder.decode(av.Packet(data))
        images = images or decoder.decode(None)
    except FFmpegError:
        images = []
    if not images:
        raise BadFrame(reason=FailureReason.BAD_PICTURE, max_pixels=max_pixels)
    return upright(images[0], orientation_of(data))


def orientation_of(data: bytes) -> int:
    """How a JPEG says that it must be turned, 1 to 8; 1 is upright. Source: Exif 2.3, 4.6.4."""
    start = data.find(b"Exif\0\0", 0, EXIF_WITHIN)
    if start < 0 or not data.startswith(b"\xff\xd8"):
        return 1
    tiff = data[start + 6 :]
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    try:
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, first)
        for entry in range(min(count, MAX_TAGS)):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, first + 2 + 12 * entry)
            if tag == ORIENTATION_TAG and 1 <= value <= 8:
                return int(value)
    except struct.error:  # no order, or it points beyond its end: then it says nothing
        pass
    return 1


def upright(image: av.VideoFrame, orientation: int) -> av.VideoFrame:
    """The picture as people see it: a face that lies on its side would not be found."""
    if orientation == 1:
        return image
    quarters, mirrored = TURNS[orientation]
    turned = np.rot90(image.to_ndarray(format="rgb24"), quarters)
    seen = np.ascontiguousarray(turned[:, ::-1] if mirrored else turned, np.uint8)
    return av.VideoFrame.from_ndarray(seen, format="rgb24")
