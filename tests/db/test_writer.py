"""The writer of events: nothing waits for the database, and lost events are counted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.db import writer as writer_module
from app.db.engine import open_database
from app.db.event_pruner import EventPruner
from app.db.events import EventRepository
from app.db.snapshots import SnapshotFolder
from app.db.writer import EventWriter
from app.errors import NoSnapshot, StoreError
from app.events import Event, EventFilter, EventRow, RuleEvent
from app.metric_types import HistogramSnapshot

pytestmark = pytest.mark.anyio
ALL = EventFilter()
PLACED = RuleEvent("bag_placed")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


class Arriving:
    """A subscription that a test fills."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self.lost = 0

    def __aiter__(self) -> Arriving:
        return self

    async def __anext__(self) -> Event:
        event = await self.queue.get()
        if event is None:
            raise StopAsyncIteration
        return event

    def missed(self) -> int:
        lost, self.lost = self.lost, 0
        return lost

    def waiting(self) -> list[Event]:
        return [event for event in self.queue._queue if event is not None]  # type: ignore[attr-defined]

    def tell(self, number: int, *, picture: bool = False) -> None:
        shown: object = object() if picture else None
        self.queue.put_nowait(Event(number, "gate", 1000.0, PLACED, shown, picture))  # type: ignore[arg-type]

    def end(self) -> None:
        self.queue.put_nowait(None)


@dataclass
class Desk:
    arriving: Arriving
    repository: EventRepository
    writer: EventWriter

    def ids(self) -> list[int]:
        return [record.event_id for record in self.repository.after(0, ALL, 10_000)]

    async def until(self, holds: Callable[[], bool], within: float = 20) -> None:
        deadline = time.monotonic() + within
        while not holds():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'watchpost.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "snapshots"


@pytest.fixture
async def desk(engine: Engine, folder: Path) -> AsyncIterator[Desk]:
    snapshots = SnapshotFolder(folder)
    repository = EventRepository(engine, snapshots)
    arriving = Arriving()
    writer = EventWriter(arriving, repository, snapshots, lambda event: b"jpeg %d" % event.event_id)
    writer.start()
    yield Desk(arriving, repository, writer)
    arriving.end()
    await writer.close(5)


async def test_everything_is_kept_in_order(desk: Desk) -> None:
    for number in range(1, 501):
        desk.arriving.tell(number)
    desk.arriving.end()
    await desk.writer.close(20)
    assert desk.ids() == list(range(1, 501))
    assert desk.writer.lost == 0


