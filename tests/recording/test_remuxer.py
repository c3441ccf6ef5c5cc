"""Copies of difficult sources: clocks that jump, and sound of every kind."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from support.clips import FPS, boxes, join, numbers, write_clip

from app.config import StreamSettings
from app.jobs import FileFacts
from app.recording import seekable
from app.recording.probe import examine, length_of
from app.recording.remuxer import Remuxer
from app.recording.seekable import make_seekable
from app.recording.segments import SegmentFiles, SegmentPlan


def copied(source: Path, **options: Any) -> Remuxer:
    """A finished copy of a file."""
    values = {"segment_s": 60.0, "gap_s": None, **options}
    plan = SegmentPlan(SegmentFiles(source.parent / "out", "01-file"), **values)
    remuxer = Remuxer(f"file:{source}", StreamSettings(), plan)
    remuxer.run()
    assert remuxer.written.failure is None
    return remuxer


def files(remuxer: Remuxer) -> list[Path]:
    return [segment.path for segment in remuxer.written.closed]


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.time or 0.0) for frame in container.decode(video=0)]


def sound_of(path: Path) -> tuple[str, float, float]:
    """Codec, beginning and length of a file's sound, from decoding it."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(audio=0))
        seconds = sum(frame.samples / frame.sample_rate for frame in frames)
        return stream.codec_context.codec.canonical_name, float(frames[0].time or 0.0), seconds


# ── clocks ───────────────────────────────────────────────────────────────────────────────────


def ahead(jump_s: float, from_s: float) -> Callable[[float], float]:
    return lambda seconds: seconds + (jump_s if seconds >= from_s - 0.001 else 0.0)


@pytest.mark.parametrize("gap_s", [None, 3.0])
@pytest.mark.parametrize("split", [50, 60])
@pytest.mark.parametrize("jump_s", [-2.0, -0.5, 20.0, 1000.0])
def test_a_jump_of_the_clock_is_closed_up_and_listed(
    tmp_path: Path, split: int, jump_s: float, gap_s: float | None
) -> None:
    """At a keyframe and inside a GOP, back and forward, for a file and for a live source."""
    clock = ahead(jump_s, split / FPS)
    first = write_clip(tmp_path / "1.ts", frames=range(split))
    second = write_clip(tmp_path / "2.ts", frames=range(split, 90), clock=clock)
    source = join(tmp_path / "x.ts", first, second)

    remuxer = copied(source, gap_s=gap_s)

    (path,) = files(remuxer)
    for _ in ("fragmented", "seekable"):
        assert numbers(path) == list(range(90))
        assert times(path) == pytest.approx([n / FPS for n in range(90)], abs=0.002)
        assert examine(path).seconds == pytest.approx(90 / FPS, abs=0.01)
        assert make_seekable(path)
    assert remuxer.written.seconds == pytest.approx(89 / FPS, abs=0.01)
    (jump,) = remuxer.written.jumps
    assert jump.jump_s == pytest.approx(jump_s, abs=0.1)
    assert jump.at_s == pytest.approx(split / FPS, abs=0.1)
    assert length_of(f"file:{source}") == pytest.approx(90 / FPS, abs=0.1)


def test_a_jump_among_frames_that_are_stored_in_another_order(tmp_path: Path) -> None:
    """Some are decoded before the jump and shown after it."""
    options = {"preset": "ultrafast", "bf": "3", "b_strategy": "0"}
    source = write_clip(
        tmp_path / "x.ts", frames=range(90), options=options, clock=ahead(1000.0, 60 / FPS)
    )
    (path,) = files(copied(source))
    assert numbers(path) == list(range(90))
    assert times(path) == pytest.approx([n / FPS for n in range(90)], abs=3.1 / FPS)
    assert examine(path).seconds == pytest.approx(90 / FPS, abs=0.1)


def test_a_jump_does_not_end_the_run_early(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "x.ts", clock=ahead(1000.0, 0.4))
    remuxer = copied(source, limit_s=1.0)
    assert remuxer.written.full
    assert [examine(path).frames for path in files(remuxer)] == [25]


def test_what_comes_before_the_first_keyframe_is_counted_as_dropped(tmp_path: Path) -> None:
    remuxer = copied(write_clip(tmp_path / "x.ts", frames=range(10, 50)))
    assert numbers(files(remuxer)[0]) == list(range(25, 50))
    assert list(remuxer.written.dropped.values()) == [15]
    assert remuxer.written.frames == 25


