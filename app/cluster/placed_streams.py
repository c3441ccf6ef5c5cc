"""The streams of the cluster: their rows in the front's database, and what is known of each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from app.cluster.placed import PlacedStream
from app.errors import SecretUnreadable, StoreError, StreamNotFound
from app.pipeline.registry import StreamStore
from app.types import StreamState

logger = logging.getLogger(__name__)


class PlacedStreams:
    """All of them, by id; belongs to the event loop's thread."""

    def __init__(self, store: StreamStore) -> None:
        self._store = store
        self._by_id: dict[str, PlacedStream] = {}
        self._loading: asyncio.Task[None] | None = None

    def __contains__(self, stream_id: str) -> bool:
        return stream_id in self._by_id

    def __iter__(self) -> Iterator[PlacedStream]:
        return iter(list(self._by_id.values()))

    def get(self, stream_id: str) -> PlacedStream | None:
        """One stream, if there is one with this id."""
        return self._by_id.get(stream_id)

    def known(self, stream_id: str) -> PlacedStream:
        """One stream. Raises StreamNotFound."""
        try:
            return self._by_id[stream_id]
        except KeyError:
            raise StreamNotFound(stream_id=stream_id) from None

    def decryptable(self, stream_id: str) -> PlacedStream:
        """One stream whose secrets can be read. Raises StreamNotFound, SecretUnreadable."""
        known = self.known(stream_id)
        if not known.decryptable:
            raise SecretUnreadable(key_file="secret.key", stream_id=stream_id)
        return known

    def of_input(self, source: str) -> list[PlacedStream]:
        """Those with an output that watch this source."""
        wanted = self._store.fingerprint(source)
        return [
            placed
            for placed in self
            if placed.spec.output is not None
            and self._store.fingerprint(placed.spec.source) == wanted
        ]

    def on_node(self, node_id: str) -> list[str]:
        """The ids of those that should run and are on a node."""
        return [
            placed.spec.stream_id
            for placed in self
            if placed.node_id == node_id and placed.wanted is StreamState.RUNNING
        ]

    def add(self, placed: PlacedStream) -> None:
        """Know a stream from now on; ``save`` stores it."""
        self._by_id[placed.spec.stream_id] = placed

    def drop(self, stream_id: str) -> PlacedStream | None:
        """Forget a stream; ``delete`` removes its row."""
        return self._by_id.pop(stream_id, None)

    # ── rows ─────────────────────────────────────────────────────────────────────────────

    async def load(self) -> None:
        """Read what is stored, once; every caller waits until this is done. Raises StoreError."""
        loading = self._loading
        if loading is None or (loading.done() and loading.exception() is not None):
            loading = self._loading = asyncio.create_task(self.reload())
        await asyncio.shield(loading)

    async def reload(self) -> None:
        """Know only what is stored: another front may have changed it. Raises StoreError."""
        found = await asyncio.to_thread(self._store.load)
        self._by_id = {
            one.spec.stream_id: PlacedStream(one.spec, one.wanted, one.last_error, one.decryptable)
            for one in found
        }

    async def save(self, placed: PlacedStream) -> None:
        """Store a stream as it is; a failure is logged."""
        try:
            await asyncio.to_thread(self._store.save, placed.stored())
        except StoreError as error:
            logger.error("stream %s will not survive a restart: %s", placed.spec.stream_id, error)

    async def delete(self, stream_id: str) -> None:
        """Remove the row of a stream; a failure is logged."""
        try:
            await asyncio.to_thread(self._store.delete, stream_id)
        except StoreError as error:
            logger.error("stream %s: its row was not deleted: %s", stream_id, error)
