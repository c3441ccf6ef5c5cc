"""Jobs of a front: their sources are recorded on the nodes, where streams and rooms are."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine

from app import urls
from app.cluster.front_role import FrontRole
from app.cluster.job_rooms import JobRooms, Room
from app.cluster.node_jobs import FOUND, PartReport
from app.cluster.nodes import ClusterNodes
from app.cluster.placed_streams import PlacedStreams
from app.cluster.remote_node import RemoteNode
from app.cluster.remote_recorder import END_TIMEOUT_S, RemoteRecorder
from app.errors import NoPicture, NotReady, WatchpostError
from app.jobs import Job, Part, Recording
from app.pipeline.manager import StreamManager
from app.recording.context import JobContext
from app.recording.stop_signal import StopSignal
from app.types import StreamState, StreamStatus

logger = logging.getLogger(__name__)

ROOMS_EVERY_S = 30.0
READ_AGAIN_S = 1.0


class FrontJobs:
    """A ``RecordersElsewhere``; belongs to the event loop's thread.

    Args:
        own: the manager of the streams that run in the front.
    """

    def __init__(
        self,
        role: FrontRole,
        own: StreamManager,
        nodes: ClusterNodes,
        streams: PlacedStreams,
        rooms: JobRooms,
    ) -> None:
        self._role = role
        self._own = own
        self._nodes = nodes
        self._streams = streams
        self.rooms = rooms
        self._active: dict[str, RemoteRecorder] = {}
        self._ctx: JobContext | None = None
        self._again: Callable[[], Awaitable[None]] | None = None
        self._stale = False
        self._work: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._rooms_at = time.monotonic()

    # ── for the jobs ─────────────────────────────────────────────────────────────────────

    def is_front(self) -> bool:
        """Whether this process may start jobs and write their rows."""
        return not self._stale and self._role.why_not is None

    def check(self) -> None:
        """Raise NotReady unless ``is_front``."""
        self._role.check()
        if self._stale:
            raise NotReady(reason="Jobs are being read.")

    def streams(self) -> list[StreamStatus]:
        """The streams of all nodes and of this process."""
        return [*(placed.status for placed in self._streams), *self._own.all()]

    async def load(self) -> None:
        """Wait until the streams of the cluster are known. No job runs in this process yet."""
        self._active.clear()
        await self._streams.load()

    def recorder(
        self, ctx: JobContext, job: Job, index: int, stop: StopSignal
    ) -> RemoteRecorder | None:
        """What records a part of a job; None if this process has to: its own streams, and files
        and webcams of this machine."""
        part = job.parts[index]
        if part.kind == "stream" and part.source not in self._streams:
            return None
        if part.kind != "stream" and not _is_anywhere(part):
            return None
        recorder = RemoteRecorder(self, ctx, job, index, stop)
        self._active[recorder.key] = recorder
        return recorder

    async def reserve(self, job: Job) -> None:
        """Get room for all parts of a new job. Raises NotReady if no node has any."""
        self.check()
        await self.rooms.reserve(
            [
                Room.of(job, index)
                for index, part in enumerate(job.parts)
                if part.kind != "stream" and _is_anywhere(part)
            ]
        )

    def resumed(self, ctx: JobContext, again: Callable[[], Awaitable[None]]) -> None:
        """All jobs that run are known: whatever else the nodes record is to end."""
        self._ctx, self._again = ctx, again
        self._stale = False
        self._rooms_at = time.monotonic() - ROOMS_EVERY_S

    # ── for recorders ────────────────────────────────────────────────────────────────────

    async def node_for(self, recorder: RemoteRecorder) -> RemoteNode | None:
        """The node that is to record a source; None while there is none.

        Raises NotReady; StreamNotFound or NoPicture if its stream was removed or stopped.
        """
        if recorder.room is not None:
            return await self.rooms.node_of(recorder.room)
        placed = self._streams.known(recorder.part.source)
        if placed.wanted is not StreamState.RUNNING:
            raise NoPicture(stream_id=placed.spec.stream_id, status=placed.wanted.value)
        return None if placed.lost is not None else self._nodes.get(placed.node_id)

    def is_used(self, node: RemoteNode) -> bool:
        """Whether a node is one of the cluster still."""
        return any(one is node for one in self._nodes)

    def next_node(self, recorder: RemoteRecorder) -> RemoteNode | None:
        """Another node that runs the stream of a source now; None if it did not move."""
        placed = None if recorder.room is not None else self._streams.get(recorder.part.source)
        if placed is None or placed.wanted is not StreamState.RUNNING or placed.lost is not None:
            return None
        node = self._nodes.get(placed.node_id)
        return None if node is recorder.node else node

    def recording(self, key: str) -> list[RemoteNode]:
        """The nodes that say that they record a source."""
        return [
            node for node in self._nodes if node.report is not None and key in node.report.recorded
        ]

    def drop(self, recorder: RemoteRecorder) -> None:
        """A source is not recorded any more."""
        if self._active.get(recorder.key) is recorder:
            del self._active[recorder.key]

    # ── for the front's rounds ───────────────────────────────────────────────────────────

    def step(self) -> None:
        """End what nodes record and no job wants, and take what they have found."""
        if self._ctx is None or self._stale:
            return
        for node in self._nodes:
            for key in () if node.report is None else node.report.recorded:
                if self._is_stray(node, key):
                    self._begin((node.files, key), self._take_stray(self._ctx, node, key))
        if time.monotonic() - self._rooms_at > ROOMS_EVERY_S:
            self._rooms_at = time.monotonic()
            self._begin(("", "rooms"), self._release_rooms())

    def taken_over(self) -> None:
        """This server is the front again: another one may have changed the jobs."""
        if self._again is not None:
            self._stale = True
            again = self._again

            async def read() -> None:
                while self._stale:
                    try:
                        await again()
                    except WatchpostError as error:
                        logger.error("jobs cannot be read: %s", error)
                    await asyncio.sleep(READ_AGAIN_S)

            self._begin(("", "again"), read())

    def close(self) -> None:
        """Do nothing more."""
        for task in self._work.values():
            task.cancel()

    def _begin(self, what: tuple[str, str], work: Coroutine[None, None, None]) -> None:
        if what in self._work:
            work.close()
            return
        self._work[what] = task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._work.pop(what, None))

    async def _release_rooms(self) -> None:
        known = [room for one in self._active.values() for room in (one.room, one.spare) if room]
        try:
            await self.rooms.release_others(known)
        except NotReady as error:
            logger.warning("rooms of jobs cannot be read: %s", error)

    def _is_stray(self, node: RemoteNode, key: str) -> bool:
        recorder = self._active.get(key)
        if recorder is None:
            return True
        return recorder.node is not None and recorder.node.files != node.files

    async def _take_stray(self, ctx: JobContext, node: RemoteNode, key: str) -> None:
        """End a recording that no job wants, or that has ended; its files are kept."""
        job_id, _, index = key.removesuffix(FOUND).partition("/")
        recorder = self._active.get(key.removesuffix(FOUND))
        taken = 0
        try:
            while True:
                report: PartReport | None = await node.ask(
                    "jobs_call", "end", key, taken, timeout_s=END_TIMEOUT_S
                )
                if report is None:
                    break
                for place, news in report.news:
                    if isinstance(news, Recording) and recorder is not None:
                        await recorder.take_file(news)
                    elif isinstance(news, Recording):
                        await asyncio.to_thread(ctx.recordings.add_late, news, int(index))
                    taken = place
                if report.ended:
                    break
            await node.ask("jobs_call", "forget", key, timeout_s=END_TIMEOUT_S)
        except WatchpostError as error:  # the next rounds try again
            logger.warning("job %s, node %s: %s", job_id, node.name, error)


def _is_anywhere(part: Part) -> bool:
    """Whether every machine has a source, unlike files and webcams."""
    return urls.is_network(part.source)
