"""Video that is played at its own speed: files used as cameras, and video over HTTP.

Frames that arrive too early (from a file, or a segment of HLS) wait; frames that are late are
dropped by the stream, as with any live source.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from av.container import InputContainer

from app.config import StreamSettings
from app.failure_reason import FailureReason
from app.pace import PlayClock
from app.pipeline.sources.av import AvSource, open_file
from app.types import Frame, StreamSpec

CHECK_S = 0.5
HELD_S = 0.1
UNTIMED = ("mpjpeg", "mjpeg")  # a series of images without timestamps


class PlayedSource(AvSource):
    """A live source that may end: a file that does not loop ends after it was played once."""

    def __init__(self, spec: StreamSpec, settings: StreamSettings) -> None:
        super().__init__(spec, settings)
        self.live, self._endless = True, False
        self._loop = spec.loop

    def frames(self) -> Iterator[Frame | None]:
        number = 0
        while True:
            first = number + 1
            for frame in self._played(number):
                number = number if frame is None else frame.number
                yield frame
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


class HttpSource(PlayedSource):
    """MJPEG cameras, HLS, and files on a web server.

    It connects only to addresses that were checked, and follows no redirects. Other hosts in an
    HLS playlist are resolved by FFmpeg itself.
    """

    def __init__(self, spec: StreamSpec, settings: StreamSettings) -> None:
        super().__init__(spec, settings)
        self._read_timeout_s = self._patience_s  # an HLS server answers once a segment is there

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


def file_source(spec: StreamSpec, settings: StreamSettings) -> AvSource:
    """A file as a camera, or as fast as it can be read."""
    return PlayedFile(spec, settings) if spec.paced or spec.loop else AvSource(spec, settings)
