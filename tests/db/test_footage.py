"""Clips and recordings as rows, and their files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.db.engine import open_database
from app.db.events import EventRepository
from app.db.footage import FootageRepository
from app.db.snapshots import SnapshotFolder
from app.errors import StoreError
from app.events import EventFilter, EventRow
from app.footage import Footage, Period, gaps_of, spans_of

CLIP = Footage("gate", "event", 100.0, 115.0, "event/gate/2026-01-01/1.mp4", 4)
SEGMENT = Footage("gate", "continuous", 0.0, 300.0, "continuous/gate/2026-01-01/0.mp4", 4)
EVER = Period(0, 1e12)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> FootageRepository:
    return FootageRepository(engine, tmp_path / "footage")


def add(store: FootageRepository, one: Footage, *event_ids: int) -> Path:
    path = store.root / one.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"film")
    store.add(one, event_ids)
    return path


def test_files_are_found_by_stream_and_time(store: FootageRepository) -> None:
    add(store, CLIP)
    add(store, SEGMENT)
    add(store, replace(CLIP, stream_id="yard", path="x"))
    found = store.of_stream("gate", EVER)
    assert [replace(one, footage_id=0) for one in found] == [SEGMENT, CLIP]
    assert store.of_stream("gate", Period(115, 200))[0].kind == "continuous"
    assert len(store.of_stream("gate", Period(115, 200))) == 1  # the clip ends at 115
    assert store.of_stream("gate", Period(300, 400)) == []
    assert store.paths() == {CLIP.path, SEGMENT.path, "x"}
    assert len(store.all()) == 3


def test_a_clip_is_found_by_its_events(store: FootageRepository, engine: Engine) -> None:
    add(store, CLIP, 7, 9)
    for event_id in (7, 9):
        clip = store.clip_of(event_id)
        assert clip is not None
        assert clip.path == CLIP.path
    assert store.clip_of(8) is None
    events = EventRepository(engine, SnapshotFolder(store.root))
    events.add([EventRow(number, "gate", "bag_placed", 105.0) for number in (7, 8, 9)])
    page = events.page(EventFilter(), 10, None)
    assert [(row.event_id, row.clip) for row in page.events] == [(9, True), (8, False), (7, True)]


def test_clips_go_with_the_last_event_or_with_the_first(store: FootageRepository) -> None:
    path = add(store, CLIP, 7, 9)
    other = add(store, replace(CLIP, path="event/gate/2026-01-02/2.mp4"), 11)
    assert store.remove_clips([7], shared=False) == 0
    assert path.exists()
    assert store.clip_of(7) is None
    assert store.remove_clips([9, 10], shared=False) == 1
    assert not path.exists()
    assert not path.parent.exists()
    assert store.remove_clips([11], shared=True) == 1
    assert not other.exists()
    assert store.all() == []


def test_a_shared_clip_is_erased_for_all(store: FootageRepository) -> None:
    add(store, CLIP, 7, 9)
    assert store.remove_clips([7], shared=True) == 1
    assert store.clip_of(9) is None


def test_a_file_that_cannot_be_deleted_keeps_its_row(store: FootageRepository) -> None:
    path = store.root / CLIP.path
    path.mkdir(parents=True)  # not a file
    store.add(CLIP, [7])
    with pytest.raises(StoreError, match="footage"):
        store.remove_clips([7], shared=True)
    assert store.clip_of(7) is not None
    with pytest.raises(StoreError):
        store.remove(store.all())
    assert len(store.all()) == 1


def test_flags(store: FootageRepository) -> None:
    add(store, CLIP)
    add(store, SEGMENT)
    assert store.flag("gate", Period(200, 201), flagged=True) == 1
    assert [one.flagged for one in store.of_stream("gate", EVER)] == [True, False]
    assert store.flag("gate", EVER, flagged=False) == 2
    assert not any(one.flagged for one in store.all())


# ── spans and gaps ───────────────────────────────────────────────────────────────────────────


def segment(begin_ts: float, end_ts: float, **changes: object) -> Footage:
    return replace(SEGMENT, begin_ts=begin_ts, end_ts=end_ts, **changes)  # type: ignore[arg-type]


def test_files_that_follow_each_other_are_one_span_and_flags_divide_them() -> None:
    files = [
        segment(0, 10),
        segment(10.2, 20),
        segment(20, 30, flagged=True),
        segment(40, 50),
        segment(45, 60),  # the clock was set back
    ]
    wanted = Period(5, 55)
    found = [(span.period, span.flagged) for span in spans_of(files, wanted)]
    assert found == [
        (Period(5, 20), False),
        (Period(20, 30), True),
        (Period(40, 55), False),
    ]
    assert gaps_of(spans_of(files, wanted), wanted) == [Period(30, 40)]


def test_without_files_all_is_a_gap() -> None:
    assert gaps_of([], Period(5, 55)) == [Period(5, 55)]
