"""What a node records for jobs: each source by itself, whose news wait here for the front."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.cluster.node_files import NodeFiles
from app.config import CollectSettings, StreamSettings
from app.errors import WatchpostError
from app.jobs import Gap, Job, JobSpec, LogEntry, Part, Recording
from app.pipeline.manager import StreamManager
from app.recording.context import RecorderContext
from app.recording.disk_watch import why_full
from app.recording.file_finisher import FileFinisher
from app.recording.seekable import REWRITTEN
from app.recording.segments import FINISHED
from app.recording.source_recorder import POLL_S, SourceRecorder
from app.recording.stop_signal import StopSignal

logger = logging.getLogger(__name__)

CALLS = frozenset(("recover", "record", "report", "end", "forget"))
"""What the front may call by name."""
MAX_WAITING = 100_000
"""News that wait for a front; the oldest are dropped beyond that."""
SENT_AT_ONCE = 200
FOUND = "/found"
"""End of the keys under which files of a killed process wait, instead of a recorded source."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a lost source was tried again."""

    count: int


News = Gap | Recording | LogEntry | Retries


@dataclass(frozen=True, slots=True)
class PartOrder:
    """A source to record.

    Attributes:
        key: of the source in its job, also in the node's reports.
        job: with all of its parts.
        index: of the part to record.
        lost: why it was not recorded since ``Part.covered_ts``.
        after: the number of its last file that is elsewhere.
    """

    key: str
    job: Job
    index: int
    lost: str
    after: int
    settings: CollectSettings


@dataclass(frozen=True, slots=True)
class PartReport:
    """How a source is recorded.

    Attributes:
        part: its position, and its error.
        frames, seconds, bytes: of what is in no finished file.
        news: what the front has not confirmed, each with its place; some at a time.
        ended: nothing more will be recorded, and these are the last news.
    """

    part: Part
    frames: int
    seconds: float
    bytes: int
    news: Sequence[tuple[int, News]]
    ended: bool


class PartNews:
    """What happened to one source, until a front has taken it. Safe to use from any thread.

    Args:
        node: the name that rows have of this node.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._places = itertools.count(1)
        self._waiting: deque[tuple[int, News]] = deque(maxlen=MAX_WAITING)

    def append(self, news: News) -> None:
        """Let something wait."""
        with self._lock:
            self._waiting.append((next(self._places), news))

    def take(self, job: Job) -> None:
        """Move what a recorder noted in its job."""
        while job.gaps:
            self.append(job.gaps.pop(0))
        if job.retries:
            count, job.retries = job.retries, 0
            self.append(Retries(count))

    def confirm(self, taken: int) -> None:
        """Forget what the front has, up to this place."""
        with self._lock:
            while self._waiting and self._waiting[0][0] <= taken:
                self._waiting.popleft()

    def first(self) -> tuple[list[tuple[int, News]], bool]:
        """The oldest, and whether these are all."""
        with self._lock:
            some = list(itertools.islice(self._waiting, SENT_AT_ONCE))
            return some, len(some) == len(self._waiting)

    # ── a JobEntryStore and a NewRecordingStore ──────────────────────────────────────────

    def add_entry(self, job_id: str, level: str, text: str) -> None:  # noqa: ARG002
        """Something happened."""
        self.append(LogEntry(time.time(), level, text))

    def add(self, recording: Recording) -> None:
        """A file is finished."""
        self.append(replace(recording, node=self._node))

    def of_job(self, job_id: str) -> list[Recording]:  # noqa: ARG002
        """Nothing: the rows are the front's."""
        return []


class PartRun:
    """One source that is being recorded, or was: its news may still wait."""

    def __init__(self, order: PartOrder, ctx: RecorderContext, news: PartNews) -> None:
        self._job = order.job
        self._ctx = ctx
        self._news = news
        self._stop = StopSignal(asyncio.Event())
        self._recorder = SourceRecorder(
            ctx, order.job, order.index, self._stop, lost=order.lost, after=order.after
        )
        self._recording = asyncio.create_task(self._recorder.record())
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """Wait for the end, and end it if the disk is full; a bug in this program ends it, too."""
        part = self._recorder.part
        while not self._recording.done():
            await asyncio.wait([self._recording], timeout=POLL_S)
            if part.done or part.error is not None:
                continue
            if full := await why_full(self._ctx.space, self._stop):
                part.error = full
        if (error := self._recording.exception()) is not None:
            logger.error("job %s crashed", self._job.job_id, exc_info=error)
            part.error = f"internal error: {type(error).__name__}"

    async def end(self, *, leaving: bool = False) -> None:
        """End early, and wait until its files are finished.

        Args:
            leaving: the process ends; large files are finished at its next start.
        """
        self._stop.leaving = leaving
        self._stop.asked.set()
        await asyncio.wait([self._watching])

    def report(self, taken: int) -> PartReport:
        """How it goes.

        Args:
            taken: the place of the last news that the front has.
        """
        recorder, job = self._recorder, self._job
        recorder.share()  # updates the position
        ended = self._watching.done()
        self._news.take(job)
        self._news.confirm(taken)
        news, all_of_them = self._news.first()
        return PartReport(
            replace(recorder.part),
            max(0, recorder.frames - job.frames),
            max(0.0, recorder.seconds - job.seconds),
            recorder.growing_bytes(),
            news,
            ended and all_of_them,
        )


