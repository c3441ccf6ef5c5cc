"""Video that is played at its own speed: files used as cameras, and video over HTTP.

Frames that arrive too early (from a file, or a segment of HLS) wait; frames that are late are
dropped by the stream, as with any live source.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from av.container import InputContainer

from app.config import StreamSettings
from app.failure_reason import FailureReason
from app.pace import PlayClock, StallLimit
from app.pipeline.sources.av import AvSource
from app.pipeline.sources.files import open_file
from app.pipeline.sources.http import HttpClient, JpegSource, jpeg_source
from app.types import Frame, StreamSpec

CHECK_S = 0.5
HELD_S = 0.1
UNTIMED = ("mpjpeg", "mjpeg")  # a series of images without timestamps


class PlayedSource(AvSource):
    """A live source that may end: a file that does not loop ends after it was played once."""

    decodes_all = True  # it waits before each frame, so it must see all of them

    def __init__(self, spec: StreamSpec, settings: StreamSettings) -> None:
        super().__init__(spec, settings)
        self.live, self._endless = True, False
        self._loop = spec.loop

    def frames(self) -> Iterator[Frame | None]:
        number = 0
        for restarts in itertools.count():
            first = number + 1
            for frame in self._played(number):
                number = number if frame is None else frame.number
                yield frame and replace(frame, restarts=restarts)
            if not self._loop:
                return
            if number < first:  # else it would restart at once, endlessly
                raise self._failure(FailureReason.NO_VIDEO)
            self.close()
            self.open()

    def _played(self, number: int) -> Iterator[Frame | None]:
        """The frames of one round, each when it is due; None now and then during a long wait."""
        assert self._container is not None
        clock = None if self._container.format.name in UNTIMED else PlayClock()
        for frame in super().frames():
            if frame is None:
                continue
            while clock and (wait_s := clock.wait_s(frame.image.time, time.monotonic())) > 0:
                time.sleep(min(wait_s, CHECK_S))
                if wait_s > CHECK_S:
                    yield None
            number += 1
            shown_at = time.monotonic()
            yield replace(frame, captured_at=shown_at, number=number)
            if clock and time.monotonic() - shown_at > HELD_S:
                clock = PlayClock()  # the reader paused: resume here, without skipping frames


class PlayedFile(PlayedSource):
    """A video file that is used as a camera."""

    def __init__(self, spec: StreamSpec, settings: StreamSettings) -> None:
        super().__init__(spec, settings)
        self._patience_s = float("inf")  # between two images of a slide show

    def _connect(self) -> InputContainer:
        return open_file(self._url)


class HttpVideo(PlayedSource):
    """HLS, and video files on a web server, through FFmpeg.

    It connects only to addresses that were checked, and follows no redirects. Other hosts in an
    HLS playlist are resolved by FFmpeg itself.
    """

    def __init__(self, spec: StreamSpec, settings: StreamSettings) -> None:
        super().__init__(spec, settings)
        self._limit = StallLimit(self._patience_s, self._patience_s)
        # An HLS server replies once a segment is complete.

    def open(self) -> None:
        super().open()
        assert self._container is not None
        self._endless = self._container.duration is None

    def _options(self, open_timeout_s: float) -> dict[str, str]:
        del open_timeout_s  # the container's own limits hold
        parts = urlsplit(self._url)
        host = parts.netloc.rpartition("@")[2]
        return {
            "headers": f"Host: {host}\r\n",
            "verifyhost": parts.hostname or "",
            "max_redirects": "0",
            "protocol_whitelist": "http,https,tcp,tls,crypto",
            "analyzeduration": "1000000",
        }


class HttpSource:
    """Images or video over HTTP: the reply determines which of the two readers it needs."""

    live = True
    dropped = 0

    def __init__(self, spec: StreamSpec, settings: StreamSettings) -> None:
        self.codec = ""
        self._spec, self._settings = spec, settings
        self._limit = StallLimit(settings.stall_timeout_s, spec.stall_timeout_s)
        self._client: HttpClient | None = None
        self._reader: JpegSource | HttpVideo | None = None

    def open(self) -> None:
        self.close()
        self._limit.begin()
        open_s = self._spec.start_timeout_s or self._settings.open_timeout_s
        client = self._client = HttpClient(self._spec.source, open_s)
        self._reader = jpeg_source(client, self._spec, self._settings, self._limit)
        if self._reader is None:
            client.close()
            video = HttpVideo(replace(self._spec, source=client.url), self._settings)
            self._reader = video
            video.open()

    def frames(self) -> Iterator[Frame | None]:
        assert self._reader is not None
        for frame in self._reader.frames():
            self.codec = self._reader.codec
            yield frame

    def close(self) -> None:
        for part in (self._reader, self._client):
            if part is not None:
                part.close()
        self._reader = self._client = None


def file_source(spec: StreamSpec, settings: StreamSettings) -> AvSource:
    """A file as a camera, or as fast as it can be read."""
    return AvSource(spec, settings) if spec.waits else PlayedFile(spec, settings)
