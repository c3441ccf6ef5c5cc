"""One stream of the cluster, as the API reads and follows it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import cast

from app.cluster.placed import PlacedStream
from app.cluster.remote_node import TELL_TIMEOUT_S, RemoteNode
from app.errors import NoPicture, NoVideo, WatchpostError
from app.pipeline.hub import EventStream, Subscription
from app.pipeline.packets import VideoPacket
from app.types import (
    FrameMetadata,
    JpegFrame,
    StreamHealth,
    StreamState,
    StreamStatus,
    WithheldFrame,
)

Outcome = FrameMetadata | WithheldFrame


class RemoteStream:
    """A ``StreamAccess``: its state as last reported, and its frames as its node encodes them.

    Args:
        find: the stream as it is now; raises StreamNotFound.
        node_of: the node that runs it; raises NoPicture.
    """

    def __init__(
        self, find: Callable[[], PlacedStream], node_of: Callable[[PlacedStream], RemoteNode]
    ) -> None:
        self._find = find
        self._node_of = node_of

    @property
    def status(self) -> StreamStatus:
        """Configuration, state and statistics."""
        return self._find().status

    @property
    def health(self) -> StreamHealth:
        """The state, and why it is not running."""
        return self._find().health

    @property
    def alive(self) -> bool:
        """Whether it runs or is being started."""
        return self._find().alive

    @property
    def recorded(self) -> bool:
        """Whether the run in progress is recorded."""
        placed = self._running()
        return placed.remote is not None and placed.remote.recorded

    async def snapshot(self, width: int | None = None) -> bytes:
        """The newest frame as JPEG. Raises NoPicture unless the stream runs."""
        placed = self._running()
        jpeg: bytes = await self._node_of(placed).ask(
            "snapshot", placed.spec.stream_id, width, timeout_s=TELL_TIMEOUT_S
        )
        return jpeg

    def jpegs(self) -> AsyncGenerator[JpegFrame]:
        """Frames as JPEG until the stream ends; a slow caller gets only the newest."""
        return cast(AsyncGenerator[JpegFrame], self._follow("jpegs", 1))

    def packets(self) -> AsyncGenerator[VideoPacket]:
        """Encoded frames from a keyframe on, until the stream ends. Raises NoVideo."""
        spec = self._running().spec
        if not spec.has_video or spec.is_clear(time.time()):
            raise NoVideo(stream_id=spec.stream_id)
        return cast(AsyncGenerator[VideoPacket], self._follow("packets", 1))

    @contextmanager
    def metadata(self) -> Iterator[Subscription[Outcome]]:
        """The metadata of processed frames; a slow caller gets only the newest."""
        with self._outcomes(1, lambda one: isinstance(one, FrameMetadata)) as outcomes:
            yield outcomes

    @contextmanager
    def outcomes(self, backlog: int) -> Iterator[Subscription[Outcome]]:
        """The outcome of every frame from here on, in order."""
        with self._outcomes(backlog, lambda _: True) as outcomes:
            yield outcomes

    @contextmanager
    def _outcomes(
        self, backlog: int, wants: Callable[[Outcome], bool]
    ) -> Iterator[Subscription[Outcome]]:
        feed = cast(AsyncGenerator[Outcome], self._follow("outcomes", backlog))
        stream: EventStream[Outcome] = EventStream(asyncio.get_running_loop())
        with stream.subscribed(backlog, wants) as subscription:
            passing_on = asyncio.create_task(_pass_on(feed, stream))
            try:
                yield subscription
            finally:
                passing_on.cancel()

    def _follow(self, kind: str, backlog: int) -> AsyncGenerator[object]:
        placed = self._running()
        return cast(
            AsyncGenerator[object],
            self._node_of(placed).follow(kind, placed.spec.stream_id, backlog),
        )

    def _running(self) -> PlacedStream:
        placed = self._find()
        if placed.status.state not in (StreamState.STARTING, StreamState.RUNNING) and (
            placed.lost is not None or not placed.alive
        ):
            raise NoPicture(stream_id=placed.spec.stream_id, status=placed.status.state.value)
        return placed


async def _pass_on(feed: AsyncGenerator[Outcome], stream: EventStream[Outcome]) -> None:
    try:
        async for outcome in feed:
            stream.publish(outcome)
    except WatchpostError:
        pass  # what is followed is over
    finally:
        stream.close()
