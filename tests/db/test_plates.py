"""Sessions, plates, search and the watch-list as rows."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from sqlalchemy import Engine, event, text

from app import plate_text
from app.db.engine import MIGRATIONS, open_database
from app.db.plate_counts import PlateCounts
from app.db.plate_eraser import PlateEraser
from app.db.plate_search import PlateSearch
from app.db.plates import PlateRepository
from app.db.watchlist import ClaudeCalls, Watchlist
from app.errors import InvalidRequest, PlateNotFound, SessionNotFound, WatchNotFound
from app.plates import ClaudeCall, NewPlate, NewSession, PlateFilter, PlateRead, StoredSession
from app.types import Box

BEGUN = datetime(2025, 5, 19, 12, 34, 56, 789000, UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = open_database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def rows(engine: Engine) -> PlateRepository:
    return PlateRepository(engine)


@pytest.fixture
def counts(engine: Engine) -> PlateCounts:
    return PlateCounts(engine)


def add(
    rows: PlateRepository, *texts: str, minutes: int = 0, source: str = "upload", sure: float = 0.9
) -> StoredSession:
    plates = [
        NewPlate(
            PlateRead(
                number,
                sure if number else 0.0,
                Box(1.4, 2, 3, 4.6),
                ("X1",) if number else (),
            ),
            f"detected_plates/{number or 'none'}.jpg",
        )
        for number in texts
    ]
    return rows.add(
        NewSession(
            filename="car.jpg",
            source=source,
            source_image_path="uploads/car.jpg",
            processing_time_ms=12.5,
            plates=plates,
            at=BEGUN + timedelta(minutes=minutes),
        )
    )


def numbers_of(rows: PlateRepository, **wanted: object) -> list[str]:
    found, total = rows.plates(PlateFilter(**wanted), 0, 100)  # type: ignore[arg-type]
    assert total == len(found)
    return [plate.plate_number for plate in found]


def test_a_session_comes_back_as_it_was_kept(rows: PlateRepository) -> None:
    kept = add(rows, "A123BC", "")
    assert rows.session(kept.session_id) == kept
    first, second = kept.plates
    assert (first.plate_number, first.box, first.at) == ("A123BC", (1, 2, 3, 5), BEGUN)
    assert first.alternative_readings == "A123BC/X1"
    assert (second.plate_number, second.alternative_readings) == ("", None)
    assert first.session_id == second.session_id == kept.session_id


def test_lists_are_newest_first_and_paged(rows: PlateRepository) -> None:
    for number in range(5):
        add(rows, f"AB{number}", minutes=number)
    found, total = rows.plates(PlateFilter(), 1, 2)
    assert ([plate.plate_number for plate in found], total) == (["AB3", "AB2"], 5)
    sessions, total = rows.sessions(3, 10)
    assert ([s.plates[0].plate_number for s in sessions], total) == (["AB1", "AB0"], 5)


def test_filters(rows: PlateRepository) -> None:
    add(rows, "A123BC", minutes=0)
    add(rows, "A1O3BC", minutes=10, source="cam-1", sure=0.4)
    rows.update(1, {"is_verified": True})
    assert numbers_of(rows, number="103") == ["A1O3BC"]
    assert numbers_of(rows, number="а123") == ["A123BC"]
    assert numbers_of(rows, number="%") == []
    assert numbers_of(rows, verified=True) == ["A123BC"]
    assert numbers_of(rows, verified=False) == ["A1O3BC"]
    assert numbers_of(rows, source="cam-1") == ["A1O3BC"]
    assert numbers_of(rows, min_confidence=0.5) == ["A123BC"]
    assert numbers_of(rows, since=BEGUN + timedelta(minutes=5)) == ["A1O3BC"]
    assert numbers_of(rows, until=BEGUN + timedelta(minutes=5)) == ["A123BC"]


def test_another_number_makes_it_manual_and_the_same_does_not(
    rows: PlateRepository, counts: PlateCounts
) -> None:
    add(rows, "A123BC")
    same = rows.update(1, {"plate_number": "A123BC", "is_verified": True})
    assert (same.processed_by, same.is_verified) == ("local", True)
    changed = rows.update(1, {"plate_number": "A124BC"})
    assert (changed.processed_by, changed.first_reading) == ("manual", "A123BC")
    assert counts.activity()["checked"] == {"corrected": 1, "confirmed": 0}


def test_a_deleted_plate_vanishes_but_its_row_stays(
    rows: PlateRepository, counts: PlateCounts, engine: Engine
) -> None:
    kept = add(rows, "A123BC", "B777BB")
    rows.delete(1)
    assert numbers_of(rows) == ["B777BB"]
    assert [p.plate_number for p in rows.session(kept.session_id).plates] == ["B777BB"]
    assert PlateSearch(engine).find("A123", 10) == []
    assert counts.statistics().total == 1
    for call in (lambda: rows.plate(1), lambda: rows.delete(1), lambda: rows.update(1, {})):
        with pytest.raises(PlateNotFound):
            call()
    assert rows.plate(1, deleted=True).plate_number == "A123BC"
    with pytest.raises(SessionNotFound):
        rows.session(99)


def test_statistics_count_what_could_not_be_read(
    rows: PlateRepository, counts: PlateCounts
) -> None:
    assert counts.statistics().mean_confidence == 0
    add(rows, "A123BC", "", "", "B777BB")
    found = counts.statistics()
    assert (found.total, found.unrecognised, found.sessions) == (4, 2, 1)
    assert found.mean_confidence == pytest.approx(0.45)
    assert [plate.plate_id for plate in found.newest] == [4, 3, 2, 1]


def test_activity_by_hour_day_and_source(rows: PlateRepository, counts: PlateCounts) -> None:
    add(rows, "A1")
    add(rows, "A2", minutes=60, source="cam-1")
    found = counts.activity()
    assert found["per_hour"] == {"12": 1, "13": 1}
    assert found["per_day"] == {"2025-05-19": 2}
    assert found["by_source"] == {"cam-1": 1, "upload": 1}


def test_pictures_are_forgotten_in_every_row_that_names_them(rows: PlateRepository) -> None:
    kept = add(rows, "A1", "A2")
    assert rows.forget_pictures(1) == [
        "detected_plates/A1.jpg", "detected_plates/A2.jpg", "uploads/car.jpg",
    ]  # fmt: skip
    assert rows.session(kept.session_id).source_image_path == ""
    assert rows.plate(2).image_path == ""
    assert rows.forget_pictures(1) == []


def test_the_export_has_every_row_once(
    rows: PlateRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.db.plates.EXPORT_PAGE", 3)
    add(rows, *[f"A{number}" for number in range(10)])
    exported = [plate.plate_id for plate in rows.export(PlateFilter())]
    assert exported == list(range(10, 0, -1))


def test_the_export_ends_where_other_programs_wrote_the_times(
    rows: PlateRepository, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.db.plates.EXPORT_PAGE", 3)
    moments = ["2025-05-19 12:00:00"] * 7 + ["2025-05-20 12:00:00.5"] * 4
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO license_plates (plate_number, timestamp) VALUES ('A1', :at)"),
            [{"at": moment} for moment in moments],
        )
    exported = [plate.plate_id for plate in itertools.islice(rows.export(PlateFilter()), 100)]
    assert exported == list(range(11, 0, -1))


# ── search ───────────────────────────────────────────────────────────────────────────────────


def search(engine: Engine, query: str, limit: int = 10) -> list[str]:
    return [plate.plate_number for plate in PlateSearch(engine).find(query, limit)]


def test_the_best_comes_first(rows: PlateRepository, engine: Engine) -> None:
    add(rows, "XA123", "A123BC", "A123", "B9")
    assert search(engine, "A123") == ["A123", "A123BC", "XA123"]
    assert search(engine, "a-123") == ["A123", "A123BC", "XA123"]
    assert search(engine, "A123", 2) == ["A123", "A123BC"]


def test_look_alikes_are_found(rows: PlateRepository, engine: Engine) -> None:
    add(rows, "AO1QIB")
    for query in ("A010", "AO1O", "а01", "1Q1", "I0IB"):
        assert search(engine, query) == ["AO1QIB"], query


def test_one_edit_away_only_when_nothing_else_matches(
    rows: PlateRepository, engine: Engine
) -> None:
    add(rows, "A123BC", "A124BC")
    assert search(engine, "A124BC") == ["A124BC"]
    assert search(engine, "A125BC") == ["A124BC", "A123BC"]
    assert search(engine, "A12BC") == ["A124BC", "A123BC"]
    assert search(engine, "XA123BC") == ["A123BC"]
    assert search(engine, "Z999ZZ") == []


@pytest.mark.parametrize("query", ["%", "_", "A%3", "A_23", "\\", "'", '"; drop table', "/"])
def test_wildcards_are_plain_text(rows: PlateRepository, engine: Engine, query: str) -> None:
    add(rows, "A123BC")
    assert search(engine, query) == []


def test_rows_of_other_programs_are_right(rows: PlateRepository, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO license_plates (plate_number, confidence, timestamp) VALUES "
                "('А 123-ВС', 0.5, '2025-05-19 12:00:00'), ('ab1o', 0.5, '2025-05-19T12:00:00.5')"
            )
        )
    assert search(engine, "A123BC") == ["А 123-ВС"]
    assert search(engine, "AB10") == ["ab1o"]
    found, total = rows.plates(PlateFilter(), 0, 10)
    assert total == 2
    assert {plate.session_id for plate in found} == {None}
    assert all(plate.at.tzinfo is UTC for plate in found)
    assert rows.update(1, {"is_verified": True}).is_verified


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("query", "plans"),
    [
        ("A124BC", ["SEARCH", "SEARCH", "SCAN", "SCAN"]),  # itself, begins, inside, one edit
        ("A123BC", ["SEARCH", "SEARCH", "SCAN"]),
    ],
)
def test_search_reads_only_the_index(
    rows: PlateRepository, engine: Engine, query: str, plans: list[str]
) -> None:
    add(rows, "A123BC")
    sent: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, values: Any, *___: object) -> None:
        sent.append((statement, values))

    event.listen(engine, "before_cursor_execute", note)
    assert search(engine, query) == ["A123BC"]
    event.remove(engine, "before_cursor_execute", note)
    *conditions, _rows = sent
    with engine.connect() as connection:
        for (statement, values), how in zip(conditions, plans, strict=True):
            first, *_ = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            assert how in first.detail
            assert "COVERING INDEX ix_license_plates_search" in first.detail


# ── watch-list, and the record of calls ──────────────────────────────────────────────────────


def test_the_watch_list(engine: Engine) -> None:
    watches = Watchlist(engine)
    entry = watches.add("A123*", "stolen", "alert")
    assert watches.entries() == [entry]
    with pytest.raises(InvalidRequest):
        watches.add("A123*", "", "allow")
    watches.remove(entry.watch_id)
    assert watches.entries() == []
    with pytest.raises(WatchNotFound):
        watches.remove(entry.watch_id)


def test_calls_are_counted_answered_from_the_record_and_named(engine: Engine) -> None:
    calls = ClaudeCalls(engine)
    number = calls.begin("hash", "model", 2)
    assert number is not None
    assert calls.answer("hash", "model") is None
    calls.record_outcome(number, ClaudeCall("hash", "model", "read", "A1", 300, 9))
    known = calls.answer("hash", "model")
    assert known is not None
    assert known.answer == "A1"
    assert calls.answer("hash", "other") is None
    assert calls.begin("other", "model", 2) is not None
    assert calls.begin("third", "model", 2) is None
    calls.assign("hash", 7)
    with engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM claude_calls WHERE plate_id = 7")).one()
    assert (row.outcome, row.input_tokens, row.output_tokens) == ("read", 300, 9)


# ── letters of all scripts ───────────────────────────────────────────────────────────────────

WRITTEN = (
    "GÖ-AB 123",
    "12가3456",
    "京A12345",
    "А123ВС77",
    "о001оо 99",
    "ΙΚΥ-1234",
    "١٢٣ ا ب",
    "O'Q_I.1/0",
    "Łódź·ñ—7",
)


def test_the_database_computes_the_same_key_whoever_writes_the_row(engine: Engine) -> None:
    rows = [*WRITTEN, *(f"{c}1" for c in plate_text.FOLDING), *(f"1{c}" for c in plate_text.GAPS)]
    with engine.begin() as connection:  # as another program does it
        for number in rows:
            insert = "INSERT INTO license_plates (plate_number) VALUES (:number)"
            connection.execute(text(insert), {"number": number})
        found = connection.execute(text("SELECT plate_number, shape FROM license_plates"))
        assert {one.plate_number: one.shape for one in found} == {
            number: plate_text.shape(number) for number in rows
        }
        connection.execute(text("UPDATE license_plates SET plate_number = 'Ёб-О1'"))
        shapes = connection.execute(text("SELECT DISTINCT shape FROM license_plates"))
        assert list(shapes.scalars()) == [plate_text.shape("Ёб-О1")]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("A123BC", ["А123ВС77"]),
        ("а123вс", ["А123ВС77"]),
        ("가", ["12가3456"]),
        ("goab", ["GÖ-AB 123"]),
        ("gö", ["GÖ-AB 123"]),
        ("ky12", ["ΙΚΥ-1234"]),
        ("京", ["京A12345"]),
        ("ooi00", ["о001оо 99"]),
    ],
)
def test_any_spelling_finds_a_number_as_it_was_typed(
    rows: PlateRepository, engine: Engine, query: str, found: list[str]
) -> None:
    add(rows, *WRITTEN[:6])
    assert [plate.plate_number for plate in PlateSearch(engine).find(query, 10)] == found
    assert numbers_of(rows, number=query) == found


def test_erasing_a_number_takes_all_its_spellings_and_no_look_alike(
    rows: PlateRepository, engine: Engine
) -> None:
    add(rows, "А123ВО", "a-123 bo", "A123B0", "A123BOX")
    watchlist = Watchlist(engine)
    entry = watchlist.add("а123во", "", "alert")
    watchlist.add("A123B*", "", "alert")
    found = PlateEraser(engine).of_number("A123BO")
    assert [plate.plate_number for plate in found.plates] == ["А123ВО", "a-123 bo"]
    assert found.watch_ids == [entry.watch_id]


def test_one_number_is_on_the_watch_list_once_however_it_is_spelled(engine: Engine) -> None:
    watchlist = Watchlist(engine)
    watchlist.add("а123 вс*", "", "alert")
    with pytest.raises(InvalidRequest):
        watchlist.add("A123BC*", "", "alert")
    assert [entry.number for entry in watchlist.entries()] == ["а123 вс*"]


def test_old_rows_are_found_by_the_new_key(tmp_path: Path) -> None:
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{tmp_path / 'old.db'}")
    command.upgrade(config, "0080")
    with sqlite3.connect(tmp_path / "old.db") as old:
        old.execute("INSERT INTO license_plates (plate_number) VALUES ('ΙΚΥ-12О4'), ('A1')")
    command.upgrade(config, "head")
    with sqlite3.connect(tmp_path / "old.db") as new:
        shapes = new.execute("SELECT plate_number, shape FROM license_plates").fetchall()
    assert shapes == [("ΙΚΥ-12О4", "1KY1204"), ("A1", "A1")]


def test_a_person_who_corrects_a_number_is_certain(rows: PlateRepository) -> None:
    (plate,) = add(rows, "A123BC", sure=0.41).plates
    same = rows.update(plate.plate_id, {"plate_number": "A123BC", "is_verified": True})
    assert (same.confidence, same.processed_by) == (0.41, "local")
    changed = rows.update(plate.plate_id, {"plate_number": "А123ВС"})
    assert (changed.plate_number, changed.confidence) == ("А123ВС", 1.0)
    assert (changed.processed_by, changed.first_reading) == ("manual", "A123BC")
