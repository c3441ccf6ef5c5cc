"""Analytics run beside the video: what a frame waits for, and what happens to late results."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest
from fixtures import eventually
from support.doubles import PATIENCE_S, noise

from app.analytics.rules import FramePixels
from app.errors import DetectorError
from app.events import RuleEvent
from app.models.detections import PendingDetections, RawDetections
from app.models.network import Outputs
from app.pipeline import object_analysis
from app.pipeline.object_analysis import MAX_HELD, ObjectAnalysis
from app.types import BlurredFrame, Box, StreamSpec, Track

FPS = 15.0
EXPECTED = Track(1, "person", 0.9, Box(0, 0, 10, 20), 0.2)
DETECTED = Track(1, "person", 0.9, Box(5, 0, 15, 20))
SLOW_S = 0.5


@dataclass
class Analyzer:
    """Detects a person in each frame once ``answering`` is set, and expects them in the others."""

    answering: threading.Event = field(default_factory=threading.Event)
    fails_with: Exception | None = None
    configured_fps: float = 5.0
    max_fps: float = 5.0
    lacks_crops: bool = False
    pending: list[Future[Outputs]] = field(default_factory=list)
    held_frames: set[float] = field(default_factory=set)
    events: list[RuleEvent] = field(default_factory=lambda: [RuleEvent("seen")])

    def submit(self, captured_at: float, resized: object) -> PendingDetections:
        answer: Future[Outputs] = Future()
        self.pending.append(answer)
        return PendingDetections("objects", answer, (1, 1), _read)

    def process(
        self,
        pending: PendingDetections | None,
        faces: object,
        pixels: FramePixels,
        size: tuple[int, int],
    ) -> tuple[tuple[Track, ...], list[RuleEvent]]:
        if pending is None:
            return (EXPECTED,), []
        assert self.answering.wait(PATIENCE_S)
        if self.fails_with is not None:
            raise self.fails_with
        return (DETECTED,), self.events

    def end(self) -> list[RuleEvent]:
        return [RuleEvent("over")]


def _read(outputs: Outputs) -> RawDetections:
    raise AssertionError("nobody reads it here")


@dataclass
class Losses:
    """What the supervisor was told."""

    lost: list[str] = field(default_factory=list)

    def mark_lost(self, end: str, error: Exception) -> None:
        self.lost.append(end)

    def mark_recovered(self, end: str) -> None:
        pass


class Stage:
    """One stream's analysis, with what it was given and what it reported."""

    def __init__(self) -> None:
        self.analyzer = Analyzer()
        self.losses = Losses()
        self.another_waits = False
        self.reported: list[tuple[str, float]] = []
        self.at = 0.0
        self._made: list[ObjectAnalysis] = []

    def analysis(self, source: str = "rtsp://192.0.2.1/", fps: float = FPS) -> ObjectAnalysis:
        analysis = ObjectAnalysis(
            self.analyzer,  # type: ignore[arg-type]
            StreamSpec("cam", source, max_fps=fps),
            self.losses,  # type: ignore[arg-type]
            live=not source.startswith("file:"),
            hurried=lambda: self.another_waits,
            report=lambda event, at, frame: self.reported.append((event.type, at)),
        )
        self._made.append(analysis)
        return analysis

    def play(self, analysis: ObjectAnalysis) -> tuple[Track, ...]:
        """Pass a frame through the analysis."""
        self.at += 0.2
        image = noise()
        pending = analysis.submit(image, self.at)
        return analysis.process(pending, (), image, self.at, BlurredFrame(noise()))

    def close(self) -> None:
        self.analyzer.answering.set()
        for analysis in self._made:
            analysis.end()


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture(autouse=True)
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_analysis, "WARM_UP_S", 0.0)


def timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def test_a_frame_shows_its_own_objects_when_the_machine_is_fast(stage: Stage) -> None:
    stage.analyzer.answering.set()
    analysis = stage.analysis(fps=1)
    assert stage.play(analysis) == (DETECTED,)
    assert stage.reported == [("seen", stage.at)]
    assert analysis.slower is None


def test_a_frame_goes_on_with_expected_objects_when_detection_is_slow(stage: Stage) -> None:
    analysis = stage.analysis()
    assert timed(lambda: stage.play(analysis)) < SLOW_S
    assert stage.play(analysis) == (EXPECTED,)
    assert stage.reported == []


