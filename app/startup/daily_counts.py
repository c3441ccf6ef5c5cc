"""Keeps what streams have counted since midnight across restarts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import TYPE_CHECKING

from app.analytics.objects.daily_counts import DailyCounts
from app.db.daily_counts import DailyCountsRepository
from app.errors import StoreError
from app.process import background

if TYPE_CHECKING:
    from sqlalchemy import Engine

logger = logging.getLogger(__name__)

STORE_COUNTS_S = 5.0


@asynccontextmanager
async def open_daily_counts(engine: Engine) -> AsyncIterator[DailyCounts]:
    """Open the counts since midnight, and store what changes; on leaving, the last changes."""
    counts, repository = DailyCounts(), DailyCountsRepository(engine)
    counts.restore(await asyncio.to_thread(repository.load, date.today()))
    async with background(_store_counts(counts, repository), "daily counts"):
        yield counts
    await _store_changes(counts, repository)


async def _store_counts(counts: DailyCounts, repository: DailyCountsRepository) -> None:
    while True:
        await asyncio.sleep(STORE_COUNTS_S)
        await _store_changes(counts, repository)


async def _store_changes(counts: DailyCounts, repository: DailyCountsRepository) -> None:
    changed = counts.take_changed()
    if not changed:
        return
    try:
        await asyncio.to_thread(repository.save, changed)
    except StoreError as error:
        counts.put_back(changed)
        logger.warning("the counts of zones and lines are not stored yet: %s", error)
