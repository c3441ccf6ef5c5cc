"""One source of a collection job: captured, lost and captured again, until its part is done.

Live sources follow the clock: a minute of a camera ends after a minute, with a gap where the
camera was not reachable. A file ends when its own time does.
"""

from __future__ import annotations

import asyncio
import math
import time

from app import urls
from app.errors import SinkError, WatchpostError
from app.failure_reason import FailureReason
from app.jobs import Job, Part
from app.pace import Backoff
from app.recording.captures import Capture, RemuxCapture, make_capture
from app.recording.context import RecorderContext
from app.recording.file_finisher import FileFinisher
from app.recording.gap_list import NO_PICTURE, UNREADABLE, GapList
from app.recording.probe import length_of
from app.recording.segments import SegmentFiles, stem_of
from app.recording.stop_signal import StopSignal

POLL_S = 0.25
RESTARTED = "the server was restarted"
NEARLY = 0.999  # maximum for a file that was not read to its end: its stated length may be wrong


class SourceRecorder:
    """Records one source of a job, in as many captures as it takes.

    Args:
        index: of the part in its job.
        lost: why it was not recorded since ``Part.covered_ts``.
        after: the number of its last file that is elsewhere.
    """

    here = True

    def __init__(
        self,
        ctx: RecorderContext,
        job: Job,
        index: int,
        stop: StopSignal,
        *,
        lost: str = RESTARTED,
        after: int = 0,
    ) -> None:
        self.part = job.parts[index]
        self._lost_before = lost
        self._ctx = ctx
        self._job = job
        self._stop = stop
        self._gap_s = ctx.settings.gap_s
        self._gaps = GapList(job, self.part.label, self._gap_s)
        stem = stem_of(index, self.part.label)
        self._segments = SegmentFiles(ctx.folder / job.job_id, stem, after)
        self._files = FileFinisher(ctx, job, self.part, stem, stop, self._log)
        self._capture: Capture | None = None
        self._left_ts = 0.0
        self._clock: _PartClock | None = None
        self._length_s = job.spec.duration_s
        self._frames, self._seconds = 0, 0.0  # of captures that have ended

    # ── what has been recorded ───────────────────────────────────────────────────────────

    @property
    def frames(self) -> int:
        """Frames recorded since this process started."""
        return self._frames + (self._capture.written.frames if self._capture else 0)

    @property
    def seconds(self) -> float:
        return self._seconds + (self._capture.written.seconds if self._capture else 0.0)

    def growing_bytes(self) -> int:
        """Size of the file that is being written, and of those that are not finished yet."""
        growing = self._capture.written.growing_bytes() if self._capture else 0
        return growing + self._files.waiting_bytes()

    def share(self) -> float:
        """How much of the run is done, 0 to 1."""
        if self.part.done and self.part.error is None:
            return 1.0
        if not self.part.done:
            self._left_s()  # updates the position of a live part
        most = 1.0 if self.part.live or self.part.done else NEARLY
        return min(most, self.part.position_s / self._length_s)

    # ── recording ────────────────────────────────────────────────────────────────────────

    async def measure(self) -> None:
        """Find out how long a file is."""
        if not self.part.live:
            most_s = self._job.spec.duration_s
            length_s = await asyncio.to_thread(length_of, self.part.source, most_s)
            self._length_s = min(length_s or math.inf, most_s)

    async def record(self) -> None:
        """Record the source and finish its files."""
        try:
            await self._record()
        finally:
            await self._files.finish()
        if not self._stop.leaving:
            self._gaps.add_frames(self._frames - self._files.frames, UNREADABLE)

    async def _record(self) -> None:
        """Capture the source, again if it is lost, until the part is done or the job ends."""
        part, spec, asked = self.part, self._job.spec, self._stop.asked
        backoff = Backoff(spec.backoff_s, self._ctx.settings.backoff_max_s)
        if part.live and part.covered_ts is not None:
            self._clock = _PartClock(part)
        lost = self._lost_before if part.covered_ts is not None else NO_PICTURE
        attempts = 0
        end_ts: float | None = None
        while not asked.is_set():
            failure, worked = await self._capture_once(lost)
            if asked.is_set():
                return
            if not failure:
                end_ts = self._left_ts
                break
            if worked:
                attempts = 0
                backoff.reset()
            if failure != lost or worked:
                await self._log("warning", failure)
            lost = failure
            if attempts >= spec.retries or not part.live:
                part.error = failure
                await self._log("error", f"giving up after {attempts + 1} attempts")
                break
            attempts += 1
            self._job.retries += 1
            self._ctx.metrics.retries.inc()
            await self._stop.pause(min(backoff.next(), self._left_s()))
            if self._left_s() <= 0:
                break
        if asked.is_set():
            return
        part.done = True
        if part.live and part.covered_ts is not None:
            least_s = self._gap_s if part.error is None else 0.0
            self._gaps.add(part.covered_ts, end_ts or time.time(), lost, least_s)

    async def _capture_once(self, lost: str) -> tuple[str | None, bool]:
        """Run one capture. Returns why it was lost (None or empty if everything is recorded),
        and whether any frame arrived."""
        failure: str | None = None
        capture = self._capture = make_capture(
            self.part, self._segments, self._job.spec, self._ctx, self._job.job_id
        )
        try:
            capture.begin()
            while not self._stop.asked.is_set():
                await self._stop.pause(POLL_S)
                self._account(capture, lost)
                if capture.written.full or self._left_s() <= 0:
                    break
                failure = capture.end_reason()
                if failure is not None:
                    break
        except WatchpostError as error:
            failure = str(error)
        finally:
            self._left_ts = time.time()
            await capture.end()
        self._account(capture, lost)
        self._gaps.add_dropped(capture.written)
        self._capture = None
        self._frames += capture.written.frames
        self._seconds += capture.written.seconds
        if isinstance(capture, RemuxCapture) and capture.written.frames:
            await self._log("info", capture.remuxer.audio)
        problem = capture.written.failure
        if isinstance(problem, SinkError) and problem.details["reason"] == FailureReason.DISK_FULL:
            self._stop.full = True
            self._stop.asked.set()
        return urls.scrub(failure) if failure else None, capture.written.frames > 0

    def _account(self, capture: Capture, lost: str) -> None:
        """Update the job with what a capture has written since the last call."""
        part, written = self.part, capture.written
        first_ts, last_ts = written.first_ts, written.last_ts
        if not part.live:
            part.position_s = max(part.position_s, written.begin_s + written.seconds)
        elif first_ts is not None and last_ts is not None:
            if part.covered_ts is not None:
                self._gaps.add(part.covered_ts, first_ts, lost)
            self._gaps.add_silences(written)
            part.covered_ts = max(part.covered_ts or 0.0, last_ts)
            if self._clock is None:
                self._clock = _PartClock(part, time.time() - first_ts)
        self._gaps.add_jumps(written)
        while written.closed:
            self._files.add(written.closed.popleft())

    def _left_s(self) -> float:
        """Seconds of the run that are left; infinite for a file, which ends where it ends."""
        if not self.part.live or self._clock is None:
            return math.inf
        return self._job.spec.duration_s - self._clock.read(self.part)

    # ── files ────────────────────────────────────────────────────────────────────────────

    async def recover(self) -> None:
        """Count the files that a killed process left behind, and find the position to resume at."""
        part = self.part
        for written_ts in await self._files.recover():
            if part.live and part.covered_ts is not None:
                part.position_s += max(0.0, written_ts - part.covered_ts)
            part.covered_ts = max(part.covered_ts or 0.0, written_ts)
        if not part.live:
            part.position_s = await self._files.recorded_s()

    async def close(self) -> None:
        """Write the rows of files that could not be written before."""
        await self._files.write_rows()

    async def _log(self, level: str, text: str) -> None:
        await self._ctx.log(self._job.job_id, level, f"{self.part.label}: {text}")


class _PartClock:
    """The time of a live part, which passes while the source is not reachable.

    Args:
        age_s: seconds since it began.
    """

    def __init__(self, part: Part, age_s: float = 0.0) -> None:
        self._before = part.position_s
        self._started_at = time.monotonic() - age_s

    def read(self, part: Part) -> float:
        """Seconds of the run that have passed; also updates the part's position."""
        part.position_s = self._before + time.monotonic() - self._started_at
        return part.position_s
