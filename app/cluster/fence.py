"""Outputs of a node's streams that publish only while this node has their lease."""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakSet

from app.cluster.lease_keeper import LeaseKeeper
from app.config import StreamSettings
from app.errors import InvalidUrl, NotReady
from app.leases import HeldBy
from app.pipeline.sinks import Sink, make_output
from app.pipeline.sinks.base import Delivered
from app.pipeline.sinks.rtsp import RtspSink
from app.types import StreamSpec
from app.urls import normalised

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_DATABASE = (
    "This node cannot reach the front's database, so it must not publish: {why}. Give the front a "
    "PostgreSQL database that all machines reach under the same URL."
)
HELD = "Node {node} may still publish to this output; its lease ends in {left_s:.0f} s."
POLL_S = 0.25


class OutputFence:
    """The leases of a node's outputs.

    Attributes:
        keeper: None until a front has said which database has the leases.
        problem: why there is no keeper.
    """

    def __init__(self) -> None:
        self.keeper: LeaseKeeper | None = None
        self.problem = "no front was here yet"
        self._sinks: dict[str, WeakSet[RtspSink]] = {}
        self._starting: set[str] = set()

    def make_output(
        self, spec: StreamSpec, settings: StreamSettings, delivered: Delivered
    ) -> Sink | None:
        """As ``sinks.make_output``: the output ends with its lease."""
        sink = make_output(spec, settings, delivered)
        if sink is None:
            return None
        if not isinstance(sink, RtspSink):
            raise InvalidUrl(reason="an output in a cluster has to be RTSP")
        lease = _lease_of(spec)
        assert lease is not None
        sink.until = functools.partial(self._until, lease)
        self._sinks.setdefault(lease, WeakSet()).add(sink)
        return sink

    async def take(self, spec: StreamSpec, wait_s: float) -> None:
        """Take the lease of a stream's output, if it has one.

        Raises:
            NotReady: another node has it for longer than that.
            StoreError: the database does not answer.
        """
        lease = _lease_of(spec)
        if lease is None:
            return
        if self.keeper is None:
            raise NotReady(reason=NO_DATABASE.format(why=self.problem))
        deadline = asyncio.get_running_loop().time() + wait_s
        while (held := await asyncio.to_thread(self.keeper.take, lease)) is not None:
            if asyncio.get_running_loop().time() >= deadline:
                raise NotReady(reason=_held(held))
            await asyncio.sleep(POLL_S)

    @contextmanager
    def starting(self, spec: StreamSpec) -> Iterator[None]:
        """Keep the lease of a stream that the manager may not know yet."""
        lease = _lease_of(spec)
        if lease is None:
            yield
            return
        self._starting.add(lease)
        try:
            yield
        finally:
            self._starting.discard(lease)

    def keep_only(self, specs: Iterable[StreamSpec]) -> None:
        """Give the leases of all other streams back."""
        if self.keeper is not None:
            leases = {lease for spec in specs if (lease := _lease_of(spec)) is not None}
            self.keeper.keep_only(leases | self._starting, self._publishes)

    def lost(self, spec: StreamSpec) -> bool:
        """Whether another process had the lease of this stream's output since."""
        lease = _lease_of(spec)
        if lease is None or self.keeper is None or lease in self._starting:
            return False
        return self.keeper.number(lease) is None

    def _until(self, lease: str) -> float:
        return 0.0 if self.keeper is None else self.keeper.until(lease)

    def _publishes(self, lease: str) -> bool:
        """Whether something may still publish to an output: a thread that hangs, for example."""
        sinks = [sink for sink in self._sinks.get(lease, ()) if sink.publishing]
        if not sinks:
            self._sinks.pop(lease, None)
        return bool(sinks)


def _lease_of(spec: StreamSpec) -> str | None:
    """The name of the lease of an output, which says nothing of its URL."""
    return None if spec.output is None else _name_of(spec.output)


@functools.lru_cache(maxsize=4096)
def _name_of(output: str) -> str:
    place = normalised(output, query=False)
    return f"output:{hashlib.sha256(place.encode()).hexdigest()[:40]}"


def _held(held: HeldBy) -> str:
    return HELD.format(node=held.holder or "that had it last", left_s=held.left_s)
