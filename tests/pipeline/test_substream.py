"""A camera with a second stream, on a real RTSP server: what is looked at and what is shown.

The first stream is light and the second dark, so each picture tells where it comes from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fixtures import eventually
from support.doubles import FaceNetwork, FarEnd, luma
from support.rtsp import Publisher, RtspServer, write_frames

from app.analytics.rules import FramePixels
from app.config import FaceSettings
from app.events import RuleEvent
from app.pipeline.stream import Stream
from app.pipeline.supervisor import SUBSTREAM
from app.types import StreamState

Start = Callable[..., Stream]

LIGHT, DARK, LIMIT = 200, 60, 130
FIRST, SECOND, SMALL = (1280, 720), (640, 480), (320, 240)  # FaceSettings.width is 640
PATIENCE_S = 20


def write_grey(path: Path, size: tuple[int, int], grey: int, fps: int) -> Path:
    """Two seconds of an almost even grey picture."""
    image = np.full((size[1], size[0], 3), grey, np.uint8)
    images = (np.roll(image, number) for number in range(2 * fps))
    with av.open(str(path), "w") as container:
        write_frames(container, images, size, fps, gop=fps)
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return {
        "first": write_grey(folder / "first.mp4", FIRST, LIGHT, 15),
        "second": write_grey(folder / "second.mp4", SECOND, DARK, 10),
        "small": write_grey(folder / "small.mp4", SMALL, DARK, 10),
    }


class Camera:
    """A camera with two paths, whose publishers can be stopped one by one."""

    def __init__(self, relay: RtspServer, clips: dict[str, Path]) -> None:
        self._relay, self._clips = relay, clips
        self.publishers: dict[str, Publisher] = {}

    def publish(self, name: str) -> str:
        self.publishers[name] = self._relay.publish_file(f"pair-{name}", self._clips[name])
        return self._relay.url(f"pair-{name}")

    def stop(self, name: str) -> None:
        self.publishers[name].stop()
        self._relay.wait_gone(f"pair-{name}")


@pytest.fixture
def pair(relay: RtspServer, clips: dict[str, Path]) -> Iterator[Camera]:
    camera = Camera(relay, clips)
    yield camera
    for publisher in camera.publishers.values():
        publisher.stop()


class Analyzer:
    """Analytics that only remember how light the pictures are that they get."""

    numbers = None
    held_frames: frozenset[float] = frozenset()
    place_counts = None

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.looked_at: list[float] = []
        self.cropped: list[tuple[int, int]] = []

    def submit(self, captured_at: float, see: Callable[[int], Any]) -> None:
        self.looked_at.append(float(see(640).mean()))

    def process(
        self, look: None, faces: object, pixels: FramePixels, size: tuple[int, int]
    ) -> tuple[tuple[()], list[RuleEvent]]:
        self.cropped.append(pixels.size)
        return (), []

    def end(self) -> list[RuleEvent]:
        return []

    def sees(self, is_wanted: Callable[[float], bool]) -> None:
        """Wait until the next three pictures are as wanted."""

        def all_new() -> bool:
            self.looked_at.clear()
            eventually(lambda: len(self.looked_at) >= 3, timeout_s=PATIENCE_S)
            return all(map(is_wanted, self.looked_at[:3]))

        eventually(all_new, "what is looked at", timeout_s=PATIENCE_S)


def is_light(value: float) -> bool:
    return value > LIMIT


def is_dark(value: float) -> bool:
    return value < LIMIT


def shown(stream: Stream) -> float:
    """How light the newest frame is; asking for it does not count as watching here."""
    newest = stream.preview._newest
    return LIMIT if newest is None else float(luma(newest.frame.image).mean())


def substream_of(stream: Stream) -> Any:
    stats = stream.status().stats.substream
    assert stats is not None
    return stats


def test_objects_are_looked_for_in_the_second_stream_and_the_first_is_shown(
    start: Start, pair: Camera, far_end: FarEnd, network: FaceNetwork
) -> None:
    analyzer = Analyzer()
    stream = start(
        source=pair.publish("first"), detect_url=pair.publish("second"), analyzer=analyzer
    )
    far_end.next()
    analyzer.sees(is_dark)
    far_end.forget()
    for _ in range(10):
        frame = far_end.next().frame
        assert frame.size == FIRST
        assert is_light(luma(frame.image).mean())
    # Faces are detected in the frame that is shown: 1280 x 720 at a width of 640.
    assert {(batch[1], batch[2]) for batch in network.batches} == {(384, 640)}
    assert set(analyzer.cropped) == {FIRST}
    assert substream_of(stream).serves == "looks"
    assert (substream_of(stream).width, substream_of(stream).height) == SECOND
    assert substream_of(stream).apart_ms < 200


def test_while_nobody_watches_the_second_stream_stands_in_and_a_viewer_gets_the_first(
    start: Start, pair: Camera
) -> None:
    analyzer = Analyzer()
    stream = start(
        source=pair.publish("first"),
        detect_url=pair.publish("second"),
        output=None,
        analyzer=analyzer,
    )
    eventually(lambda: is_dark(shown(stream)), timeout_s=PATIENCE_S)
    assert substream_of(stream).serves == "frames"
    analyzer.cropped.clear()
    analyzer.sees(is_dark)
    assert set(analyzer.cropped) == {SECOND}
    before = stream.status().stats
    time.sleep(2)
    after = stream.status().stats
    assert after.frames_in - before.frames_in == pytest.approx(30, abs=16)  # whole groups of 15
    assert after.frames_skipped > before.frames_skipped
    assert (after.width, after.height) == FIRST

    numbers = []
    with stream.subscribers.processed.subscribed(30) as frames:
        began_at = time.monotonic()
        while (frame := frames.get(timeout=5)) is not None:
            numbers.append(frame.number)
            assert frame.frame.size == FIRST
            if is_light(luma(frame.frame.image).mean()):
                break
        assert frame is not None
        assert time.monotonic() - began_at < 1
        for _ in range(10):
            frame = frames.get(timeout=1)
            assert frame is not None
            assert is_light(luma(frame.frame.image).mean())
            numbers.append(frame.number)
        assert substream_of(stream).serves == "looks"
    assert numbers == sorted(set(numbers))


def test_a_second_stream_smaller_than_the_detectors_input_never_stands_in_for_faces(
    start: Start, pair: Camera, face_settings: FaceSettings
) -> None:
    assert SMALL[0] < face_settings.width
    analyzer = Analyzer()
    urls = {"source": pair.publish("first"), "detect_url": pair.publish("small")}
    stream = start(**urls, output=None, analyzer=analyzer)
    analyzer.sees(is_dark)
    for _ in range(10):
        assert is_light(shown(stream))
        time.sleep(0.1)
    assert substream_of(stream).serves == "looks"


def test_without_blur_any_second_stream_stands_in(start: Start, pair: Camera) -> None:
    urls = {"source": pair.publish("first"), "detect_url": pair.publish("small")}
    stream = start(**urls, output=None, blur="off")
    eventually(lambda: is_dark(shown(stream)), timeout_s=PATIENCE_S)


def test_a_second_stream_that_dies_costs_nothing_and_comes_back(start: Start, pair: Camera) -> None:
    analyzer = Analyzer()
    urls = {"source": pair.publish("first"), "detect_url": pair.publish("second")}
    stream = start(**urls, output=None, analyzer=analyzer)
    eventually(lambda: is_dark(shown(stream)), timeout_s=PATIENCE_S)
    pair.stop("second")
    eventually(lambda: is_light(shown(stream)), timeout_s=PATIENCE_S)
    analyzer.sees(is_light)
    assert stream.supervisor.state is StreamState.RUNNING
    assert substream_of(stream).serves is None
    assert stream.status().stats.reconnects == 0
    pair.publish("second")
    eventually(lambda: is_dark(shown(stream)), timeout_s=PATIENCE_S)
    assert SUBSTREAM not in stream.supervisor._lost


def test_a_first_stream_that_dies_is_reported_and_comes_back(start: Start, pair: Camera) -> None:
    urls = {"source": pair.publish("first"), "detect_url": pair.publish("second")}
    stream = start(**urls, output=None)
    eventually(lambda: is_dark(shown(stream)), timeout_s=PATIENCE_S)
    pair.stop("first")
    eventually(lambda: stream.supervisor.state is StreamState.RECONNECTING, timeout_s=PATIENCE_S)
    pair.publish("first")
    eventually(lambda: stream.supervisor.state is StreamState.RUNNING, timeout_s=PATIENCE_S)
    eventually(lambda: is_dark(shown(stream)), timeout_s=PATIENCE_S)


def test_a_second_stream_that_never_answers_does_not_delay_the_first(
    start: Start, pair: Camera, relay: RtspServer
) -> None:
    stream = start(source=pair.publish("first"), detect_url=relay.url("nowhere"), output=None)
    assert stream.supervisor.started.result(PATIENCE_S) is None
    assert is_light(shown(stream))
