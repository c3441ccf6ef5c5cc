"""Continuous recording: segments, gaps, clocks, full disks, kills, and a whole day at speed."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import pytest
from fixtures import eventually
from sqlalchemy import Engine
from support.encoded import LUMAS, encoded, number_of, seconds

from app.config import RecordingSettings, SpaceSettings
from app.db.engine import open_database
from app.db.footage import FootageRepository
from app.errors import NoFootage, StoreError
from app.footage import Footage, KeepDays, Period, gaps_of, spans_of, why_gap
from app.pipeline.packets import PacketRing, RingLimits, VideoPacket
from app.recording import continuous, packet_file
from app.recording.continuous import ContinuousRecording, SegmentRecorder, gap_of
from app.recording.footage_export import FootageExporter
from app.recording.footage_files import CONTINUOUS, FootageFiles
from app.recording.footage_retention import PrunableFootage
from app.recording.retention import DAY_S, DiskSpace
from app.types import StreamSpec

EVER = Period(0, 1e12)
BEGIN_TS = 1_764_288_000.0


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'watchpost.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> FootageRepository:
    return FootageRepository(engine, tmp_path / "footage")


@pytest.fixture
def files(store: FootageRepository) -> FootageFiles:
    return FootageFiles(store.root)


class Clock:
    """The machine's clock: Unix time of a monotonic time."""

    def __init__(self) -> None:
        self.offset = BEGIN_TS - 1000.0

    def __call__(self, at: float) -> float:
        return self.offset + at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(files: FootageFiles, store: FootageRepository, clock: Clock) -> SegmentRecorder:
    return SegmentRecorder("gate", files, store, 10.0, time_of=clock)


def write(recorder: SegmentRecorder, *packets: VideoPacket) -> None:
    for packet in packets:
        recorder.write(packet)


def frames(film: Path) -> int:
    with av.open(str(film), "r") as container:
        return len(list(container.decode(video=0)))


def periods(store: FootageRepository) -> list[tuple[float, float]]:
    """Begin and end of every segment, from the beginning of the test."""
    found = store.of_stream("gate", EVER)
    return [(round(one.begin_ts - BEGIN_TS, 2), round(one.end_ts - BEGIN_TS, 2)) for one in found]


def numbers(store: FootageRepository, one: Footage) -> list[int]:
    with av.open(str(store.root / one.path)) as container:
        return [number_of(frame) for frame in container.decode(video=0)]


def test_segments_follow_each_other_and_no_frame_is_missing(
    recorder: SegmentRecorder, store: FootageRepository
) -> None:
    write(recorder, *encoded(seconds(130)))
    recorder.finish()
    assert periods(store) == [(0, 10), (10, 20), (20, 26)]
    found = store.of_stream("gate", EVER)
    shown = [number for one in found for number in numbers(store, one)]
    assert shown == [number % LUMAS for number in range(130)]
    assert all((store.root / one.path).stat().st_size == one.bytes for one in found)
    assert len(spans_of(found, EVER)) == 1


def test_a_gap_ends_a_segment_and_is_listed(
    recorder: SegmentRecorder, store: FootageRepository
) -> None:
    times = [*seconds(20), *seconds(20, 1030.0)]
    write(recorder, *encoded(times))
    recorder.finish()
    assert periods(store) == [(0, 4), (30, 34)]
    wanted = Period(BEGIN_TS, BEGIN_TS + 40)
    gaps = gaps_of(spans_of(store.of_stream("gate", wanted), wanted), wanted)
    assert [(round(a - BEGIN_TS), round(b - BEGIN_TS)) for a, b in gaps] == [(4, 30), (34, 40)]


