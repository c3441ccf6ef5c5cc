"""RTSP cameras, and video files read at full speed, through PyAV (FFmpeg's libraries)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import cast

import av
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from app import urls
from app.config import StreamSettings
from app.errors import SourceError, UnusableSource, WatchpostError
from app.failure_reason import PARSER_ERRORS, FailureReason
from app.models.orientation import orientation_of, orientation_of_frame
from app.pace import ContinuousClock, MediaClock, StallLimit
from app.pipeline.sources.decode_plan import Arrived, DecodePlan, Demand
from app.pipeline.sources.files import is_image, open_file, packets_of
from app.pipeline.sources.hardware import Decoder, hardware_for
from app.pipeline.sources.pixel_aspect import PixelAspect
from app.pipeline.sources.sender_clock import SenderClock
from app.pipeline.sources.skipping import clock_of, decoded_at, skip_to
from app.types import Frame, StreamSpec

MAX_BAD_PACKETS = 200
KEYFRAME_PATIENCE = 8  # times the stall limit: some cameras send a keyframe only every 15 s
ANALYSE_US = 1_000_000
STILLS = ("mjpeg", "png", "webp")  # each frame may have EXIF data of its own


class AvSource:
    """A camera (live) or, with the scheme ``file:``, a video file (as fast as it is read).

    Attributes:
        demand: who needs the frames now; called for every packet.
    """

    media = "video"  # what to request from a camera
    decodes_all = False  # also frames that the stream does not take
    demand: Callable[[], Demand]

    def __init__(self, spec: StreamSpec, settings: StreamSettings) -> None:
        self.dropped = 0
        self._remote = urls.is_network(spec.source)
        self._is_file = urls.scheme_of(spec.source) == "file"
        self.live = self._endless = self._remote
        self.codec = ""
        self._url = spec.source
        self._begin_s = spec.begin_s
        self._jumped_s = 0.0
        self._transport = spec.transport
        self._max_fps = spec.max_fps
        self.demand = lambda: Demand.VIEWERS
        self._settings = settings
        # FFmpeg holds a frame back until the next one begins, so a user's limit counts twice.
        own_s = spec.stall_timeout_s and spec.stall_timeout_s * 2
        self._limit = StallLimit(settings.stall_timeout_s, own_s)
        self._patience_s = KEYFRAME_PATIENCE * (spec.stall_timeout_s or settings.stall_timeout_s)
        self._open_timeout_s = spec.start_timeout_s or settings.open_timeout_s
        self._container: InputContainer | None = None
        self._stream: VideoStream | None = None
        self._plan: DecodePlan | None = None
        self._sender_clock = SenderClock()
        self._alive_at = 0.0  # when the last packet came that has an image, or is not decoded
        self._pixel_aspect = PixelAspect(None, None)
        self._decoder: Decoder | None = None

    def open(self) -> None:
        self._limit.begin()
        self._sender_clock = SenderClock()
        try:
            self._container = self._connect()
            is_still = self._is_file and is_image(self._url) and packets_of(self._url) < 2
        except (FFmpegError, *PARSER_ERRORS) as error:
            raise self._not_opened(error) from None
        if is_still:
            raise self._unusable(FailureReason.SINGLE_PICTURE)
        self._stream = stream = self._video_of(self._container)
        # Frame threads would hold back as many frames as there are threads.
        stream.thread_type = "SLICE" if self.live else "AUTO"
        self.codec = stream.codec_context.name
        self._decoder = Decoder(stream, hardware_for(self._settings.decoder))
        stream.codec_context.copy_opaque = self.codec in STILLS
        if self.live and not self.decodes_all:
            self._plan = DecodePlan(stream, self._max_fps)
        self._pixel_aspect = PixelAspect(
            stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio
        )

    def _not_opened(self, error: BaseException) -> WatchpostError:
        """The error for an input that could not be opened."""
        if self._is_file and is_image(self._url):
            return self._unusable(FailureReason.SINGLE_PICTURE)
        if self._is_file:
            return self._failure(FailureReason.of_file(error))
        reason = FailureReason.of(error)
        return self._failure(reason.while_connecting() if self._remote else reason)

    def _video_of(self, container: InputContainer) -> VideoStream:
        """The first video that can be decoded; the cover image of an audio file does not count."""
        videos = [
            stream
            for stream in container.streams.video
            if not stream.disposition & Disposition.attached_pic
        ]
        if not videos:
            raise self._failure(FailureReason.NO_VIDEO)
        for video in videos:
            if video.codec_context is not None:  # FFmpeg has a decoder for it
                return video
        raise self._unusable(FailureReason.UNKNOWN_CODEC)

    def frames(self) -> Iterator[Frame | None]:
        assert self._stream is not None
        context, number = self._stream.codec_context, 0
        # Before memory is allocated for them.
        if context.width * context.height > self._settings.max_pixels:
            raise self._failure(FailureReason.TOO_LARGE)
        clock, own_clock = MediaClock(), clock_of(self._stream)
        self._alive_at = started_at = time.monotonic()
        for image, arrived_at in self._images(own_clock):
            patience_s = max(self._patience_s, self._limit.seconds)
            if self.live and arrived_at - self._alive_at > patience_s:
                raise self._failure(FailureReason.STALLED)
            if image is None:
                if self._plan is not None:  # a camera that is not decoded now is still read
                    yield None
                continue
            pixel_aspect = self._pixel_aspect.now(self._stream)
            stretched = max(pixel_aspect, 1 / pixel_aspect)
            if image.width * image.height * stretched > self._settings.max_pixels:
                raise self._failure(FailureReason.TOO_LARGE)
            self._alive_at = arrived_at
            at_s = own_clock.place(image.time, arrived_at if self.live else None)
            self._jumped_s += own_clock.jump_s
            if self.live:
                clock = MediaClock() if own_clock.jump_s else clock
                captured_at = clock.captured_at(image.time, arrived_at)
            elif at_s < self._begin_s - own_clock.step_s / 2:
                continue
            else:
                captured_at = started_at + at_s
            arrived = 1 if self._plan is None else self._plan.handed_out(image.time, captured_at)
            number += arrived
            exif = image.opaque  # set on the packet of a still
            orientation = exif if isinstance(exif, int) else orientation_of_frame(image)
            yield Frame(
                image,
                captured_at,
                number,
                orientation=orientation,
                pixel_aspect=pixel_aspect,
                jumped_s=self._jumped_s,
                arrived=arrived,
                sender_ts=self._sender_clock.time_of(image.time),
            )

    def take_skipped(self) -> int:
        """Number of frames that were not decoded since the last call, or the last frame."""
        if self._plan is None:
            return 0
        skipped, self._plan.skipped = self._plan.skipped, 0
        return skipped

    @property
    def decoder(self) -> str:
        """What decodes: ``cpu`` or a kind of hardware; empty before the source is open."""
        return self._decoder.name if self._decoder is not None else ""

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
        deadline = time.monotonic() + self._open_timeout_s
        failure: Exception | None = None
        addresses = urls.resolve(self._url)
        for untried, url in zip(range(len(addresses), 0, -1), addresses, strict=True):
            share = (deadline - time.monotonic()) / untried
            try:
                return av.open(
                    url,
                    options=self._options(share),
                    timeout=(share, cast(float, self._limit)),  # each demux call reads it again
                    metadata_errors="replace",
                )
            except FFmpegError as error:
                failure = error
        if failure is None or time.monotonic() >= deadline:
            raise TimeoutError  # whatever error libav reports for an interrupted handshake
        raise failure

    def _options(self, open_timeout_s: float) -> dict[str, str]:
        del open_timeout_s  # the container's limits apply; the socket's is a last resort
        return {
            "rtsp_transport": self._transport,
            "timeout": str(int(max(StallLimit.LONGEST_S, self._patience_s) * 1e6)),
            "allowed_media_types": self.media,
            "flags": "low_delay",
            "analyzeduration": str(ANALYSE_US),
            "fpsprobesize": "0",  # else it waits for the next frame, to estimate the rate
            "max_delay": "200000",
        }

    def _images(self, own_clock: ContinuousClock) -> Iterator[tuple[av.VideoFrame | None, float]]:
        """Decoded images with the arrival time of their packet; None for a packet without one."""
        assert (
            self._container is not None and self._stream is not None and self._decoder is not None
        )
        bad = decoded = 0  # packets in a row; images
        try:
            packets = self._packets(self._container, self._stream)
            if self._begin_s:
                packets = self._resumed(packets, self._stream, own_clock)
            for packet, arrived_at, is_newest in self._planned(packets):
                if packet is None:
                    self._alive_at = arrived_at
                    yield None, arrived_at
                    continue
                if self.codec in STILLS:
                    packet.opaque = orientation_of(bytes(packet))
                try:
                    images = self._decoder.decode(packet)
                    bad = 0
                except (InvalidDataError, *PARSER_ERRORS):
                    images = []
                    bad += 1
                    self.dropped += not self.live
                if bad > MAX_BAD_PACKETS:
                    raise self._failure(FailureReason.INVALID_DATA)
                decoded += len(images)
                if self._plan is not None and not is_newest:
                    self._plan.skipped += len(images)
                    continue
                if not images:
                    yield None, arrived_at
                for image in images:
                    yield image, arrived_at
        except FFmpegError as error:
            reason = FailureReason.of_file(error) if self._is_file else FailureReason.of(error)
            raise self._failure(
                FailureReason.STALLED if reason == FailureReason.TIMEOUT else reason
            ) from None
        if self._is_file and not decoded and not self._begin_s:
            raise self._failure(FailureReason.INVALID_DATA)
        if self._endless:
            raise self._failure(FailureReason.ENDED)

    def _planned(
        self, packets: Iterator[Packet[VideoStream]]
    ) -> Iterator[tuple[Packet[VideoStream] | None, float, bool]]:
        """Packets to decode, when they arrived, and whether they are the newest; None instead of a
        packet that is not decoded now."""
        for packet in packets:
            due = [Arrived(packet, time.monotonic())]
            if self._plan is not None:
                due = self._plan.next(*due[0], self.demand())
            if not due:
                yield None, time.monotonic(), False
            for one in due:
                yield one.packet, one.at, one is due[-1]

    def _packets(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[Packet[VideoStream]]:
        """Packets as they arrive, each within the limit that the ones before it have set."""
        while True:
            limit_s = self._limit.seconds
            for packet in container.demux(stream):
                if self.live and packet.size:
                    self._limit.seen(time.monotonic(), decoded_at(packet))
                    self._sender_clock.see(packet)
                yield packet
                if self._limit.seconds != limit_s:
                    break
            else:
                return

    def _resumed(
        self,
        packets: Iterator[Packet[VideoStream]],
        stream: VideoStream,
        own_clock: ContinuousClock,
    ) -> Iterator[Packet[VideoStream]]:
        """The packets of a file from the last keyframe before ``begin_s``."""
        resumed = skip_to(packets, stream, self._begin_s)
        first = next(iter(resumed.packets), None)
        if first is not None and first.pts is not None and first.time_base is not None:
            own_clock.resume(float(first.pts * first.time_base), resumed.at_s)
        return chain(resumed.packets, packets)

    def _failure(self, reason: str) -> SourceError:
        return SourceError(end="input", reason=reason, url=urls.without_credentials(self._url))

    def _unusable(self, reason: str) -> UnusableSource:
        return UnusableSource(reason=reason, url=urls.without_credentials(self._url))
