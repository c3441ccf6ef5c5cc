"""Events as rows, and their snapshots as files."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from app.db.engine import open_database
from app.db.event_pruner import EventPruner
from app.db.events import EventRepository
from app.db.snapshots import SnapshotFolder
from app.db.stream_sessions import StreamSessionRepository
from app.errors import EventNotFound, NoSnapshot, SnapshotRemoved, StoreError
from app.events import EventFilter, EventRow
from app.types import Box

ALL = EventFilter()
DAY = 86_400.0
FULL = EventRow(
    1,
    "gate",
    "bag_placed",
    1_793_500_000.25,
    track_id=7,
    person_id=3,
    bag_id=7,
    box=Box(1.5, 2, 30, 40),
    confidence=0.83,
    duration_s=12.5,
    details={"owner_confidence": 0.7, "zone": "dock"},
    session_id="S_2026_10_31_0002",
)


def event(number: int, stream_id: str = "gate", kind: str = "bag_placed") -> EventRow:
    return replace(FULL, event_id=number, stream_id=stream_id, type=kind, ts=1000.0 + number)


def pictured(number: int, name: str) -> EventRow:
    return replace(event(number), snapshot=True, snapshot_file=name)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def snapshots(tmp_path: Path) -> SnapshotFolder:
    return SnapshotFolder(tmp_path / "snapshots")


@pytest.fixture
def events(engine: Engine, snapshots: SnapshotFolder) -> EventRepository:
    return EventRepository(engine, snapshots)


@pytest.fixture
def pruner(engine: Engine, snapshots: SnapshotFolder) -> EventPruner:
    return EventPruner(engine, snapshots)


def add(events: EventRepository, *records: EventRow) -> None:
    assert events.add(records) == 0


def ids(records: list[EventRow]) -> list[int]:
    return [record.event_id for record in records]


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("record", [FULL, EventRow(2, "a", "smoking_ended", 0.0)])
def test_an_event_comes_back_as_it_was(events: EventRepository, record: EventRow) -> None:
    add(events, record)
    assert events.get(record.event_id) == record
    assert events.after(0, ALL, 10) == [record]


def test_numbers_go_on_from_the_largest(events: EventRepository) -> None:
    assert events.next_id() == 1
    add(events, event(41), event(7))
    assert events.next_id() == 42


def test_numbers_go_on_after_everything_was_deleted(
    events: EventRepository, pruner: EventPruner
) -> None:
    add(events, event(41))
    pruner.delete_oldest(10)
    assert events.next_id() == 42


def test_what_is_not_there_is_said(events: EventRepository) -> None:
    with pytest.raises(EventNotFound):
        events.get(1)
    with pytest.raises(EventNotFound):
        events.snapshot(1)
    add(events, event(1))
    with pytest.raises(NoSnapshot):
        events.snapshot(1)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (EventFilter(label="person"), [2, 1]),
        (EventFilter(zone="hall"), [3, 1]),
        (EventFilter(label="person", zone="hall"), [1]),
        (EventFilter(line="door"), [2]),
        (EventFilter(zone='" OR 1=1 --'), []),
    ],
)
def test_events_are_found_by_label_zone_and_line(
    events: EventRepository, wanted: EventFilter, expected: list[int]
) -> None:
    rows = [
        replace(event(1), details={"label": "person", "zone": "hall"}),
        replace(event(2), details={"label": "person", "line": "door"}),
        replace(event(3), details={"label": "car", "zone": "hall"}),
        replace(event(4), details={}),
    ]
    add(events, *rows)
    assert ids(events.page(wanted, 10).events) == expected
    assert [row.event_id for row in rows if wanted.takes_record(row)] == sorted(expected)


def test_pages_are_newest_first_and_meet(events: EventRepository) -> None:
    add(events, *(event(number) for number in range(1, 11)))
    first = events.page(ALL, 4)
    assert (ids(first.events), first.total, first.cursor) == ([10, 9, 8, 7], 10, 7)
    second = events.page(ALL, 4, first.cursor)
    assert (ids(second.events), second.total) == ([6, 5, 4, 3], 10)
    last = events.page(ALL, 4, second.cursor)
    assert (ids(last.events), last.cursor) == ([2, 1], None)
    assert events.page(ALL, 2, 3).cursor is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (EventFilter("gate"), [4, 1]),
        (EventFilter(None, "bag_taken"), [4, 3]),
        (EventFilter("door", "bag_taken"), [3]),
        (EventFilter(since=1003), [4, 3]),
        (EventFilter(until=1003), [2, 1]),
        (EventFilter(since=1002, until=1004), [3, 2]),
        (EventFilter("nobody"), []),
    ],
)
def test_filters(events: EventRepository, wanted: EventFilter, found: list[int]) -> None:
    rows = [
        event(1),
        event(2, "door"),
        event(3, "door", "bag_taken"),
        event(4, "gate", "bag_taken"),
    ]
    add(events, *rows)
    page = events.page(wanted, 10)
    assert (ids(page.events), page.total) == (found, len(found))
    assert ids(events.after(0, wanted, 10)) == found[::-1]
    assert [row.event_id for row in reversed(rows) if wanted.takes_record(row)] == found


def test_writing_the_same_again_changes_nothing(events: EventRepository) -> None:
    add(events, event(1), event(2))
    add(events, event(1), event(2), event(3))
    assert ids(events.after(0, ALL, 10)) == [1, 2, 3]


def test_a_number_that_another_process_took_is_replaced(
    events: EventRepository, snapshots: SnapshotFolder, database_url: str
) -> None:
    other_engine = open_database(database_url)
    other = EventRepository(other_engine, snapshots)
    add(events, event(1, "mine"))
    add(other, event(1, "others"), event(2, "others"))
    other_engine.dispose()
    found = {(record.event_id, record.stream_id) for record in events.after(0, ALL, 10)}
    assert len(found) == 3
    assert {(1, "mine"), (2, "others")} <= found


def test_what_cannot_be_written_costs_only_itself(events: EventRepository) -> None:
    bad = replace(event(2), details={"thing": object()})
    assert events.add([event(1), bad, event(3)]) == 1
    assert ids(events.after(0, ALL, 10)) == [1, 3]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_locked_database_raises_and_keeps_nothing_half(
    events: EventRepository, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.connect() as connection:
        connection.execute(text("PRAGMA busy_timeout=50"))
    locker = sqlite3.connect(tmp_path / "watchpost.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError):
        events.add([event(1), event(2)])
    locker.execute("ROLLBACK")
    locker.close()
    assert events.after(0, ALL, 10) == []
    add(events, event(1), event(2))


# ── pictures ─────────────────────────────────────────────────────────────────────────────────


def test_a_snapshot_lies_in_the_folder_of_its_day(
    events: EventRepository, snapshots: SnapshotFolder, tmp_path: Path
) -> None:
    name = snapshots.save(5, 1_793_500_000.0, b"jpeg")
    assert name.startswith("2026-11-01/5-")
    events.add([pictured(5, name)])
    assert events.snapshot(5) == b"jpeg"
    assert events.get(5).snapshot is True
    assert [path.name for path in (tmp_path / "snapshots").rglob("*.part")] == []


def test_a_picture_that_somebody_deleted_is_said(
    events: EventRepository, snapshots: SnapshotFolder, tmp_path: Path
) -> None:
    name = snapshots.save(5, 0.0, b"jpeg")
    events.add([pictured(5, name)])
    assert events.get(5) == pictured(5, name)
    (tmp_path / "snapshots" / name).unlink()
    with pytest.raises(NoSnapshot):
        events.snapshot(5)
    with pytest.raises(SnapshotRemoved, match="was removed"):
        events.snapshot(5)
    assert events.get(5) == event(5), "the row says that there is no picture"
    assert [row.snapshot for row in events.page(ALL, 10).events] == [False]
    assert [row.snapshot for row in events.after(0, ALL, 10)] == [False]


def test_events_from_before_a_moment_go_with_their_pictures(
    events: EventRepository, pruner: EventPruner, snapshots: SnapshotFolder, tmp_path: Path
) -> None:
    names = [snapshots.save(number, DAY * number, bytes(100)) for number in (1, 2)]
    add(events, pictured(1, names[0]), event(2), event(3), pictured(4, names[1]))
    assert pruner.delete_before(1003.0, 1) == (1, 100)
    assert pruner.delete_before(1003.0, 10) == (1, 0)
    assert pruner.delete_before(1003.0, 10) == (0, 0)
    assert ids(events.after(0, ALL, 10)) == [3, 4]
    assert pruner.count() == 2
    assert [path.name for path in (tmp_path / "snapshots").rglob("*.jpg")] == [Path(names[1]).name]


def test_events_go_with_named_pictures_and_their_numbers_stay_used(
    events: EventRepository, pruner: EventPruner, snapshots: SnapshotFolder
) -> None:
    names = [snapshots.save(number, 0.0, bytes(100)) for number in (7, 8)]
    add(events, event(6), pictured(7, names[0]), pictured(8, names[1]))
    assert pruner.delete_with_snapshots([names[1], "1970-01-01/99-nobody.jpg"]) == 1
    assert ids(events.after(0, ALL, 10)) == [6, 7]
    assert events.next_id() == 9
    pruner.delete_oldest(1)
    assert events.next_id() == 9, "an older number that is deleted later changes nothing"


def test_the_oldest_events_go_with_their_pictures(
    events: EventRepository, pruner: EventPruner, snapshots: SnapshotFolder, tmp_path: Path
) -> None:
    names = [snapshots.save(number, DAY * number, bytes(100)) for number in range(1, 4)]
    rows = [pictured(number + 1, name) for number, name in enumerate(names)]
    events.add([*rows, event(4)])
    assert pruner.delete_oldest(2) == (2, 200)
    assert ids(events.after(0, ALL, 10)) == [3, 4]
    left = [path.name for path in (tmp_path / "snapshots").iterdir()]
    assert left == ["1970-01-04"]
    assert pruner.delete_oldest(10) == (2, 100)
    assert pruner.delete_oldest(10) == (0, 0)


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with pytest.raises(StoreError, match="snapshot"):
        SnapshotFolder(tmp_path / "file").save(1, 0.0, b"jpeg")


# ── sessions ─────────────────────────────────────────────────────────────────────────────────


def test_session_ids_count_up_per_day(engine: Engine) -> None:
    sessions = StreamSessionRepository(engine)
    day, next_day = date(2026, 2, 3), date(2026, 2, 4)
    assert [sessions.next_id(day) for _ in range(2)] == ["S_2026_02_03_0001", "S_2026_02_03_0002"]
    assert sessions.next_id(next_day) == "S_2026_02_04_0001"
    assert sessions.next_id(day) == "S_2026_02_03_0003"


def test_no_two_get_one_session_id(engine: Engine, database_url: str) -> None:
    engines = [open_database(database_url) for _ in range(2)]
    given: list[str] = []

    def take(engine: Engine) -> None:
        sessions = StreamSessionRepository(engine)
        for _ in range(20):
            given.append(sessions.next_id(date(2026, 2, 3)))

    threads = [threading.Thread(target=take, args=(engines[n % 2],)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in engines:
        other.dispose()
    assert sorted(given) == [f"S_2026_02_03_{number:04d}" for number in range(1, 121)]
