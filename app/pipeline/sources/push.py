"""Frames that clients push as JPEG, PNG or WebP images, decoded by FFmpeg's libraries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import av
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from app.config import StreamSettings
from app.errors import BadFrame
from app.failure_reason import PARSER_ERRORS, FailureReason
from app.models.orientation import orientation_of
from app.pipeline.channel import Channel
from app.types import Frame, StreamSpec

MAGIC = {b"\xff\xd8\xff": "mjpeg", b"\x89PNG\r\n\x1a\n": "png"}
CHECK_S = 0.5


@dataclass(frozen=True, slots=True)
class Pushed:
    """One encoded frame on its way in.

    Attributes:
        number: counts up over all pushers of a stream; results carry it.
        lost: called if the frame cannot be used, or, with None, if a newer one replaced it; may be
            called from any thread.
    """

    data: bytes = field(repr=False)
    number: int
    received_at: float
    lost: Callable[[BadFrame | None], None]


class PushSource:
    """A live source of pushed frames: a newer one replaces one that waits. It never ends."""

    live = True

    def __init__(self, spec: StreamSpec, settings: StreamSettings) -> None:
        del spec
        self.codec = ""
        self.dropped = 0
        self._max_pixels = settings.max_pixels
        self._waiting: Channel[Pushed] = Channel(1, live=True)

    def push(self, pushed: Pushed) -> None:
        """Hand over a frame, from any thread."""
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
            orientation = orientation_of(pushed.data)
            yield Frame(image, pushed.received_at, pushed.number, taken_at, orientation)

    def close(self) -> None:
        """There is nothing to release."""


def codec_of(data: bytes) -> str:
    """FFmpeg's name of an image format: JPEG, PNG or WebP. Raises BadFrame for any other."""
    for magic, codec in MAGIC.items():
        if data.startswith(magic):
            return codec
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if not data:
        raise BadFrame(reason=FailureReason.EMPTY)
    raise BadFrame(reason=FailureReason.NO_PICTURE)


def decode(data: bytes, max_pixels: int, *, strict: bool = True) -> av.VideoFrame:
    """The frame as it is stored. Raises BadFrame before it allocates too many pixels.

    Args:
        strict: refuse damaged images; else the part that can be decoded is enough.
    """
    codec = codec_of(data)
    decoder = cast(VideoCodecContext, av.CodecContext.create(codec, "r"))
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(max_pixels)} | (
        {"err_detect": "explode"} if strict else {}
    )
    try:
        images = decoder.decode(av.Packet(data))
        images = images or decoder.decode(None)
    except (FFmpegError, *PARSER_ERRORS):
        images = []
    if not images:
        raise BadFrame(reason=FailureReason.BAD_PICTURE, max_pixels=max_pixels)
    return images[0]
