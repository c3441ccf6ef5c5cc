"""One connection to one source of a job, in three kinds with the same interface.

A capture writes in threads of its own; its ``SourceRecorder`` polls ``written``. Nothing here
retries: the ``SourceRecorder`` does that, in the same way for all kinds.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Protocol

from app.config import StreamSettings
from app.errors import SinkError, SourceError, StreamNotFound
from app.failure_reason import FailureReason
from app.jobs import Part
from app.pipeline.channel import Closed
from app.pipeline.manager import StreamManager
from app.pipeline.registry import ALIVE
from app.pipeline.sinks.base import Delivered, Sink
from app.recording.recorder import Recorder
from app.recording.remuxer import Remuxer
from app.recording.segments import RecordingProgress, SegmentFiles
from app.types import Rotation, StreamSpec, StreamState, StreamStatus

BACKLOG = 8  # frames; each holds megabytes
LIVE_FPS = 15.0
FILE_FPS = 240.0  # more than any file has
OWN_IDS = "job-"


class Capture(Protocol):
    """One connection: ``begin`` once, read the attributes, then ``end`` once."""

    written: RecordingProgress

    def begin(self) -> None:
        """Start. Raises WatchpostError when the source cannot be used at all."""
        ...

    def end_reason(self) -> str | None:
        """Why it has ended, empty for a file that was read to its end; None while it runs."""
        ...

    async def end(self) -> None:
        """Close the file and release everything."""
        ...


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """What a capture is to record.

    Attributes:
        gap_s: seconds without a frame that count as a gap.
        start_timeout_s: the time within which the first frame must arrive.
        duration_s: of the whole run.
        rotate: degrees to turn a source clockwise; a running stream has its own rotation.
    """

    part: Part
    files: SegmentFiles
    segment_s: float
    gap_s: float
    start_timeout_s: float
    duration_s: float
    rotate: Rotation = 0

    @property
    def range(self) -> tuple[float, float | None]:
        """Start and end in a file's own time; a live source is ended by the clock."""
        return (0.0, None) if self.part.live else (self.part.position_s, self.duration_s)

    def recorder(self, fps: float) -> Recorder:
        skip_s, limit_s = self.range
        return Recorder(
            self.files,
            segment_s=self.segment_s,
            fps=fps,
            gap_s=self.gap_s if self.part.live else None,
            skip_s=skip_s,
            limit_s=limit_s,
        )


class StreamCapture:
    """The processed frames of a stream that is already running, as viewers see them."""

    def __init__(self, request: CaptureRequest, manager: StreamManager) -> None:
        self._request = request
        self._manager = manager
        self._stream_id = request.part.source
        self._begun_at = time.monotonic()
        self._tap = ExitStack()
        self._recorder: Recorder | None = None
        self._thread: threading.Thread | None = None
        self.written = RecordingProgress()

    def begin(self) -> None:
        fps = self._manager.stream(self._stream_id).status.spec.max_fps
        results = self._tap.enter_context(
            self._manager.stream(self._stream_id).processed_frames(BACKLOG)
        )
        recorder = self._recorder = self._request.recorder(fps)
        self.written = recorder.written

        def record() -> None:
            with suppress(Closed, SinkError):  # the stream ended; or the recorder knows the reason
                while (result := results.get()) is not None:
                    recorder.write(result)

        name = f"{self._stream_id}-recording"
        self._thread = threading.Thread(target=record, name=name, daemon=True)
        self._thread.start()

    def end_reason(self) -> str | None:
        assert self._thread is not None
        if not self._thread.is_alive():
            return str(self.written.failure or self._failure(FailureReason.STOPPED))
        return _timed_out(self._begun_at, self._request, self.written)

    async def end(self) -> None:
        self._tap.close()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.finish)

    def _failure(self, reason: str) -> SourceError:
        return SourceError(end="input", reason=reason, url=self._stream_id)


class SourceCapture:
    """A source that the job opens itself, run through the pipeline like every stream."""

    _numbers = itertools.count(1)

    def __init__(self, request: CaptureRequest, manager: StreamManager, job_id: str) -> None:
        self._request = request
        self._manager = manager
        self._begun_at = time.monotonic()
        fps = LIVE_FPS if request.part.live else FILE_FPS
        self._recorder = request.recorder(fps)
        self.written = self._recorder.written
        stream_id = f"{OWN_IDS}{job_id[:8]}-{next(self._numbers)}"
        self._spec = StreamSpec(stream_id, request.part.source, max_fps=fps, rotate=request.rotate)

    def begin(self) -> None:
        def sink(_: StreamSpec, __: StreamSettings, delivered: Delivered) -> Sink:
            self._recorder.delivered = delivered
            return self._recorder

        self._manager.start_ephemeral(self._spec, make_sink=sink, keeps_trying=False)

    def end_reason(self) -> str | None:
        try:
            status = self._manager.stream(self._spec.stream_id).status
        except StreamNotFound as error:  # it was disconnected by a caller
            return str(error)
        if self.written.failure is not None:
            return str(self.written.failure)
        if status.state in ALIVE:
            return self._silent(status) or _timed_out(self._begun_at, self._request, self.written)
        ended = status.state is StreamState.STOPPED and status.stats.last_error is None
        if ended and not self._request.part.live:
            return ""
        return status.stats.last_error or str(self._failure(FailureReason.STOPPED))

    def _silent(self, status: StreamStatus) -> str | None:
        """Why a reconnecting stream counts as lost: it has no frame for the length of a gap."""
        last_ts = self.written.last_ts
        if status.state is not StreamState.RECONNECTING or last_ts is None:
            return None
        if time.time() - last_ts < self._request.gap_s:
            return None
        return status.stats.last_error or str(self._failure(FailureReason.STALLED))

    async def end(self) -> None:
        await self._manager.disconnect(self._spec.stream_id)
        await asyncio.to_thread(self._recorder.finish)

    def _failure(self, reason: str) -> SourceError:
        return SourceError(end="input", reason=reason, url=self._request.part.label)


class RemuxCapture:
    """A source copied without decoding: see ``remuxer.py``."""

    def __init__(self, request: CaptureRequest, settings: StreamSettings) -> None:
        skip_s, limit_s = request.range
        self._request = request
        self._begun_at = time.monotonic()
        self._stop_timeout_s = settings.stop_timeout_s
        self.remuxer = Remuxer(
            request.part.source,
            settings,
            request.files,
            segment_s=request.segment_s,
            gap_s=request.gap_s if request.part.live else None,
            skip_s=skip_s,
            limit_s=limit_s,
            rotate=request.rotate,
        )
        self.written = self.remuxer.written
        self._thread = threading.Thread(target=self.remuxer.run, name="remuxer", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end_reason(self) -> str | None:
        if self._thread.is_alive():
            return _timed_out(self._begun_at, self._request, self.written)
        if self.remuxer.ended and not self._request.part.live:
            return ""
        url = self._request.part.label
        return str(
            self.written.failure or SourceError(end="input", reason=FailureReason.ENDED, url=url)
        )

    async def end(self) -> None:
        self.remuxer.stop()
        await asyncio.to_thread(self._thread.join, self._stop_timeout_s)


def _timed_out(begun_at: float, request: CaptureRequest, written: RecordingProgress) -> str | None:
    """The failure of a source that has delivered nothing in time; None otherwise.

    Frames that are skipped, to resume a file where it stopped, count as delivered.
    """
    if written.frames or written.passed or time.monotonic() - begun_at < request.start_timeout_s:
        return None
    url = request.part.label
    return str(SourceError(end="input", reason=FailureReason.TIMEOUT, url=url))
