"""What every source and every sink promises, over all entries of their tables.

A new entry of ``SOURCES`` or ``SINKS`` needs a line in ``INPUTS`` or ``OUTPUTS`` here.
"""

from __future__ import annotations

import inspect
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fixtures import eventually
from support.doubles import noise, write_video

from app.config import StreamSettings
from app.errors import BadFrame, SinkError, SourceError
from app.failure_reason import FailureReason
from app.pipeline.blur import conceal
from app.pipeline.sinks import SINKS, Preview, Sink, make_output
from app.pipeline.sinks.jpeg import encode_jpeg
from app.pipeline.sources import SOURCES, Source, make_source
from app.pipeline.sources.push import Pushed, PushSource
from app.types import Frame, ProcessedFrame, StreamSpec

PASSWORD = "very-hidden"


@pytest.fixture
def settings() -> StreamSettings:
    return StreamSettings(open_timeout_s=2, stall_timeout_s=2)


@pytest.fixture
def nobody() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


INPUTS: dict[str, Callable[[Path], str | None]] = {
    "rtsp": lambda folder: None,  # with a real server: tests/e2e
    "rtsps": lambda folder: None,
    "file": lambda folder: f"file:{folder / 'video.mp4'}",
    "http": lambda folder: None,  # with a real server: test_played.py
    "https": lambda folder: None,
    "webcam": lambda folder: None,
    "demo": lambda folder: "demo:",
    "push": lambda folder: "push:",
}
OUTPUTS = ("rtsp", "rtsps")


def source_of(scheme: str, folder: Path, settings: StreamSettings) -> Source:
    url = INPUTS[scheme](folder)
    if url is None:
        pytest.skip(f"{scheme} needs a server")
    write_video(folder / "video.mp4", frames=20)
    source = make_source(StreamSpec("s", url, max_fps=60), settings)
    return _Fed(settings) if isinstance(source, PushSource) else source


def frames_of(source: Source) -> Iterator[Frame]:
    """The source's frames; an input with pictures must not say that it has none."""
    for frame in source.frames():
        assert isinstance(frame, Frame)
        yield frame


class _Fed(PushSource):
    """A pushed source with an eager client: the next picture is there when one was taken."""

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__(StreamSpec("s", "push:"), settings)

    def frames(self) -> Iterator[Frame | None]:
        jpeg = encode_jpeg(conceal(noise(), [], "off", 0))
        numbers = itertools.count(1)
        self._feed(jpeg, next(numbers))
        for frame in super().frames():
            self._feed(jpeg, next(numbers))
            yield frame

    def _feed(self, jpeg: bytes, number: int) -> None:
        self.push(Pushed(jpeg, number, time.monotonic(), self._lost))

    @staticmethod
    def _lost(error: BadFrame | None) -> None:
        assert error is None  # replaced by a newer one: fine


# ── sources ──────────────────────────────────────────────────────────────────────────────────


def test_every_source_and_sink_is_tested_here() -> None:
    assert set(INPUTS) == set(SOURCES)
    assert set(OUTPUTS) == set(SINKS)


@pytest.mark.parametrize("scheme", SOURCES)
def test_a_source_has_the_protocols_three_methods(scheme: str, settings: StreamSettings) -> None:
    source = make_source(StreamSpec("s", f"{scheme}://192.0.2.1/x"), settings)
    for name in ("open", "frames", "close"):
        assert callable(getattr(source, name))
    assert isinstance(source.live, bool)
    assert isinstance(source.codec, str)


@pytest.mark.parametrize("scheme", SOURCES)
def test_a_source_may_be_closed_before_it_was_opened_and_twice(
    scheme: str, settings: StreamSettings
) -> None:
    source = make_source(StreamSpec("s", f"{scheme}://192.0.2.1/x"), settings)
    source.close()
    source.close()


