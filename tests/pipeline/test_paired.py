"""Which of a camera's two streams is shown, without a network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.doubles import noise

from app.config import StreamSettings
from app.pipeline.sources.paired import PairedSource
from app.types import Frame, StreamSpec

FIRST, SECOND = (1280, 704), (640, 352)


class First:
    """Three frames, and packets that are not decoded after each."""

    codec = "h264"
    decoder = "cpu"

    def open(self) -> None: ...

    def frames(self) -> Iterator[Frame | None]:
        for number in (1, 2, 3):
            yield Frame(noise(*FIRST), float(number), number)
            yield None

    def take_skipped(self) -> int:
        return 1


class Second:
    """A substream that runs, with a frame right after each of the first stream."""

    is_running = True
    longest = SECOND[0]

    def match_clock(self, first: Frame) -> None: ...

    def nearest(self, captured_at: float) -> Frame | None:
        return None

    def after(self, captured_at: float) -> Iterator[Frame]:
        yield Frame(noise(*SECOND), captured_at + 0.1, 1)


@pytest.fixture
def source() -> PairedSource:
    spec = StreamSpec("cam", "rtsp://192.0.2.1/1", detect_url="rtsp://192.0.2.1/2")
    source = PairedSource(spec, StreamSettings(), lambda: False, 640.0)
    source._first, source.substream = First(), Second()  # type: ignore[assignment]
    source.open()
    return source


def test_the_first_frame_is_one_of_the_first_stream_and_sets_the_size(
    source: PairedSource,
) -> None:
    """Even if nobody watches and the second stream was there sooner."""
    shown = [frame for frame in source.frames() if frame is not None]
    assert (shown[0].image.width, shown[0].image.height) == FIRST
    assert not shown[0].stands_in
    assert len(shown) > 1
    assert all(frame.stands_in for frame in shown[1:])
    times = [frame.captured_at for frame in shown]
    assert times == sorted(set(times))


def test_so_is_the_first_frame_after_it_was_opened_again(source: PairedSource) -> None:
    """The camera may have another size now."""
    assert list(source.frames())
    source._last_at = -1.0
    source.open()
    again = next(frame for frame in source.frames() if frame is not None)
    assert not again.stands_in
