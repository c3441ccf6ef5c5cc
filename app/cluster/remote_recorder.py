"""One source of a job that a node records: placed, followed, and placed again when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from app.cluster.job_rooms import Room, part_key
from app.cluster.node_jobs import News, PartOrder, PartReport, Retries
from app.cluster.remote_node import RemoteNode
from app.errors import NoPicture, NotReady, StoreError, StreamNotFound, WatchpostError
from app.jobs import Gap, Job, LogEntry, Recording
from app.recording.context import JobContext
from app.recording.gap_list import NO_PICTURE, GapList
from app.recording.segments import number_of, stem_of
from app.recording.source_recorder import RESTARTED, SourceRecorder
from app.recording.stop_signal import StopSignal

if TYPE_CHECKING:
    from app.cluster.front_jobs import FrontJobs

logger = logging.getLogger(__name__)

POLL_S = 1.0
BEGIN_TIMEOUT_S = 20.0
REPORT_TIMEOUT_S = 10.0
END_TIMEOUT_S = 120.0
"""For the files of a source to be finished."""
LOST = "node {node} was lost"
ENDED = "the process on node {node} was started again"
LEAVES = "node {node} is being emptied"
MOVED = "its stream moved from node {node} to {other}"
BEGINS = "recorded on node {node}"


class RemoteRecorder:
    """A ``PartRecorder`` whose work a node does.

    Attributes:
        key: of the source, also in the reports of nodes.
        room: where it is recorded; None for a stream, which is recorded where it runs.
        spare: a second one, for the time when its node is emptied.
        node: records it now, as far as is known.
    """

    here = False

    def __init__(
        self, jobs: FrontJobs, ctx: JobContext, job: Job, index: int, stop: StopSignal
    ) -> None:
        self.part = part = job.parts[index]
        self.key = part_key(job, index)
        self.room = None if part.kind == "stream" else Room.of(job, index)
        self.spare = self.room and replace(self.room, spare=True)
        self._asked_spare = False
        self.node: RemoteNode | None = None
        self._jobs = jobs
        self._ctx = ctx
        self._job = job
        self._index = index
        self._stop = stop
        self._gap_s = ctx.settings.gap_s
        self._gaps = GapList(job, part.label, self._gap_s)
        self._lost = RESTARTED if part.covered_ts is not None else NO_PICTURE
        self._report: PartReport | None = None
        self._taken = 0
        self._frames, self._seconds = 0, 0.0  # of finished files, since this process started
        self._number = 0  # of its last file, on whatever node
        self._clock_at = time.monotonic()
        self._said = ""
        self._left = False

    # ── what has been recorded ───────────────────────────────────────────────────────────

    @property
    def frames(self) -> int:
        """Frames recorded since this process started."""
        return self._frames + (self._report.frames if self._report else 0)

    @property
    def seconds(self) -> float:
        """The same in seconds of video."""
        return self._seconds + (self._report.seconds if self._report else 0.0)

    def growing_bytes(self) -> int:
        """Size of what has no row yet."""
        return self._report.bytes if self._report else 0

    def share(self) -> float:
        """How much of the run is done, 0 to 1."""
        if self.part.done and self.part.error is None:
            return 1.0
        return min(1.0, 1.0 - self._left_s() / self._job.spec.duration_s)

    def _left_s(self) -> float:
        """Seconds of the run that are left; time passes also while no node records."""
        now = time.monotonic()
        if self.part.covered_ts is not None and not self.part.done:
            self.part.position_s += now - self._clock_at
        self._clock_at = now
        return max(0.0, self._job.spec.duration_s - self.part.position_s)

    # ── recording ────────────────────────────────────────────────────────────────────────

    async def measure(self) -> None:
        """Nothing: nodes record no files."""

    async def recover(self) -> None:
        """Count what is recorded; this process may have done some of it, without a cluster."""
        await SourceRecorder(self._ctx, self._job, self._index, self._stop).recover()
        try:
            found = await asyncio.to_thread(self._ctx.recordings.of_job, self._job.job_id)
        except StoreError as error:
            logger.error("job %s: %s", self._job.job_id, error)
            return
        facts = [one.facts for one in found]
        self._job.frames = sum(one.frames for one in facts)
        self._job.seconds = sum(one.seconds for one in facts)
        self._job.bytes = sum(one.bytes for one in facts)
        stem = stem_of(self._index, self.part.label)
        names = [one.path.rpartition("/")[2] for one in found]
        numbers = [number_of(name) for name in names if name.startswith(f"{stem}-")]
        self._number = max(numbers, default=0)

    async def record(self) -> None:
        """Have a node record the source until its part is done or the job must end."""
        self._clock_at = time.monotonic()
        await self._find_room()
        while not self._stop.asked.is_set() and not self.part.done:
            try:
                node = await self._jobs.node_for(self)
                if node is not None and await self._begin(node):
                    await self._follow(node)
                    continue
            except NotReady as error:
                await self._say(str(error))
            except (StreamNotFound, NoPicture) as error:
                self.part.done, self.part.error = True, str(error)
                self._add_last_gap(0.0)
            else:
                if node is None and self.room is not None:
                    await self._say(self._jobs.rooms.waits(self.room))
            await self._stop.pause(POLL_S)
            if self.part.covered_ts is not None and self._left_s() <= 0 and not self.part.done:
                self.part.done = True
                self._add_last_gap(self._gap_s)
        if not self._stop.leaving:
            await self._leave()

    async def _begin(self, node: RemoteNode) -> bool:
        """Have a node record it; one that does so already goes on. Raises NotReady."""
        job, part = self._job, self.part
        self._left_s()  # updates the position
        if self._lost == RESTARTED and part.node not in (None, node.name):
            self._lost = LOST.format(node=part.node)
        job = Job(job.job_id, replace(job.spec, sources=()), parts=[replace(p) for p in job.parts])
        settings = self._ctx.settings
        order = PartOrder(self.key, job, self._index, self._lost, self._number, settings)
        try:
            await node.ask("jobs_call", "record", order, timeout_s=BEGIN_TIMEOUT_S)
        except NotReady:
            raise
        except WatchpostError as error:
            await self._say(f"node {node.name}: {error}")
            return False
        self.node, self._taken, self._report, self._said = node, 0, None, ""
        if part.node != node.name:
            part.node = node.name
            await self._ctx.log(
                job.job_id, "info", f"{part.label}: {BEGINS.format(node=node.name)}"
            )
        return True

    async def _follow(self, node: RemoteNode) -> None:
        """Take what a node reports, until it records no more."""
        while not self._stop.asked.is_set():
            await self._stop.pause(POLL_S)
            if not self._jobs.is_used(node):
                await self._note_loss(LOST.format(node=node.name))
                return
            if (other := self._jobs.next_node(self)) is not None:
                self._lost = MOVED.format(node=node.name, other=other.name)
                await self._end(node)
                return
            if await self._leaves_drained(node):
                return
            try:
                report: PartReport | None = await node.ask(
                    "jobs_call", "report", self.key, self._taken, timeout_s=REPORT_TIMEOUT_S
                )
            except NotReady:
                continue  # until it answers, or is lost
            if report is None:
                await self._note_loss(ENDED.format(node=node.name))
                return
            if await self._take(report) and report.ended:
                self.part.done, self.part.error = True, report.part.error
                return

    async def _find_room(self) -> None:
        """Use the room that it went on in before this process started."""
        with contextlib.suppress(NotReady):
            if self.room is not None and self.spare is not None:
                rooms = self._jobs.rooms
                if not await rooms.exists(self.room) and await rooms.exists(self.spare):
                    self.room, self.spare = self.spare, self.room

    async def _leaves_drained(self, node: RemoteNode) -> bool:
        """End it on a node that is to be emptied, once another one has room."""
        rooms, room, spare = self._jobs.rooms, self.room, self.spare
        if room is None or spare is None or not (node.draining or self._asked_spare):
            return False
        try:
            if not node.draining:  # not any more
                self._asked_spare = False
                await rooms.release(spare)
                return False
            self._asked_spare = True
            other = await rooms.node_of(spare)
        except NotReady:
            return False
        if other is None or other.draining:
            return False
        self._lost = LEAVES.format(node=node.name)
        await self._end(node)
        await rooms.release(room)
        self.room, self.spare, self._asked_spare = spare, room, False
        return True

    async def _note_loss(self, why: str) -> None:
        """The node records no more; what it had in unfinished files comes when it is back."""
        self._lost, self.node, self._report = why, None, None
        self._number += 1  # of the file that was being written
        await self._ctx.log(self._job.job_id, "warning", f"{self.part.label}: {why}")

    async def _end(self, node: RemoteNode) -> None:
        """End the recording on a node, and take its last news."""
        try:
            while True:
                report: PartReport | None = await node.ask(
                    "jobs_call", "end", self.key, self._taken, timeout_s=END_TIMEOUT_S
                )
                took_all = report is None or await self._take(report)
                if report is None or report.ended or not took_all:
                    break
            if took_all:
                await node.ask("jobs_call", "forget", self.key, timeout_s=REPORT_TIMEOUT_S)
        except WatchpostError as error:  # it is ended, and the rest is taken, when that works
            logger.warning("job %s: %s", self._job.job_id, error)
        self.node = self._report = None

    async def close(self) -> None:
        """The job ends: so does its recording on nodes."""
        await self._leave()
        self._jobs.drop(self)

    async def _leave(self) -> None:
        """Nothing more is to be recorded: end it on nodes, and give the room back."""
        if self._left:
            return
        self._left = True
        nodes = [self.node] if self.node is not None else self._jobs.recording(self.key)
        for node in nodes:
            await self._end(node)
        for room in filter(None, (self.room, self.spare)):
            await self._jobs.rooms.release(room)

    def _add_last_gap(self, least_s: float) -> None:
        if self.part.covered_ts is not None:
            self._gaps.add(self.part.covered_ts, time.time(), self._lost, least_s)

    async def _say(self, why: str) -> None:
        """Log why it is not recorded, once."""
        if why != self._said:
            self._said = why
            await self._ctx.log(self._job.job_id, "warning", f"{self.part.label}: {why}")

    # ── news ─────────────────────────────────────────────────────────────────────────────

    async def _take(self, report: PartReport) -> bool:
        """Update the job with what a node reports; returns whether all news could be stored.

        They are confirmed with the next call.
        """
        part, found, took_all = self.part, report.part, True
        gaps = len(self._job.gaps)
        for place, news in report.news:
            if place > self._taken:
                try:
                    await self._take_one(news)
                except StoreError as error:  # the node tells it again
                    logger.error("job %s: %s", self._job.job_id, error)
                    took_all = False
                    break
                self._taken = place
        self._report = report
        part.covered_ts = found.covered_ts
        part.position_s, self._clock_at = found.position_s, time.monotonic()
        if len(self._job.gaps) > gaps:  # before the node forgets them
            job = replace(self._job, parts=[replace(one) for one in self._job.parts])
            await self._ctx.store_row(job.job_id, self._ctx.jobs.save, job)
        return took_all

    async def _take_one(self, news: News) -> None:
        job, ctx = self._job, self._ctx
        if isinstance(news, Gap):
            if news not in job.gaps:
                job.gaps.append(news)
        elif isinstance(news, Recording):
            await self.take_file(news)
        elif isinstance(news, LogEntry):
            await ctx.store_row(
                job.job_id, ctx.job_log.add_entry, job.job_id, news.level, news.text
            )
        elif isinstance(news, Retries):
            job.retries += news.count
            ctx.metrics.retries.inc(news.count)

    async def take_file(self, recording: Recording) -> None:
        """Note a file that is finished. Raises StoreError; NotReady while another is the front."""
        self._jobs.check()
        job, facts = self._job, recording.facts
        recording = replace(recording, source=self.part.label)
        if not await asyncio.to_thread(self._ctx.recordings.add_once, recording):
            return
        job.frames += facts.frames
        job.seconds += facts.seconds
        job.bytes += facts.bytes
        self._frames += facts.frames
        self._seconds += facts.seconds
        self._number = max(self._number, number_of(recording.path))
        self._ctx.metrics.file(facts)