class FoundFiles:
    """Files of a job that a killed process has left, and that were finished since."""

    def __init__(self, news: PartNews) -> None:
        self._news = news

    async def end(self, *, leaving: bool = False) -> None:
        """Nothing: it has ended."""

    def report(self, taken: int) -> PartReport:
        """The files."""
        self._news.confirm(taken)
        news, all_of_them = self._news.first()
        return PartReport(Part("open", "", "", done=True), 0, 0.0, 0, news, all_of_them)


class NodeJobs:
    """The sources that this node records for jobs.

    Args:
        manager: of the node's streams.
        folder: for the files; each job has a folder of its own in it.
    """

    def __init__(
        self, manager: StreamManager, files: NodeFiles, streams: StreamSettings, folder: Path
    ) -> None:
        self._manager = manager
        self._files = files
        self._streams = streams
        self._folder = folder
        self._runs: dict[str, PartRun | FoundFiles] = {}
        self._listing = asyncio.Lock()
        self._finishing: asyncio.Task[None] | None = None

    def keys(self) -> list[str]:
        """What is recorded, or has news for the front."""
        return list(self._runs)

    async def close(self) -> None:
        """Close all files."""
        if self._finishing is not None:
            self._finishing.cancel()
            await asyncio.wait([self._finishing])
        await asyncio.gather(*(run.end(leaving=True) for run in self._runs.values()))

    # ── calls of the front ───────────────────────────────────────────────────────────────

    async def recover(self, known: Collection[str]) -> None:
        """Find the files that a killed process has left, once, and begin to finish them.

        Called before anything is recorded.

        Args:
            known: the files that have rows.
        """
        async with self._listing:
            if self._finishing is None:
                left = await asyncio.to_thread(self._left, known)
                self._finishing = asyncio.create_task(self._finish(left))

    def _left(self, known: Collection[str]) -> Mapping[tuple[str, int], Collection[Path]]:
        """The finished files without rows, by job and source; others are removed."""
        left: dict[tuple[str, int], set[Path]] = defaultdict(set)
        for path in list(self._folder.glob("*/*")):
            name = path.relative_to(self._folder).as_posix()
            number = path.name.partition("-")[0]
            if name.endswith(REWRITTEN):
                path.unlink(missing_ok=True)
            elif number.isdecimal() and name.endswith(FINISHED) and name not in known:
                left[path.parent.name, int(number) - 1].add(path)
        return left

    async def _finish(self, left: Mapping[tuple[str, int], Collection[Path]]) -> None:
        for (job_id, index), paths in left.items():
            try:
                await self._adopt(job_id, index, paths)
            except OSError as error:
                logger.error("job %s: a file cannot be recovered: %s", job_id, error)

    async def _adopt(self, job_id: str, index: int, paths: Collection[Path]) -> None:
        news = PartNews(self._files.name)
        job, part = Job(job_id, JobSpec()), Part("open", "", "")
        ctx = self._context(news, CollectSettings())
        stop = StopSignal(asyncio.Event())

        async def log(level: str, text: str) -> None:
            await ctx.log(job_id, level, text)

        await FileFinisher(ctx, job, part, f"{index + 1:02d}", stop, log).adopt(paths)
        self._runs[f"{job_id}/{index}{FOUND}"] = FoundFiles(news)

    async def record(self, order: PartOrder) -> WatchpostError | None:
        """Record a source; one that is recorded already goes on as it is."""
        if order.key not in self._runs:
            await self._files.recovered()
            await self._files.may_free()
        if order.key not in self._runs:
            news = PartNews(self._files.name)
            ctx = self._context(news, order.settings)
            self._runs[order.key] = PartRun(order, ctx, news)
        return None

    async def report(self, key: str, taken: int) -> PartReport | None:
        """How a source is recorded; None if it is not recorded here."""
        run = self._runs.get(key)
        return None if run is None else run.report(taken)

    async def end(self, key: str, taken: int) -> PartReport | None:
        """End the recording of a source and wait until its files are finished."""
        run = self._runs.get(key)
        if run is None:
            return None
        await run.end()
        return run.report(taken)

    async def forget(self, key: str) -> None:
        """The front has all news of a source whose recording has ended."""
        self._runs.pop(key, None)

    def _context(self, news: PartNews, settings: CollectSettings) -> RecorderContext:
        return RecorderContext(
            manager=self._manager,
            job_log=news,
            recordings=news,
            space=self._files.space,
            settings=settings,
            streams=self._streams,
            folder=self._folder,
        )
