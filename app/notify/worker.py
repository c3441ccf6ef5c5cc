"""The worker of one target: sends what is due, in order, and tries again after growing pauses.

Nothing is claimed before it is sent. A message is marked as sent after the other side accepted it,
so a process that is killed in between sends it once more, under the same id.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.errors import StoreError
from app.notifications import Delivery, NotifyMetrics, Target
from app.notify.base import Message, Sender, SendFailed
from app.notify.composer import Composer
from app.notify.stores import DeliveryStore
from app.pace import Backoff

logger = logging.getLogger(__name__)

ERASED = "its events were erased"
BROKEN = "Watchpost could not send it: {kind}; the server's log has more"


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long a worker waits, in seconds.

    Attributes:
        first_s, growth, longest_s: pauses between attempts of one message.
        target_first_s, target_longest_s: pauses of the whole target while nothing reaches it.
        store_s: after the database has failed.
        idle_s: longest wait for something to do.
    """

    first_s: float = 5.0
    growth: float = 3.0
    longest_s: float = 3600.0
    target_first_s: float = 1.0
    target_longest_s: float = 60.0
    store_s: float = 1.0
    idle_s: float = 60.0

    def after(self, failures: int) -> float:
        """The pause after a number of failed attempts, with jitter."""
        pause_s = min(self.longest_s, self.first_s * self.growth ** min(failures - 1, 30))
        return pause_s * random.uniform(0.75, 1.0)


PAUSES = Pauses()


class TargetWorker:
    """Sends the messages of one target; belongs to the event loop's thread.

    Args:
        clean: removes secrets from an answer.
        on_gone: is called when the other side says that the target itself has ended.
        give_up_s: how long a message is tried.
    """

    BATCH = 50

    def __init__(
        self,
        target: Target,
        sender: Sender,
        store: DeliveryStore,
        composer: Composer,
        metrics: NotifyMetrics,
        clean: Callable[[str], str],
        on_gone: Callable[[], None],
        give_up_s: float,
        pauses: Pauses = PAUSES,
    ) -> None:
        self.target = target
        self.sender = sender
        self._store = store
        self._composer = composer
        self._metrics = metrics
        self._clean = clean
        self._on_gone = on_gone
        self._give_up_s = give_up_s
        self._pauses = pauses
        self._bell = asyncio.Event()
        self._backoff = Backoff(pauses.target_first_s, pauses.target_longest_s)
        self._unreachable = False

    def ring(self) -> None:
        """Say that there may be something to send."""
        self._bell.set()

    async def run(self) -> None:
        """Send until cancelled."""
        await asyncio.gather(self.sender.run(), self._work())

    async def test(self, message: Message) -> str:
        """Send one message now; returns the other side's answer. Raises SendFailed."""
        try:
            return self._clean(await self._send(message))
        except SendFailed as failure:
            raise SendFailed(self._clean(failure.answer), gone=failure.gone) from None

    async def _work(self) -> None:
        while True:
            try:
                now = time.time()
                if not await self._send_due(now):
                    await self._wait(now)
            except StoreError as error:
                logger.warning("target %d waits for the database: %s", self._id, error)
                await asyncio.sleep(self._pauses.store_s)

    @property
    def _id(self) -> int:
        return self.target.target_id

    async def _send_due(self, now: float) -> bool:
        """Send what is due at ``now``; whether there was anything."""
        self._bell.clear()
        due = await asyncio.to_thread(self._store.due, self._id, now, self.BATCH)
        for delivery in due:
            await self._deliver(delivery)
        return bool(due)

    async def _wait(self, now: float) -> None:
        """Wait for the first that is due after ``now``, or for the bell."""
        due_ts = await asyncio.to_thread(self._store.next_due, self._id, now)
        limit_s = self._pauses.idle_s
        wait_s = limit_s if due_ts is None else min(limit_s, max(0.0, due_ts - time.time()))
        try:
            async with asyncio.timeout(wait_s):
                await self._bell.wait()
        except TimeoutError:
            return

    async def _deliver(self, delivery: Delivery) -> None:
        message = await self._composer.message(delivery)
        if message is None:
            await self._give_up(delivery, ERASED)
            return
        try:
            answer = self._clean(await self._send(message))
        except SendFailed as failure:
            await self._failed(delivery, failure)
            return
        self._metrics.count(self.target.kind, "sent")
        if not delivery.failures:  # else it would measure how long the target was away
            self._metrics.accepted(message.events[0].ts)
        await self._keep(self._store.sent, delivery.delivery_id, time.time(), answer)
        self._backoff.reset()
        if self._unreachable:
            self._unreachable = False
            logger.info("target %d answers again", self._id)
            await self._keep(self._store.wake, self._id, time.time())

    async def _send(self, message: Message) -> str:
        """Send a message. Raises SendFailed, StoreError.

        An error that nobody expected counts as a failed attempt, too: else its message would end
        this worker, and again after each restart, and hold up all behind it without a reason.
        """
        try:
            return await self.sender.send(message)
        except (SendFailed, StoreError):
            raise
        except Exception as error:
            logger.exception("target %d: a message was not sent", self._id)
            raise SendFailed(BROKEN.format(kind=type(error).__name__)) from error

    async def _failed(self, delivery: Delivery, failure: SendFailed) -> None:
        answer, now = self._clean(failure.answer), time.time()
        if failure.final or now - delivery.created_ts >= self._give_up_s:
            await self._give_up(delivery, answer)
        else:
            self._metrics.count(self.target.kind, "failed")
            due_ts = now + self._pauses.after(delivery.failures + 1)
            await self._keep(self._store.failed, delivery.delivery_id, due_ts, answer)
        if failure.gone:
            self._on_gone()
            await asyncio.sleep(self._pauses.idle_s)  # until it is removed, which ends this worker
        if failure.unreachable:
            if not self._unreachable:
                logger.warning("target %d cannot be reached: %s", self._id, answer)
            self._unreachable = True
            await asyncio.sleep(self._backoff.next())

    async def _give_up(self, delivery: Delivery, answer: str) -> None:
        self._metrics.count(self.target.kind, "dead")
        logger.warning(
            "delivery %d to target %d is dead: %s", delivery.delivery_id, self._id, answer
        )
        await self._keep(self._store.give_up, delivery.delivery_id, time.time(), answer)

    async def _keep(self, write: Callable[..., None], *values: object) -> None:
        """Write a result, however long that takes: without it, messages would be sent again."""
        while True:
            try:
                await asyncio.to_thread(write, *values)
            except StoreError as error:
                logger.warning("target %d waits for the database: %s", self._id, error)
                await asyncio.sleep(self._pauses.store_s)
            else:
                return
