"""The audit log while the server runs: written to, kept short, signed, and shortened by age."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable

from app.audit import AuditEntry, AuditRow
from app.db.audit import AuditRepository
from app.errors import StoreError

logger = logging.getLogger(__name__)

REPEAT_S = 60.0
"""The same denied call, or part of the same download, is written once in this time."""
MAX_REMEMBERED = 10_000
EVERY_S = 3600.0
DAY_S = 86_400.0


class AuditLog:
    """Writes what callers do; belongs to the event loop's thread.

    Args:
        max_days: age after which rows are removed; None keeps all.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        rows: AuditRepository,
        max_days: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rows = rows
        self._max_days = max_days
        self._clock = clock
        self._recent: OrderedDict[str, float] = OrderedDict()

    async def write(self, entry: AuditEntry) -> None:
        """Add an entry. Raises StoreError."""
        await asyncio.to_thread(self.rows.append, entry)

    async def prove(self, entry: AuditEntry) -> AuditRow:
        """Add an entry, sign it, and return its row. Raises StoreError."""
        row = await asyncio.to_thread(self.rows.append, entry)
        await asyncio.to_thread(self.rows.sign)
        return row

    async def write_once(self, entry: AuditEntry) -> None:
        """Add an entry, unless the same was added a moment ago. Raises StoreError.

        So neither a program with a wrong token nor a player that seeks in a file fills the disk.
        """
        key = json.dumps(
            [entry.actor, entry.address, entry.action, entry.outcome, dict(entry.details)]
        )
        now = self._clock()
        if now - self._recent.get(key, -REPEAT_S) < REPEAT_S:
            return
        await self.write(entry)
        self._recent[key] = now
        self._recent.move_to_end(key)
        while len(self._recent) > MAX_REMEMBERED:
            self._recent.popitem(last=False)

    async def run(self) -> None:
        """Sign the log every hour, and remove old rows, until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.tidy)
            except StoreError as error:
                logger.error("the audit log cannot be signed or shortened: %s", error)
            await asyncio.sleep(EVERY_S)

    def tidy(self) -> None:
        """Sign the newest row and remove old ones. Blocking; raises StoreError."""
        self.rows.sign()
        if self._max_days is not None:
            self.rows.remove_before(time.time() - self._max_days * DAY_S)
