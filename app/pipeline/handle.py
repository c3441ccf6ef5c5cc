"""One stream, as callers read, follow and feed it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager

from app.errors import BadFrame, NoPicture, NotPushable, NoVideo
from app.pipeline.channel import Channel
from app.pipeline.hub import Subscription
from app.pipeline.live_video import followed
from app.pipeline.packets import VideoPacket
from app.pipeline.registry import StreamRegistry
from app.pipeline.sinks.preview import WIDTHS
from app.pipeline.sources.push import Pushed, PushSource
from app.pipeline.stream import Stream
from app.types import (
    FrameMetadata,
    JpegFrame,
    ProcessedFrame,
    StreamHealth,
    StreamState,
    StreamStatus,
    WithheldFrame,
)


class StreamHandle:
    """Access to a stream by its id, whichever run of it is in progress.

    Everything raises StreamNotFound once the stream was removed. What needs a run raises NoPicture
    while there is none.
    """

    def __init__(self, registry: StreamRegistry, stream_id: str) -> None:
        self._registry = registry
        self._stream_id = stream_id

    @property
    def status(self) -> StreamStatus:
        """Configuration, state and statistics."""
        return self._registry[self._stream_id].status()

    @property
    def health(self) -> StreamHealth:
        """The state, and why it is not running. Cheap, unlike ``status``."""
        entry = self._registry[self._stream_id]
        if entry.stream is not None:
            return entry.stream.supervisor.health
        return StreamHealth(entry.status().state, entry.last_error)

    @property
    def alive(self) -> bool:
        """Whether it runs or is being started."""
        return self._registry[self._stream_id].alive

    @property
    def recorded(self) -> bool:
        """Whether the run in progress is recorded."""
        ring = self.running().packets
        return ring is not None and ring.recorded

    async def snapshot(self, width: int | None = None) -> bytes:
        """The newest frame as JPEG. Raises NoPicture unless the stream runs.

        Args:
            width: of a smaller image: the next larger one of ``WIDTHS``.
        """
        known = next((one for one in WIDTHS if width is not None and one >= width), None)
        entry = self._registry[self._stream_id]
        status = entry.status()
        if entry.stream is not None and status.state is StreamState.RUNNING:
            jpeg = await asyncio.to_thread(entry.stream.preview.snapshot, known)
            if jpeg is not None:
                return jpeg
        raise NoPicture(stream_id=self._stream_id, status=status.state.value)

    def jpegs(self) -> AsyncGenerator[JpegFrame]:
        """Frames as JPEG until the stream ends; a slow caller gets only the newest."""
        return self.running().subscribers.jpegs.subscribe()

    def packets(self) -> AsyncGenerator[VideoPacket]:
        """Encoded frames from a keyframe on, until the stream ends; a slow caller misses some.

        Raises:
            NoVideo: faces are not covered, or it is a file that is read as fast as it can be.
        """
        stream = self.running()
        if stream.packets is None or stream.spec.is_clear(time.time()):
            raise NoVideo(stream_id=self._stream_id)
        return followed(stream.packets, stream.subscribers.packets)

    def metadata(self) -> AbstractContextManager[Subscription[FrameMetadata | WithheldFrame]]:
        """The metadata of processed frames; a slow caller gets only the newest."""
        outcomes = self.running().subscribers.outcomes
        return outcomes.subscribed(1, lambda outcome: isinstance(outcome, FrameMetadata))

    def outcomes(
        self, backlog: int
    ) -> AbstractContextManager[Subscription[FrameMetadata | WithheldFrame]]:
        """The outcome of every frame from here on, in order."""
        return self.running().subscribers.outcomes.subscribed(backlog)

    def processed_frames(self, size: int) -> AbstractContextManager[Channel[ProcessedFrame]]:
        """Every processed frame, for a thread; up to ``size`` of them wait for it."""
        return self.running().subscribers.processed.subscribed(size)

    def push(self, data: bytes, number: int) -> None:
        """Hand in an encoded frame. Raises NotPushable for a stream with another source."""
        stream = self.running()
        if not isinstance(stream.source, PushSource):
            raise NotPushable(stream_id=self._stream_id)

        def on_lost(error: BadFrame | None) -> None:
            stream.subscribers.outcomes.publish(WithheldFrame(number, error))

        stream.source.push(Pushed(data, number, time.monotonic(), on_lost))

    def running(self) -> Stream:
        """The run in progress. Raises NoPicture when there is none."""
        entry = self._registry[self._stream_id]
        if entry.stream is None or not entry.alive:
            raise NoPicture(stream_id=self._stream_id, status=entry.status().state.value)
        return entry.stream
