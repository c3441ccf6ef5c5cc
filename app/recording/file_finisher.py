"""Finishes the closed files of one source: makes them seekable, checks, renames and counts them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from pathlib import Path

from app.errors import SinkError
from app.jobs import FileFacts, Job, Part, Recording
from app.recording.context import RecorderContext
from app.recording.probe import examine, trim
from app.recording.seekable import REWRITTEN, make_seekable
from app.recording.segments import FINISHED, GROWING, Segment, finished_name
from app.recording.stop_signal import StopSignal

LEFT_TO_NEXT_START = 64 * 2**20  # bytes; so that the server stops quickly
FRAGMENTED = "{name} stays fragmented: there was no space to rewrite it, or it is damaged"


class FileFinisher:
    """Finishes the files of one source in the background, one after another.

    Args:
        stem: the beginning of their names.
        log: writes a level and a text to the job's log.

    Attributes:
        frames: number of frames in the files that were added and are finished.
    """

    def __init__(
        self,
        ctx: RecorderContext,
        job: Job,
        part: Part,
        stem: str,
        stop: StopSignal,
        log: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._ctx = ctx
        self._job = job
        self._part = part
        self._folder = ctx.folder / job.job_id
        self._stem = stem
        self._stop = stop
        self._log = log
        self._waiting: deque[Segment] = deque()
        self._task: asyncio.Task[None] | None = None
        self._unwritten: list[Recording] = []
        self.frames = 0

    def add(self, segment: Segment) -> None:
        """Queue a closed file."""
        self._waiting.append(segment)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def finish(self) -> None:
        """Wait until all files are finished, or left for the next start."""
        while self._task is not None:
            task, self._task = self._task, None
            await task

    def waiting_bytes(self) -> int:
        """Total size of the files that are not finished yet."""
        return sum(_size(segment.path) for segment in list(self._waiting))

    async def recover(self) -> list[float]:
        """Finish the files of a killed process.

        Returns:
            When each of them was last written, Unix seconds.
        """
        found = await asyncio.to_thread(self._ctx.recordings.of_job, self._job.job_id)
        known = {self._ctx.folder / one.path for one in found}
        of_this_part = self._stem.partition("-")[0]
        for path in self._folder.glob(f"{of_this_part}-*{REWRITTEN}"):
            path.unlink(missing_ok=True)
        found_here = set(self._folder.glob(f"{of_this_part}-*{FINISHED}"))
        return await self.adopt(found_here - known)

    async def adopt(self, paths: Collection[Path]) -> list[float]:
        """Finish files that a killed process has left; returns as ``recover``."""
        written: list[float] = []
        for path in sorted(paths):
            written.append(path.stat().st_mtime)
            await self._finish(Segment(path, written[-1]))
            if path.name.endswith(GROWING):
                await self._log("info", f"{path.name} was cut off; what it holds is kept")
        return written

    async def recorded_s(self) -> float:
        """Seconds of the source in finished files."""
        found = await asyncio.to_thread(self._ctx.recordings.of_job, self._job.job_id)
        return sum(one.facts.seconds for one in found if one.source == self._part.label)

    async def write_rows(self) -> None:
        """Write the rows of files, including those that failed before: a file without a row
        could neither be found nor removed to free space."""
        add, job_id = self._ctx.recordings.add, self._job.job_id
        while self._unwritten and await self._ctx.store_row(job_id, add, self._unwritten[0]):
            del self._unwritten[0]

    async def _work(self) -> None:
        while self._waiting:
            segment = self._waiting[0]
            if not self._stop.leaving or _size(segment.path) < LEFT_TO_NEXT_START:
                self.frames += await self._finish(segment)
            self._waiting.popleft()

    async def _finish(self, segment: Segment) -> int:
        """Check a closed file; only a playable one counts. Returns its number of frames."""
        try:
            facts, seekable = await asyncio.to_thread(self._prepare, segment.path)
        except SinkError as error:
            segment.path.unlink(missing_ok=True)
            await self._log("error", f"a file cannot be used: {error}")
            return 0
        path = finished_name(segment.path)
        if not seekable:
            await self._log("info", FRAGMENTED.format(name=path.name))
        await asyncio.to_thread(segment.path.rename, path)
        job, ctx = self._job, self._ctx
        job.frames += facts.frames
        job.seconds += facts.seconds
        job.bytes += facts.bytes
        ctx.metrics.file(facts)
        name = str(path.relative_to(ctx.folder))
        self._unwritten.append(
            Recording(job.job_id, self._part.label, name, segment.started_ts, facts)
        )
        await self.write_rows()
        return facts.frames

    def _prepare(self, path: Path) -> tuple[FileFacts, bool]:
        """Cut an incomplete fragment off the end of a file, and make it seekable. Blocks.

        Returns:
            The facts of the file, and whether it is seekable now.
        """
        seekable = False
        with suppress(OSError):  # a missing file is reported by ``examine``
            trim(path)
            seekable = self._has_room(path.stat().st_size) and make_seekable(path)
        return examine(path), seekable

    def _has_room(self, size: int) -> bool:
        """Whether there is space for a second copy, without using what must stay free."""
        return self._ctx.space.free() - size >= self._ctx.space.settings.min_free


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
