"""What the nodes have stored, as the front has it: rows in its database, files on the nodes."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from app.cluster.node_files import FilesReport
from app.cluster.node_store import Orders
from app.cluster.remote_node import RemoteNode
from app.errors import NodeGone, NotReady, WatchpostError
from app.footage import Footage, KeepDays, Period
from app.pipeline.elsewhere import FilesOfNode
from app.pipeline.node_load import NodeLoad
from app.plates import WatchEntry

logger = logging.getLogger(__name__)

EVERY_S = 1.0
FLAGS_EVERY_S = 30.0
EXCHANGE_TIMEOUT_S = 10.0
RECOVER_TIMEOUT_S = 600.0
READ_TIMEOUT_S = 20.0
EXPORT_TIMEOUT_S = 300.0
CLIP_S = 10.0
"""How long a clip takes whose node has not reported it yet."""


class NodeRows(Protocol):
    """The rows of what nodes store. Blocking; raises StoreError."""

    def add(self, node: str, footage: Footage, event_ids: Sequence[int]) -> None: ...

    def films(self, node: str) -> set[str]: ...

    def recordings(self, node: str) -> set[str]: ...

    def flagged(self, node: str) -> frozenset[str]: ...

    def removed(self, node: str, paths: Collection[str]) -> None: ...

    def erasures(self, node: str) -> dict[int, str]: ...

    def erased(self, numbers: Collection[int]) -> None: ...


class RemoteFiles:
    """A ``FilesOfNode`` of a node that answers, or did so a moment ago."""

    def __init__(self, name: str, node: RemoteNode) -> None:
        self._name = name
        self._node = node

    async def ask(self, method: str, *arguments: object, timeout_s: float = READ_TIMEOUT_S) -> Any:
        """Call the node. Raises NodeGone, or the error that it returned."""
        try:
            return await self._node.ask("files_call", method, *arguments, timeout_s=timeout_s)
        except NotReady:
            raise NodeGone(node=self._name) from None

    async def size(self, path: str) -> int:
        """The bytes of a film, or of a file of a job. Raises NoFootage."""
        size: int = await self.ask("size", path)
        return size

    async def piece(self, path: str, begin: int, size: int) -> bytes:
        """A part of a file. Raises NoFootage."""
        data: bytes = await self.ask("piece", path, begin, size)
        return data

    async def export(self, footage: Sequence[Footage], wanted: Period) -> str:
        """Join films to one file; returns its path."""
        path: str = await self.ask("export", footage, wanted, timeout_s=EXPORT_TIMEOUT_S)
        return path

    async def frame(
        self, footage: Sequence[Footage], ts: float, width: int | None, *, preview: bool
    ) -> bytes:
        """A frame of a film as JPEG. Raises NoFootage."""
        kind = "preview" if preview else "exact"
        jpeg: bytes = await self.ask(kind, footage, ts, width)
        return jpeg

    async def growing(self, stream_id: str, period: Period) -> list[Footage]:
        """The segment that is being recorded of a stream."""
        found: list[Footage] = await self.ask("growing", stream_id, period)
        return found

    async def problem(self, stream_id: str) -> str | None:
        """Why a stream that should be recorded is not."""
        found: str | None = await self.ask("problem", stream_id)
        return found

    async def release(self, stream_id: str, period: Period) -> None:
        """Let go of what is being recorded in a period."""
        await self.ask("release", stream_id, period)


class _Known:
    """What the front knows of one node's files."""

    def __init__(self, node: RemoteNode) -> None:
        self.node = node
        self.incarnation = node.incarnation
        self.taken = (0, 0)
        self.numbers: dict[int, int] = {}
        self.pending: Mapping[int, float] = {}
        self.erased: Collection[int] = ()
        self.flags_at = -math.inf
        self.recovered = False
        self.report: FilesReport | None = None
        self.following: asyncio.Task[None] | None = None

    def same_process(self) -> None:
        """Begin again if the process of the node was started again."""
        if self.incarnation != self.node.incarnation:
            self.incarnation, self.recovered = self.node.incarnation, False
            self.taken, self.numbers, self.flags_at = (0, 0), {}, -math.inf


