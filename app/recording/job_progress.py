"""The lines that a job reports: stored, so that a late follower gets all of them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable

from app.jobs import Job, JobLine, LineType
from app.recording.context import JobContext

PROGRESS = "Progress: Step {step}/{steps}"


class JobProgress:
    """What a job has reported, and how soon it ends.

    Args:
        steps: number of parts of the run whose ends are reported.
        now: returns the job with its newest numbers.
        lines: what it reported before a restart.
    """

    def __init__(
        self, ctx: JobContext, steps: int, now: Callable[[], Job], lines: list[JobLine]
    ) -> None:
        self._ctx = ctx
        self._steps = steps
        self._now = now
        self._lines = lines
        self._more = asyncio.Condition()
        self._closed = False
        self._begun_at, self._begun_with = time.monotonic(), 0.0

    @property
    def started(self) -> bool:
        """Whether anything was reported."""
        return bool(self._lines)

    def resume_at(self, share: float) -> None:
        """Measure the pace from here: this much of the run was done before."""
        self._begun_with = share

    async def report_steps(self, share: float) -> None:
        """Report each step of the run that is done and was not reported yet."""
        reported = sum(line.type == "progress" for line in self._lines)
        for step in range(reported + 1, math.floor(share * self._steps + 1e-9) + 1):
            await self.report("progress", PROGRESS.format(step=step, steps=self._steps), step)

    async def report(self, kind: LineType, text: str, step: int | None = None) -> None:
        """Store a line and send it to all followers; without a ``step``, at the newest one."""
        job = self._now()
        if step is None:
            step = max((line.step for line in self._lines), default=0)
        share = step / self._steps
        line = JobLine(
            type=kind,
            job_id=job.job_id,
            text=text,
            state=job.state,
            step=step,
            steps=self._steps,
            percent=round(100 * share, 1),
            eta_s=None if job.ended_ts is not None else self._eta(share),
            bytes=job.bytes,
            frames=job.frames,
            seconds=job.seconds,
            ts=round(time.time(), 3),
        )
        await self._ctx.store_row(job.job_id, self._ctx.job_log.add_line, line)
        self._lines.append(line)
        async with self._more:
            self._more.notify_all()

    def _eta(self, share: float) -> float | None:
        """Seconds until the end at the pace so far; None before there is a pace."""
        fresh = share - self._begun_with
        passed = time.monotonic() - self._begun_at
        return round(passed * (1 - share) / fresh, 1) if fresh > 0 else None

    async def follow(self) -> AsyncIterator[JobLine]:
        """Every line from the first, as they come; ends with the last one or with the server."""
        sent = 0
        while not self._closed:
            async with self._more:
                while len(self._lines) == sent and not self._closed:
                    await self._more.wait()
            for line in self._lines[sent:]:
                sent += 1
                yield line
                if line.last:
                    return

    async def close_followers(self) -> None:
        """End the iterations of all followers."""
        self._closed = True
        async with self._more:
            self._more.notify_all()
