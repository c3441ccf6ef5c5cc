"""Room on the disk: what goes, in which order, and what stays."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from app.config import SpaceSettings
from app.errors import StoreError
from app.recording.retention import DAY_S, DiskSpace, PrunableFolder, StoredItem

MB = 2**20


class Shelf:
    """A keeper in memory."""

    def __init__(self, *things: StoredItem, fails: bool = False) -> None:
        self.things = list(things)
        self.fails = fails

    def kept(self) -> Iterable[StoredItem]:
        if self.fails:
            raise StoreError(reason="locked")
        return list(self.things)

    def remove(self, kept: StoredItem) -> None:
        if kept.key.startswith("stuck"):
            raise OSError("read-only")
        self.things.remove(kept)

    @property
    def keys(self) -> list[str]:
        return [kept.key for kept in self.things]


def thing(key: str, age_days: float, *, size: int = MB, precious: bool = False) -> StoredItem:
    return StoredItem(key, size, time.time() - age_days * DAY_S, precious)


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
    shelf = Shelf(thing("old", 31), thing("new", 29), thing("flagged", 99, precious=True))
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


def test_precious_things_go_last_but_they_go(tmp_path: Path) -> None:
    shelf = Shelf(thing("verified", 9, precious=True), thing("a", 3), thing("b", 2))
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
    keeper = PrunableFolder(folder, "**/*.jpg", lambda: {verified})
    found = {Path(kept.key).name: kept for kept in keeper.kept()}
    assert set(found) == {"a.jpg", "b.jpg", "verified.jpg"}
    assert [kept.precious for kept in found.values()].count(True) == 1
    assert found["a.jpg"].bytes == 100
    keeper.remove(found["b.jpg"])
    keeper.remove(found["b.jpg"])
    assert not (folder / "deep" / "b.jpg").exists()


def test_the_floor_looks_at_the_disk_itself(tmp_path: Path) -> None:
    assert DiskSpace(tmp_path, SpaceSettings(min_free=2**62)).is_low()
    assert not DiskSpace(tmp_path, SpaceSettings(min_free=0)).is_low()


@pytest.mark.parametrize("field", ["min_free", "max_bytes"])
def test_settings_cannot_be_negative(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        SpaceSettings(**{field: -1})