@pytest.mark.parametrize("jump_s", [0.0, -2.0])
def test_a_copy_is_resumed_where_it_ended(tmp_path: Path, jump_s: float) -> None:
    first = write_clip(tmp_path / "1.ts", frames=range(50))
    second = write_clip(tmp_path / "2.ts", frames=range(50, 100), clock=ahead(jump_s, 2.0))
    source = join(tmp_path / "x.ts", first, second)
    before = copied(source, limit_s=3.0)
    (path,) = files(before)
    position_s = examine(path).seconds
    after = copied(source, begin_s=position_s)
    assert numbers(path) + numbers(files(after)[0]) == list(range(100))


def test_a_copy_of_a_file_stops_before_a_keyframe(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "x.ts", frames=range(60))
    plan = SegmentPlan(SegmentFiles(tmp_path / "out", "01-file"), 60.0, None)
    remuxer = Remuxer(f"file:{source}", StreamSettings(), plan)
    picture = remuxer.written.picture

    def stop_within_a_gop(*values: Any) -> None:
        picture(*values)
        if remuxer.written.frames == 30:
            remuxer.stop()

    remuxer.written.picture = stop_within_a_gop  # type: ignore
    remuxer.run()
    assert numbers(files(remuxer)[0]) == list(range(50))


# ── sound ────────────────────────────────────────────────────────────────────────────────────


def test_sound_that_begins_late_keeps_its_place(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "x.ts", frames=range(120), sound="aac", sound_from_s=3.0)
    remuxer = copied(source)
    (path,) = files(remuxer)
    for _ in ("fragmented", "seekable"):
        assert numbers(path) == [n % 100 for n in range(120)]
        codec, begin_s, seconds = sound_of(path)
        assert codec == "aac"
        assert begin_s == pytest.approx(3.0, abs=0.1)
        assert seconds == pytest.approx(1.8, abs=0.2)
        assert make_seekable(path)
    assert remuxer.audio == "aac copied"


@pytest.mark.parametrize("late_s", [0.0, 1.0])
def test_sound_that_mp4_cannot_hold_is_turned_into_aac(tmp_path: Path, late_s: float) -> None:
    source = write_clip(tmp_path / "x.mov", sound="pcm_mulaw", sound_from_s=late_s)
    remuxer = copied(source)
    (path,) = files(remuxer)
    codec, begin_s, seconds = sound_of(path)
    assert codec == "aac"
    assert begin_s == pytest.approx(late_s, abs=0.2)
    assert seconds == pytest.approx(2.0 - late_s, abs=0.3)
    assert remuxer.audio == "pcm_mulaw turned into aac"
    assert numbers(path) == list(range(50))


def test_sound_of_an_unknown_codec_is_left_out(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "x.mkv", sound="pcm_s16le")
    named, unknown = b"A_PCM/INT/LIT", b"A_XYZ/INT/LIT"
    source.write_bytes(source.read_bytes().replace(named, unknown))
    remuxer = copied(source)
    assert numbers(files(remuxer)[0]) == list(range(50))
    assert examine(files(remuxer)[0]).audio is None
    assert "left out" in remuxer.audio


def test_damaged_sound_ends_no_copy(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "x.mkv", sound="mp2")
    begin, data = b"\xff\xfd", source.read_bytes()  # of each frame of sound
    assert data.count(begin) > 50
    source.write_bytes(data.replace(begin, b"\x00\x00"))
    remuxer = copied(source)
    (path,) = files(remuxer)
    assert remuxer.audio == "the sound is left out: it could not be decoded"
    assert make_seekable(path)
    assert numbers(path) == list(range(50))
    assert examine(path).audio is None


@pytest.mark.parametrize("from_s", [0.0, 1.0])
@pytest.mark.parametrize("jump_s", [-30.0, 5000.0])
def test_sound_with_a_clock_of_its_own_is_put_beside_the_video(
    tmp_path: Path, jump_s: float, from_s: float
) -> None:
    """Each piece has one second, so that sound and video are interleaved."""
    begin_s = 60.0
    pieces = [
        write_clip(
            tmp_path / f"{number}.ts",
            frames=range(number * 25, number * 25 + 25),
            clock=lambda seconds: begin_s + seconds,
            sound="aac",
            sound_clock=lambda s: begin_s + s + (jump_s if s >= from_s else 0.0),
        )
        for number in range(4)
    ]
    remuxer = copied(join(tmp_path / "x.ts", *pieces))
    (path,) = files(remuxer)
    assert numbers(path) == list(range(100))
    assert times(path)[-1] == pytest.approx(99 / FPS, abs=0.01)
    _, first_s, seconds = sound_of(path)
    assert first_s < 1.1
    assert 2.9 < seconds < 4.2, "sound before the video is left out"
    assert "its clock differs" in remuxer.audio
    assert not remuxer.written.jumps