async def test_events_that_come_together_are_written_together(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, sizes = desk.repository.add, []

    def counted(rows: Sequence[EventRow]) -> int:
        sizes.append(len(rows))
        return add(rows)

    monkeypatch.setattr(desk.repository, "add", counted)
    for number in range(1, 1001):
        desk.arriving.tell(number)
    desk.arriving.end()
    await desk.writer.close(20)
    assert desk.ids() == list(range(1, 1001))
    assert len(sizes) < 50


async def test_pictures_are_kept(desk: Desk) -> None:
    desk.arriving.tell(1, picture=True)
    desk.arriving.tell(2)
    await desk.writer.settled(2)
    assert desk.repository.snapshot(1) == b"jpeg 1"
    with pytest.raises(NoSnapshot):
        desk.repository.snapshot(2)


async def test_who_asks_for_a_new_event_waits_until_it_is_there(desk: Desk) -> None:
    for number in range(1, 50):
        desk.arriving.tell(number, picture=True)
        assert desk.writer.unwritten()[-1].event_id == number
        await desk.writer.settled(number)
        assert desk.repository.get(number).snapshot
    assert desk.writer.unwritten() == []


async def test_a_locked_database_holds_up_nobody_and_loses_nothing(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locker = sqlite3.connect(tmp_path / "watchpost.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    for number in range(1, 20):
        desk.arriving.tell(number)
    await desk.until(lambda: not desk.arriving.waiting())
    assert time.monotonic() - began < 3
    await asyncio.sleep(6)  # longer than SQLite itself waits
    assert desk.ids() == []
    assert [record.event_id for record in desk.writer.unwritten()] == list(range(1, 20))
    locker.execute("ROLLBACK")
    locker.close()
    await desk.until(lambda: desk.ids() == list(range(1, 20)))
    assert desk.writer.lost == 0


async def test_when_too_much_waits_the_oldest_go_and_are_counted(
    desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MAX_QUEUED", 10)
    closed = threading.Event()

    def full(drafts: object) -> int:
        if not closed.is_set():
            raise StoreError(reason="disk full")
        return EventRepository.add(desk.repository, drafts)  # type: ignore[arg-type]

    monkeypatch.setattr(desk.repository, "add", full)
    for number in range(1, 16):
        desk.arriving.tell(number, picture=True)
    await desk.until(lambda: desk.writer.lost == 5)
    closed.set()
    await desk.until(lambda: desk.ids() == list(range(6, 16)))
    assert len(list(folder.rglob("*.jpg"))) == 10


async def test_what_the_feed_lost_is_counted(desk: Desk) -> None:
    desk.arriving.lost = 7
    desk.arriving.tell(8)
    await desk.writer.settled(8)
    assert desk.writer.lost == 7


async def test_a_picture_that_cannot_be_drawn_costs_no_event(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk.writer, "_draw", lambda event: 1 / 0)
    desk.arriving.tell(1, picture=True)
    await desk.writer.settled(1)
    assert desk.repository.get(1).snapshot is False


async def test_an_unexpected_failure_costs_its_batch_and_not_the_writer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(desk.repository, "add", lambda drafts: 1 / 0)
        desk.arriving.tell(1)
        await desk.until(lambda: desk.writer.lost == 1)
    desk.arriving.tell(2)
    await desk.until(lambda: desk.ids() == [2])


async def test_the_end_has_a_limit(desk: Desk, tmp_path: Path) -> None:
    locker = sqlite3.connect(tmp_path / "watchpost.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    desk.arriving.tell(1)
    desk.arriving.tell(2)
    desk.arriving.end()
    began = time.monotonic()
    await desk.writer.close(0.5)
    assert time.monotonic() - began < 2
    assert desk.writer.lost == 2
    locker.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "watchpost-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield folder
    with contextlib.suppress(subprocess.CalledProcessError):
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_costs_pictures_and_not_events(
    engine: Engine, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    snapshots = SnapshotFolder(small_disk / "snapshots")
    repository, arriving = EventRepository(engine, snapshots), Arriving()
    writer = EventWriter(arriving, repository, snapshots, lambda event: bytes(300_000))
    writer.start()
    for number in range(1, 7):
        arriving.tell(number, picture=True)
    arriving.end()
    await writer.close(20)
    kept = [record.snapshot for record in repository.after(0, ALL, 10)]
    assert kept == [True, True, True, False, False, False]
    assert not list(small_disk.rglob("*.part"))
    assert sum("without its picture" in line for line in caplog.messages) == 1
    assert EventPruner(engine, snapshots).delete_oldest(3) == (3, 900_000)
    assert snapshots.save(9, 0.0, bytes(300_000))


async def test_it_tells_how_far_the_database_is_behind(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.writer.lag_s == 0
    add, broken = desk.repository.add, True

    def sometimes(rows: Sequence[EventRow]) -> int:
        if broken:
            raise StoreError(reason="locked")
        return add(rows)

    monkeypatch.setattr(desk.repository, "add", sometimes)
    desk.arriving.tell(1)
    desk.arriving.tell(2)
    await desk.until(lambda: desk.writer.lag_s > 0.3)
    assert HistogramSnapshot.of(desk.writer.written).count == 0
    broken = False
    await desk.until(lambda: HistogramSnapshot.of(desk.writer.written).count == 2)
    assert HistogramSnapshot.of(desk.writer.written).total > 0.6
    await desk.until(lambda: desk.writer.lag_s == 0)
