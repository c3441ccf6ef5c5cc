"""The signal that ends all sources of one job."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass


@dataclass(slots=True)
class StopSignal:
    """Ends all parts of a job at once.

    Attributes:
        asked: set when recording must end.
        full: the reason is a full disk.
        leaving: the reason is that the server stops; the next process resumes the job.
    """

    asked: asyncio.Event
    full: bool = False
    leaving: bool = False

    async def pause(self, seconds: float) -> None:
        """Wait for this time, or until recording must end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.asked.wait()