@pytest.mark.parametrize("scheme", SOURCES)
def test_a_source_gives_numbered_frames_in_order(
    scheme: str, settings: StreamSettings, tmp_path: Path
) -> None:
    source = source_of(scheme, tmp_path, settings)
    source.open()
    frames = list(itertools.islice(frames_of(source), 5))
    source.close()
    assert [frame.number for frame in frames] == [1, 2, 3, 4, 5]
    times = [frame.captured_at for frame in frames]
    assert times == sorted(times)
    assert abs(times[0] - time.monotonic()) < 60
    assert source.codec
    assert min(frames[0].image.width, frames[0].image.height) > 0


@pytest.mark.parametrize("scheme", SOURCES)
def test_a_source_can_be_opened_again_after_close(
    scheme: str, settings: StreamSettings, tmp_path: Path
) -> None:
    source = source_of(scheme, tmp_path, settings)
    for _ in range(3):
        source.open()
        assert next(frames_of(source)).number == 1
        source.close()


@pytest.mark.parametrize("scheme", SOURCES)
def test_a_source_that_is_no_file_is_live(scheme: str, settings: StreamSettings) -> None:
    source = make_source(StreamSpec("s", f"{scheme}://192.0.2.1/x"), settings)
    assert source.live is (scheme != "file")


def test_a_file_ends_and_gives_all_its_frames(settings: StreamSettings, tmp_path: Path) -> None:
    source = source_of("file", tmp_path, settings)
    source.open()
    frames = list(frames_of(source))
    source.close()
    assert len(frames) == 20
    assert frames[-1].captured_at - frames[0].captured_at == pytest.approx(19 / 25, abs=0.01)


def test_a_file_that_is_not_there_is_a_source_error(
    settings: StreamSettings, tmp_path: Path
) -> None:
    source = make_source(StreamSpec("s", f"file:{tmp_path}/none.mp4"), settings)
    with pytest.raises(SourceError) as caught:
        source.open()
    assert caught.value.details["reason"] == FailureReason.NOT_FOUND


def test_a_file_without_video_is_a_source_error(settings: StreamSettings, tmp_path: Path) -> None:
    (tmp_path / "video.mp4").write_bytes(b"this is no video, " * 100)
    source = make_source(StreamSpec("s", f"file:{tmp_path}/video.mp4"), settings)
    with pytest.raises(SourceError):
        source.open()
    source.close()


def test_a_picture_that_is_too_large_is_refused(settings: StreamSettings, tmp_path: Path) -> None:
    settings.max_pixels = 320 * 192 - 1
    source = source_of("file", tmp_path, settings)
    source.open()
    with pytest.raises(SourceError) as caught:
        next(iter(source.frames()))
    assert caught.value.details["reason"] == FailureReason.TOO_LARGE
    source.close()


@pytest.mark.parametrize("scheme", ["rtsp"])
def test_a_camera_that_is_not_there_is_refused_and_no_password_is_shown(
    scheme: str, settings: StreamSettings, nobody: int
) -> None:
    url = f"{scheme}://admin:{PASSWORD}@127.0.0.1:{nobody}/cam"
    source = make_source(StreamSpec("s", url), settings)
    with pytest.raises(SourceError) as caught:
        source.open()
    source.close()
    assert caught.value.details["reason"] == FailureReason.REFUSED
    assert PASSWORD not in str(caught.value) + repr(caught.value.details)
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None


@pytest.mark.parametrize("scheme", ["rtsp"])
def test_a_camera_that_never_answers_costs_the_time_limit_and_no_more(
    scheme: str, settings: StreamSettings, silent: int
) -> None:
    source = make_source(StreamSpec("s", f"{scheme}://127.0.0.1:{silent}/cam"), settings)
    begun = time.monotonic()
    with pytest.raises(SourceError) as caught:
        source.open()
    source.close()
    assert time.monotonic() - begun < settings.open_timeout_s + 5
    assert caught.value.details["reason"] == FailureReason.TIMEOUT


