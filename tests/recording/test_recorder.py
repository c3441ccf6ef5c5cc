"""Results to files: what is in them, where they end, and what a disk may do."""

from __future__ import annotations

import errno
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import pytest
from support.doubles import luma, noise, planes, write_video
from support.pictures import as_shown, difference, encoded_exactly, patches, write_clip

from app.config import StreamSettings
from app.errors import SinkError, SourceError
from app.failure_reason import FailureReason
from app.jobs import Part
from app.models.orientation import display_matrix, orientation_of_frame, turned
from app.pipeline.blur import conceal
from app.recording import recorder as recorder_module
from app.recording.captures import CaptureRequest, _timed_out
from app.recording.probe import examine, fingerprint, length_of, trim
from app.recording.recorder import Recorder
from app.recording.remuxer import Remuxer
from app.recording.seekable import make_seekable
from app.recording.segments import SegmentFiles, SegmentPlan, finished_name, stem_of
from app.types import ProcessedFrame

FPS = 10


def results(
    count: int, *, first: int = 1, at: float = 1000.0, size: tuple[int, int] = (320, 192)
) -> list[ProcessedFrame]:
    picture = conceal(noise(*size), [], "off", 0)
    return [ProcessedFrame(picture, (), at + n / FPS, first + n) for n in range(count)]


def make(folder: Path, **options: Any) -> Recorder:
    values = {"segment_s": 60.0, "gap_s": 1.0, **options}
    return Recorder(SegmentPlan(SegmentFiles(folder, "01-cam"), **values), FPS)


def closed(recorder: Recorder) -> list[Path]:
    recorder.finish()
    return [segment.path for segment in recorder.written.closed]


def test_every_result_is_in_the_file_at_its_time(tmp_path: Path) -> None:
    recorder = make(tmp_path)
    for result in results(35):
        recorder.write(result)
    (path,) = closed(recorder)
    facts = examine(path)
    assert (facts.frames, facts.codec, facts.width, facts.height) == (35, "h264", 320, 192)
    assert facts.seconds == pytest.approx(3.5, abs=0.05)
    assert facts.bytes == path.stat().st_size
    assert facts.sha256 == fingerprint(path)
    assert facts.audio is None
    with av.open(str(path)) as container:
        times = [float(frame.time or 0) for frame in container.decode(video=0)]
    assert times == pytest.approx([n / FPS for n in range(35)], abs=0.001)
    assert recorder.written.frames == 35


def test_a_picture_is_recorded_as_it_is_and_left_as_it_was(tmp_path: Path) -> None:
    result = results(1)[0]
    image = result.frame.image
    image.pts = 77
    before = [plane.tobytes() for plane in planes(image)]
    recorder = make(tmp_path)
    recorder.write(result)
    (path,) = closed(recorder)
    assert image.pts == 77
    assert [plane.tobytes() for plane in planes(image)] == before
    with av.open(str(path)) as container:
        seen = next(container.decode(video=0))
    difference = abs(luma(seen).astype(int) - luma(image).astype(int)).mean()
    assert difference < 40, "noise, encoded; another picture would differ by 70"


def test_a_new_file_begins_after_segment_s_and_nothing_is_lost(tmp_path: Path) -> None:
    recorder = make(tmp_path, segment_s=1.0)
    for result in results(35):
        recorder.write(result)
    paths = closed(recorder)
    assert [examine(path).frames for path in paths] == [10, 10, 10, 5]
    assert [path.name for path in paths] == [f"01-cam-{n:04d}.part.mp4" for n in (1, 2, 3, 4)]


def test_a_picture_of_another_size_begins_a_new_file(tmp_path: Path) -> None:
    recorder = make(tmp_path)
    for result in [*results(5), *results(5, first=6, at=1001, size=(160, 96))]:
        recorder.write(result)
    assert [examine(path).width for path in closed(recorder)] == [320, 160]


@pytest.mark.parametrize("full", [False, True])
def test_colours_are_stated_and_other_colours_begin_a_new_file(tmp_path: Path, full: bool) -> None:
    recorder = make(tmp_path)
    given = [
        encoded_exactly(patches(), format="yuv420p", matrix=matrix, full=full)
        for matrix in ("bt709", "bt601")
    ]
    for number, image in enumerate([given[0], given[0], given[1]]):
        picture = conceal(image, [], "off", 0)
        recorder.write(ProcessedFrame(picture, (), 1000.0 + number / FPS, number + 1))
    paths = closed(recorder)
    assert len(paths) == 2
    for path, image in zip(paths, given, strict=True):
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
        assert (frame.color_range, frame.colorspace) == (image.color_range, image.colorspace)
        assert difference(as_shown(frame)) <= 3


