"""One source of a collection job: captured, lost and captured again, until its part is done.

Live sources follow the clock: a minute of a camera ends after a minute, with a gap where the
camera was not reachable. A file ends when its own time does.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app import urls
from app.errors import SinkError, WatchpostError
from app.failure_reason import FailureReason
from app.jobs import FileFacts, Gap, Job, Part, Recording
from app.pace import Backoff
from app.recording.captures import (
    Capture,
    CaptureRequest,
    RemuxCapture,
    SourceCapture,
    StreamCapture,
)
from app.recording.context import JobContext
from app.recording.probe import examine, length_of, trim
from app.recording.segments import (
    FINISHED,
    GROWING,
    Segment,
    SegmentFiles,
    finished_name,
    stem_of,
)

POLL_S = 0.25
LOST_S = 1.0  # shorter interruptions are not reported as gaps
RESTARTED = "the server was restarted"
NO_PICTURE = "no picture"


@dataclass(slots=True)
class StopSignal:
    """Ends all parts of a job at once.

    Attributes:
        asked: set when nothing more is to be recorded.
        full: the reason is a full disk.
    """

    asked: asyncio.Event
    full: bool = False

    async def pause(self, seconds: float) -> None:
        """Wait for this time, or until the job is to end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.asked.wait(), max(0.0, seconds))


