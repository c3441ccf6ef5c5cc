"""RTSP cameras, and video files read at full speed, through PyAV (FFmpeg's libraries)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

import av
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.video.stream import VideoStream

from app import urls
from app.config import StreamSettings
from app.errors import SourceError
from app.failure_reason import FailureReason
from app.models.orientation import orientation_of, orientation_of_frame
from app.pace import MediaClock
from app.types import SQUARE, Frame, StreamSpec

MAX_BAD_PACKETS = 200
KEYFRAME_PATIENCE = 4  # times the stall limit: some cameras send a keyframe only every 10 s
ANALYSE_US = 1_000_000
STILLS = ("mjpeg", "png", "webp")  # each frame may have EXIF data of its own
MAX_PIXEL_ASPECT = 10  # a pixel aspect ratio beyond this is a mistake
# Containers that hold their video themselves; not those that refer to other files or hosts.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,ogg,asf,gif,apng,"
    "webp_pipe,h264,hevc,av1,ivf,obu,m4v,mjpeg,mpjpeg,mxf,nut,wtv,rm,dv,vob,svcd,vcd,y4m,yuv4mpegpipe"
)


class AvSource:
    """A camera (live) or, with the scheme ``file:``, a video file (as fast as it is read)."""

    dropped = 0
    media = "video"  # what to request from a camera

    def __init__(self, spec: StreamSpec, settings: StreamSettings) -> None:
        self._remote = urls.is_network(spec.source)
        self.live = self._endless = self._remote
        self.codec = ""
        self._url = spec.source
        self._transport = spec.transport
        self._settings = settings
        self._read_timeout_s = settings.stall_timeout_s
        self._patience_s = settings.stall_timeout_s * KEYFRAME_PATIENCE
        self._container: InputContainer | None = None
        self._stream: VideoStream | None = None
        self._pixel_aspect = _PixelAspect(None, None)

    def open(self) -> None:
        try:
            self._container = self._connect()
        except (FFmpegError, OSError) as error:
            reason = FailureReason.of(error)
            raise self._failure(reason.while_connecting() if self._remote else reason) from None
        if not self._container.streams.video:
            raise self._failure(FailureReason.NO_VIDEO)
        self._stream = stream = self._container.streams.video[0]
        # Frame threads would hold back as many frames as there are threads.
        stream.thread_type = "SLICE" if self.live else "AUTO"
        self.codec = stream.codec_context.name
        stream.codec_context.copy_opaque = self.codec in STILLS
        self._pixel_aspect = _PixelAspect(
            stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio
        )

    def frames(self) -> Iterator[Frame | None]:
        number = 0
        clock = MediaClock()
        last_at = started_at = time.monotonic()
        patience = self._patience_s
        for image, arrived_at in self._images():
            if arrived_at - last_at > patience:
                raise self._failure(FailureReason.STALLED)
            if image is None:
                continue
            pixel_aspect = self._pixel_aspect.now(self._stream)
            stretched = max(pixel_aspect, 1 / pixel_aspect)
            if image.width * image.height * stretched > self._settings.max_pixels:
                raise self._failure(FailureReason.TOO_LARGE)
            last_at = arrived_at
            if self.live:
                captured_at = clock.captured_at(image.time, arrived_at)
            else:
                captured_at = started_at + (image.time or 0.0)
            number += 1
            exif = image.opaque  # set on the packet of a still
            orientation = exif if isinstance(exif, int) else orientation_of_frame(image)
            yield Frame(
                image,
                captured_at,
                number,
                orientation=orientation,
                pixel_aspect=pixel_aspect,
            )

    def close(self) -> None:
        container, self._container, self._stream = self._container, None, None
        if container is not None:
            container.close()

    def connect(self) -> InputContainer:
        """The open input, for callers that need its packets. Raises FFmpegError, OSError."""
        return self._connect()

    def _connect(self) -> InputContainer:
        return self._connect_to_host() if self._remote else open_file(self._url)

    def _connect_to_host(self) -> InputContainer:
        """Try the checked addresses of the host in turn, within one time limit for all."""
        deadline = time.monotonic() + self._settings.open_timeout_s
        failure: Exception | None = None
        addresses = urls.resolve(self._url)
        for untried, url in zip(range(len(addresses), 0, -1), addresses, strict=True):
            share = (deadline - time.monotonic()) / untried
            try:
                return av.open(
                    url,
                    options=self._options(share),
                    timeout=(share, self._read_timeout_s),
                )
            except FFmpegError as error:
                failure = error
        if failure is None or time.monotonic() >= deadline:
            raise TimeoutError  # whatever error libav reports for an interrupted handshake
        raise failure

    def _options(self, open_timeout_s: float) -> dict[str, str]:
        patience = min(open_timeout_s, self._settings.stall_timeout_s)
        return {
            "rtsp_transport": self._transport,
            "timeout": str(int(patience * 1e6)),
            "allowed_media_types": self.media,
            "fflags": "nobuffer",
            "flags": "low_delay",
            "analyzeduration": str(ANALYSE_US),
            "max_delay": "200000",
        }

    def _images(self) -> Iterator[tuple[av.VideoFrame | None, float]]:
        """Decoded images with the arrival time of their packet; None for a packet without one."""
        assert self._container is not None and self._stream is not None
        bad = 0
        try:
            for packet in self._container.demux(self._stream):
                arrived_at = time.monotonic()
                if self.codec in STILLS:
                    packet.opaque = orientation_of(bytes(packet))
                try:
                    images = packet.decode()
                    bad = 0
                except InvalidDataError:
                    images = []
                    bad += 1
                    if bad > MAX_BAD_PACKETS:
                        raise
                if not images:
                    yield None, arrived_at
                for image in images:
                    yield image, arrived_at
        except FFmpegError as error:
            reason = FailureReason.of(error)
            raise self._failure(
                FailureReason.STALLED if reason == FailureReason.TIMEOUT else reason
            ) from None
        if self._endless:
            raise self._failure(FailureReason.ENDED)

    def _failure(self, reason: str) -> SourceError:
        return SourceError(end="input", reason=reason, url=urls.without_credentials(self._url))


class _PixelAspect:
    """The pixel aspect ratio of a stream, which may change midway.

    The container's value takes precedence over the codec's, as in FFmpeg's players, until the
    codec's value changes.

    Args:
        stream, codec: their values at the start; None if they state none.
    """

    def __init__(self, stream: Fraction | None, codec: Fraction | None) -> None:
        self._stream, self._codec = stream, codec

    def now(self, stream: VideoStream | None) -> Fraction:
        assert stream is not None
        stated = stream.codec_context.sample_aspect_ratio
        stated = self._stream if stated == self._codec else stated
        usable = stated and 1 / MAX_PIXEL_ASPECT <= stated <= MAX_PIXEL_ASPECT
        return stated if stated and usable else SQUARE


def open_file(url: str) -> InputContainer:
    """Open ``file:/path``. Files that it refers to, as a playlist does, are not opened."""
    return av.open(url, options={"protocol_whitelist": "file", "format_whitelist": FORMATS})