def test_a_gap_says_why(
    files: FootageFiles, store: FootageRepository, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [True]
    recorder = SegmentRecorder("gate", files, store, 10.0, lambda: room[0], time_of=clock)
    write(recorder, *encoded([*seconds(20), *seconds(60, 1030.0)]))
    room[0] = False
    write(recorder, *encoded([*seconds(60, 1042.0)]))
    room[0] = True
    write(recorder, *encoded([*seconds(20, 1060.0)]))
    recorder.finish("stopped")
    found = store.of_stream("gate", EVER)
    assert [one.ended for one in found] == ["no_video", None, "full", "stopped"]
    wanted = Period(BEGIN_TS - 10, BEGIN_TS + 100)
    gaps = gaps_of(spans_of(found, wanted), wanted)
    assert [why_gap(gap, found) for gap in gaps] == ["not_recorded", "no_video", "full", "stopped"]
    last = store.last_segment("gate", BEGIN_TS + 100)
    assert last is not None
    assert why_gap(Period(BEGIN_TS + 100, BEGIN_TS + 200), [last]) == "stopped"
    assert store.last_segment("gate", BEGIN_TS) is None


def test_a_slow_camera_has_no_gaps(
    files: FootageFiles, store: FootageRepository, clock: Clock
) -> None:
    spec = StreamSpec("gate", "http://192.0.2.1/image.jpg", interval=10.0)
    recorder = SegmentRecorder("gate", files, store, 300.0, time_of=clock, gap_s=gap_of(spec))
    write(recorder, *encoded([1000.0 + 10 * place for place in range(40)]))
    recorder.finish()
    assert periods(store) == [(0, 300), (300, 400)]


def test_another_encoder_and_lost_packets_begin_a_new_segment_at_a_keyframe(
    recorder: SegmentRecorder, store: FootageRepository
) -> None:
    first = list(encoded(seconds(15)))
    other = encoded(seconds(15, 1003.0), run=2, first=15, size=(96, 64))
    lost = list(encoded(seconds(30, 1006.0), run=2, first=40))
    write(recorder, *first, *other, *lost[3:])  # the first three were dropped
    recorder.finish()
    assert [begin for begin, _ in periods(store)] == [0, 3, 8]
    assert all(numbers(store, one) for one in store.of_stream("gate", EVER))


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_clock_that_is_set_begins_a_new_segment_with_the_new_time(
    recorder: SegmentRecorder, store: FootageRepository, clock: Clock, step_s: float
) -> None:
    packets = list(encoded(seconds(40)))
    write(recorder, *packets[:20])
    clock.offset += step_s
    write(recorder, *packets[20:])
    recorder.finish()
    assert sorted(periods(store)) == sorted([(0, 4), (4 + step_s, 8 + step_s)])


def test_two_segments_of_the_same_moment_have_names_of_their_own(
    files: FootageFiles, store: FootageRepository, clock: Clock
) -> None:
    for _ in range(2):
        recorder = SegmentRecorder("gate", files, store, 10.0, time_of=clock)
        write(recorder, *encoded(seconds(5)))
        recorder.finish()
    assert len({one.path for one in store.of_stream("gate", EVER)}) == 2


def test_a_full_disk_is_reported_and_recording_continues_when_there_is_room(
    files: FootageFiles,
    store: FootageRepository,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    room = [True]
    recorder = SegmentRecorder("gate", files, store, 2.0, lambda: room[0], clock)
    packets = list(encoded(seconds(150)))
    write(recorder, *packets[:10])
    room[0] = False
    write(recorder, *packets[10:100])
    assert recorder.problem == continuous.FULL
    assert caplog.text.count("not recorded") == 1
    room[0] = True
    write(recorder, *packets[100:])
    recorder.finish()
    assert recorder.problem is None
    assert [begin for begin, _ in periods(store)][:2] == [0, 20]


def test_a_write_that_fails_costs_seconds_and_what_is_on_disk_is_kept(
    recorder: SegmentRecorder,
    store: FootageRepository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packets = list(encoded(seconds(100)))
    write(recorder, *packets[:22])
    add = packet_file.PacketFile.add

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(packet_file.PacketFile, "add", refuse)
    write(recorder, packets[22])
    assert recorder.problem == "No space left on device"
    monkeypatch.setattr(packet_file.PacketFile, "add", add)
    write(recorder, *packets[23:])
    recorder.finish()
    assert recorder.problem is None
    (begin, end), (again, _), *_ = periods(store)
    assert (begin, round(end, 1)) == (0, 4.4)
    assert 9 <= again <= 12


def test_a_database_that_fails_gets_the_rows_later(
    recorder: SegmentRecorder, store: FootageRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = store.add

    def fail(*_: object) -> None:
        raise StoreError(reason="locked")

    packets = list(encoded(seconds(100)))
    monkeypatch.setattr(store, "add", fail)
    write(recorder, *packets[:60])
    monkeypatch.setattr(store, "add", add)
    write(recorder, *packets[60:])
    recorder.finish()
    assert periods(store) == [(0, 10), (10, 20)]


def test_an_export_leaves_out_what_is_not_on_disk_yet_and_finds_what_was_renamed(
    files: FootageFiles, store: FootageRepository, recorder: SegmentRecorder
) -> None:
    write(recorder, *encoded(seconds(10)))
    recorder.finish()
    (whole,) = store.all()
    day = files.root / Path(whole.path).parent
    just_begun = Footage("gate", CONTINUOUS, whole.end_ts, whole.end_ts + 2, "", 0)
    for name, data in (("empty.part.mp4", b""), ("half.part.mp4", b"\0\0\0\x1cftyp")):
        (day / name).write_bytes(data)
        begun = replace(just_begun, path=(day / name).relative_to(files.root).as_posix())
        exporter = FootageExporter(files.root, lambda _: True)
        period = Period(whole.begin_ts, begun.end_ts)
        assert frames(exporter.export([whole, begun], period)) == 10
        with pytest.raises(NoFootage):
            exporter.export([begun], period)
    renamed = replace(whole, path=whole.path.replace(".mp4", ".part.mp4"))
    assert frames(exporter.export([renamed], Period(whole.begin_ts, whole.end_ts))) == 10
    lost = replace(whole, path=f"{CONTINUOUS}/gate/none.mp4")
    with pytest.raises(StoreError):
        exporter.export([lost], Period(whole.begin_ts, whole.end_ts))


# ── restarts ─────────────────────────────────────────────────────────────────────────────────


def test_what_has_no_row_gets_one_and_what_cannot_be_played_goes(
    files: FootageFiles, store: FootageRepository, recorder: SegmentRecorder
) -> None:
    write(recorder, *encoded(seconds(10)))
    recorder.finish()
    store.remove([replace(one, path="none") for one in store.all()])  # only the row
    day = next(files.root.glob("continuous/gate/*"))
    (day / "5.part.mp4").write_bytes(b"not a film")
    (day / ".7.mp4.part").write_bytes(b"half a clip")
    assert files.recover(store) == 1
    assert periods(store) == [(0, 2)]
    assert [path.suffixes for path in day.iterdir()] == [[".mp4"]]
    assert files.recover(store) == 0


def _record_until_killed(root: Path, url: str) -> None:
    engine = open_database(url)
    recorder = SegmentRecorder("gate", FootageFiles(root), FootageRepository(engine, root), 3600.0)
    for packet in encoded(seconds(100_000, time.monotonic())):
        recorder.write(packet)
        time.sleep(0.002)


def test_after_a_kill_all_but_the_last_seconds_of_video_are_there(
    files: FootageFiles, store: FootageRepository, engine: Engine
) -> None:
    method = multiprocessing.get_context("spawn")
    process = method.Process(
        target=_record_until_killed, args=(files.root, str(engine.url)), daemon=True
    )
    process.start()
    assert process.pid is not None
    eventually(lambda: sum(p.stat().st_size for p in files.root.rglob("*.part.mp4")) > 20_000)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    (growing,) = files.root.rglob("*.part.mp4")
    size = growing.stat().st_size
    assert store.all() == []
    assert files.recover(store, idle_s=60) == 0  # it may belong to a process that lives
    assert files.recover(store) == 1
    (found,) = store.all()
    assert found.ended == "killed"
    assert size - 20_000 < found.bytes <= size
    shown = numbers(store, found)
    assert len(shown) >= 20
    assert shown == [number % LUMAS for number in range(len(shown))]
    assert found.end_ts - found.begin_ts == pytest.approx(len(shown) / 5, abs=0.3)


# ── the thread ───────────────────────────────────────────────────────────────────────────────


def test_the_thread_records_a_run_and_ends_with_it(
    recorder: SegmentRecorder, store: FootageRepository
) -> None:
    ring = PacketRing(RingLimits(60, 1 << 30))
    recording = ContinuousRecording(recorder, ring, "gate")
    recording.start()
    packets = list(encoded(seconds(60)))
    for one in packets[:30]:
        ring.add(one.data, one.captured_at, 1, is_keyframe=one.is_keyframe, by_output=False)
    eventually(lambda: (found := recorder.growing()) is not None and found.end_ts > BEGIN_TS + 5)
    recording.roll(10)
    assert periods(store) == [(0, 6)]
    for one in packets[30:]:
        ring.add(one.data, one.captured_at, 1, is_keyframe=one.is_keyframe, by_output=False)
    ring.close()
    assert recording.join(20)
    assert periods(store) == [(0, 6), (6, 12)]


# ── a day at speed ───────────────────────────────────────────────────────────────────────────


def test_a_day_is_recorded_and_retention_keeps_what_it_should(
    files: FootageFiles,
    store: FootageRepository,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A frame every four seconds for a day; the camera is away for an hour at noon."""
    noon = 43_200
    times = [1000.0 + at for at in range(0, 86_400, 4) if not noon <= at < noon + 3600]
    recorder = SegmentRecorder("gate", files, store, 300.0, time_of=clock)
    for packet in encoded(times, size=(64, 48)):
        recorder.write(packet)
    recorder.finish()
    day = Period(BEGIN_TS, BEGIN_TS + 86_400)
    found = store.of_stream("gate", day)
    assert len(found) == 276
    spans = spans_of(found, day)
    assert [span.period.begin_ts - BEGIN_TS for span in spans] == [0, noon + 3600]
    (gap,) = gaps_of(spans, day)
    assert gap.begin_ts - BEGIN_TS == pytest.approx(noon, abs=5)
    assert gap.end_ts - BEGIN_TS == noon + 3600

    flagged = Period(BEGIN_TS + 3600, BEGIN_TS + 3900)
    assert store.flag("gate", flagged, flagged=True) == 1
    space = DiskSpace(files.root, SpaceSettings(min_free=0))
    settings = RecordingSettings(continuous_days=7, flagged_days=30)
    space.register(PrunableFootage(store, settings))

    def sweep_at(ts: float) -> list[Footage]:
        monkeypatch.setattr(time, "time", lambda: ts)
        space.sweep()
        return store.of_stream("gate", day)

    assert len(sweep_at(BEGIN_TS + 7 * DAY_S)) == 276
    half = sweep_at(BEGIN_TS + 7.5 * DAY_S)
    assert next(one.begin_ts for one in half if not one.flagged) >= BEGIN_TS + noon
    assert len([one for one in half if one.flagged]) == 1
    assert len(sweep_at(BEGIN_TS + 9 * DAY_S)) == 1
    assert sweep_at(BEGIN_TS + 31 * DAY_S) == []
    assert list(files.root.rglob("*.mp4")) == []


def test_a_stream_may_have_limits_of_its_own(
    files: FootageFiles, store: FootageRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stream in ("gate", "yard", "door"):
        for number, (kind, flagged) in enumerate(
            (("continuous", False), ("event", False), ("event", True))
        ):
            path = f"{stream}{number}"
            footage = Footage(stream, kind, BEGIN_TS, BEGIN_TS + 1, path, 10, flagged=flagged)  # type: ignore[arg-type]
            store.add(footage, ())
    own = {"yard": KeepDays(20, None, 5), "door": KeepDays(event_days=1)}
    space = DiskSpace(files.root.parent, SpaceSettings(min_free=0))
    settings = RecordingSettings(continuous_days=7, event_days=30)
    space.register(PrunableFootage(store, settings, lambda: own))
    left = {}
    for days in (0.5, 2, 6, 8, 21, 31):
        monkeypatch.setattr(time, "time", lambda days=days: BEGIN_TS + days * DAY_S)
        space.sweep()
        left[days] = sorted(one.path for one in store.all())
    assert left[0.5] == sorted(f"{s}{n}" for s in ("gate", "yard", "door") for n in range(3))
    assert left[2] == sorted({*left[0.5]} - {"door1"})
    assert left[6] == sorted({*left[2]} - {"yard2"})
    assert left[8] == sorted({*left[6]} - {"gate0", "door0"})
    assert left[21] == sorted({*left[8]} - {"yard0"})
    assert left[31] == ["door2", "gate2"]
    assert space.bytes_of["clip"] == 20
    assert [item.stream_id for item in space.next_up] == ["gate", "door"]


def test_over_the_limit_the_oldest_segments_go_first_and_flagged_ones_last(
    files: FootageFiles, store: FootageRepository, recorder: SegmentRecorder
) -> None:
    write(recorder, *encoded(seconds(200)))
    recorder.finish()
    before = store.of_stream("gate", EVER)
    assert store.flag("gate", Period(0, BEGIN_TS + 1), flagged=True) == 1
    most = before[0].bytes + before[-1].bytes
    space = DiskSpace(files.root, SpaceSettings(min_free=0, max_bytes=most))
    space.register(PrunableFootage(store, RecordingSettings(continuous_days=None)))
    space.sweep()
    assert [one.path for one in store.of_stream("gate", EVER)] == [before[0].path, before[-1].path]
