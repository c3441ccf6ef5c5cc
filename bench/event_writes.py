"""How many events a second the database takes: SQLite and PostgreSQL, with 100 000 stored."""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from app.db.engine import open_database
from app.db.event_pruner import EventPruner
from app.db.events import EventRepository
from app.db.routes import RouteRepository
from app.db.snapshots import SnapshotFolder
from app.db.targets import TargetRepository
from app.db.vault import Vault
from app.db.writer import BATCH, EventWriter
from app.events import RuleEvent
from app.local_time import DAY_S
from app.notifications import Route
from app.pipeline.event_log import EventLog
from bench import events
from bench.table import show

ROOT = Path(__file__).resolve().parent.parent
COUNT, CAMERAS = 20_000, 500
RATES, SECONDS, TICK_S = (300, 1000), 10.0, 0.02
DELETED = 10_000


def run() -> None:
    """Fill each database, write to it, and print events a second."""
    with tempfile.TemporaryDirectory() as folder:
        _measure("SQLite", f"sqlite:///{Path(folder) / 'events.db'}", Path(folder))
    sys.path.insert(0, str(ROOT / "tests"))
    from support.postgres import Postgres, programs

    if programs() is None:
        print("\nPostgreSQL is not installed, and so not measured.")
        return
    with tempfile.TemporaryDirectory() as folder, Postgres(fsync=True) as server:
        _measure("PostgreSQL", server.url, Path(folder))


def _measure(name: str, url: str, folder: Path) -> None:
    with _database(url) as engine:
        repository = events.fill(engine, folder)
        snapshots = SnapshotFolder(folder)
        begin_ts = time.time() - events.DAYS * DAY_S
        rows: list[tuple[str, str]] = []
        chance, first = random.Random(2), events.ROWS + 1
        new = [events.row(first + number, begin_ts, chance) for number in range(COUNT)]
        began = time.monotonic()
        for start in range(0, COUNT, BATCH):
            repository.add(new[start : start + BATCH])
        rows.append(
            (f"as fast as it takes them, {BATCH} at a time", _rate(COUNT, time.monotonic() - began))
        )
        for rate in RATES:
            rows.append(
                (f"{rate} a second come", asyncio.run(_steady(repository, snapshots, rate)))
            )
        pruner = EventPruner(engine, snapshots)
        began = time.monotonic()
        for _ in range(0, DELETED, 500):
            pruner.delete_oldest(500)
        rows.append(("the oldest deleted, 500 at a time", _rate(DELETED, time.monotonic() - began)))
        targets, routes = TargetRepository(engine, Vault(b"0" * 32)), RouteRepository(engine)
        target = targets.add("webhook", "a target", {"url": "https://example.com"}, time.time())
        routes.add(Route(0, "all", True, (target.target_id,)))
        began, first = time.monotonic(), repository.next_id()
        more = [events.row(first + number, begin_ts, chance) for number in range(COUNT // 4)]
        for start in range(0, len(more), BATCH):
            repository.add(more[start : start + BATCH])
        rows.append(("with a message about each", _rate(len(more), time.monotonic() - began)))
    show(f"Events in {name}", ("what", "events a second"), rows)


@contextmanager
def _database(url: str) -> Iterator[Engine]:
    engine = open_database(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:.0f}"


async def _steady(repository: EventRepository, snapshots: SnapshotFolder, rate: int) -> str:
    """Events of many cameras come at a rate, for some seconds, without pictures."""
    log = EventLog(asyncio.get_running_loop(), repository.next_id())
    with log.with_frames() as arriving:
        writer = EventWriter(arriving, repository, snapshots, lambda _: b"")
        writer.start()
        told, cpu, began = 0, time.process_time(), time.monotonic()
        while (passed := time.monotonic() - began) < SECONDS:
            while told < rate * passed:
                details: dict[str, Any] = {"label": "person", "zone": "door"}
                event = RuleEvent("zone_entered", confidence=0.8, details=details)
                log.report(f"cam-{told % CAMERAS}", event, time.time(), None)
                told += 1
            await asyncio.sleep(TICK_S)
        waiting = len(writer.unwritten())
        log.close()
        await writer.close(60.0)
        seconds = time.monotonic() - began
        cores = (time.process_time() - cpu) / seconds
    written = told - writer.lost
    return (
        f"{written / seconds:.0f} written, {waiting} waited at the end, {writer.lost} lost, "
        f"{cores:.2f} cores"
    )
