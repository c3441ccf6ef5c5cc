"""The shape of a video's pixels: width divided by height."""

from __future__ import annotations

from fractions import Fraction

from av.video.stream import VideoStream

from app.types import SQUARE

MAX_PIXEL_ASPECT = 10  # a pixel aspect ratio beyond this is a mistake


class PixelAspect:
    """The pixel aspect ratio of a stream, which may change midway.

    The container's value takes precedence over the codec's, as in FFmpeg's players, until the
    codec's value changes.

    Args:
        stream, codec: their values at the start; None if they state none.
    """

    def __init__(self, stream: Fraction | None, codec: Fraction | None) -> None:
        self._stream, self._codec = stream, codec

    def now(self, stream: VideoStream) -> Fraction:
        """The ratio of the frames that are decoded now; 1 if what is stated makes no sense."""
        stated = stream.codec_context.sample_aspect_ratio
        stated = self._stream if stated == self._codec else stated
        usable = stated and 1 / MAX_PIXEL_ASPECT <= stated <= MAX_PIXEL_ASPECT
        return stated if stated and usable else SQUARE
