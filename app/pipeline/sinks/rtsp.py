"""Encodes in this process and publishes in a child process; ``publisher.py`` says why."""

from __future__ import annotations

import json
import math
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO

from app import urls
from app.config import StreamSettings
from app.errors import SinkError
from app.failure_reason import FailureReason
from app.models.colours import Colours
from app.pipeline.sinks.base import Delivered
from app.pipeline.sinks.encode import TIME_BASE, H264Encoder, Packet
from app.pipeline.sinks.publisher import HEADER, lease_clock
from app.pipeline.sinks.ring_feed import RingFeed
from app.types import ProcessedFrame, StreamSpec, Transport

CHILD = Path(__file__).with_name("publisher.py")
TEARDOWN_S = 1.0

_Failure = Callable[[str], SinkError]


class RtspSink:
    """Publishes the frames of one stream to one RTSP URL.

    Args:
        delivered: called when the server has accepted a packet.

    Attributes:
        feed: gets every packet once it is sent, for recordings and live video.
        until: when the lease of the output ends, on ``lease_clock``. Without a cluster there is
            none, and this is never.
    """

    feed: RingFeed | None = None
    until: Callable[[], float] = staticmethod(lambda: math.inf)

    def __init__(self, spec: StreamSpec, settings: StreamSettings, delivered: Delivered) -> None:
        assert spec.output is not None
        self._spec = spec
        self._url = spec.output
        self._settings = settings
        self._delivered = delivered
        self._encoder: H264Encoder | None = None
        self._publisher: Publisher | None = None
        self._last_pts = -1
        self._started_at = 0.0

    @property
    def encoder(self) -> str | None:
        """FFmpeg's name of the encoder; None before the first frame."""
        return self._encoder.name if self._encoder is not None else None

    @property
    def publishing(self) -> bool:
        """Whether a process may still publish."""
        return self._publisher is not None

    def write(self, result: ProcessedFrame) -> None:
        if lease_clock() >= self.until():
            raise self._failure(FailureReason.NO_LEASE)
        picture = result.frame
        encoder, publisher = self._encoder, self._publisher
        if encoder is not None and not encoder.takes(picture):
            raise self._failure(FailureReason.SIZE_CHANGED)
        if encoder is None:
            encoder = self._encoder = H264Encoder(
                *picture.size,
                fps=self._spec.max_fps,
                pix_fmt=picture.image.format.name,
                encoder=self._spec.encoder,
                bitrate=self._spec.bitrate,
                colours=Colours.of(picture.image),
                timed_keyframes=self.feed is not None,
            )
            self._started_at, self._last_pts = result.captured_at, -1
            if self.feed is not None:
                self.feed.begin(result.captured_at)
        pts = round((result.captured_at - self._started_at) / TIME_BASE)
        self._last_pts = pts = max(pts, self._last_pts + 1)
        if self.feed is not None:
            self.feed.frame(pts, covered=result.covered, number=result.number)
        for packet in encoder.encode(picture, pts):
            if publisher is None:
                publisher = self._publisher = self._connect(encoder)
                publisher.send(packet, result.captured_at)
                publisher.wait_first(self._settings.open_timeout_s)
            else:
                publisher.send(packet, result.captured_at)
            if self.feed is not None:
                self.feed.packet(packet, encoder)

    def idle(self, seconds: float) -> None:
        if self._publisher is None:
            return
        if lease_clock() >= self.until():
            raise self._failure(FailureReason.NO_LEASE)
        self._publisher.check()
        self._publisher.extend()
        if seconds >= self._settings.idle_output_s:
            self.close()

    def close(self) -> None:
        publisher, self._encoder = self._publisher, None
        if publisher is not None:
            publisher.close()
        self._publisher = None

    def _connect(self, encoder: H264Encoder) -> Publisher:
        try:
            addresses = urls.resolve(self._url)
        except OSError as error:
            raise self._failure(FailureReason.of(error)) from None
        return Publisher(
            addresses,
            (encoder.width, encoder.height),
            fps=self._spec.max_fps,
            transport=self._spec.transport,
            stall_timeout_s=self._settings.stall_timeout_s,
            delivered=self._delivered,
            failure=self._failure,
            until=self.until,
        )

    def _failure(self, reason: str) -> SinkError:
        return SinkError(end="output", reason=reason, url=urls.without_credentials(self._url))


