"""Empties nodes for maintenance: their streams move to other nodes, one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable

from app.cluster.placed import PlacedStream
from app.types import StreamState


class Drain:
    """Moves one stream at a time; the next one moves when that one has found another node.

    Args:
        move: lets a stream run elsewhere; what it raises is lost.
    """

    def __init__(self, move: Callable[[PlacedStream], Awaitable[None]]) -> None:
        self._move = move
        self._moving: asyncio.Task[None] | None = None
        self._last: PlacedStream | None = None

    @property
    def waits(self) -> str | None:
        """Why no stream moves now, although some should."""
        last = self._last
        if self._is_moving or last is None or last.wanted is not StreamState.RUNNING:
            return None
        return last.lost

    @property
    def _is_moving(self) -> bool:
        return self._moving is not None and not self._moving.done()

    def step(self, draining: Collection[str], streams: Iterable[PlacedStream]) -> None:
        """Begin to move a stream from a node that is to be emptied, if none is on its way."""
        known = list(streams)
        if self._last not in known:
            self._last = None
        if self._is_moving or self.waits is not None:
            return
        self._last = next(
            (one for one in known if one.node_id in draining and _can_move(one)), None
        )
        if self._last is not None:
            self._moving = asyncio.create_task(self._run(self._last))

    async def _run(self, placed: PlacedStream) -> None:
        await self._move(placed)

    def close(self) -> None:
        """Move nothing more."""
        if self._moving is not None:
            self._moving.cancel()


def _can_move(placed: PlacedStream) -> bool:
    return placed.wanted is StreamState.RUNNING and placed.decryptable and not placed.starting