class FrontFiles:
    """A ``FilesElsewhere`` of all nodes.

    Args:
        rows: of the front's database.
        keep_days: how long the films of streams are kept that have limits of their own; blocks.
        watched: the watch-list of number plates; blocks.
        node_of: the node that runs a stream.
    """

    def __init__(
        self,
        rows: NodeRows,
        keep_days: Callable[[], Mapping[str, KeepDays]],
        watched: Callable[[], Sequence[WatchEntry]],
        node_of: Callable[[str], RemoteNode | None],
    ) -> None:
        self._rows = rows
        self._keep_days, self._watched = keep_days, watched
        self._node_of = node_of
        self._nodes: dict[str, _Known] = {}

    # ── for the API ──────────────────────────────────────────────────────────────────────

    def of(self, node: str) -> FilesOfNode:
        """The files of a node, by the name that rows have. Raises NodeGone."""
        return self._remote(node)

    def _remote(self, node: str) -> RemoteFiles:
        known = self._nodes.get(node)
        if known is None:
            raise NodeGone(node=node)
        return RemoteFiles(node, known.node)

    def recording(self, stream_id: str) -> FilesOfNode | None:
        """The files of the node that runs a stream; None if no node does."""
        node = self._node_of(stream_id)
        name = node.files if node is not None else ""
        return RemoteFiles(name, node) if node is not None and name in self._nodes else None

    def clip_ready_ts(self, event_id: int) -> float | None:
        """When the clip of an event will be there; None if none is pending. From any thread."""
        for known in list(self._nodes.values()):
            if (ready_ts := known.pending.get(event_id)) is not None:
                return max(ready_ts, time.time() + 1)
        return None

    async def forget_events(self, event_ids: Collection[int]) -> None:
        """Drop the clips of events that are not on disk yet. Raises NodeGone."""
        asked = [
            self._remote(name).ask("forget_events", event_ids)
            for name, known in self._nodes.items()
            if known.report is None or not known.pending.keys().isdisjoint(event_ids)
        ]
        await asyncio.gather(*asked)

    def read_picture(self, node: str, name: str) -> bytes | None:
        """A snapshot; None if it was removed. Blocks; raises NodeGone, StoreError."""
        known = self._nodes.get(node)
        if known is None:
            raise NodeGone(node=node)
        try:
            jpeg: bytes | None = known.node.call("files_call", READ_TIMEOUT_S, "picture", name)
        except NotReady:
            raise NodeGone(node=node) from None
        return jpeg

    def load(self, node: RemoteNode) -> NodeLoad | None:
        """What a node does, as it last reported; None before it has."""
        known = self._nodes.get(node.files)
        return None if known is None or known.report is None else known.report.load

    # ── for the front's rounds ───────────────────────────────────────────────────────────

    def meet(self, node: RemoteNode) -> None:
        """Use a node's files from now on; it may have been started again under another id."""
        if (before := self._nodes.get(node.files)) is not None:
            self.forget(before.node)
        known = self._nodes[node.files] = _Known(node)
        known.following = asyncio.create_task(self._follow(known))

    def forget(self, node: RemoteNode) -> None:
        """A node is gone."""
        for name, known in list(self._nodes.items()):
            if known.node is node:
                del self._nodes[name]
                if known.following is not None:
                    known.following.cancel()

    def close(self) -> None:
        """Follow no node any more."""
        for known in list(self._nodes.values()):
            self.forget(known.node)

    def numbered(self, node: RemoteNode, own_id: int, event_id: int, *, has_clip: bool) -> None:
        """An event of a node has got a number."""
        known = self._nodes.get(node.files)
        if known is not None and has_clip:
            known.same_process()
            known.numbers[own_id] = event_id
            known.pending = {**known.pending, event_id: time.time() + CLIP_S}

    async def _follow(self, known: _Known) -> None:
        """Exchange with a node what is new, until it is gone."""
        said = ""
        while True:
            try:
                known.same_process()
                if not known.recovered:
                    await self._recover(known)
                await self._exchange(known)
                said = ""
            except WatchpostError as error:
                if str(error) != said:
                    logger.warning("node %s: its files: %s", known.node.name, error)
                said = str(error)
            await asyncio.sleep(EVERY_S)

    async def _recover(self, known: _Known) -> None:
        """Have a node find what a killed process has left; it starts no stream before."""
        films = await asyncio.to_thread(self._rows.films, known.node.files)
        recordings = await asyncio.to_thread(self._rows.recordings, known.node.files)
        await known.node.ask("jobs_call", "recover", recordings, timeout_s=RECOVER_TIMEOUT_S)
        await known.node.ask("files_call", "recover", films, timeout_s=RECOVER_TIMEOUT_S)
        known.recovered = True

    async def _exchange(self, known: _Known) -> None:
        incarnation, orders = known.incarnation, await self._orders(known)
        report: FilesReport = await known.node.ask(
            "exchange_files", orders, timeout_s=EXCHANGE_TIMEOUT_S
        )
        await asyncio.to_thread(self._write, known.node.files, report)
        if known.incarnation != incarnation:
            return
        if orders.flagged is not None:
            known.flags_at = time.monotonic()
        numbers = {own: one for own, one in known.numbers.items() if own not in orders.numbers}
        newer = {number: known.pending[number] for number in numbers.values()}
        known.numbers, known.pending = numbers, {**report.pending, **newer}
        films, removed = known.taken
        known.taken = (
            report.films[-1].place if report.films else films,
            report.removed[-1][0] if report.removed else removed,
        )
        known.report = report

    async def _orders(self, known: _Known) -> Orders:
        name, flagged, keep_days = known.node.files, None, None
        if time.monotonic() - known.flags_at > FLAGS_EVERY_S:
            flagged = await asyncio.to_thread(self._rows.flagged, name)
            keep_days = await asyncio.to_thread(self._keep_days)
        erase = await asyncio.to_thread(self._rows.erasures, name)
        watched = await asyncio.to_thread(self._watched)
        return Orders(known.taken, dict(known.numbers), erase, flagged, keep_days, watched)

    def _write(self, name: str, report: FilesReport) -> None:
        for film in report.films:
            self._rows.add(name, film.footage, film.event_ids)
        if report.removed:
            self._rows.removed(name, [path for _, path in report.removed])
        if report.erased:
            self._rows.erased(report.erased)
