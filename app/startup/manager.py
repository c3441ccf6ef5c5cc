"""Opens the manager of all streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from app.analytics.analyzer import AnalyzerFactory
from app.analytics.objects.daily_counts import DailyCounts
from app.analytics.rules import read_rule_settings
from app.analytics.rules.objects import HELPER as DAILY_COUNTS
from app.anpr.read_queue import PlateReadQueue
from app.config import Settings
from app.db.stream_sessions import StreamSessionRepository
from app.pipeline.event_log import EventLog
from app.pipeline.manager import StreamManager
from app.pipeline.registry import StreamStore
from app.pipeline.runner import NewPackets
from app.startup.networks import Networks

if TYPE_CHECKING:
    from sqlalchemy import Engine


@asynccontextmanager
async def open_manager(
    settings: Settings,
    networks: Networks,
    store: StreamStore,
    log: EventLog,
    engine: Engine,
    read_queue: PlateReadQueue | None = None,
    daily_counts: DailyCounts | None = None,
    new_packets: NewPackets = lambda _: None,
) -> AsyncIterator[StreamManager]:
    """Open the manager of all streams; on leaving, they are stopped.

    Args:
        read_queue: reads number plates; None if streams cannot use that rule.
        daily_counts: keeps what streams count; None if each run of a stream begins at 0.
        new_packets: makes the ring of a stream that is recorded.
    """
    services: dict[str, object] = {"plates": read_queue} if read_queue is not None else {}
    if daily_counts is not None:
        services[DAILY_COUNTS] = daily_counts
    analyzers = AnalyzerFactory(settings.objects, read_rule_settings(), networks.objects, services)
    manager = StreamManager(
        settings.streams,
        settings.faces,
        networks.faces,
        store,
        analyzers,
        log,
        StreamSessionRepository(engine).next_today,
        new_packets,
    )
    try:
        yield manager
    finally:
        await manager.close()
