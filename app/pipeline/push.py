"""Streams whose frames clients push: their sockets, their answers, and their end.

A pushed stream lives as long as a socket, of a pusher or a viewer, is connected to it, and for a
short grace time after that. Each frame of a pusher is answered exactly once: by its result, as
dropped, or as bad. So a client that waits for an answer before it sends more never hangs.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.config import PushSettings
from app.errors import NotPushable, TooManyStreams, WatchpostError
from app.pipeline.hub import Subscription
from app.pipeline.manager import StreamManager
from app.pipeline.sources.push import codec_of
from app.stream_options import DEFAULTS
from app.types import (
    Analytics,
    BlurStyle,
    FrameMetadata,
    Line,
    Record,
    Rotation,
    StreamSpec,
    WithheldFrame,
    Zone,
)

logger = logging.getLogger(__name__)

MAX_FPS = 1e6  # the pusher sets the pace: a ceiling would leave frames without an answer
BACKLOG = 256


@dataclass(frozen=True, slots=True)
class FrameAck:
    """A frame of this pusher was processed.

    Attributes:
        frame: the number that its pusher gave it.
        dropped: frames since the last answer that newer ones replaced.
    """

    frame: int
    dropped: int
    metadata: FrameMetadata


@dataclass(frozen=True, slots=True)
class FrameRefusal:
    """A frame of this pusher was not processed.

    Attributes:
        error: why; None for one that a newer one replaced.
    """

    frame: int
    error: WatchpostError | None = None


Answer = FrameAck | FrameRefusal


@dataclass(slots=True)
class _PushStream:
    """The sockets of one pushed stream, and the timer that ends it."""

    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    sockets: int = 0
    ending: asyncio.TimerHandle | None = None


class Pusher:
    """One client's frames and their answers. Belongs to the event loop's thread.

    Args:
        push: hands an encoded frame and its number to the stream.
        numbers: shared by all pushers of the stream.
        results: the outcome of every frame of the stream.
    """

    def __init__(
        self,
        push: Callable[[bytes, int], None],
        numbers: Iterator[int],
        results: Subscription[FrameMetadata | WithheldFrame],
    ) -> None:
        self._push = push
        self._numbers = numbers
        self._results = results
        self._pending: dict[int, int] = {}

    def push(self, data: bytes, frame: int) -> None:
        """Hand in an encoded frame under the caller's number; ``answers`` has its outcome.

        Raises:
            BadFrame: it is not an image, so it does not replace a frame that still waits.
            NoPicture: the stream has ended.
        """
        codec_of(data)
        number = next(self._numbers)
        self._pending[number] = frame
        self._push(data, number)

    async def answers(self) -> AsyncGenerator[Answer]:
        """The outcome of each frame, until the stream ends.

        Replaced frames are counted in the answer to the next one that is processed. Where no other
        frame is on its way, they are answered by themselves.
        """
        dropped: list[int] = []
        async for outcome in self._results:
            if self._results.missed():  # this client was too slow to get all outcomes
                missed = [number for number in self._pending if number < outcome.number]
                dropped += [self._pending.pop(number) for number in missed]
            mine = self._pending.pop(outcome.number, None)
            if mine is not None and isinstance(outcome, FrameMetadata):
                yield FrameAck(mine, len(dropped), outcome)
                dropped.clear()
            elif mine is not None and isinstance(outcome, WithheldFrame):
                if outcome.error is None:
                    dropped.append(mine)
                else:
                    yield FrameRefusal(mine, outcome.error)
            if not self._pending:
                for frame in dropped:
                    yield FrameRefusal(frame)
                dropped.clear()


class PushStreams:
    """All pushed streams of this process. Belongs to the event loop's thread."""

    def __init__(self, manager: StreamManager, settings: PushSettings) -> None:
        self._manager = manager
        self._settings = settings
        self._streams: dict[str, _PushStream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def close(self) -> None:
        """End no more streams, which the manager does when it closes; finish those that end now."""
        self._closed = True
        for stream in self._streams.values():
            if stream.ending is not None:
                stream.ending.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def open(
        self,
        *,
        name: str | None,
        analytics: Analytics,
        blur: BlurStyle,
        rotate: Rotation = 0,
        clear_until: float | None = None,
        zones: Sequence[Zone] = (),
        lines: Sequence[Line] = (),
        record: Record = DEFAULTS.record,
        clip_before_s: float = DEFAULTS.clip_before_s,
        clip_after_s: float = DEFAULTS.clip_after_s,
    ) -> str:
        """Start a stream that waits for its first frame; returns its id.

        Raises:
            TooManyStreams: the limit is reached.
            InvalidRequest: an unknown rule or setting; NoAnalytics, ShuttingDown.
        """
        if len(self._streams) >= self._settings.max_streams:
            raise TooManyStreams(count=len(self._streams))
        stream_id = secrets.token_hex(16)
        spec = StreamSpec(
            stream_id,
            "push:",
            max_fps=MAX_FPS,
            blur=blur,
            name=name,
            analytics=analytics,
            rotate=rotate,
            clear_until=clear_until,
            zones=zones,
            lines=lines,
            record=record,
            clip_before_s=clip_before_s,
            clip_after_s=clip_after_s,
        )
        self._manager.start_ephemeral(spec)
        stream = self._streams[stream_id] = _PushStream()
        self._end_later(stream_id, stream, self._settings.unused_s)
        return stream_id

    @contextmanager
    def connected(self, stream_id: str) -> Iterator[None]:
        """Keep a pushed stream alive while a socket is connected; other streams need none."""
        stream = self._streams.get(stream_id)
        if stream is None:
            yield
            return
        stream.sockets += 1
        if stream.ending is not None:
            stream.ending.cancel()
            stream.ending = None
        try:
            yield
        finally:
            stream.sockets -= 1
            if stream.sockets == 0:
                self._end_later(stream_id, stream, self._settings.grace_s)

    @contextmanager
    def pusher(self, stream_id: str) -> Iterator[Pusher]:
        """A new pusher of a stream.

        Raises:
            StreamNotFound: no stream has this id.
            NotPushable: its source is not a client.
            NoPicture: it has ended.
        """
        with self._manager.stream(stream_id).outcomes(BACKLOG) as results:
            stream = self._streams.get(stream_id)
            if stream is None:
                raise NotPushable(stream_id=stream_id)
            push = self._manager.stream(stream_id).push
            yield Pusher(push, stream.numbers, results)

    def _end_later(self, stream_id: str, stream: _PushStream, delay_s: float) -> None:
        if not self._closed:
            loop = asyncio.get_running_loop()
            stream.ending = loop.call_later(delay_s, self._end_soon, stream_id)

    def _end_soon(self, stream_id: str) -> None:
        """Accept no more sockets at once, then end the stream."""
        del self._streams[stream_id]
        task = asyncio.create_task(self._end(stream_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, stream_id: str) -> None:
        await self._manager.disconnect(stream_id)
        logger.info("stream %s: ended, no client is connected", stream_id)
