"""What a node stores and tells its front, without Ray."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from app.cluster.node_store import NodeStore, NodeWatchlist, Orders
from app.config import RecordingSettings, SpaceSettings
from app.errors import StoreError
from app.footage import Footage
from app.plates import WatchEntry
from app.recording.footage_retention import PrunableFootage
from app.recording.retention import DiskSpace

DAY_S = 86_400.0


def film(store: NodeStore, begin_ts: float, kind: str = "continuous") -> Footage:
    path = f"{kind}/gate/2026-01-01/{round(begin_ts * 1000)}.mp4"
    file = store.folder / "footage" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"film")
    return Footage("gate", "event" if kind == "event" else "continuous", begin_ts, 0, path, 4)


@pytest.fixture
def store(tmp_path: Path) -> NodeStore:
    return NodeStore(tmp_path)


def test_films_are_told_until_they_are_taken(store: NodeStore) -> None:
    first, second = film(store, 1.0), film(store, 2.0)
    store.add(first, ())
    store.add(second, ())
    told = store.films(1)
    assert [one.footage for one in told] == [first, second]
    assert store.films(1) == told
    store.follow(Orders(taken=(told[0].place, 0)))
    assert [one.footage for one in store.films(1)] == [second]


def test_a_clip_waits_for_the_numbers_of_its_events(store: NodeStore) -> None:
    clip = film(store, 1.0, "event")
    store.add(clip, (5, 6))
    assert store.films(waiting_from=5) == []
    assert store.pending({7: 9.0}) == {}
    store.follow(Orders(numbers={5: 105, 7: 107}))
    assert [one.event_ids for one in store.films(waiting_from=6)] == [[105]]
    assert store.pending({7: 9.0}) == {105: 0.0, 107: 9.0}
    assert store.own_ids([107, 99]) == {7}


def test_a_clip_of_a_lost_event_holds_up_nothing(store: NodeStore) -> None:
    store.add(film(store, 1.0, "event"), (5,))
    store.add(film(store, 2.0), ())
    assert [list(one.event_ids) for one in store.films(waiting_from=6)] == [[], []]


def test_a_node_knows_the_watch_list_as_last_told() -> None:
    watchlist = NodeWatchlist()
    assert watchlist.entries() == []
    entry = WatchEntry(1, "AB123CD", "a stolen van", "alert")
    watchlist.follow(Orders(watched=[entry]))
    watchlist.follow(Orders())  # nothing new
    assert watchlist.entries() == [entry]
    watchlist.follow(Orders(watched=[]))
    assert watchlist.entries() == []


def test_nothing_outside_of_the_folder_is_reached(store: NodeStore, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside.txt"
    outside.write_text("mine")
    for name in ("../outside.txt", str(outside), "footage/../../outside.txt"):
        with pytest.raises(StoreError):
            store.path(name)
        with pytest.raises(StoreError):
            store.erase([name])
    assert outside.exists()


def test_the_oldest_files_go_first_flagged_ones_last_and_the_front_is_told(
    store: NodeStore,
) -> None:
    now = time.time()
    old, flagged, new = (film(store, now - days * DAY_S) for days in (9, 8, 1))
    picture = store.folder / "snapshots" / "2026-01-01" / "1-abcdef.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"jpeg")
    os.utime(picture, (now - 10 * DAY_S,) * 2)
    growing = store.folder / "footage" / "continuous/gate/2026-01-01/1.part.mp4"
    growing.write_bytes(b"film")
    store.follow(Orders(flagged=frozenset({f"footage/{flagged.path}"}), keep_days={}))
    space = DiskSpace(store.folder, SpaceSettings(min_free=0, max_days=9.5))
    space.register(PrunableFootage(store, RecordingSettings(), store.keep_days))
    space.register(store.pictures())
    assert space.sweep() == 2
    assert [name for _, name in store.removed()] == [
        "snapshots/2026-01-01/1-abcdef.jpg",
        f"footage/{old.path}",
    ]
    assert (store.folder / "footage" / flagged.path).exists()
    assert (store.folder / "footage" / new.path).exists()
    assert growing.exists()
    store.follow(Orders(taken=(0, store.removed()[0][0])))
    assert len(store.removed()) == 1


def test_old_files_of_jobs_go_but_not_what_is_being_written(store: NodeStore) -> None:
    long_ago = time.time() - 10 * DAY_S
    names = ("01-cam-0001.mp4", "01-cam-0002.mp4", "01-cam-0003.part.mp4", "02-a.rewritten")
    for name in names:
        file = store.folder / "recordings" / "job" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"video")
        os.utime(file, (long_ago,) * 2)
    store.follow(Orders(flagged=frozenset({"recordings/job/01-cam-0002.mp4"}), keep_days={}))
    space = DiskSpace(store.folder, SpaceSettings(min_free=0, max_days=9.5))
    space.register(store.recordings())
    assert space.sweep() == 1
    assert [name for _, name in store.removed()] == ["recordings/job/01-cam-0001.mp4"]
    left = {path.name for path in (store.folder / "recordings" / "job").iterdir()}
    assert left == set(names[1:])
