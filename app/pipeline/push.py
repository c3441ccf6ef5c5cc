"""Streams whose pictures clients push: who is connected, whose frame is whose, and the end.

A pushed stream lives as long as a socket, pusher or viewer, is connected to it, and a short
grace time beyond. Each frame of a pusher is answered exactly once: by its result, as dropped, or
as bad; a client that waits for answers before it sends more never waits in vain.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.config import PushSettings
from app.errors import NotPushable, TooManyStreams, WatchpostError
from app.pipeline.hub import Subscription
from app.pipeline.manager import StreamManager
from app.pipeline.sources.push import codec_of
from app.types import Analytics, BlurStyle, FrameMetadata, Rotation, StreamSpec, WithheldFrame

logger = logging.getLogger(__name__)

MAX_FPS = 1e6  # the pusher sets the pace: a ceiling would leave frames without an answer
BACKLOG = 256


@dataclass(frozen=True, slots=True)
class FrameAck:
    """A frame of this pusher came through.

    Attributes:
        frame: the number that its pusher gave it.
        dropped: frames since the last answer that newer ones replaced.
    """

    frame: int
    dropped: int
    report: FrameMetadata


@dataclass(frozen=True, slots=True)
class FrameRefusal:
    """A frame of this pusher did not come through.

    Attributes:
        error: why; None for one that a newer one replaced.
    """

    frame: int
    error: WatchpostError | None = None


Answer = FrameAck | FrameRefusal


@dataclass(slots=True)
class _PushStream:
    """One pushed stream: its sockets, and the timer that ends it."""

    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    sockets: int = 0
    ending: asyncio.TimerHandle | None = None


class Pusher:
    """One client's frames and their answers. Belongs to the event loop's thread.

    Args:
        push: hands a picture and its number to the stream.
        numbers: of all frames of the stream, whoever pushes them.
        results: what becomes of all frames of the stream.
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
        """Hand in a picture, which the caller numbers; what becomes of it is in ``answers``.

        Raises:
            BadFrame: it is no picture, so it does not replace one that still waits.
            NoPicture: the stream has ended.
        """
        codec_of(data)
        number = next(self._numbers)
        self._pending[number] = frame
        self._push(data, number)

    async def answers(self) -> AsyncGenerator[Answer]:
        """What becomes of each frame, until the stream ends.

        Replaced frames are counted in the answer to the next one that comes through. Where
        none is on its way that could, they are answered by themselves.
        """
        dropped: list[int] = []
        async for outcome in self._results:
            if self._results.missed():  # this client is so slow that outcomes were lost on it
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
    """All pushed streams of this process; belongs to the event loop's thread."""

    def __init__(self, manager: StreamManager, settings: PushSettings) -> None:
        self._manager = manager
        self._settings = settings
        self._doors: dict[str, _PushStream] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def open(
        self, *, name: str | None, analytics: Analytics, blur: BlurStyle, rotate: Rotation = 0
    ) -> str:
        """Make a stream that waits for its first frame; returns its id.

        Raises:
            TooManyStreams: the limit is reached.
            InvalidRequest: an unknown rule or setting; NoAnalytics, ShuttingDown.
        """
        if len(self._doors) >= self._settings.max_streams:
            raise TooManyStreams(count=len(self._doors))
        stream_id = secrets.token_hex(16)
        spec = StreamSpec(
            stream_id,
            "push:",
            max_fps=MAX_FPS,
            blur=blur,
            name=name,
            analytics=analytics,
            rotate=rotate,
        )
        self._manager.start_ephemeral(spec)
        door = self._doors[stream_id] = _PushStream()
        self._end_later(stream_id, door, self._settings.unused_s)
        return stream_id

    @contextmanager
    def connected(self, stream_id: str) -> Iterator[None]:
        """Keep a pushed stream alive while a socket is there; other streams need nobody."""
        door = self._doors.get(stream_id)
        if door is None:
            yield
            return
        door.sockets += 1
        if door.ending is not None:
            door.ending.cancel()
            door.ending = None
        try:
            yield
        finally:
            door.sockets -= 1
            if door.sockets == 0:
                self._end_later(stream_id, door, self._settings.grace_s)

    @contextmanager
    def pusher(self, stream_id: str) -> Iterator[Pusher]:
        """A new pusher of a stream.

        Raises:
            StreamNotFound: there is none of that id.
            NotPushable: its pictures come from somewhere else.
            NoPicture: it has ended.
        """
        with self._manager.stream(stream_id).outcomes(BACKLOG) as results:
            door = self._doors.get(stream_id)
            if door is None:
                raise NotPushable(stream_id=stream_id)
            push = self._manager.stream(stream_id).push
            yield Pusher(push, door.numbers, results)

    def _end_later(self, stream_id: str, door: _PushStream, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        door.ending = loop.call_later(delay_s, self._end_soon, stream_id)

    def _end_soon(self, stream_id: str) -> None:
        """Close the door at once, so that nobody enters what is about to end."""
        del self._doors[stream_id]
        task = asyncio.create_task(self._end(stream_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, stream_id: str) -> None:
        await self._manager.disconnect(stream_id)
        logger.info("stream %s: ended, nobody is connected", stream_id)
