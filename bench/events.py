"""The list of 100 000 events: how long pages, filters, counts and exports take, and the plans."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from app.db.engine import open_database
from app.db.event_counts import EventCounts
from app.db.events import EventRepository
from app.db.snapshots import SnapshotFolder
from app.events import EventFilter, EventRow
from app.local_time import DAY_S, DayHours
from app.rights import Access, Grant, Role
from bench.query_plans import plan_of, recorded_statements
from bench.table import show

ROWS, DAYS, CAMERAS, LIMIT, PAGES = 100_000, 90, 9, 50, 40
BATCH = 5000
TYPES = (
    *("object_appeared", "object_left", "zone_entered", "zone_left", "line_crossed"),
    *("smoking_started", "plate_seen", "bag_placed"),
)
LABELS = ("person", "car", "truck", "backpack")
ZONES = ("door", "yard", "gate", None)
ZONE = ZoneInfo("Europe/Berlin")
FILTERS = {
    "all": EventFilter(),
    "a camera": EventFilter("cam-3"),
    "a type": EventFilter(type="zone_entered"),
    "a camera and a type": EventFilter("cam-3", "zone_entered"),
    "a label": EventFilter(label="person"),
    "a zone": EventFilter(zone="yard"),
    "a zone, a label and a type": EventFilter(label="car", zone="yard", type="zone_left"),
    "the beginning of a plate": EventFilter(plate="AB1"),
    "hours of the day": EventFilter(hours=DayHours(22 * 3600, 6 * 3600, ZONE)),
    "flagged, and none is": EventFilter(flagged=True),
    "a line that none crossed": EventFilter(line="nowhere"),
    "only three cameras allowed": EventFilter(
        access=Access.of([Grant(Role.OPERATOR, frozenset({"cam-1", "cam-2", "cam-3"}))])
    ),
    "no plates allowed": EventFilter(access=Access.of([Grant(Role.VIEWER)])),
}


def row(number: int, begin_ts: float, chance: random.Random) -> EventRow:
    """One event of many; some are reported minutes late."""
    kind = chance.choice(TYPES)
    letters = "".join(chance.choice("ABCEHKMOPTXY") for _ in range(2))
    details: dict[str, object] = {"plate_number": f"{letters}{chance.randrange(10_000):04}"}
    if kind != "plate_seen":
        details = {"label": chance.choice(LABELS), "zone": chance.choice(ZONES)}
    ts = begin_ts + DAYS * DAY_S * number / ROWS + 200 * chance.random()
    stream_id = f"cam-{chance.randrange(CAMERAS)}"
    return EventRow(number, stream_id, kind, ts, confidence=0.8, details=details)


def fill(engine: Engine, folder: Path, count: int = ROWS) -> EventRepository:
    """Add events of the last three months to a database."""
    events = EventRepository(engine, SnapshotFolder(folder))
    chance, begin_ts = random.Random(1), time.time() - DAYS * DAY_S
    for start in range(1, count + 1, BATCH):
        numbers = range(start, min(start + BATCH, count + 1))
        events.add([row(number, begin_ts, chance) for number in numbers])
    return events


def run() -> None:
    """Fill a database, read lists, and print times and plans."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{Path(folder) / 'events.db'}")
        started = time.perf_counter()
        events = fill(engine, Path(folder))
        print(f"\n{ROWS} events inserted in {time.perf_counter() - started:.0f} s")
        report(engine, events)
        engine.dispose()


def report(engine: Engine, events: EventRepository) -> None:
    """Print times and plans."""
    lists, plans = [], []
    for name, wanted in FILTERS.items():
        p50, p95 = _percentiles(events, wanted)
        counted = _ms(partial(events.page, wanted, LIMIT, order="time"))
        lists.append([name, f"{p50:.1f} ms", f"{p95:.1f} ms", f"{counted:.0f} ms"])
        plans.append([name, "; ".join(plan_of_page(engine, events, wanted))])
    head = ["filter", "a page of 50: p50", "p95", "first page, counted"]
    show(f"Lists of {ROWS} events", head, lists)
    show("Query plans of a page", ["filter", "SQLite's plan"], plans)
    _report_sums(engine, events)


def plan_of_page(engine: Engine, events: EventRepository, wanted: EventFilter) -> list[str]:
    """SQLite's plan for a further page of a list."""
    with recorded_statements(engine) as sent:
        events.page(wanted, LIMIT, ROWS // 2, order="time", counted=False)
    (page,) = [one for one in sent if "events.details" in one[0] and "LIMIT" in one[0]]
    return plan_of(engine, *page)


def _report_sums(engine: Engine, events: EventRepository) -> None:
    counts, now = EventCounts(engine), time.time()
    since = {days: EventFilter(since=now - days * DAY_S, until=now) for days in (1, 31, DAYS)}
    sums = [
        ["counts by camera and type, a day", _ms(lambda: counts.by_camera(since[1]))],
        ["counts by camera and type, all", _ms(lambda: counts.by_camera(since[DAYS]))],
        ["days of a month", _ms(lambda: counts.by_day(since[31], ZONE))],
        ["days of a month, a camera", _ms(lambda: counts.by_day(_of("cam-1", since[31]), ZONE))],
        ["export of all", _ms(lambda: sum(map(len, events.batches(EventFilter(), 500))))],
    ]
    show("Sums", ["what", "time"], [[name, f"{took:.0f} ms"] for name, took in sums])


def _of(camera: str, wanted: EventFilter) -> EventFilter:
    return replace(wanted, stream_id=camera)


def _cursors(events: EventRepository, wanted: EventFilter) -> list[int | None]:
    """The first pages of a list, and pages from all over it."""
    found: list[int | None] = [None]
    while len(found) < PAGES // 2:
        page = events.page(wanted, LIMIT, found[-1], order="time", counted=False)
        if page.cursor is None:
            break
        found.append(page.cursor)
    step = ROWS // (PAGES // 2)
    return [*found, *range(step, ROWS, step)]


def _percentiles(events: EventRepository, wanted: EventFilter) -> tuple[float, float]:
    """The median and p95 of reading a page, in milliseconds."""
    read = partial(events.page, wanted, LIMIT, order="time", counted=False)
    times = sorted(_ms(partial(read, cursor)) for cursor in _cursors(events, wanted))
    return statistics.median(times), times[round(0.95 * (len(times) - 1))]


def _ms(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)
