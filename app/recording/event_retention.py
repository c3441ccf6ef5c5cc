"""Removes events by their age and their number, and their pictures for space."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from app.config import SpaceSettings
from app.recording.retention import DAY_S, PrunableFolder, StoredItem

logger = logging.getLogger(__name__)

BATCH = 500
MAX_EVENTS_PER_SWEEP = 100_000
"""With the pause between two sweeps of a minute, more than 1000 a second."""


class EventStore(Protocol):
    """Where events are stored with their pictures. Blocking; raises StoreError."""

    def count(self) -> int: ...

    def delete_oldest(self, count: int) -> tuple[int, int]: ...

    def delete_before(self, ts: float, limit: int, *, flagged: bool = False) -> tuple[int, int]: ...

    def flagged_snapshots(self) -> set[str]: ...

    def delete_with_snapshots(self, names: Sequence[str]) -> int: ...


class PrunableEvents(PrunableFolder):
    """Events: the pictures in the snapshot folder together with their rows.

    A picture is removed first and its row at the end of the sweep, because a database on a full
    disk may be unable to delete anything. Rows that cannot be deleted then are tried again.

    Args:
        flagged_days: age after which flagged events are removed, which go last; None: no limit.
    """

    def __init__(
        self,
        folder: Path,
        store: EventStore,
        settings: SpaceSettings,
        flagged_days: float | None = None,
    ) -> None:
        super().__init__(
            folder, "*/*.jpg", lambda: {folder / name for name in store.flagged_snapshots()}
        )
        self._store = store
        self._settings = settings
        self._flagged_days = flagged_days
        self._removed: list[str] = []

    def remove(self, item: StoredItem) -> None:
        super().remove(item)
        self._removed.append(Path(item.key).relative_to(self._folder).as_posix())

    def finish(self) -> int:
        """Delete the rows of removed pictures, and events beyond the limits in days and number."""
        while self._removed:
            batch = self._removed[:BATCH]
            self._store.delete_with_snapshots(batch)
            del self._removed[: len(batch)]
        old = self._delete_older(self._settings.max_days, flagged=False)
        old += self._delete_older(self._flagged_days, flagged=True)
        return old + self._delete_too_many()

    def _delete_older(self, max_days: float | None, *, flagged: bool) -> int:
        if max_days is None:
            return 0
        oldest_ts = time.time() - max_days * DAY_S
        return _in_batches(
            MAX_EVENTS_PER_SWEEP,
            lambda size: self._store.delete_before(oldest_ts, size, flagged=flagged)[0],
            f"older than {max_days:g} days",
        )

    def _delete_too_many(self) -> int:
        limit = self._settings.max_events
        excess = min(self._store.count() - limit, MAX_EVENTS_PER_SWEEP)
        return _in_batches(
            excess, lambda size: self._store.delete_oldest(size)[0], f"more than {limit} are stored"
        )


def _in_batches(limit: int, delete: Callable[[int], int], why: str) -> int:
    """Delete events, at most ``limit``, in transactions that do not block writers for long."""
    deleted = 0
    while deleted < limit:
        size = min(BATCH, limit - deleted)
        count = delete(size)
        deleted += count
        if count < size:
            break
    if deleted:
        logger.info("removed %d events: %s", deleted, why)
    return deleted
