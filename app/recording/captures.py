"""One connection to one source of a job, in three kinds with the same interface.

A capture writes in threads of its own; its ``SourceRecorder`` polls ``written``. Nothing here
retries: the ``SourceRecorder`` does that, in the same way for all kinds.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Protocol

from app.config import StreamSettings
from app.errors import SinkError, SourceError, StreamNotFound
from app.failure_reason import FailureReason
from app.jobs import JobSpec, Part
from app.pipeline.channel import Closed
from app.pipeline.manager import StreamManager
from app.pipeline.registry import ALIVE
from app.pipeline.sinks.base import Delivered, Sink
from app.recording.context import RecorderContext
from app.recording.recorder import Recorder
from app.recording.remuxer import Remuxer
from app.recording.segments import RecordingProgress, SegmentFiles, SegmentPlan
from app.types import Rotation, StreamSpec, StreamState, StreamStatus

BACKLOG = 8  # frames; each holds megabytes
LIVE_FPS = 15.0
FILE_FPS = 1000.0  # higher than that of any file
OWN_IDS = "job-"
OWN_ID = re.compile(rf"{OWN_IDS}[0-9a-f]{{8}}-[0-9]+")
"""The streams of jobs, which nothing else may change."""
WITHHELD = "withheld, because inference failed and their faces are not known"
DAMAGED = "damaged, so they could not be decoded"


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
    def plan(self) -> SegmentPlan:
        """What to write. A live source ends by the clock, a file by its own time."""
        if self.part.live:
            return SegmentPlan(self.files, self.segment_s, self.gap_s)
        begin_s = self.part.position_s
        return SegmentPlan(self.files, self.segment_s, None, begin_s, self.duration_s)

    def recorder(self, fps: float) -> Recorder:
        return Recorder(self.plan, fps)


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
        self._spec = StreamSpec(
            stream_id,
            request.part.source,
            max_fps=fps,
            begin_s=request.plan.begin_s,
            rotate=request.rotate,
        )

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
        self._note_lost_frames(status)
        if status.state in ALIVE:
            return self._silent(status) or _timed_out(self._begun_at, self._request, self.written)
        last_error, live = status.stats.last_error, self._request.part.live
        if live or status.state is not StreamState.STOPPED:
            return last_error or str(self._failure(FailureReason.STOPPED))
        if self.written.frames or self._request.part.position_s:
            return ""
        return last_error or str(self._failure(FailureReason.INVALID_DATA))

    def _note_lost_frames(self, status: StreamStatus) -> None:
        """Count the frames of a file that were not recorded."""
        if self._request.part.live:
            return
        stats, dropped = status.stats, self.written.dropped
        if stats.frames_withheld:
            dropped[WITHHELD] = stats.frames_withheld
        if stats.frames_dropped:
            dropped[DAMAGED] = stats.frames_dropped

    def _silent(self, status: StreamStatus) -> str | None:
        """Why a reconnecting stream counts as lost: it has no frame for the length of a gap.

        A slow machine also delays the frames of a file, so a file needs an error as well.
        """
        written_at = self.written.written_at
        if status.state is not StreamState.RECONNECTING or written_at is None:
            return None
        if time.monotonic() - written_at < self._request.gap_s:
            return None
        if not self._request.part.live:
            return self._manager.stream(self._spec.stream_id).health.error
        return status.stats.last_error or str(self._failure(FailureReason.STALLED))

    async def end(self) -> None:
        with suppress(StreamNotFound):
            self._note_lost_frames(self._manager.stream(self._spec.stream_id).status)
        await self._manager.disconnect(self._spec.stream_id)
        await asyncio.to_thread(self._recorder.finish)

    def _failure(self, reason: str) -> SourceError:
        return SourceError(end="input", reason=reason, url=self._request.part.label)


class RemuxCapture:
    """A source copied without decoding: see ``remuxer.py``."""

    def __init__(self, request: CaptureRequest, settings: StreamSettings) -> None:
        self._request = request
        self._begun_at = time.monotonic()
        self._stop_timeout_s = settings.stop_timeout_s
        self.remuxer = Remuxer(request.part.source, settings, request.plan, request.rotate)
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


def make_capture(
    part: Part, files: SegmentFiles, spec: JobSpec, ctx: RecorderContext, job_id: str
) -> Capture:
    """The next connection to a source of a job."""
    request = CaptureRequest(
        part,
        files,
        segment_s=spec.segment_s,
        gap_s=ctx.settings.gap_s,
        start_timeout_s=ctx.settings.start_timeout_s,
        duration_s=spec.duration_s,
        rotate=spec.rotate,
    )
    if part.kind == "stream":
        return StreamCapture(request, ctx.manager)
    if part.kind == "copy":
        return RemuxCapture(request, ctx.streams)
    return SourceCapture(request, ctx.manager, job_id)


def _timed_out(begun_at: float, request: CaptureRequest, written: RecordingProgress) -> str | None:
    """The failure of a live source that has delivered nothing in time; None otherwise.

    A file has no time limit: if its first frame takes long, the machine is slow.
    """
    if not request.part.live or written.frames:
        return None
    if time.monotonic() - begun_at < request.start_timeout_s:
        return None
    return str(SourceError(end="input", reason=FailureReason.TIMEOUT, url=request.part.label))
