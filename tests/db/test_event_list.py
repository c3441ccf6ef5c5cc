"""The list of events: filters, pages by time, counts, flags and comments, and the query plans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, text

from app.db.engine import MIGRATIONS, open_database
from app.db.event_counts import EventCounts
from app.db.event_marks import EventMarks
from app.db.event_pruner import EventPruner
from app.db.events import EventRepository
from app.db.footage import FootageRepository
from app.db.snapshots import SnapshotFolder
from app.errors import EventNotFound
from app.events import EventComment, EventFilter, EventRow
from app.footage import Footage
from app.local_time import DayHours
from bench import events as bench

BERLIN = ZoneInfo("Europe/Berlin")
ALL = EventFilter()
CLIP = Footage("gate", "event", 100.0, 115.0, "event/gate/2026-01-02/1.mp4", 1000)


def event(number: int, ts: float, kind: str = "bag_placed", **details: object) -> EventRow:
    return EventRow(number, "gate", kind, ts, details=details)


def at(when: str) -> float:
    return datetime.fromisoformat(when).replace(tzinfo=BERLIN).timestamp()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def events(engine: Engine, tmp_path: Path) -> EventRepository:
    return EventRepository(engine, SnapshotFolder(tmp_path))


def ids(events: EventRepository, wanted: EventFilter) -> list[int]:
    return [row.event_id for row in events.page(wanted, 100, order="time").events]


# ── filters ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("plate", "expected"),
    [
        ("AB", [2, 1]),
        ("AB12", [2, 1]),
        ("AB123", [1]),
        ("B12", []),
        ("АВ", []),
        ("%", []),
        ("", [2, 1]),
    ],
)
def test_a_plate_is_found_by_its_beginning(
    events: EventRepository, plate: str, expected: list[int]
) -> None:
    rows = [
        event(1, 1.0, "plate_seen", plate_number="AB123"),
        event(2, 2.0, "plate_match", plate_number="ab 12"),
        event(3, 3.0, "zone_entered", zone="AB"),
    ]
    events.add(rows)
    wanted = EventFilter(plate=plate)
    assert ids(events, wanted) == expected
    assert [row.event_id for row in reversed(rows) if wanted.takes_record(row)] == expected


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (22 * 3600, 6 * 3600, [1, 2, 4, 6]),
        (6 * 3600, 22 * 3600, [3, 5]),
        (0, 0, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_hours_of_the_day_follow_the_clock_over_its_changes(
    events: EventRepository, start_s: int, end_s: int, expected: list[int]
) -> None:
    """Clocks changed on 25 October 2026."""
    times = (
        "10-24 22:00",
        "10-24 05:59",
        "10-24 06:00",
        "10-26 22:00",
        "10-26 06:00",
        "10-26 05:59",
    )
    rows = [event(number, at(f"2026-{when}")) for number, when in enumerate(times, 1)]
    events.add(rows)
    wanted = EventFilter(hours=DayHours(start_s, end_s, BERLIN))
    assert sorted(ids(events, wanted)) == expected
    assert [row.event_id for row in rows if wanted.takes_record(row)] == expected
    within_a_day = replace(wanted, since=at("2026-10-26 00:00"), until=at("2026-10-27 00:00"))
    assert sorted(ids(events, within_a_day)) == [one for one in expected if one > 3]


# ── pages ────────────────────────────────────────────────────────────────────────────────────


def test_pages_by_time_meet_where_times_are_equal_and_an_event_came_late(
    events: EventRepository,
) -> None:
    times = (5.0, 5.0, 9.0, 5.0, 1.0, 7.0, 5.0)
    events.add([event(number, ts) for number, ts in enumerate(times, 1)])
    found: list[int] = []
    cursor = None
    while True:
        page = events.page(ALL, 2, cursor, order="time", counted=False)
        assert page.total is None
        found += [row.event_id for row in page.events]
        cursor = page.cursor
        if cursor is None:
            break
    assert found == [3, 6, 7, 4, 2, 1, 5]
    assert [[row.event_id for row in batch] for batch in events.batches(ALL, 4)] == [
        [3, 6, 7, 4],
        [2, 1, 5],
    ]


def test_a_page_continues_after_its_cursor_was_removed(
    events: EventRepository, engine: Engine, tmp_path: Path
) -> None:
    events.add([event(number, float(number)) for number in range(1, 6)])
    first = events.page(ALL, 2, order="time")
    assert first.cursor == 4
    EventPruner(engine, SnapshotFolder(tmp_path)).delete_one(4)
    second = events.page(ALL, 5, first.cursor, order="time")
    assert [row.event_id for row in second.events] == [2, 1]


# ── counts ───────────────────────────────────────────────────────────────────────────────────


def test_counts_by_camera_and_type(events: EventRepository, engine: Engine) -> None:
    events.add([event(1, 1.0), event(2, 2.0), event(3, 3.0, "zone_left")])
    counted = EventCounts(engine).by_camera(replace(ALL, since=2.0))
    assert [(one.type, one.count, one.newest_ts) for one in counted] == [
        ("bag_placed", 1, 2.0),
        ("zone_left", 1, 3.0),
    ]


def test_days_are_those_of_the_time_zone(events: EventRepository, engine: Engine) -> None:
    times = ("10-24 23:59", "10-25 00:00", "10-25 23:59", "10-26 00:00", "10-26 12:00")
    events.add([event(number, at(f"2026-{when}")) for number, when in enumerate(times, 1)])
    period = replace(ALL, since=at("2026-10-24 00:00"), until=at("2026-10-26 12:00"))
    days = EventCounts(engine).by_day(period, BERLIN)
    assert {str(day): count for day, count in days.items()} == {
        "2026-10-26": 1,
        "2026-10-25": 2,
        "2026-10-24": 1,
    }


# ── flags and comments ───────────────────────────────────────────────────────────────────────


def test_a_flagged_event_keeps_its_clip_flagged(
    events: EventRepository, engine: Engine, tmp_path: Path
) -> None:
    events.add([event(number, 105.0) for number in (1, 2, 3)])
    marks, clips = EventMarks(engine), FootageRepository(engine, tmp_path)

    def flagged() -> list[bool]:
        return [one.flagged for one in clips.all()]

    clips.add(CLIP, [1, 2])
    marks.flag(1, flagged=True)
    marks.flag(2, flagged=True)
    assert (ids(events, EventFilter(flagged=True)), flagged()) == ([2, 1], [True])
    marks.flag(1, flagged=False)
    assert (ids(events, EventFilter(flagged=True)), flagged()) == ([2], [True])
    marks.flag(2, flagged=False)
    assert flagged() == [False]
    marks.flag(3, flagged=True)  # before its clip is written
    clips.add(replace(CLIP, path="x"), [3])
    assert sorted(flagged()) == [False, True]


def test_a_comment_is_kept_replaced_and_removed(events: EventRepository, engine: Engine) -> None:
    events.add([event(1, 1.0)])
    marks = EventMarks(engine)
    for comment in (EventComment("a", "kim", 2.0), EventComment("b", "lee", 3.0), None):
        marks.comment(1, comment)
        assert events.get(1).comment == comment
    with pytest.raises(EventNotFound):
        marks.comment(9, None)
    with pytest.raises(EventNotFound):
        marks.flag(9, flagged=True)


# ── the migration, and plans ─────────────────────────────────────────────────────────────────


def test_older_events_are_found_by_what_their_details_say(empty_database_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", empty_database_url.replace("%", "%%"))
    command.upgrade(config, "0081")
    old = create_engine(empty_database_url)
    details = (
        '{"label": "person", "zone": "hall"}',
        '{"plate_number": "AB12"}',
        "{}",
        '{"label": "\\u0000", "zone": "hall"}',
        '{"line": "door", "label": null}',
    )
    with old.begin() as connection:
        for number, one in enumerate(details, 1):
            connection.execute(
                text(
                    "INSERT INTO events (event_id, stream_id, type, ts, details) "
                    "VALUES (:number, 'gate', 'plate_seen', 1.0, :details)"
                ),
                {"number": number, "details": one},
            )
    old.dispose()
    engine = open_database(empty_database_url)
    events = EventRepository(engine, SnapshotFolder(Path("/nonexistent")))
    assert ids(events, EventFilter(label="person")) == [1]
    assert 1 in ids(events, EventFilter(zone="hall"))
    assert ids(events, EventFilter(plate="AB")) == [2]
    assert ids(events, EventFilter(line="door")) == [5]
    assert ids(events, EventFilter(flagged=False)) == [5, 4, 3, 2, 1]
    engine.dispose()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, EventRepository]]:
    folder = tmp_path_factory.mktemp("many")
    engine = open_database(f"sqlite:///{folder / 'watchpost.db'}")
    yield engine, bench.fill(engine, folder, 500)
    engine.dispose()


@pytest.mark.parametrize("name", bench.FILTERS)
def test_a_page_is_read_along_an_index(many: tuple[Engine, EventRepository], name: str) -> None:
    """What is sorted or scanned as a whole becomes slow with 100 000 events."""
    plan = bench.plan_of_page(*many, bench.FILTERS[name])
    assert any(step.startswith("SEARCH events USING INDEX ix_events_") for step in plan), plan
    assert not any(step.startswith("SCAN events") for step in plan)
    few = ("the beginning of a plate", "only three cameras allowed")
    assert name in few or not any("TEMP B-TREE" in step for step in plan), plan
