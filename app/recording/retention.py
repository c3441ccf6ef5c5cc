"""Room on the disk: everything that the server keeps, under one floor and two caps.

Whoever keeps files registers as a ``Prunable``. A sweep removes the oldest things first, whatever
they are; what is precious (flagged jobs, verified plates) goes last, and is spared by the cap in
days: a person said that it matters.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from app.config import SpaceSettings
from app.errors import WatchpostError

logger = logging.getLogger(__name__)

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class StoredItem:
    """One thing that may be removed. ``key`` is its keeper's name for it."""

    key: str
    bytes: int
    ts: float
    precious: bool = False


class DiskUsage(NamedTuple):
    """Bytes of the disk that recordings are on."""

    size: int
    free: int


class Prunable(Protocol):
    """Somebody who keeps files. Called from a worker thread; may block."""

    def kept(self) -> Iterable[StoredItem]:
        """All that may be removed now; nothing that is still written."""
        ...

    def remove(self, kept: StoredItem) -> None:
        """Remove the file; that it is gone already is no error. Raises OSError, StoreError."""
        ...


class PrunableFolder:
    """Files below a folder that nobody else has rows for, such as snapshots.

    Args:
        precious: gives the files that are kept longest; by default none is.
    """

    def __init__(
        self, folder: Path, pattern: str = "**/*", precious: Callable[[], set[Path]] = set
    ) -> None:
        self._folder = folder
        self._pattern = pattern
        self._precious = precious

    def kept(self) -> Iterable[StoredItem]:
        precious = self._precious()
        for path in self._folder.glob(self._pattern):
            try:
                if path.is_file():
                    stat = path.stat()
                    yield StoredItem(str(path), stat.st_size, stat.st_mtime, path in precious)
            except OSError:  # gone meanwhile
                continue

    def remove(self, kept: StoredItem) -> None:
        Path(kept.key).unlink(missing_ok=True)


class DiskSpace:
    """Args:
    folder: on the disk whose free space counts.

    Attributes:
        removed: things that were removed to make room.
        used_bytes: of all that is kept, as of the last sweep.
    """

    def __init__(self, folder: Path, settings: SpaceSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._keepers: list[Prunable] = []
        self._sweeping = threading.Lock()
        self.removed = 0
        self.used_bytes = 0

    def register(self, keeper: Prunable) -> None:
        self._keepers.append(keeper)

    def free(self) -> int:
        """Bytes of free disk."""
        return self.disk().free

    def disk(self) -> DiskUsage:
        """Raises OSError when it cannot be looked at."""
        usage = shutil.disk_usage(self._folder)
        return DiskUsage(usage.total, usage.free)

    @property
    def settings(self) -> SpaceSettings:
        return self._settings

    def is_low(self) -> bool:
        return self.free() < self._settings.min_free

    def sweep(self) -> int:
        """Remove what must go; returns how many things that were. Blocks."""
        with self._sweeping:
            things = [(kept, keeper) for keeper in self._keepers for kept in _kept(keeper)]
            things.sort(key=lambda thing: (thing[0].precious, thing[0].ts))
            self.used_bytes = sum(kept.bytes for kept, _ in things)
            removed = sum(self._remove_if_due(kept, keeper) for kept, keeper in things)
            self.removed += removed
            return removed

    async def run(self) -> None:
        """Sweep now and then, for as long as the server lives."""
        while True:
            try:
                await asyncio.to_thread(self.sweep)
            except OSError as error:
                logger.error("the disk cannot be looked at: %s", error)
            await asyncio.sleep(self._settings.every_s)

    def _remove_if_due(self, kept: StoredItem, keeper: Prunable) -> bool:
        why = self._due(kept)
        if why is None:
            return False
        try:
            keeper.remove(kept)
        except (OSError, WatchpostError) as error:
            logger.error("%s cannot be removed: %s", Path(kept.key).name, error)
            return False
        self.used_bytes -= kept.bytes
        logger.info("removed %s (%d bytes): %s", Path(kept.key).name, kept.bytes, why)
        return True

    def _due(self, kept: StoredItem) -> str | None:
        """Why a thing must go now; None when it may stay."""
        caps = self._settings
        age_days = (time.time() - kept.ts) / DAY_S
        if caps.max_days is not None and not kept.precious and age_days > caps.max_days:
            return f"older than {caps.max_days:g} days"
        if caps.max_bytes is not None and self.used_bytes > caps.max_bytes:
            return "more is kept than may be"
        return "the disk is nearly full" if self.is_low() else None


def _kept(keeper: Prunable) -> list[StoredItem]:
    """What a keeper has; one that cannot say does not hinder the others."""
    try:
        return list(keeper.kept())
    except (OSError, WatchpostError) as error:
        logger.error("what is kept cannot be listed: %s", error)
        return []
