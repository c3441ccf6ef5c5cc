"""What nodes of a cluster have stored, as rows, and what they must delete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.db.engine import open_database
from app.db.event_marks import EventMarks
from app.db.event_pruner import EventPruner
from app.db.events import EventRepository
from app.db.footage import FootageRepository
from app.db.node_files import NodeFileRepository
from app.db.snapshots import SnapshotFolder
from app.errors import NodeGone, NoSnapshot, SnapshotRemoved
from app.events import EventRow
from app.footage import Footage, Period

CLIP = Footage("gate", "event", 100.0, 115.0, "event/gate/1970-01-01/100000.mp4", 4)
EVER = Period(0, 1e12)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def films(engine: Engine, tmp_path: Path) -> FootageRepository:
    return FootageRepository(engine, tmp_path / "footage")


@pytest.fixture
def events(engine: Engine, tmp_path: Path) -> EventRepository:
    return EventRepository(engine, SnapshotFolder(tmp_path / "snapshots"))


@pytest.fixture
def pruner(engine: Engine, tmp_path: Path, films: FootageRepository) -> EventPruner:
    return EventPruner(engine, SnapshotFolder(tmp_path / "snapshots"), films)


@pytest.fixture
def rows(engine: Engine) -> NodeFileRepository:
    return NodeFileRepository(engine)


def event(event_id: int, node: str | None = "north") -> EventRow:
    name = f"1970-01-01/{event_id}-abcdef.jpg"
    return EventRow(event_id, "gate", "bag_left", 100.0, snapshot_file=name, node=node)


def test_a_film_of_a_node_has_one_row_however_often_it_is_told(
    rows: NodeFileRepository, films: FootageRepository, events: EventRepository
) -> None:
    events.add([event(7)])
    for _ in range(2):
        rows.add("north", CLIP, [7])
    rows.add("south", CLIP, [])
    assert [one.node for one in films.of_stream("gate", EVER)] == ["north", "south"]
    assert films.clip_of(7) == replace(CLIP, node="north", footage_id=1)
    assert rows.films("north") == {CLIP.path}
    assert films.paths() == set()  # nothing is on this machine
    assert films.all() == []


def test_a_snapshot_is_read_where_it_is(events: EventRepository) -> None:
    events.add([event(7)])
    assert events.get(7).snapshot
    with pytest.raises(NodeGone, match="north"):
        events.snapshot(7)
    asked = []

    def read(node: str, name: str) -> bytes | None:
        asked.append((node, name))
        return b"jpeg" if len(asked) == 1 else None

    events.read_on_node = read
    assert events.snapshot(7) == b"jpeg"
    assert asked == [("north", "1970-01-01/7-abcdef.jpg")]
    with pytest.raises(SnapshotRemoved):
        events.snapshot(7)


def test_nodes_are_told_what_to_erase_until_they_have(
    rows: NodeFileRepository,
    films: FootageRepository,
    events: EventRepository,
    pruner: EventPruner,
) -> None:
    events.add([event(7), event(8)])
    rows.add("north", CLIP, [7])
    assert pruner.delete_one(7) == 1
    assert films.of_stream("gate", EVER) == []
    wanted = rows.erasures("north")
    assert set(wanted.values()) == {f"footage/{CLIP.path}", "snapshots/1970-01-01/7-abcdef.jpg"}
    assert rows.erasures("south") == {}
    rows.erased(wanted)
    assert rows.erasures("north") == {}


def test_a_snapshot_with_the_same_name_here_is_left_alone(
    events: EventRepository, pruner: EventPruner, tmp_path: Path
) -> None:
    events.add([event(7)])
    mine = tmp_path / "snapshots" / "1970-01-01" / "7-abcdef.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"of another event")
    pruner.delete_one(7)
    assert mine.exists()
    events.add([event(8)])
    assert pruner.delete_with_snapshots(["1970-01-01/8-abcdef.jpg"]) == 0


def test_what_a_node_removed_for_space_is_listed_no_more(
    rows: NodeFileRepository, films: FootageRepository, events: EventRepository
) -> None:
    events.add([event(7), event(8, None)])
    rows.add("north", CLIP, [7])
    rows.removed("north", [f"footage/{CLIP.path}", "snapshots/1970-01-01/7-abcdef.jpg"])
    rows.removed("north", ["snapshots/1970-01-01/8-abcdef.jpg"])  # which is not the node's
    assert films.of_stream("gate", EVER) == []
    assert films.clip_of(7) is None
    with pytest.raises(NoSnapshot):
        events.snapshot(7)
    with pytest.raises(SnapshotRemoved):
        events.snapshot(8)


def test_nodes_know_what_is_flagged(
    rows: NodeFileRepository, films: FootageRepository, events: EventRepository, engine: Engine
) -> None:
    events.add([event(7), event(8)])
    rows.add("north", CLIP, [8])
    EventMarks(engine).flag(7, flagged=True)
    assert rows.flagged("north") == {"snapshots/1970-01-01/7-abcdef.jpg"}
    films.flag("gate", EVER, flagged=True)
    assert f"footage/{CLIP.path}" in rows.flagged("north")
    assert rows.flagged("south") == frozenset()