class SourceRecorder:
    """Records one source of a job, in as many captures as it takes.

    Args:
        index: of the part in its job.
    """

    def __init__(self, ctx: JobContext, job: Job, index: int, stop: StopSignal) -> None:
        self.part = job.parts[index]
        self._ctx = ctx
        self._job = job
        self._stop = stop
        self._gap_s = ctx.settings.gap_s
        self._folder = ctx.folder / job.job_id
        self._stem = stem_of(index, self.part.label)
        self._capture: Capture | None = None
        self._left_ts = 0.0
        self._clock: _PartClock | None = None
        self._length_s = job.spec.duration_s
        self._frames, self._seconds = 0, 0.0  # of captures that have ended
        self._unwritten: list[Recording] = []

    # ── what has been recorded ───────────────────────────────────────────────────────────

    @property
    def frames(self) -> int:
        """Frames recorded since this process started."""
        return self._frames + (self._capture.written.frames if self._capture else 0)

    @property
    def seconds(self) -> float:
        return self._seconds + (self._capture.written.seconds if self._capture else 0.0)

    def growing_bytes(self) -> int:
        """Size of the file that is being written."""
        return self._capture.written.growing_bytes() if self._capture else 0

    def share(self) -> float:
        """How much of the run is done, 0 to 1."""
        if self.part.done and self.part.error is None:
            return 1.0
        if not self.part.done:
            self._left_s()  # updates the position of a live part
        return min(1.0, self.part.position_s / self._length_s)

    # ── recording ────────────────────────────────────────────────────────────────────────

    async def measure(self) -> None:
        """Find out how long a file is."""
        if not self.part.live:
            length = await asyncio.to_thread(length_of, self.part.source)
            self._length_s = min(length or math.inf, self._job.spec.duration_s)

    async def record(self) -> None:
        """Capture the source, again if it is lost, until the part is done or the job ends."""
        part, spec, asked = self.part, self._job.spec, self._stop.asked
        backoff = Backoff(spec.backoff_s, self._ctx.settings.backoff_max_s)
        if part.live and part.covered_ts is not None:
            self._clock = _PartClock(part)
        lost = RESTARTED if part.covered_ts is not None else NO_PICTURE
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
            self._gap(part.covered_ts, end_ts or time.time(), lost, least_s)

    async def _capture_once(self, lost: str) -> tuple[str | None, bool]:
        """Run one capture. Returns why it was lost (None or empty if everything is recorded),
        and whether any frame arrived."""
        failure: str | None = None
        capture = self._capture = self._new_capture()
        try:
            capture.begin()
            while not self._stop.asked.is_set():
                await self._stop.pause(POLL_S)
                await self._account(capture, lost)
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
        await self._account(capture, lost)
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

    async def _account(self, capture: Capture, lost: str) -> None:
        """Update the job with what a capture has written since the last call."""
        part, written = self.part, capture.written
        first_ts, last_ts = written.first_ts, written.last_ts
        if not part.live:
            part.position_s = max(part.position_s, written.skip_s + written.seconds)
        elif first_ts is not None and last_ts is not None:
            if part.covered_ts is not None:
                self._gap(part.covered_ts, first_ts, lost, LOST_S)
            while written.gaps:
                self._gap(*written.gaps.popleft(), NO_PICTURE, self._gap_s)
            part.covered_ts = max(part.covered_ts or 0.0, last_ts)
            if self._clock is None:
                self._clock = _PartClock(part, time.time() - first_ts)
        while written.closed:
            await self._count(written.closed.popleft())

    def _gap(self, from_ts: float, to_ts: float, reason: str, least_s: float) -> None:
        if to_ts - from_ts > least_s:
            gap = Gap(self.part.label, round(from_ts, 3), round(to_ts, 3), reason)
            self._job.gaps.append(gap)

    def _left_s(self) -> float:
        """Seconds of the run that are left; infinite for a file, which ends where it ends."""
        if not self.part.live or self._clock is None:
            return math.inf
        return self._job.spec.duration_s - self._clock.read(self.part)

    def _new_capture(self) -> Capture:
        ctx, spec = self._ctx, self._job.spec
        request = CaptureRequest(
            self.part,
            SegmentFiles(self._folder, self._stem),
            segment_s=spec.segment_s,
            gap_s=self._gap_s,
            start_timeout_s=ctx.settings.start_timeout_s,
            duration_s=spec.duration_s,
            rotate=spec.rotate,
        )
        if self.part.kind == "stream":
            return StreamCapture(request, ctx.manager)
        if self.part.kind == "copy":
            return RemuxCapture(request, ctx.streams)
        return SourceCapture(request, ctx.manager, self._job.job_id)

    # ── files ────────────────────────────────────────────────────────────────────────────

    async def recover(self) -> None:
        """Count the files that a killed process left behind, and find the position to resume at."""
        part, ctx = self.part, self._ctx
        found = await asyncio.to_thread(ctx.recordings.of_job, self._job.job_id)
        known = {ctx.folder / one.path for one in found}
        of_this_part = self._stem.partition("-")[0]
        for path in sorted(self._folder.glob(f"{of_this_part}-*{FINISHED}")):
            if path in known:
                continue
            written_ts = path.stat().st_mtime
            await self._count(Segment(path, written_ts))
            if path.name.endswith(GROWING):
                await self._log("info", f"{path.name} was cut off; what it holds is kept")
            if part.live and part.covered_ts is not None:
                part.position_s += max(0.0, written_ts - part.covered_ts)
            part.covered_ts = max(part.covered_ts or 0.0, written_ts)
        if not part.live:
            found = await asyncio.to_thread(ctx.recordings.of_job, self._job.job_id)
            part.position_s = sum(one.facts.seconds for one in found if one.source == part.label)

    async def _count(self, segment: Segment) -> None:
        """Check a finished file; only one that can be played counts."""
        try:
            facts = await asyncio.to_thread(_examine_whole, segment.path)
        except SinkError as error:
            segment.path.unlink(missing_ok=True)
            await self._log("error", f"a file cannot be used: {error}")
            return
        path = finished_name(segment.path)
        await asyncio.to_thread(segment.path.rename, path)
        job, ctx = self._job, self._ctx
        job.frames += facts.frames
        job.seconds += facts.seconds
        job.bytes += facts.bytes
        ctx.metrics.file(facts)
        name = str(path.relative_to(ctx.folder))
        self._unwritten.append(
            Recording(job.job_id, self.part.label, name, segment.started_ts, facts)
        )
        await self.write_rows()

    async def write_rows(self) -> None:
        """Write the rows of files, including those that failed before: a file without a row
        could neither be found nor removed to free space."""
        add, job_id = self._ctx.recordings.add, self._job.job_id
        while self._unwritten and await self._ctx.store_row(job_id, add, self._unwritten[0]):
            del self._unwritten[0]

    async def _log(self, level: str, text: str) -> None:
        await self._ctx.log(self._job.job_id, level, f"{self.part.label}: {text}")


def _examine_whole(path: Path) -> FileFacts:
    """Examine a file after cutting an incomplete fragment off its end."""
    with suppress(OSError):  # a missing file is reported by ``examine``
        trim(path)
    return examine(path)


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