def test_a_camera_that_never_answers_stops_no_other_thread(
    settings: StreamSettings, silent: int
) -> None:
    """The GIL is free while an input is opened."""
    source = make_source(StreamSpec("s", f"rtsp://127.0.0.1:{silent}/cam"), settings)

    def open_it() -> None:
        with pytest.raises(SourceError):
            source.open()

    thread = threading.Thread(target=open_it)
    thread.start()
    turns = 0
    while thread.is_alive():
        time.sleep(0.005)
        turns += 1
    assert turns > 30


# ── sinks ────────────────────────────────────────────────────────────────────────────────────


def result(number: int = 1, width: int = 320, height: int = 192) -> ProcessedFrame:
    return ProcessedFrame(conceal(noise(width, height), [], "off", 0), (), time.monotonic(), number)


def sink_of(url: str, settings: StreamSettings) -> tuple[Sink, list[tuple[float, float]]]:
    delivered: list[tuple[float, float]] = []
    spec = StreamSpec("s", "demo:", url, encoder="libx264")
    sink = make_output(spec, settings, lambda *times: delivered.append(times))
    assert sink is not None
    return sink, delivered


def children() -> list[psutil.Process]:
    return [c for c in psutil.Process().children(recursive=True) if "publisher" in str(c.cmdline())]


def test_without_an_output_there_is_no_sink(settings: StreamSettings) -> None:
    assert make_output(StreamSpec("s", "demo:"), settings, lambda *_: None) is None


@pytest.mark.parametrize("kind", [*SINKS.values(), Preview])
def test_a_sink_takes_a_result_and_nothing_else(kind: Any) -> None:
    parameters = inspect.signature(kind.write).parameters
    assert [p.annotation for n, p in parameters.items() if n != "self"] == ["ProcessedFrame"]


@pytest.mark.parametrize("scheme", SINKS)
def test_a_sink_may_be_closed_before_it_was_used_and_twice(
    scheme: str, settings: StreamSettings
) -> None:
    sink, _ = sink_of(f"{scheme}://192.0.2.1/x", settings)
    sink.idle(1.0)
    sink.close()
    sink.close()


@pytest.mark.parametrize("scheme", ["rtsp"])
def test_a_far_end_that_is_not_there_is_refused_and_no_password_is_shown(
    scheme: str, settings: StreamSettings, nobody: int
) -> None:
    sink, delivered = sink_of(f"{scheme}://admin:{PASSWORD}@127.0.0.1:{nobody}/out", settings)
    for number in range(2):  # and again: a sink connects anew after it failed
        with pytest.raises(SinkError) as caught:
            sink.write(result(number))
        sink.close()
        assert caught.value.details["reason"] == FailureReason.REFUSED
        assert PASSWORD not in str(caught.value) + repr(caught.value.details)
    assert delivered == []
    eventually(lambda: not children(), "the child is gone")


@pytest.mark.parametrize("scheme", ["rtsp"])
def test_a_far_end_that_never_answers_costs_the_time_limit_and_shows_no_password(
    scheme: str, settings: StreamSettings, silent: int
) -> None:
    settings.open_timeout_s = 1
    sink, delivered = sink_of(f"{scheme}://admin:{PASSWORD}@127.0.0.1:{silent}/out", settings)
    turns, writing = 0, threading.Event()
    failure: list[SinkError] = []

    def write() -> None:
        writing.set()
        with pytest.raises(SinkError) as caught:
            sink.write(result())
        failure.append(caught.value)
        sink.close()

    begun = time.monotonic()
    thread = threading.Thread(target=write)
    thread.start()
    shown = ""
    while thread.is_alive():
        shown += "".join(str(child.cmdline()) for child in _still_there(children))
        time.sleep(0.01)
        turns += 1
    assert time.monotonic() - begun < 15
    assert failure[0].details["reason"] in (FailureReason.TIMEOUT, FailureReason.STALLED)
    assert turns > 10, "other threads went on meanwhile"
    assert shown, "the child was seen in the process list"
    assert PASSWORD not in shown
    assert delivered == []
    eventually(lambda: not children(), "the child is gone")


def _still_there(list_them: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    try:
        return [child for child in list_them() if child.is_running()]
    except psutil.Error:
        return []
