"""What streams have counted since midnight, as rows."""

from __future__ import annotations

from datetime import date, timedelta

from app.analytics.objects.daily_counts import MAX_STREAMS, DailyCounts
from app.db.daily_counts import DailyCountsRepository
from app.db.engine import open_database
from app.places import DayCounts

TODAY = date(2026, 11, 28)
DOOR = ("line", "door", "a_to_b", "person")
HALL = ("zone", "hall", "car")


def test_counts_come_back_as_they_were_and_old_ones_do_not(database_url: str) -> None:
    engine = open_database(database_url)
    repository = DailyCountsRepository(engine)
    repository.save([DayCounts("gate", TODAY, {DOOR: 2, HALL: 1})])
    repository.save([DayCounts("gate", TODAY, {DOOR: 3, HALL: 1})])
    repository.save([DayCounts("old", TODAY - timedelta(days=3), {DOOR: 9})])
    assert repository.load(TODAY) == [DayCounts("gate", TODAY, {DOOR: 3, HALL: 1})]
    assert repository.load(TODAY + timedelta(days=3)) == []
    engine.dispose()


def test_what_changed_is_taken_once_and_put_back_if_it_cannot_be_stored() -> None:
    counts = DailyCounts()
    counts.add("gate", TODAY, DOOR)
    changed = counts.take_changed()
    assert changed == [DayCounts("gate", TODAY, {DOOR: 1})]
    assert counts.take_changed() == []
    counts.put_back(changed)
    counts.add("gate", TODAY, DOOR)
    assert counts.take_changed() == [DayCounts("gate", TODAY, {DOOR: 2})]


def test_stored_counts_never_replace_newer_ones() -> None:
    counts = DailyCounts()
    counts.add("gate", TODAY, DOOR)
    counts.restore([DayCounts("gate", TODAY, {DOOR: 7}), DayCounts("hall", TODAY, {HALL: 7})])
    assert (counts.of("gate", TODAY), counts.of("hall", TODAY)) == ({DOOR: 1}, {HALL: 7})


def test_streams_without_end_do_not_fill_the_memory() -> None:
    counts = DailyCounts()
    for number in range(MAX_STREAMS + 5):
        counts.add(f"push-{number}", TODAY, DOOR)
    assert counts.of("push-0", TODAY) == {}
    assert len(counts.take_changed()) == MAX_STREAMS
