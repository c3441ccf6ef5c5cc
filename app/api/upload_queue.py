"""The line in which uploads wait: a few are read at the same time, and the others take turns."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from app.errors import TooManyUploads

FIRST_GUESS_S = 0.5
NEWEST_SHARE = 0.2
"""Weight of the newest duration in the moving average."""


class UploadQueue:
    """Lets uploads in, in the order in which they arrive.

    An upload that finds too many others before it, or has waited too long, is refused with the
    seconds after which to try again, instead of running into its caller's timeout.

    Args:
        at_once: how many uploads may be read at the same time now.
        max_waiting: uploads that may wait for that, or are still arriving.
        max_wait_s: how long one may wait for its turn.
    """

    def __init__(self, at_once: Callable[[], int], max_waiting: int, max_wait_s: float) -> None:
        self._at_once = at_once
        self._max_waiting = max_waiting
        self._max_wait_s = max_wait_s
        self._present = self._reading = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._mean_s = FIRST_GUESS_S

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place in the line, from before the upload arrives. Raises TooManyUploads."""
        if self._present >= self._at_once() + self._max_waiting:
            raise self._refusal()
        self._present += 1
        try:
            yield
        finally:
            self._present -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The time in which one upload is read. Raises TooManyUploads."""
        await self._wait()
        began_at = time.monotonic()
        try:
            yield
        finally:
            self._end_turn()
            self._mean_s += NEWEST_SHARE * (time.monotonic() - began_at - self._mean_s)

    async def _wait(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._let_in()
        try:
            async with asyncio.timeout(self._max_wait_s):
                await turn
        except (TimeoutError, asyncio.CancelledError) as error:
            if not turn.cancelled():  # it came at the same moment
                self._end_turn()
            if isinstance(error, TimeoutError):
                raise self._refusal() from None
            raise

    def _end_turn(self) -> None:
        self._reading -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and (self._waiting[0].done() or self._reading < self._at_once()):
            turn = self._waiting.popleft()
            if not turn.done():  # it still waits
                self._reading += 1
                turn.set_result(None)

    def _refusal(self) -> TooManyUploads:
        """The error, with the time until those who are present now are likely to be done."""
        wait_s = self._present * self._mean_s / self._at_once()
        return TooManyUploads(retry_after_s=max(1, math.ceil(wait_s)))
