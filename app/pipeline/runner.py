"""Starts and stops the runs of streams, and gives each run its number."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable

from app.analytics.analyzer import AnalyzerFactory
from app.budget import Budget
from app.config import FaceSettings, StreamSettings
from app.errors import ShuttingDown, StoreError
from app.events import RuleEvent
from app.models.faces import FaceDetector
from app.pipeline.event_log import EventLog
from app.pipeline.packets import LIVE_LIMITS, PacketRing
from app.pipeline.registry import StreamEntry
from app.pipeline.sinks import Output, make_output
from app.pipeline.stream import Stream
from app.pipeline.subscribers import Subscribers
from app.process import GarbageCollection
from app.types import BlurredFrame, StreamSpec

logger = logging.getLogger(__name__)

NewPackets = Callable[[StreamSpec], PacketRing | None]


class StreamRunner:
    """Creates streams from entries, with what all streams share.

    It belongs to the event loop's thread.

    Args:
        faces: detector on the shared network.
        new_session: gives the number of a run; blocks, raises StoreError.
        new_packets: the ring for a run's encoded frames; None for one that is not recorded.
        make_output: creates the outputs of runs.

    Attributes:
        closing: the server is about to shut down, so nothing starts any more.
    """

    def __init__(
        self,
        settings: StreamSettings,
        face_settings: FaceSettings,
        faces: FaceDetector,
        analyzers: AnalyzerFactory,
        events: EventLog,
        new_session: Callable[[], str] | None = None,
        new_packets: NewPackets = lambda _: None,
        make_output: Output = make_output,
    ) -> None:
        self.closing = False
        self._settings = settings
        self._face_settings = face_settings
        self._faces = faces
        self._analyzers = analyzers
        self._events = events
        self._budget = Budget()
        self._new_session, self._new_packets = new_session, new_packets
        self._make_output = make_output
        self._numbering: set[asyncio.Task[None]] = set()
        self._garbage_collection = GarbageCollection()

    def run(
        self, entry: StreamEntry, *, keeps_trying: bool, make_sink: Output | None = None
    ) -> Stream:
        """Start a run of an entry that has none. Raises ShuttingDown, InvalidRequest."""
        if self.closing:
            raise ShuttingDown
        entry.session_id = None
        self._number_soon(entry)
        spec = entry.spec
        budget = None if spec.waits else self._budget.stream(analyzes=bool(spec.analytics))
        entry.stream = Stream(
            spec,
            self._settings,
            self._face_settings,
            self._faces,
            Subscribers.on(
                asyncio.get_running_loop(), functools.partial(self._publish_event, entry)
            ),
            analyzer=self._analyzers.create(spec, budget),
            budget=budget,
            gives_way=lambda: self._budget.is_reduced,
            keeps_trying=keeps_trying,
            make_sink=make_sink or self._make_output,
            packets=self._ring(spec),
        )
        entry.stream.start()
        return entry.stream

    def try_out(self, spec: StreamSpec) -> Stream:
        """Start a run that nobody knows of but the caller, who stops it.

        It has no number, analytics or recording. Raises ShuttingDown.
        """
        if self.closing:
            raise ShuttingDown
        subscribers = Subscribers.on(asyncio.get_running_loop())
        stream = Stream(spec, self._settings, self._face_settings, self._faces, subscribers)
        stream.start()
        return stream

    async def halt(self, entry: StreamEntry, timeout_s: float | None = None) -> None:
        """Stop the run in progress. Threads that have not ended after that time are abandoned."""
        stream = entry.stream
        if stream is None:
            return
        if timeout_s is None:
            timeout_s = self._settings.stop_timeout_s
        if not await asyncio.to_thread(stream.supervisor.stop, timeout_s):
            logger.warning("stream %s: a thread still waits for the network", stream.spec.stream_id)
        entry.stream = None
        self._garbage_collection.soon()

    async def close(self) -> None:
        """Start no more runs, and wait briefly for the numbers of the last ones."""
        self.closing = True
        if numbering := set(self._numbering):  # their queries need the database
            await asyncio.wait(numbering, timeout=self._settings.stop_timeout_s)
        for task in self._numbering:
            task.cancel()

    def _ring(self, spec: StreamSpec) -> PacketRing | None:
        """The ring of a new run; without recordings it is only for viewers."""
        recorded = self._new_packets(spec) if spec.is_recorded else None
        if recorded is None and spec.has_video:
            return PacketRing(LIVE_LIMITS, recorded=False)
        return recorded

    def _publish_event(
        self, entry: StreamEntry, rule_event: RuleEvent, ts: float, frame: BlurredFrame | None
    ) -> None:
        packets = entry.stream.packets if entry.stream is not None else None
        has_clip = packets is not None and packets.recorded
        self._events.report(
            entry.spec.stream_id, rule_event, ts, frame, entry.session_id, has_clip=has_clip
        )

    def _number_soon(self, entry: StreamEntry) -> None:
        if self._new_session is not None:
            task = asyncio.create_task(self._number(entry, self._new_session))
            self._numbering.add(task)
            task.add_done_callback(self._numbering.discard)

    async def _number(self, entry: StreamEntry, new_session: Callable[[], str]) -> None:
        """Give a run its number. If the database fails it has none: the video matters more."""
        try:
            entry.session_id = await asyncio.to_thread(new_session)
        except StoreError as error:
            logger.error("stream %s: no session number: %s", entry.spec.stream_id, error)