def test_a_file_that_is_resumed_is_recorded_from_there_to_the_limit(tmp_path: Path) -> None:
    recorder = make(tmp_path, gap_s=None, begin_s=1.0, limit_s=2.0)
    for result in results(40):
        recorder.write(result)
    assert recorder.written.full
    (path,) = closed(recorder)
    assert examine(path).frames == 10
    assert recorder.written.seconds == pytest.approx(0.9, abs=0.01)


def test_only_a_live_source_has_a_time_limit_for_its_first_frame(tmp_path: Path) -> None:
    long_ago = time.monotonic() - 30
    files = SegmentFiles(tmp_path, "01-x")
    for source, fails in (("file:/x.mp4", False), ("rtsp://192.0.2.1/x", True)):
        wanted = CaptureRequest(Part("open", source, "x"), files, 10.0, 1.0, 10.0, 600.0)
        failure = _timed_out(long_ago, wanted, wanted.recorder(FPS).written)
        assert (failure is not None) is fails


def test_a_file_that_broke_and_is_read_anew_is_not_recorded_twice(tmp_path: Path) -> None:
    recorder = make(tmp_path, gap_s=None)
    for result in results(5):
        recorder.write(result)
    with pytest.raises(SourceError):
        recorder.write(results(1, at=1005)[0])
    assert recorder.written.frames == 5


def test_times_without_pictures_are_noted(tmp_path: Path) -> None:
    recorder = make(tmp_path)
    for result in [*results(5), *results(5, first=6, at=1004)]:
        recorder.write(result)
    (gap,) = recorder.written.gaps
    assert gap[1] - gap[0] == pytest.approx(3.6, abs=0.01)
    recorder.finish()


def test_what_a_kill_leaves_can_be_played(tmp_path: Path) -> None:
    recorder = make(tmp_path)
    for result in results(100):
        recorder.write(result)
    left = tmp_path / "left.mp4"
    left.write_bytes((tmp_path / "01-cam-0001.part.mp4").read_bytes())
    recorder.finish()
    assert examine(left).frames >= 100 - 3 * FPS


def test_nothing_is_written_after_the_end(tmp_path: Path) -> None:
    recorder = make(tmp_path)
    recorder.write(results(1)[0])
    assert len(closed(recorder)) == 1
    recorder.write(results(1, first=2, at=1001)[0])
    recorder.finish()
    assert len(list(tmp_path.iterdir())) == 1


def test_it_can_be_finished_while_another_thread_writes(tmp_path: Path) -> None:
    recorder = make(tmp_path, segment_s=0.5)
    going = threading.Event()

    def write() -> None:
        for result in results(200):
            recorder.write(result)
            going.set()

    thread = threading.Thread(target=write)
    thread.start()
    going.wait(30)
    paths = closed(recorder)
    thread.join(60)
    assert not thread.is_alive()
    assert closed(recorder) == paths
    assert sum(examine(path).frames for path in paths) == recorder.written.frames


def test_a_full_disk_is_a_clear_error_and_what_was_written_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = make(tmp_path)
    for result in results(60):
        recorder.write(result)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recorder_module._EncodedFile, "add", full)
    with pytest.raises(SinkError) as caught:
        recorder.write(results(1, first=61, at=1006)[0])
    assert caught.value.details["reason"] == FailureReason.DISK_FULL
    assert recorder.written.failure is caught.value
    recorder.write(results(1, first=62, at=1007)[0])
    (path,) = closed(recorder)
    assert examine(path).frames > 20


def test_delivered_results_are_told(tmp_path: Path) -> None:
    recorder = make(tmp_path)
    told: list[float] = []
    recorder.delivered = lambda captured_at, _: told.append(captured_at)
    for result in results(3):
        recorder.write(result)
    assert told == [1000.0, 1000.1, 1000.2]
    recorder.finish()


# ── names ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("label", "stem"),
    [
        ("cam-1", "01-cam-1"),
        ("rtsp://192.0.2.1:554/live/yard?token=x", "01-192.0.2.1-554"),
        ("https://cam.example/a.mp4", "01-cam.example"),
        ("file:/srv/Видео.mp4", "01-file-srv-.mp4"),
        ("../../etc/passwd", "01-etc-passwd"),
        ("카메라", "01-source"),
        ("x" * 300, "01-" + "x" * 40),
    ],
)
def test_names_are_safe_and_tell_the_source(label: str, stem: str) -> None:
    assert stem_of(0, label) == stem


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "01-cam-0007.mp4").touch()
    (tmp_path / "01-cam-0009.part.mp4").touch()
    path = SegmentFiles(tmp_path, "01-cam").next()
    assert path.name == "01-cam-0010.part.mp4"
    assert finished_name(path).name == "01-cam-0010.mp4"