def test_a_late_result_counts_for_the_frame_it_belongs_to(stage: Stage) -> None:
    analysis = stage.analysis()
    stage.play(analysis)
    seen_at = stage.at
    stage.play(analysis)
    stage.analyzer.answering.set()
    eventually(lambda: stage.reported)
    assert stage.reported == [("seen", seen_at)]


def test_one_inference_at_a_time_and_the_rest_is_said(stage: Stage) -> None:
    analysis = stage.analysis()
    for _ in range(5):
        assert stage.play(analysis) == (EXPECTED,)
    assert len(stage.analyzer.pending) == 1
    assert analysis.slower is not None
    assert analysis.slower.wanted == 5
    stage.analyzer.answering.set()
    stage.analyzer.pending[0].set_result([])
    eventually(lambda: stage.reported)
    eventually(lambda: stage.play(analysis) and len(stage.analyzer.pending) == 2)


def test_while_networks_are_compiled_it_says_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that objects are looked for 0 times a second."""
    monkeypatch.setattr(object_analysis, "WARM_UP_S", 60.0)
    analysis = stage.analysis()
    assert analysis.slower is None
    for _ in range(5):
        stage.play(analysis)
    assert analysis.slower is None


def test_a_file_waits(stage: Stage) -> None:
    analysis = stage.analysis("file:/clip.mp4")
    threading.Timer(SLOW_S, stage.analyzer.answering.set).start()
    assert stage.play(analysis) == (DETECTED,)


def test_a_pushed_frame_waits_until_another_waits_behind_it(stage: Stage) -> None:
    analysis = stage.analysis("push:", fps=1e6)
    threading.Timer(SLOW_S, stage.analyzer.answering.set).start()
    assert stage.play(analysis) == (DETECTED,)
    stage.analyzer.answering.clear()
    stage.analyzer.pending[0].set_result([])
    threading.Timer(SLOW_S, lambda: setattr(stage, "another_waits", True)).start()
    assert stage.play(analysis) == (EXPECTED,)


def test_a_failed_inference_is_noted_and_costs_nothing(stage: Stage) -> None:
    stage.analyzer.fails_with = DetectorError(network="objects", reason="timed out")
    stage.analyzer.answering.set()
    stage.play(stage.analysis(fps=1))
    assert stage.losses.lost == ["analysis"]


def test_a_crash_in_the_background_is_not_swallowed(stage: Stage) -> None:
    analysis = stage.analysis()
    stage.play(analysis)
    stage.analyzer.fails_with = ZeroDivisionError()
    stage.analyzer.answering.set()
    stage.analyzer.pending[0].set_result([])

    def crashes() -> bool:
        try:
            stage.play(analysis)
        except ZeroDivisionError:
            return True
        return False

    eventually(crashes)


def test_at_the_end_what_was_begun_is_finished_and_reported_first(stage: Stage) -> None:
    analysis = stage.analysis()
    stage.play(analysis)
    threading.Timer(SLOW_S / 2, stage.analyzer.answering.set).start()
    analysis.end()
    assert [name for name, _ in stage.reported] == ["seen", "over"]


def test_an_event_about_an_earlier_frame_has_that_frame(stage: Stage) -> None:
    reported: list[BlurredFrame | None] = []
    analysis = stage.analysis("file:/a.mp4")
    analysis._report = lambda event, at, frame: reported.append(frame)
    stage.analyzer.answering.set()
    stage.analyzer.events = []
    frames = [BlurredFrame(noise()) for _ in range(20)]

    def play(number: int) -> None:
        image = noise()
        analysis.process(analysis.submit(image, number), (), image, number, frames[number])

    stage.analyzer.held_frames = {2.0, 3.0, 99.0}
    for number in range(5):
        play(number)
    stage.analyzer.events = [
        RuleEvent("seen", frame_at=2.0),
        RuleEvent("seen", frame_at=1.0),
        RuleEvent("seen"),
    ]
    play(5)
    assert reported == [frames[2], frames[5], frames[5]]

    stage.analyzer.held_frames, stage.analyzer.events = set(map(float, range(20))), []
    for number in range(6, 20):
        play(number)
    assert len(analysis._held) == MAX_HELD
    stage.analyzer.held_frames = set()
    play(19)
    assert not analysis._held
