"""The line in which uploads wait: a few are read at the same time, and the others take turns."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
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
        at_once: uploads that are read at the same time: decoding an image of 50 megapixels takes
            150 MB.
        max_waiting: uploads that may wait for that, or are still arriving.
        max_wait_s: how long one may wait for its turn.
    """

    def __init__(self, at_once: int, max_waiting: int, max_wait_s: float) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._at_once = at_once
        self._most = at_once + max_waiting
        self._max_wait_s = max_wait_s
        self._present = 0
        self._mean_s = FIRST_GUESS_S

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place in the line, from before the upload arrives. Raises TooManyUploads."""
        if self._present >= self._most:
            raise self._refusal()
        self._present += 1
        try:
            yield
        finally:
            self._present -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The time in which one upload is read. Raises TooManyUploads."""
        try:
            async with asyncio.timeout(self._max_wait_s):
                await self._turns.acquire()
        except TimeoutError:
            raise self._refusal() from None
        began_at = time.monotonic()
        try:
            yield
        finally:
            self._turns.release()
            self._mean_s += NEWEST_SHARE * (time.monotonic() - began_at - self._mean_s)

    def _refusal(self) -> TooManyUploads:
        """The error, with the time until those who are present now are likely to be done."""
        wait_s = self._present * self._mean_s / self._at_once
        return TooManyUploads(retry_after_s=max(1, math.ceil(wait_s)))
