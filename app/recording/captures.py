"""One connection to one source of a job, in three kinds that look alike to the collector.

A take writes in threads of its own; the collector reads ``written`` now and then. Nothing here
tries again: that is the collector's business, so that all kinds do it alike.
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
from app.types import StreamSpec, StreamState, StreamStatus

BACKLOG = 8  # pictures; each holds megabytes
LIVE_FPS = 15.0
FILE_FPS = 240.0  # all that a file has
OWN_IDS = "job-"


class Capture(Protocol):
    """One connection. ``begin`` once, then looks at the attributes, then ``end`` once."""

    written: RecordingProgress

    def begin(self) -> None:
        """Start. Raises WatchpostError when the source cannot be used at all."""
        ...

    def over(self) -> str | None:
        """Why nothing more will come, empty for a file that ended well; None while it goes on."""
        ...

    async def end(self) -> None:
        """Close the file and let go of everything."""
        ...


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """What a take is to record.

    Attributes:
        gap_s: so long without a picture is a gap.
        start_timeout_s: the first picture must be there by then.
        duration_s: of the whole run.
    """

    part: Part
    files: SegmentFiles
    segment_s: float
    gap_s: float
    start_timeout_s: float
    duration_s: float

    @property
    def range(self) -> tuple[float, float | None]:
        """Where to begin and end in a file's own time; the clock ends what is live."""
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
    """The results of a stream that runs anyway, as everybody sees them."""

    def __init__(self, wanted: CaptureRequest, manager: StreamManager) -> None:
        self._wanted = wanted
        self._manager = manager
        self._stream_id = wanted.part.source
        self._begun_at = time.monotonic()
        self._tap = ExitStack()
        self._recorder: Recorder | None = None
        self._thread: threading.Thread | None = None
        self.written = RecordingProgress()

    def begin(self) -> None:
        fps = self._manager.get(self._stream_id).spec.max_fps
        results = self._tap.enter_context(
            self._manager.subscribe_processed(self._stream_id, BACKLOG)
        )
        recorder = self._recorder = self._wanted.recorder(fps)
        self.written = recorder.written

        def record() -> None:
            with suppress(Closed, SinkError):  # the stream's end; or the recorder keeps why
                while (result := results.get()) is not None:
                    recorder.write(result)

        name = f"{self._stream_id}-recording"
        self._thread = threading.Thread(target=record, name=name, daemon=True)
        self._thread.start()

    def over(self) -> str | None:
        assert self._thread is not None
        if not self._thread.is_alive():
            return str(self.written.failure or self._failure(FailureReason.STOPPED))
        return _too_late(self._begun_at, self._wanted, self.written)

    async def end(self) -> None:
        self._tap.close()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.finish)

    def _failure(self, reason: str) -> SourceError:
        return SourceError(end="input", reason=reason, url=self._stream_id)


class SourceCapture:
    """A source of the job's own, run through the pipeline like every stream."""

    _numbers = itertools.count(1)

    def __init__(self, wanted: CaptureRequest, manager: StreamManager, job_id: str) -> None:
        self._wanted = wanted
        self._manager = manager
        self._begun_at = time.monotonic()
        fps = LIVE_FPS if wanted.part.live else FILE_FPS
        self._recorder = wanted.recorder(fps)
        self.written = self._recorder.written
        stream_id = f"{OWN_IDS}{job_id[:8]}-{next(self._numbers)}"
        self._spec = StreamSpec(stream_id, wanted.part.source, max_fps=fps)

    def begin(self) -> None:
        def sink(_: StreamSpec, __: StreamSettings, delivered: Delivered) -> Sink:
            self._recorder.delivered = delivered
            return self._recorder

        self._manager.start_ephemeral(self._spec, make_sink=sink, keeps_trying=False)

    def over(self) -> str | None:
        try:
            status = self._manager.get(self._spec.stream_id)
        except StreamNotFound as error:  # somebody disconnected it
            return str(error)
        if self.written.failure is not None:
            return str(self.written.failure)
        if status.state in ALIVE:
            return self._silent(status) or _too_late(self._begun_at, self._wanted, self.written)
        ended = status.state is StreamState.STOPPED and status.stats.last_error is None
        if ended and not self._wanted.part.live:
            return ""
        return status.stats.last_error or str(self._failure(FailureReason.STOPPED))

    def _silent(self, status: StreamStatus) -> str | None:
        """A stream that tries to find its source again by itself has until it counts as a gap."""
        last_ts = self.written.last_ts
        if status.state is not StreamState.RECONNECTING or last_ts is None:
            return None
        if time.time() - last_ts < self._wanted.gap_s:
            return None
        return status.stats.last_error or str(self._failure(FailureReason.STALLED))

    async def end(self) -> None:
        await self._manager.disconnect(self._spec.stream_id)
        await asyncio.to_thread(self._recorder.finish)

    def _failure(self, reason: str) -> SourceError:
        return SourceError(end="input", reason=reason, url=self._wanted.part.label)


class RemuxCapture:
    """A source as it is: see ``sinks/copier.py``."""

    def __init__(self, wanted: CaptureRequest, settings: StreamSettings) -> None:
        skip_s, limit_s = wanted.range
        self._wanted = wanted
        self._begun_at = time.monotonic()
        self._stop_timeout_s = settings.stop_timeout_s
        self.copier = Remuxer(
            wanted.part.source,
            settings,
            wanted.files,
            segment_s=wanted.segment_s,
            gap_s=wanted.gap_s if wanted.part.live else None,
            skip_s=skip_s,
            limit_s=limit_s,
        )
        self.written = self.copier.written
        self._thread = threading.Thread(target=self.copier.run, name="copier", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def over(self) -> str | None:
        if self._thread.is_alive():
            return _too_late(self._begun_at, self._wanted, self.written)
        if self.copier.ended and not self._wanted.part.live:
            return ""
        url = self._wanted.part.label
        return str(
            self.written.failure or SourceError(end="input", reason=FailureReason.ENDED, url=url)
        )

    async def end(self) -> None:
        self.copier.stop()
        await asyncio.to_thread(self._thread.join, self._stop_timeout_s)


def _too_late(begun_at: float, wanted: CaptureRequest, written: RecordingProgress) -> str | None:
    """A source that shows nothing: nobody waits for it for ever.

    On the way to where a file is to be gone on with it shows something.
    """
    if written.frames or written.passed or time.monotonic() - begun_at < wanted.start_timeout_s:
        return None
    url = wanted.part.label
    return str(SourceError(end="input", reason=FailureReason.TIMEOUT, url=url))
