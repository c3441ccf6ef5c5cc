"""Room on the disk: what goes, in which order, and what stays."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.config import SpaceSettings
from app.db.engine import open_database
from app.db.event_marks import EventMarks
from app.db.event_pruner import EventPruner
from app.db.events import EventRepository
from app.db.snapshots import SnapshotFolder
from app.errors import StoreError
from app.events import EventFilter, EventRow
from app.recording import event_retention
from app.recording.event_retention import PrunableEvents
from app.recording.retention import (
    DAY_S,
    DiskSpace,
    Prunable,
    PrunableFolder,
    StoredItem,
)

MB = 2**20
FLAGGED_DAYS = 100.0


class Shelf(Prunable):
    """Stored items in memory."""

    def __init__(self, *things: StoredItem, fails: bool = False) -> None:
        self.things = list(things)
        self.fails = fails

    def items(self) -> Iterable[StoredItem]:
        if self.fails:
            raise StoreError(reason="locked")
        return list(self.things)

    def remove(self, item: StoredItem) -> None:
        if item.key.startswith("stuck"):
            raise OSError("read-only")
        self.things.remove(item)

    @property
    def keys(self) -> list[str]:
        return [item.key for item in self.things]


def thing(key: str, age_days: float, *, size: int = MB, protected: bool = False) -> StoredItem:
    return StoredItem(key, size, time.time() - age_days * DAY_S, protected)


def space(folder: Path, *shelves: Shelf, free: int = 10**12, **caps: float) -> DiskSpace:
    made = DiskSpace(folder, SpaceSettings(**{"min_free": 0, **caps}))
    for shelf in shelves:
        made.register(shelf)
    made.free = lambda: free  # type: ignore[method-assign]
    return made


def test_without_caps_nothing_goes(tmp_path: Path) -> None:
    shelf = Shelf(thing("old", 4000))
    assert space(tmp_path, shelf).sweep() == 0
    assert shelf.keys == ["old"]


def test_what_is_too_old_goes_and_what_matters_stays(tmp_path: Path) -> None:
    shelf = Shelf(thing("old", 31), thing("new", 29), thing("flagged", 99, protected=True))
    assert space(tmp_path, shelf, max_days=30).sweep() == 1
    assert shelf.keys == ["new", "flagged"]


def test_over_the_cap_the_oldest_go_first_whoever_keeps_them(tmp_path: Path) -> None:
    videos = Shelf(thing("video-5", 5), thing("video-1", 1))
    plates = Shelf(thing("plate-4", 4), thing("plate-2", 2))
    made = space(tmp_path, videos, plates, max_bytes=2 * MB)
    assert made.sweep() == 2
    assert (videos.keys, plates.keys) == (["video-1"], ["plate-2"])
    assert made.used_bytes == 2 * MB
    assert made.sweep() == 0


def test_protected_things_go_last_but_they_go(tmp_path: Path) -> None:
    shelf = Shelf(thing("verified", 9, protected=True), thing("a", 3), thing("b", 2))
    assert space(tmp_path, shelf, max_bytes=MB).sweep() == 2
    assert shelf.keys == ["verified"]
    assert space(tmp_path, shelf, max_bytes=0).sweep() == 1
    assert shelf.keys == []


def test_below_the_floor_as_much_goes_as_is_needed(tmp_path: Path) -> None:
    shelf = Shelf(*(thing(str(age), age) for age in (4, 3, 2, 1)))
    made = space(tmp_path, shelf, min_free=100)
    made.free = lambda: 0 if len(shelf.things) > 2 else 100  # type: ignore[method-assign]
    assert made.is_low()
    assert made.sweep() == 2
    assert shelf.keys == ["2", "1"]
    assert not made.is_low()


def test_what_cannot_be_removed_or_listed_hinders_nothing_else(tmp_path: Path) -> None:
    shelf = Shelf(thing("stuck", 9), thing("old", 8))
    made = space(tmp_path, Shelf(fails=True), shelf, max_bytes=0)
    assert made.sweep() == 1
    assert shelf.keys == ["stuck"]


def test_a_folder_keeps_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.jpg", "deep/b.jpg", "deep/verified.jpg"):
        (folder / name).write_bytes(b"x" * 100)
    verified = folder / "deep" / "verified.jpg"
    files = PrunableFolder(folder, "**/*.jpg", lambda: {verified})
    found = {Path(item.key).name: item for item in files.items()}
    assert set(found) == {"a.jpg", "b.jpg", "verified.jpg"}
    assert [item.protected for item in found.values()].count(True) == 1
    assert found["a.jpg"].bytes == 100
    files.remove(found["b.jpg"])
    files.remove(found["b.jpg"])
    assert not (folder / "deep" / "b.jpg").exists()


def test_the_floor_looks_at_the_disk_itself(tmp_path: Path) -> None:
    assert DiskSpace(tmp_path, SpaceSettings(min_free=2**62)).is_low()
    assert not DiskSpace(tmp_path, SpaceSettings(min_free=0)).is_low()


@pytest.mark.parametrize("field", ["min_free", "max_bytes", "max_events"])
def test_settings_cannot_be_negative(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        SpaceSettings(**{field: -1})


# ── events: rows and pictures together ───────────────────────────────────────────────────────


class Events:
    """Events in a database, with their pictures, under one disk space."""

    def __init__(self, folder: Path, **limits: Any) -> None:
        self.engine = open_database(f"sqlite:///{folder / 'watchpost.db'}")
        self.folder = folder / "snapshots"
        self.snapshots = SnapshotFolder(self.folder)
        self.rows = EventRepository(self.engine, self.snapshots)
        self.space = space(folder, **limits)
        self.pruner = EventPruner(self.engine, self.snapshots)
        self.marks = EventMarks(self.engine)
        self.prunable = PrunableEvents(self.folder, self.pruner, self.space.settings, FLAGGED_DAYS)
        self.space.register(self.prunable)

    def add(self, number: int, age_days: float, *, picture: bool = True) -> None:
        ts = time.time() - age_days * DAY_S
        name = self.snapshots.save(number, ts, bytes(100)) if picture else None
        if name is not None:
            os.utime(self.folder / name, (ts, ts))
        row = EventRow(number, "gate", "bag_placed", ts, snapshot=picture, snapshot_file=name)
        assert self.rows.add([row]) == 0

    def ids(self) -> list[int]:
        return [row.event_id for row in self.rows.after(0, EventFilter(), 100)]

    def pictures(self) -> list[int]:
        return sorted(int(path.name.split("-")[0]) for path in self.folder.glob("*/*.jpg"))


@pytest.fixture
def events(tmp_path: Path) -> Iterator[Events]:
    made = Events(tmp_path)
    yield made
    made.engine.dispose()


def test_without_limits_no_event_goes(events: Events) -> None:
    events.add(1, 4000)
    assert events.space.sweep() == 0
    assert (events.ids(), events.pictures()) == ([1], [1])


def test_events_that_are_too_old_go_with_and_without_pictures(events: Events) -> None:
    events.add(1, 40)
    events.add(2, 31, picture=False)
    events.add(3, 29)
    events.add(4, 1, picture=False)
    events.space.settings.max_days = 30
    assert events.space.sweep() == 2
    assert (events.ids(), events.pictures()) == ([3, 4], [3])
    assert events.space.sweep() == 0
    assert events.rows.next_id() == 5


def test_flagged_events_have_a_limit_of_their_own_and_go_last(events: Events) -> None:
    for number, age_days in ((1, 101), (2, 90), (3, 40), (4, 1)):
        events.add(number, age_days)
    events.add(5, 50, picture=False)
    for number in (1, 2, 5):
        events.marks.flag(number, flagged=True)
    events.space.settings.max_days = 30
    assert events.space.sweep() == 2
    assert (events.ids(), events.pictures()) == ([2, 4, 5], [2, 4])
    events.space.settings.max_events = 1
    assert events.space.sweep() == 1
    assert events.ids() == [2, 5]
    events.add(6, 1)
    events.space.settings.max_events, events.space.settings.max_bytes = 10, 100
    assert events.space.sweep() == 1
    assert events.pictures() == [2]


def test_over_the_number_the_oldest_events_go_with_their_pictures(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_retention, "BATCH", 2)
    for number in range(1, 8):
        events.add(number, 10 - number, picture=number % 2 == 0)
    events.space.settings.max_events = 2
    assert events.space.sweep() == 5
    assert (events.ids(), events.pictures()) == ([6, 7], [6])
    assert events.space.removed == 5


def test_one_sweep_deletes_a_limited_number_and_the_next_goes_on(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_retention, "MAX_EVENTS_PER_SWEEP", 3)
    for number in range(1, 7):
        events.add(number, 1, picture=False)
    events.space.settings.max_events = 1
    assert [events.space.sweep() for _ in range(3)] == [3, 2, 0]
    assert events.ids() == [6]


def test_over_the_bytes_the_oldest_events_go_row_and_picture(events: Events) -> None:
    for number in (1, 2, 3):
        events.add(number, 10 - number)
    stray = events.folder / "2020-01-01" / "9-of-no-event.jpg"
    stray.parent.mkdir()
    stray.write_bytes(bytes(100))
    os.utime(stray, (0, 0))
    events.space.settings.max_bytes = 200
    assert events.space.sweep() == 2
    assert (events.ids(), events.pictures()) == ([2, 3], [2, 3])
    assert not stray.parent.exists(), "a day without pictures leaves no folder"


def test_a_locked_database_keeps_no_picture_and_its_row_goes_later(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    events.add(1, 2)
    events.add(2, 1)
    events.space.settings.max_bytes = 100

    def locked(names: object) -> int:
        raise StoreError(reason="database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(events.pruner, "delete_with_snapshots", locked)
        assert events.space.sweep() == 1
    assert events.pictures() == [2]
    assert [row.snapshot for row in events.rows.after(0, EventFilter(), 10)] == [False, True]
    assert events.space.sweep() == 0
    assert events.ids() == [2]
