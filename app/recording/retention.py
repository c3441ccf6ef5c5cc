"""Free disk space: everything that the server stores, under one floor and shared limits.

Whoever stores files registers as a ``Prunable``. A sweep removes the oldest items first, whatever
they are. Protected items (flagged jobs, verified plates) go last, and the limit in days does not
apply to them: a person marked them as important.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, get_args

from app.config import SpaceSettings
from app.errors import WatchpostError
from app.recording.stores import RecordingStore

logger = logging.getLogger(__name__)

DAY_S = 86_400.0


StoredKind = Literal["continuous", "clip", "job", "event", "plate"]
"""What a file is: a continuous recording, a clip, of a job, a snapshot, or an image of a plate."""
NEXT_UP = 50
"""How many of the items that go next are remembered for callers."""


@dataclass(frozen=True, slots=True)
class StoredItem:
    """Something that may be removed.

    Attributes:
        key: the name that its ``Prunable`` knows it by.
        max_days: age after which it is removed, beside the limit for everything; None: no limit.
        stream_id: whose video it is; None if it is of none, or unknown.
    """

    key: str
    bytes: int
    ts: float
    protected: bool = False
    max_days: float | None = None
    kind: StoredKind = "event"
    stream_id: str | None = None


class DiskUsage(NamedTuple):
    """The disk that recordings are on, in bytes."""

    size: int
    free: int


class Prunable(Protocol):
    """Something that stores files. Called from a worker thread; may block."""

    def items(self) -> Iterable[StoredItem]:
        """All that may be removed now, without files that are still being written."""
        ...

    def remove(self, item: StoredItem) -> None:
        """Remove a file; no error if it is missing already. Raises OSError, StoreError."""
        ...

    def finish(self) -> int:
        """End a sweep; returns how many more items were removed. Raises StoreError."""
        return 0


class PrunableFolder(Prunable):
    """Files in a folder that have no rows of their own.

    Args:
        protected: returns the files that are removed last; by default there are none.
    """

    def __init__(
        self,
        folder: Path,
        pattern: str = "**/*",
        protected: Callable[[], set[Path]] = set,
        kind: StoredKind = "event",
    ) -> None:
        self._folder = folder
        self._kind: StoredKind = kind
        self._pattern = pattern
        self._protected = protected

    def items(self) -> Iterable[StoredItem]:
        protected = self._protected()
        for path in self._folder.glob(self._pattern):
            try:
                if path.is_file():
                    stat = path.stat()
                    yield StoredItem(
                        str(path), stat.st_size, stat.st_mtime, path in protected, kind=self._kind
                    )
            except OSError:  # removed in the meantime
                continue

    def remove(self, item: StoredItem) -> None:
        Path(item.key).unlink(missing_ok=True)


class PrunableRecordings(Prunable):
    """Recordings, removed one file at a time; the row stays and says that the file is removed."""

    def __init__(self, folder: Path, store: RecordingStore) -> None:
        self._folder = folder
        self._store = store

    def items(self) -> Iterable[StoredItem]:
        for recording in self._store.all():
            if recording.node is not None:  # which frees its own disk
                continue
            key = f"{recording.file_id}:{recording.path}"
            yield StoredItem(
                key,
                recording.facts.bytes,
                recording.started_ts,
                recording.flagged,
                kind="job",
            )

    def remove(self, item: StoredItem) -> None:
        file_id, _, path = item.key.partition(":")
        (self._folder / path).unlink(missing_ok=True)
        self._store.mark_removed(int(file_id))


class DiskSpace:
    """Keeps disk space free by removing the oldest stored items.

    Args:
        folder: on the disk whose free space counts.

    Attributes:
        removed: number of items that were removed.
        used_bytes: size of everything stored, as of the last sweep.
        bytes_of: the same, by kind.
        next_up: what goes next when space is needed, as of the last sweep.
    """

    def __init__(self, folder: Path, settings: SpaceSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._prunables: list[Prunable] = []
        self._sweeping = threading.Lock()
        self.removed = 0
        self.used_bytes = 0
        self.bytes_of: Mapping[StoredKind, int] = {}
        self.next_up: Sequence[StoredItem] = ()

    def register(self, prunable: Prunable) -> None:
        self._prunables.append(prunable)

    def free(self) -> int:
        """Bytes of free disk space."""
        return self.disk().free

    def disk(self) -> DiskUsage:
        """Raises OSError if the disk cannot be read."""
        usage = shutil.disk_usage(self._folder)
        return DiskUsage(usage.total, usage.free)

    @property
    def settings(self) -> SpaceSettings:
        return self._settings

    def is_low(self) -> bool:
        """Whether less space is free than the settings require."""
        return self.free() < self._settings.min_free

    def has_room(self, bytes_more: int = 0) -> bool:
        """Whether a number of bytes may be written; also if the disk cannot tell."""
        try:
            return self.free() - bytes_more >= self._settings.min_free
        except OSError:
            return True

    def sweep(self) -> int:
        """Remove what exceeds the limits; returns the number of items removed. Blocks."""
        with self._sweeping:
            found = [(item, owner) for owner in self._prunables for item in _items(owner)]
            found.sort(key=lambda pair: (pair[0].protected, pair[0].ts))
            self.used_bytes = sum(item.bytes for item, _ in found)
            left = [item for item, owner in found if not self._remove_if_due(item, owner)]
            self.bytes_of, self.next_up = _by_kind(left), left[:NEXT_UP]
            removed = len(found) - len(left)
            removed += sum(_finish(owner) for owner in self._prunables)
            self.removed += removed
            return removed

    async def run(self) -> None:
        """Sweep at regular intervals until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.sweep)
            except OSError as error:
                logger.error("the free disk space cannot be read: %s", error)
            await asyncio.sleep(self._settings.every_s)

    def _remove_if_due(self, item: StoredItem, owner: Prunable) -> bool:
        why = self._due(item)
        if why is None:
            return False
        try:
            owner.remove(item)
        except (OSError, WatchpostError) as error:
            logger.error("%s cannot be removed: %s", Path(item.key).name, error)
            return False
        self.used_bytes -= item.bytes
        logger.info("removed %s (%d bytes): %s", Path(item.key).name, item.bytes, why)
        return True

    def _due(self, item: StoredItem) -> str | None:
        """Why an item must be removed now; None if it may stay."""
        limits = self._settings
        age_days = (time.time() - item.ts) / DAY_S
        for max_days in (item.max_days, None if item.protected else limits.max_days):
            if max_days is not None and age_days > max_days:
                return f"older than {max_days:g} days"
        if limits.max_bytes is not None and self.used_bytes > limits.max_bytes:
            return "the limit on stored bytes is exceeded"
        return "the disk is nearly full" if self.is_low() else None


def _by_kind(items: Iterable[StoredItem]) -> dict[StoredKind, int]:
    found = dict.fromkeys(get_args(StoredKind), 0)
    for item in items:
        found[item.kind] += item.bytes
    return found


def _items(owner: Prunable) -> list[StoredItem]:
    """What a prunable has stored; one that fails does not hinder the others."""
    try:
        return list(owner.items())
    except (OSError, WatchpostError) as error:
        logger.error("stored files cannot be listed: %s", error)
        return []


def _finish(owner: Prunable) -> int:
    try:
        return owner.finish()
    except (OSError, WatchpostError) as error:
        logger.error("stored rows cannot be removed: %s", error)
        return 0