def test_sound_that_a_file_has_behind_its_video_is_put_beside_it(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "x.mkv", sound="aac", sound_clock=lambda s: 5000 + s)
    remuxer = copied(source)
    (path,) = files(remuxer)
    _, begin_s, seconds = sound_of(path)
    assert begin_s < 0.3
    assert seconds == pytest.approx(2.0, abs=0.3)
    assert numbers(path) == list(range(50))


# ── what plays elsewhere ─────────────────────────────────────────────────────────────────────


HEVC = {"preset": "ultrafast", "x265-params": "log-level=none:bframes=2:keyint=25"}


def test_hevc_is_tagged_as_apples_players_want_it(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "x.mp4", codec="libx265", options=HEVC)
    (path,) = files(copied(source))
    for _ in ("fragmented", "seekable"):
        with av.open(str(path)) as container:
            assert container.streams.video[0].codec_context.codec_tag == "hvc1"
            assert container.streams.video[0].start_time == 0
        assert len(numbers(path)) == 50
        assert make_seekable(path)


@pytest.mark.parametrize(("codec", "options"), [("libx264", None), ("libx265", HEVC)])
def test_another_size_begins_a_new_file(
    tmp_path: Path, codec: str, options: dict[str, str] | None
) -> None:
    small = write_clip(tmp_path / "1.ts", codec=codec, options=options)
    large = write_clip(tmp_path / "2.ts", codec=codec, options=options, size=(320, 192))
    facts = [examine(path) for path in files(copied(join(tmp_path / "x.ts", small, large)))]
    assert [(one.width, one.height, one.frames) for one in facts] == [(160, 96, 50), (320, 192, 50)]


def test_other_parameter_sets_begin_a_new_file_also_where_there_are_no_start_codes(
    tmp_path: Path,
) -> None:
    one = write_clip(tmp_path / "1.ts")
    two = write_clip(tmp_path / "2.ts", options={"preset": "medium", "tune": "zerolatency"})
    joined = join(tmp_path / "x.ts", one, two)
    remuxer = copied(joined)
    assert [numbers(path) for path in files(remuxer)] == [list(range(50))] * 2
    in_band = tmp_path / "x.mkv"
    with av.open(str(joined)) as source, av.open(str(in_band), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                packet.pts = packet.dts = round(number / FPS / packet.time_base)
                packet.stream = stream
                target.mux(packet)
    again = copied(in_band)
    assert [numbers(path) for path in files(again)[-2:]] == [list(range(50))] * 2


def test_a_finished_file_has_its_index_first(tmp_path: Path) -> None:
    (path,) = files(copied(write_clip(tmp_path / "x.ts", frames=range(100), sound="aac")))
    before = examine(path)
    assert "moof" in boxes(path)
    assert make_seekable(path)
    assert [kind for kind in boxes(path) if kind != "free"] == ["ftyp", "moov", "mdat"]
    after = examine(path)
    assert facts_but_bytes(after) == facts_but_bytes(before)
    assert numbers(path) == list(range(100))
    assert list(path.parent.iterdir()) == [path]


def facts_but_bytes(facts: FileFacts) -> tuple[object, ...]:
    return facts.seconds, facts.frames, facts.codec, facts.width, facts.height, facts.audio


def test_a_full_disk_leaves_the_fragmented_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = files(copied(write_clip(tmp_path / "x.ts")))
    before = path.read_bytes()

    def full(_: Path, new: Path) -> None:
        new.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(seekable, "_rewrite", full)
    assert not make_seekable(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_what_a_kill_leaves_of_a_copy_with_late_sound_can_be_played(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "x.ts", frames=range(100), sound="aac", sound_from_s=3.0)
    plan = SegmentPlan(SegmentFiles(tmp_path / "out", "01-file"), 60.0, None)
    remuxer = Remuxer(f"file:{source}", StreamSettings(), plan)
    held, go_on = threading.Event(), threading.Event()
    picture = remuxer.written.picture

    def hold(*values: Any) -> None:
        picture(*values)
        if remuxer.written.frames == 80:
            held.set()
            go_on.wait(30)

    remuxer.written.picture = hold  # type: ignore
    thread = threading.Thread(target=remuxer.run)
    thread.start()
    assert held.wait(30)
    left = tmp_path / "left.mp4"
    left.write_bytes((tmp_path / "out" / "01-file-0001.part.mp4").read_bytes())
    go_on.set()
    thread.join(30)
    assert not thread.is_alive()
    assert numbers(left)[:25] == list(range(25))
    assert len(numbers(left)) >= 50
