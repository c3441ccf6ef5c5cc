"""Clips of events: what they show, what they share, and when they are ready."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from sqlalchemy import Engine
from support.clips import boxes
from support.encoded import LUMAS, encoded, filled, number_of, seconds

from app.db.engine import open_database
from app.db.event_pruner import EventPruner
from app.db.events import EventRepository
from app.db.footage import FootageRepository
from app.db.snapshots import SnapshotFolder
from app.errors import StoreError
from app.events import EventRow, RuleEvent
from app.footage import Footage, Period
from app.pipeline.event_log import EventLog
from app.pipeline.packets import PacketRing
from app.recording import clips as clips_module
from app.recording.clips import ClipRecorder, ring_limits
from app.recording.footage_files import FootageFiles
from app.types import StreamSpec

pytestmark = pytest.mark.anyio
SPEC = StreamSpec("gate", "rtsp://192.0.2.1/gate", analytics={"smoking": {}})
EVER = Period(0, 1e12)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'watchpost.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> FootageRepository:
    return FootageRepository(engine, tmp_path / "footage")


class Site:
    """A clip recorder with the ring of one stream, whose newest frame is of now."""

    def __init__(self, store: FootageRepository, ring: PacketRing, room: bool = True) -> None:
        self.log = EventLog(asyncio.get_running_loop())
        self.store, self.ring = store, ring
        self.clips = ClipRecorder(self.log, FootageFiles(store.root), store, lambda: room)
        self.clips.watch(SPEC, ring)
        self.task = asyncio.create_task(self.clips.run())

    async def tell(self, ago_s: float = 0.0) -> int:
        """An event that happened so long ago; returns its number."""
        return (await self.tell_all(ago_s))[0]

    async def tell_all(self, *ago_s: float) -> list[int]:
        """Events that are reported at once; returns their numbers."""
        await asyncio.sleep(0.01)  # the recorder listens now
        first = self.log.newest_id + 1
        for one in ago_s:
            event = RuleEvent("smoking_started")
            self.log.report("gate", event, time.time() - one, None, has_clip=True)
        await asyncio.sleep(0.01)
        return list(range(first, self.log.newest_id + 1))

    async def end(self) -> None:
        await self.clips.close()
        self.task.cancel()


def past(count: int) -> list[float]:
    """The times of frames up to now."""
    return [at - count / 5 for at in seconds(count, time.monotonic() + 0.2)]


def shown(store: FootageRepository, one: Footage) -> list[int]:
    with av.open(str(store.root / one.path)) as container:
        return [number_of(frame) for frame in container.decode(video=0)]


async def test_a_clip_shows_the_seconds_around_its_event_and_can_be_sought(
    store: FootageRepository,
) -> None:
    site = Site(store, filled(encoded(past(200))))  # frame 199 is of now, 5 a second
    event_id = await site.tell(ago_s=15.0)  # at frame 124
    await site.end()
    clip = store.clip_of(event_id)
    assert clip is not None
    numbers = shown(store, clip)
    assert numbers == [(numbers[0] + place) % LUMAS for place in range(len(numbers))]
    first, last = numbers[0], numbers[-1]
    assert (99 - first) % LUMAS <= 10  # from the keyframe before: up to two seconds early
    assert abs((174 - last + LUMAS // 2) % LUMAS - LUMAS // 2) <= 1
    assert 75 <= len(numbers) <= 86
    path = store.root / clip.path
    assert boxes(path)[:2] == ["ftyp", "moov"]  # the index is in front
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert video.start_time == 0
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(len(numbers) / 5, abs=0.25)
        container.seek(8_000_000)
        assert next(container.decode(video=0)).time == pytest.approx(8.0, abs=2.1)
    assert clip.end_ts - clip.begin_ts == pytest.approx(len(numbers) / 5, abs=0.25)
    happened_ts = time.time() - 15.0
    assert clip.begin_ts < happened_ts - 4.5
    assert clip.end_ts > happened_ts + 9.0


async def test_a_clip_that_is_not_ready_says_when(store: FootageRepository) -> None:
    site = Site(store, filled(encoded(past(50))))
    event_id = await site.tell()
    ready_ts = site.clips.ready_ts(event_id)
    assert ready_ts == pytest.approx(time.time() + 15, abs=1)
    assert store.clip_of(event_id) is None
    assert site.clips.ready_ts(event_id + 1) is None
    await site.end()  # the server stops: what has come so far is kept
    assert site.clips.ready_ts(event_id) is None
    clip = store.clip_of(event_id)
    assert clip is not None
    assert 20 <= len(shown(store, clip)) <= 40


async def test_events_that_overlap_share_a_file_while_it_is_short_enough(
    store: FootageRepository,
) -> None:
    site = Site(store, filled(encoded(past(400))))
    first, second, third, later = await site.tell_all(60, 55, 46, 15)
    await site.end()
    found = {event: store.clip_of(event) for event in (first, second, third, later)}
    assert found[first] == found[second] == found[third]
    assert len(store.all()) == 2
    shared = found[first]
    assert shared is not None
    assert 28 <= shared.end_ts - shared.begin_ts <= 32


async def test_many_events_do_not_make_a_clip_without_an_end(store: FootageRepository) -> None:
    site = Site(store, filled(encoded(past(400))))
    await site.tell_all(*map(float, range(60, 15, -3)))
    await site.end()
    lengths = [one.end_ts - one.begin_ts for one in store.all()]
    assert len(lengths) >= 2
    assert max(lengths) <= 15 + clips_module.SHARED_S + 2.5


async def test_an_event_from_before_the_ring_shows_when_it_was_noticed(
    store: FootageRepository,
) -> None:
    site = Site(store, filled(encoded(past(50))))
    event_id = await site.tell(ago_s=500)
    await site.end()
    clip = store.clip_of(event_id)
    assert clip is not None
    assert abs(clip.end_ts - time.time()) < 2


async def test_a_stream_that_has_ended_keeps_no_packets(store: FootageRepository) -> None:
    site = Site(store, filled(encoded(past(50))))
    event_id = await site.tell()
    ring = weakref.ref(site.ring)
    site.ring.close()
    del site.ring
    assert ring() is not None  # a clip is not written yet
    await site.end()
    gc.collect()
    assert ring() is None
    assert store.clip_of(event_id) is not None


async def test_the_ring_is_long_enough_for_the_longest_clip() -> None:
    limits = ring_limits(SPEC)
    assert limits.seconds >= 15 + clips_module.SHARED_S + clips_module.LATE_S + 2


async def test_a_clip_goes_with_the_last_of_its_events(
    store: FootageRepository, engine: Engine, tmp_path: Path
) -> None:
    site = Site(store, filled(encoded(past(400))))
    ids = await site.tell_all(40.0, 35.0)
    await site.end()
    snapshots = SnapshotFolder(tmp_path / "snapshots")
    events = EventRepository(engine, snapshots)
    now = time.time()
    events.add([EventRow(number, "gate", "smoking_started", now) for number in ids])
    assert all(events.get(number).clip for number in ids)
    pruner = EventPruner(engine, snapshots, store)
    (clip,) = store.all()
    assert pruner.delete_oldest(1)[0] == 1
    assert store.clip_of(ids[0]) is None
    assert (store.root / clip.path).exists()
    assert pruner.delete_oldest(1)[0] == 1
    assert store.all() == []
    assert not (store.root / clip.path).exists()


async def test_an_event_that_is_erased_takes_a_shared_clip_with_it(
    store: FootageRepository, engine: Engine, tmp_path: Path
) -> None:
    site = Site(store, filled(encoded(past(400))))
    ids = await site.tell_all(40.0, 35.0)
    await site.end()
    snapshots = SnapshotFolder(tmp_path / "snapshots")
    events = EventRepository(engine, snapshots)
    events.add([EventRow(number, "gate", "smoking_started", 1.0) for number in ids])
    (clip,) = store.all()
    assert EventPruner(engine, snapshots, store).delete_one(ids[0]) == 1
    assert not (store.root / clip.path).exists()
    assert not events.get(ids[1]).clip


async def test_clips_that_are_not_written_yet_can_be_dropped(store: FootageRepository) -> None:
    site = Site(store, filled(encoded(past(50))))
    event_id = await site.tell()
    await site.clips.forget("yard", EVER)
    assert site.clips.ready_ts(event_id) is not None
    await site.clips.forget("gate", Period(0, time.time() - 100))
    assert site.clips.ready_ts(event_id) is not None
    await site.clips.forget("gate", EVER)
    other = await site.tell()
    await site.clips.forget_events({other})
    await site.end()
    assert store.all() == []
    assert not list(store.root.rglob("*.mp4"))


async def test_a_full_disk_costs_the_clip_and_says_so(
    store: FootageRepository, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(store, filled(encoded(past(200))), room=False)
    event_id = await site.tell(ago_s=15.0)
    await site.end()
    assert "a clip is lost: " in caplog.text
    assert store.clip_of(event_id) is None
    assert not list(store.root.rglob("*"))


async def test_a_database_that_is_locked_gets_the_row_a_moment_later(
    store: FootageRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips_module, "PAUSE_S", 0.01)
    add, failures = store.add, [StoreError(reason="locked")] * 2

    def sometimes(*given: object) -> None:
        if failures:
            raise failures.pop()
        add(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "add", sometimes)
    site = Site(store, filled(encoded(past(200))))
    event_id = await site.tell(ago_s=15.0)
    await site.end()
    assert store.clip_of(event_id) is not None
