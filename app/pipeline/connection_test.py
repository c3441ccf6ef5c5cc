"""Tries a source, to say what it sends or why it cannot be used; nothing of it is kept.

It runs the same ``Stream`` that a camera would: with the same checks of addresses, the same
errors, and no picture unless faces were searched for in it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from app import urls
from app.errors import SourceError, TooManyTests, WatchpostError
from app.failure_reason import WORDS, FailureReason
from app.pipeline.hub import outcome
from app.pipeline.manager import StreamManager
from app.pipeline.sources.sound import sound_of
from app.pipeline.stream import Stream
from app.types import StreamSpec, StreamStats

POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class ConnectionTestLimits:
    """Limits of connection tests.

    Attributes:
        at_once: tests that run at the same time.
        picture_s: how long to wait for a covered frame after the source has sent one.
        settle_s, measure_s: frames are counted for the rate during ``measure_s``, after
            ``settle_s``: cameras send what they have stored first.
    """

    at_once: int = 2
    picture_s: float = 10.0
    settle_s: float = 0.5
    measure_s: float = 2.5


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """What a source sends.

    Attributes:
        width, height: of the upright frame; None if none could be shown.
        fps: frames a second that arrived; 0 if too few did to tell.
        sound: codec of the sound; None if there is none, or it is not known.
        jpeg: a frame with its faces covered; None if faces could not be searched for.
        withheld: why there is no picture.
        seconds: until the first frame.
    """

    codec: str
    width: int | None
    height: int | None
    fps: float
    sound: str | None
    seconds: float
    jpeg: bytes | None = field(repr=False)
    withheld: str | None


class ConnectionTester:
    """Tries sources, a few at a time; belongs to the event loop's thread."""

    def __init__(self, manager: StreamManager, limits: ConnectionTestLimits | None = None) -> None:
        self._manager = manager
        self._limits = limits or ConnectionTestLimits()
        self._running = 0

    async def test(self, spec: StreamSpec) -> ConnectionReport:
        """Try the source of a spec.

        Raises:
            TooManyTests: too many are running already.
            AddressNotAllowed, StartTimeout: of its address.
            SourceError, UnusableSource: it was refused, sends nothing in time, or no video.
        """
        if self._running >= self._limits.at_once:
            raise TooManyTests(count=self._running)
        self._running += 1
        try:
            await self._manager.starter.check(spec.stream_id, spec.source)
            report = await self._try(spec)
        finally:
            self._running -= 1
        return report

    async def _try(self, spec: StreamSpec) -> ConnectionReport:
        began_at = time.monotonic()
        stream = self._manager.runner.try_out(spec)
        try:
            await self._first_frame(stream, began_at + self._manager.settings.start_timeout_s)
            seconds = time.monotonic() - began_at
            fps, withheld = await asyncio.gather(self._rate(stream), self._shown(stream))
            jpeg = None if withheld else await asyncio.to_thread(stream.preview.snapshot)
            if jpeg is None and withheld is None:
                withheld = WORDS[FailureReason.ENDED]
            stats = stream.status().stats
        finally:
            timeout_s = self._manager.settings.stop_timeout_s
            await asyncio.shield(asyncio.to_thread(stream.supervisor.stop, timeout_s))
        # After the first connection is closed: some cameras accept only one.
        sound = await asyncio.to_thread(sound_of, spec, self._manager.settings)
        return ConnectionReport(
            codec=stats.codec or "",
            width=stats.width if jpeg else None,
            height=stats.height if jpeg else None,
            fps=fps,
            sound=sound,
            seconds=round(seconds, 2),
            jpeg=jpeg,
            withheld=withheld,
        )

    async def _first_frame(self, stream: Stream, deadline: float) -> None:
        """Wait until the source has sent a frame. Raises its error after the first attempt."""
        while True:
            failure = _failure(stream)
            stats = stream.status().stats
            if stats.frames_in:
                return
            if failure is not None:
                raise failure
            if stats.error_count or time.monotonic() > deadline:
                raise _silent(stream, stats)
            await asyncio.sleep(POLL_S)

    async def _rate(self, stream: Stream) -> float:
        """Frames a second that arrive, whether or not they are decoded; 0 if it cannot be told.

        They are counted when one is decoded, so the time runs from one such moment to another.
        """
        await asyncio.sleep(self._limits.settle_s)
        began_at = time.monotonic()
        counted: list[tuple[float, int]] = []
        while (now := time.monotonic()) < began_at + self._limits.measure_s:
            frames = stream.status().stats.frames_in
            if not counted or frames != counted[-1][1]:
                counted.append((now, frames))
            await asyncio.sleep(POLL_S)
        if len(counted) < 3:  # the first count is of any moment
            return 0.0
        (first_at, first), (last_at, last) = counted[1], counted[-1]
        return round((last - first) / (last_at - first_at), 1)

    async def _shown(self, stream: Stream) -> str | None:
        """Wait for the first covered frame; why there is none, or None."""
        try:
            await outcome(stream.supervisor.started, self._limits.picture_s)
        except TimeoutError:
            return stream.status().stats.last_error or str(_silent(stream, stream.status().stats))
        except WatchpostError as error:
            return str(error)
        return None


def _failure(stream: Stream) -> WatchpostError | None:
    """Why the stream has ended before it ran, if it has."""
    started = stream.supervisor.started
    error = started.exception() if started.done() else None
    return error if isinstance(error, WatchpostError) else None


def _silent(stream: Stream, stats: StreamStats) -> SourceError:
    """The error for a source without a frame: no connection, or a connection without video."""
    reason = FailureReason.STALLED if stats.codec else FailureReason.TIMEOUT
    url = urls.without_credentials(stream.spec.source)
    return SourceError(end="input", reason=reason, url=url)
