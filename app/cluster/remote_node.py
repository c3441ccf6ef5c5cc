"""A node as the front knows it: calls of its actor, with a time limit and plain errors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import ray
from ray.exceptions import RayError

from app.cluster.front_role import FrontRole
from app.cluster.ray_cluster import ask_ray
from app.cluster.reports import Followed, NextValue, NodeFacts, NodeReport, on_clock
from app.doctor.measure import Costs
from app.errors import NotReady, WatchpostError
from app.pace import unix_time

logger = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 120.0
"""For the first call of a node, which loads its networks."""
REPORT_TIMEOUT_S = 3.0
TELL_TIMEOUT_S = 10.0


class RemoteNode:
    """A node's actor.

    Args:
        role: of this front; a node that has met a later one refuses calls.

    Attributes:
        report: its last one; None before the first, or after one that failed.
        draining: whether it is to be emptied; None before the first report.
        costs: what was measured there; None until it has said.
    """

    def __init__(self, name: str, actor: Any, role: FrontRole) -> None:
        self.name = name
        self._role = role
        self.report: NodeReport | None = None
        self.facts: NodeFacts | None = None
        self.draining: bool | None = None
        self.costs: Costs | None = None
        self._actor = actor
        self._taken = 0
        self._incarnation = ""
        self._forgetting: set[asyncio.Task[None]] = set()

    async def ask(self, method: str, *arguments: object, timeout_s: float | None = None) -> Any:
        """Call a method of the actor.

        Raises:
            NotReady: the node does not answer; or the error that the node returned.
        """
        with self._answering():
            call = self._actor.ask.remote(self._role.number, method, *arguments)
            async with asyncio.timeout(timeout_s):
                return _checked(await _result(call))

    async def send(self, method: str, *arguments: object, timeout_s: float) -> Any:
        """As ``ask``, with arguments of megabytes, for which the event loop must not wait."""
        with self._answering():
            async with asyncio.timeout(timeout_s):
                number, ask = self._role.number, self._actor.ask.remote
                return _checked(await (await ask_ray(ask, number, method, *arguments)))

    async def tell(self, method: str, argument: object) -> None:
        """Call a method of the actor; if that fails, the next round finds out."""
        try:
            await self.ask(method, argument, timeout_s=TELL_TIMEOUT_S)
        except WatchpostError as error:
            logger.warning("node %s: %s", self.name, error)

    def call(self, method: str, timeout_s: float, *arguments: object) -> Any:
        """The same from a thread; blocks."""
        with self._answering():
            call = self._actor.ask.remote(self._role.number, method, *arguments)
            return _checked(ray.get(call, timeout=timeout_s))

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (RayError, TimeoutError) as error:
            why = f" ({type(error).__name__})" if isinstance(error, RayError) else ""
            raise NotReady(reason=f"Node {self.name} does not answer{why}.") from None

    async def attach(self, timeout_s: float = OPEN_TIMEOUT_S) -> NodeFacts:
        """Say to a process that this is its front. Raises NotReady."""
        facts: NodeFacts = await self.ask("attach", self._role.facts(), timeout_s=timeout_s)
        self.facts, self._incarnation = facts, facts.incarnation
        return facts

    async def measure(self) -> None:
        """Ask what streams cost there, however long it takes to measure."""
        try:
            self.costs = await self.ask("costs")
        except WatchpostError as error:
            logger.warning("node %s is not measured: %s", self.name, error)

    @property
    def incarnation(self) -> str:
        """Of its process, as last reported."""
        return self._incarnation

    @property
    def files(self) -> str:
        """The name of what it has stored, which rows have."""
        return "" if self.facts is None else self.facts.files

    async def refresh(self) -> NodeReport | None:
        """Read its report, with events that were not taken yet; None if it does not answer."""
        try:
            report: NodeReport = await self.ask(
                "report", self._incarnation, self._taken, timeout_s=REPORT_TIMEOUT_S
            )
            if report.incarnation != self._incarnation:  # another process, which knows no front
                self._taken = 0
                await self.attach(TELL_TIMEOUT_S)
        except WatchpostError:
            self.report = None
            return None
        self.report = report
        if self.draining is None:
            self.draining = report.draining
        elif self.draining != report.draining:  # its process was started again
            with contextlib.suppress(NotReady):  # the next report shows it
                await self.drain(self.draining)
        return report

    async def drain(self, drain: bool) -> None:
        """Tell the node to remember that it is to be emptied. Raises NotReady."""
        before, self.draining = self.draining, drain  # a report may come before the answer
        try:
            await self.ask("drain", drain, timeout_s=REPORT_TIMEOUT_S)
        except WatchpostError:
            self.draining = before
            raise

    def take_events(self) -> list[Any]:
        """The events of the last report that were not taken yet."""
        if self.report is None:
            return []
        new = [event for event in self.report.events if event.event_id > self._taken]
        if new:
            self._taken = new[-1].event_id
        return new

    async def follow(self, kind: str, stream_id: str, backlog: int) -> AsyncGenerator[Followed]:
        """What a viewer follows, as the node encoded it, until it ends."""
        key = await self.ask("follow", kind, stream_id, backlog, timeout_s=TELL_TIMEOUT_S)
        try:
            while True:
                found: NextValue = await self.ask("next_value", key)
                if found.value is None:
                    return
                yield on_clock(found.value, found.clock - unix_time(0.0))
        except NotReady:
            return  # the node died: what its viewers follow is over
        finally:
            self._forgetting.add(forgetting := asyncio.create_task(self._forget(key)))
            forgetting.add_done_callback(self._forgetting.discard)

    async def _forget(self, key: str) -> None:
        with contextlib.suppress(NotReady):
            await self.ask("unfollow", key, timeout_s=REPORT_TIMEOUT_S)


async def _result(call: Any) -> Any:
    return await call


def _checked(result: Any) -> Any:
    """What a node returned; expected errors are returned, too, and raised here."""
    if isinstance(result, WatchpostError):
        raise result
    return result
