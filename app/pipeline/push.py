"""Streams whose pictures clients push: who is connected, whose frame is whose, and the end.

A pushed stream lives as long as a socket, pusher or viewer, is connected to it, and a short
grace time beyond. Each frame of a pusher is answered exactly once: by its result, as dropped, or
as bad; a client that waits for answers before it sends more never waits in vain.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.config import PushSettings
from app.errors import NotPushable, TooManyStreams, WatchpostError
from app.pipeline.hub import Subscription
from app.pipeline.manager import StreamManager
from app.types import Analytics, BlurStyle, Result, StreamSpec, Withheld

logger = logging.getLogger(__name__)

MAX_FPS = 240.0  # the pusher sets the pace
BACKLOG = 256


@dataclass(frozen=True, slots=True)
class Processed:
    """A frame of this pusher came through.

    Attributes:
        frame: which one, counted from 1 over this pusher's messages.
        dropped: frames since the last answer that newer ones replaced.
    """

    frame: int
    dropped: int
    result: Result


@dataclass(frozen=True, slots=True)
class NotProcessed:
    """A frame of this pusher did not come through, and why."""

    frame: int
    error: WatchpostError | None = None


Answer = Processed | NotProcessed


@dataclass(slots=True)
class _Door:
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
        results: Subscription[Result | Withheld],
    ) -> None:
        self._push = push
        self._numbers = numbers
        self._results = results
        self._sent = 0
        self._pending: dict[int, int] = {}

    def push(self, data: bytes) -> None:
        """Hand in a picture; what becomes of it comes out of ``answers``."""
        self._sent += 1
        number = next(self._numbers)
        self._pending[number] = self._sent
        self._push(data, number)

    def refuse(self) -> int:
        """Count a message that is no picture; returns its number."""
        self._sent += 1
        return self._sent

    async def answers(self) -> AsyncIterator[Answer]:
        """What becomes of each frame, until the stream ends.

        Frames are processed in order and the newest wins, so an outcome of a later frame, no
        matter whose, tells that the ones before it were dropped.
        """
        async for outcome in self._results:
            earlier = [number for number in self._pending if number < outcome.number]
            dropped = [self._pending.pop(number) for number in earlier]
            mine = self._pending.pop(outcome.number, None)
            if mine is not None and isinstance(outcome, Result):
                yield Processed(mine, len(dropped), outcome)
                continue
            for frame in dropped:
                yield NotProcessed(frame)
            if mine is not None and isinstance(outcome, Withheld):
                yield NotProcessed(mine, outcome.error)


class PushStreams:
    """All pushed streams of this process; belongs to the event loop's thread."""

    def __init__(self, manager: StreamManager, settings: PushSettings) -> None:
        self._manager = manager
        self._settings = settings
        self._doors: dict[str, _Door] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, *, name: str | None, analytics: Analytics, blur: BlurStyle) -> str:
        """Make a stream that waits for its first frame; returns its id.

        Raises:
            TooManyStreams: the limit is reached.
            InvalidRequest: an unknown rule or setting.
        """
        if len(self._doors) >= self._settings.max_streams:
            raise TooManyStreams(count=len(self._doors))
        stream_id = secrets.token_hex(16)
        spec = StreamSpec(
            stream_id, "push:", max_fps=MAX_FPS, blur=blur, name=name, analytics=analytics
        )
        self._manager.run_unsaved(spec)
        door = self._doors[stream_id] = _Door()
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
        with self._manager.results(stream_id, BACKLOG) as results:
            door = self._doors.get(stream_id)
            if door is None:
                raise NotPushable(stream_id=stream_id)
            push = functools.partial(self._manager.push, stream_id)
            yield Pusher(push, door.numbers, results)

    def _end_later(self, stream_id: str, door: _Door, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        door.ending = loop.call_later(delay_s, self._end_soon, stream_id)

    def _end_soon(self, stream_id: str) -> None:
        task = asyncio.create_task(self._end(stream_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, stream_id: str) -> None:
        if self._doors.pop(stream_id, None) is not None:
            await self._manager.disconnect(stream_id)
            logger.info("stream %s: ended, nobody is connected", stream_id)