def test_a_fragment_that_was_cut_short_is_taken_off(tmp_path: Path) -> None:
    recorder = make(tmp_path)
    for result in results(60):
        recorder.write(result)
    (path,) = closed(recorder)
    whole = path.read_bytes()
    assert trim(path) == 0
    assert path.read_bytes() == whole
    last = whole.rfind(b"moof") - 4
    for cut in (last + 3, last + 50, last + 5000):
        path.write_bytes(whole[:cut])
        assert trim(path) == cut - last
        assert path.read_bytes() == whole[:last]
    assert 30 <= examine(path).frames < 60
    path.write_bytes(b"something else")
    assert trim(path) == 0


# ── looking into files ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_a_file_that_cannot_be_played_does_not_count(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(SinkError):
        examine(path)
    assert length_of(f"file:{path}") is None


def test_the_length_of_a_file_is_known_before_it_is_read(tmp_path: Path) -> None:
    write_video(tmp_path / "x.mp4", frames=50, fps=25)
    assert length_of(f"file:{tmp_path}/x.mp4") == pytest.approx(2.0, abs=0.1)


# ── copies ───────────────────────────────────────────────────────────────────────────────────


def copier(folder: Path, url: str, **options: Any) -> Remuxer:
    values = {"segment_s": 60.0, "gap_s": None, **options}
    plan = SegmentPlan(SegmentFiles(folder / "out", "01-file"), **values)
    return Remuxer(url, StreamSettings(open_timeout_s=2), plan)


def test_a_copy_has_the_same_packets(tmp_path: Path) -> None:
    write_video(tmp_path / "x.mp4", frames=50)
    made = copier(tmp_path, f"file:{tmp_path}/x.mp4")
    made.run()
    assert (made.ended, made.written.failure, made.audio) == (True, None, "no sound")
    (segment,) = made.written.closed

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(video=0) if packet.size]

    assert packets(segment.path) == packets(tmp_path / "x.mp4")
    assert examine(segment.path).seconds == pytest.approx(2.0, abs=0.1)


def test_a_copy_stops_at_the_limit_and_begins_where_it_is_told(tmp_path: Path) -> None:
    write_video(tmp_path / "x.mp4", frames=100)
    first = copier(tmp_path, f"file:{tmp_path}/x.mp4", limit_s=2.0)
    first.run()
    assert first.written.full
    assert examine(first.written.closed[0].path).frames == 50
    rest = copier(tmp_path, f"file:{tmp_path}/x.mp4", begin_s=2.0)
    rest.run()
    assert 50 <= examine(rest.written.closed[0].path).frames <= 100


def test_a_source_that_is_not_there_is_a_source_error_without_a_password(tmp_path: Path) -> None:
    made = copier(tmp_path, "rtsp://admin:hidden@127.0.0.1:9/x", gap_s=1.0)
    begun = time.monotonic()
    made.run()
    assert time.monotonic() - begun < 10
    assert isinstance(made.written.failure, SourceError)
    assert "hidden" not in str(made.written.failure)
    assert not made.ended


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("orientation", [1, 5, 6])
def test_a_copy_states_its_orientation(
    tmp_path: Path, orientation: int, rotate: Literal[0, 90, 180, 270]
) -> None:
    given = encoded_exactly(patches(), format="yuv420p", matrix="bt601", full=True)
    matrix = display_matrix(orientation) if orientation != 1 else None
    clip = write_clip(
        tmp_path / "clip.mp4", given, pixel_aspect=Fraction(12, 11), display_matrix=matrix
    )
    plan = SegmentPlan(SegmentFiles(tmp_path, "01-copy"), segment_s=60, gap_s=None)
    remuxer = Remuxer(f"file:{clip}", StreamSettings(), plan, rotate)
    remuxer.run()
    assert remuxer.written.failure is None
    path = remuxer.written.closed[0].path
    for _ in ("fragmented", "seekable"):
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            assert container.streams.video[0].sample_aspect_ratio == Fraction(12, 11)
        assert orientation_of_frame(frame) == turned(orientation, rotate)
        assert (frame.color_range, frame.colorspace) == (2, given.colorspace)
        assert make_seekable(path)
