"""Works off the outbox: a worker for each target, so that one that hangs holds up no other."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import StoreError, TargetNotFound, WatchpostError
from app.notifications import NotifyMetrics, Target
from app.notify.base import NotifyContext, SendFailed, TargetKind, clean_answer
from app.notify.composer import Composer
from app.notify.stores import DeliveryStore, TargetStore
from app.notify.targets import TARGETS
from app.notify.worker import PAUSES, Pauses, TargetWorker

logger = logging.getLogger(__name__)

TIDY_S = 60.0
DAY_S = 86_400.0
STOP_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to send: whether it was accepted, what the other side answered, and when."""

    ok: bool
    answer: str
    seconds: float


@dataclass(frozen=True, slots=True)
class _Running:
    worker: TargetWorker
    task: asyncio.Task[None]


class Dispatcher:
    """The workers of all targets; belongs to the event loop's thread.

    Args:
        written: set whenever something may have been put into the outbox.
    """

    def __init__(
        self,
        targets: TargetStore,
        deliveries: DeliveryStore,
        composer: Composer,
        context: NotifyContext,
        written: asyncio.Event,
        pauses: Pauses = PAUSES,
        kinds: Mapping[str, TargetKind] = TARGETS,
    ) -> None:
        self.metrics = NotifyMetrics(tuple(kinds))
        self._targets = targets
        self._deliveries = deliveries
        self._composer = composer
        self._context = context
        self._written = written
        self._pauses = pauses
        self._kinds = kinds
        self._running: dict[int, _Running] = {}
        self._removals: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            await asyncio.gather(self._ring(), self._tidy())
        finally:
            for target_id in list(self._running):
                await self._stop(target_id)

    async def reload(self) -> None:
        """Start, stop or replace workers as the targets say now. Raises StoreError."""
        async with self._changing:
            targets = await asyncio.to_thread(self._targets.all)
            wanted = {one.target_id: one for one in targets if one.enabled and not one.error}
            for target_id, running in list(self._running.items()):
                if running.task.done() or wanted.get(target_id) != running.worker.target:
                    await self._stop(target_id)
            for target in wanted.values():
                if target.target_id not in self._running:
                    self._start(target)

    async def test(self, target: Target) -> Attempt:
        """Send a test message with the options that a target has now."""
        began = time.monotonic()
        if target.enabled and target.target_id not in self._running:
            await self.reload()  # a broker ends the first of two connections of one target
        running = self._running.get(target.target_id)
        worker = running.worker if running else self._worker(target)
        task = asyncio.create_task(worker.sender.run()) if running is None else None
        try:
            answer, ok = await worker.test(self._composer.test_message()), True
        except SendFailed as failure:
            answer, ok = failure.answer, False
            if failure.gone:
                self._remove_soon(target.target_id)
        finally:
            if task is not None:
                await _end(task)
                await worker.sender.close()
        return Attempt(ok, answer, round(time.monotonic() - began, 3))

    def ring(self) -> None:
        """Say that there may be something to send."""
        self._written.set()

    # ── background work ──────────────────────────────────────────────────────────────────

    async def _ring(self) -> None:
        while True:
            await self._written.wait()
            self._written.clear()
            for running in self._running.values():
                running.worker.ring()

    async def _tidy(self) -> None:
        """Bring workers and rows into order, now and every minute."""
        settings = self._context.settings
        keep_s = settings.keep_days * DAY_S
        while True:
            try:
                await self.reload()
                given_up = await asyncio.to_thread(
                    self._deliveries.tidy, time.time(), keep_s, settings.max_waiting
                )
                if given_up:
                    logger.error("%d messages are dead: too many were waiting", given_up)
            except StoreError as error:
                logger.warning("notifications wait for the database: %s", error)
            await asyncio.sleep(TIDY_S)

    def _start(self, target: Target) -> None:
        try:
            worker = self._worker(target)
        except (KeyError, WatchpostError) as error:  # of a newer version, or edited by hand
            logger.error("target %d cannot be used: %s", target.target_id, error)
            return
        task = asyncio.create_task(worker.run(), name=f"target {target.target_id}")
        task.add_done_callback(_log_failure)
        self._running[target.target_id] = _Running(worker, task)

    def _worker(self, target: Target) -> TargetWorker:
        kind = self._kinds[target.kind]
        options = kind.read(target.options)
        return TargetWorker(
            target,
            kind.make(options, self._context),
            self._deliveries,
            self._composer,
            self.metrics,
            lambda text: clean_answer(text, options),
            lambda: self._remove_soon(target.target_id),
            self._context.settings.give_up_s,
            self._pauses,
        )

    def _remove_soon(self, target_id: int) -> None:
        """Remove a target that ended at the other side; not from its worker, which that ends."""
        task = asyncio.create_task(self._remove(target_id))
        self._removals.add(task)
        task.add_done_callback(self._removals.discard)

    async def _remove(self, target_id: int) -> None:
        try:
            await asyncio.to_thread(self._targets.delete, target_id)
            await self.reload()
        except TargetNotFound:
            return
        except StoreError as error:  # the next message is refused like this one
            logger.warning("target %d was not removed: %s", target_id, error)
        else:
            logger.warning("target %d was removed: it has ended at the other side", target_id)

    async def _stop(self, target_id: int) -> None:
        running = self._running.pop(target_id)
        await _end(running.task)
        await running.worker.sender.close()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task], timeout=STOP_TIMEOUT_S)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("%s failed", task.get_name(), exc_info=error)