class Publisher:
    """Controls the child process. ``send`` never waits longer than the stall limit.

    Args:
        addresses: the URLs to try, with credentials.
        failure: makes the error to raise from a reason.
        until: when the process has to end.
    """

    def __init__(
        self,
        addresses: list[str],
        size: tuple[int, int],
        *,
        fps: float,
        transport: Transport,
        stall_timeout_s: float,
        delivered: Delivered,
        failure: _Failure,
        until: Callable[[], float],
    ) -> None:
        self._stall_timeout_s = stall_timeout_s
        self._until = until
        self._delivered = delivered
        self._failure = failure
        self._unsent: deque[tuple[int, float, float]] = deque()  # pts, captured_at, handed over at
        self._reason: str | None = None
        self._first = threading.Event()  # set at the first packet taken, and at the end
        self._child = subprocess.Popen(
            [sys.executable, "-s", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        assert self._child.stdin is not None and self._child.stdout is not None
        self._pipe = self._child.stdin
        os.set_blocking(self._pipe.fileno(), False)
        self._reader = threading.Thread(
            target=self._read_answers, args=(self._child.stdout,), name="publisher", daemon=True
        )
        self._reader.start()
        config = {
            "urls": addresses,
            "width": size[0],
            "height": size[1],
            "fps": max(1, round(fps)),
            "transport": transport,
        }
        self._write(json.dumps(config).encode() + b"\n")

    def send(self, packet: Packet, captured_at: float) -> None:
        """Send a packet. Raises SinkError when the child has ended or the far end stalls."""
        self.check()
        self._unsent.append((packet.pts, captured_at, time.monotonic()))
        header = HEADER.pack(len(packet.data), packet.pts, packet.is_keyframe, self._until())
        self._write(header + packet.data)

    def extend(self) -> None:
        """Tell the child until when it may publish, while there is no packet that says so."""
        if (until := self._until()) != math.inf:
            self._write(HEADER.pack(0, 0, False, until))

    def wait_first(self, timeout_s: float) -> None:
        """Wait until the far end has taken the first packet. Raises SinkError if it does not."""
        if not self._first.wait(timeout_s):
            raise self._failure(FailureReason.TIMEOUT)
        self.check()

    def check(self) -> None:
        """Raise SinkError when the child has ended or a packet has waited too long."""
        if self._reason is not None:
            raise self._failure(self._reason)
        oldest = self._unsent[0][2] if self._unsent else None
        if oldest is not None and time.monotonic() - oldest > self._stall_timeout_s:
            raise self._failure(FailureReason.STALLED)

    def close(self) -> None:
        """Let the child close its session with the server if that is quick, else kill it."""
        self._pipe.close()
        try:
            self._child.wait(TEARDOWN_S if self._first.is_set() else 0)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._reader.join()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        deadline = time.monotonic() + self._stall_timeout_s
        while view:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([], [self._pipe], [], left)[1]:
                raise self._failure(FailureReason.STALLED)
            try:
                view = view[self._pipe.write(view) or 0 :]
            except BrokenPipeError:
                self._reader.join(TEARDOWN_S)  # it is reading why the child ended
                raise self._failure(self._reason or FailureReason.CLOSED) from None

    def _read_answers(self, answers: IO[bytes]) -> None:
        with answers:
            for line in answers:
                word, *values = line.decode().split()
                if word == "sent":
                    self._confirm(int(values[0]), float(values[1]))
                elif word == "error":
                    reason = FailureReason.of_class(values[0], int(values[1]))
                    self._reason = reason.while_connecting()
        self._reason = self._reason or FailureReason.CLOSED
        self._first.set()

    def _confirm(self, pts: int, delivered_at: float) -> None:
        while self._unsent and self._unsent[0][0] <= pts:
            _, captured_at, _ = self._unsent.popleft()
            self._delivered(captured_at, delivered_at)
        self._first.set()
