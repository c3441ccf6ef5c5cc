"""From inference to tracks and events, with a network that detects what a test says."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

from app.analytics.analyzer import AnalyzerFactory, StreamAnalyzer
from app.analytics.rules import AnalyzedFrame, FramePixels, read_rule_settings
from app.config import ObjectSettings
from app.errors import DetectorError, InvalidRequest, NoAnalytics
from app.events import RuleEvent
from app.types import Box, Detection, StreamSpec, Track

SIZE = (1280, 720)
PERSON = Detection("person", 0.9, Box(400, 100, 600, 700))
CIGARETTE = Detection("cigarette", 0.8, Box(10, 20, 30, 40))


@dataclass
class _Look:
    found: list[Detection] | None

    def detections(self, timeout_s: float, size: tuple[int, int]) -> list[Detection]:
        if self.found is None:
            raise DetectorError(network="objects", reason="too late")
        return self.found


@dataclass
class Sight:
    """The shared network: what it sees in whole frames, and in parts of them."""

    whole: list[Detection] | None = field(default_factory=lambda: [PERSON])
    close: list[Detection] | None = field(default_factory=list)
    crops: list[Any] = field(default_factory=list)
    labels: tuple[str, ...] = ("person", "cigarette")
    longest: int = 640
    crop_size: int = 384

    def for_labels(self, labels: Iterable[str]) -> Sight:
        return self

    def submit(self, image: Any) -> _Look:
        return _Look(self.whole)

    def submit_crop(self, crop: Any) -> _Look:
        self.crops.append(crop)
        return _Look(self.close)


@dataclass
class Recorder:
    """A rule that keeps what it was shown."""

    crop_labels: ClassVar[frozenset[str]] = frozenset({"cigarette"})
    scenes: list[AnalyzedFrame] = field(default_factory=list)

    def update(self, scene: AnalyzedFrame) -> list[RuleEvent]:
        self.scenes.append(scene)
        return [RuleEvent("seen")]

    def end(self) -> list[RuleEvent]:
        return [RuleEvent("over")]


def picture(longest: int) -> Any:
    return np.zeros((longest * 9 // 16, longest, 3), np.uint8)


def seen(now: float, restarts: int = 0) -> FramePixels:
    return FramePixels(SIZE, lambda part: part, picture, now, restarts)  # type: ignore[arg-type,return-value]


def analysis(sight: Sight, *rules: Any, **settings: Any) -> StreamAnalyzer:
    settings = {"recheck_s": 0, **settings}  # without memory: every frame has an inference
    return StreamAnalyzer(ObjectSettings(**settings), rules or [Recorder()], sight)  # type: ignore[arg-type]


def step(
    work: StreamAnalyzer, now: float, faces: list[Track] | None = None, size: tuple[int, int] = SIZE
) -> tuple[tuple[Track, ...], list[RuleEvent]]:
    return work.process(work.submit(now, picture), faces, seen(now), size)


def test_a_few_inferences_a_second_and_tracks_on_every_frame() -> None:
    rule = Recorder()
    work = analysis(Sight(), rule, max_fps=5)
    for number in range(30):
        tracks, _ = step(work, number / 30)
        assert [track.label for track in tracks] == ["person"]
    assert len(rule.scenes) in (5, 6)


def test_tracks_and_scenes_are_in_pixels_of_what_comes_out() -> None:
    rule = Recorder()
    tracks, rule_events = step(analysis(Sight(), rule), 1.0, size=(640, 360))
    assert tracks[0].box == Box(200, 50, 300, 350)
    assert rule.scenes[0].detections[0].box == Box(200, 50, 300, 350)
    assert [rule_event.type for rule_event in rule_events] == ["seen"]


def test_detections_in_a_crop_of_a_person_are_placed_in_the_frame() -> None:
    rule = Recorder()
    sight = Sight(close=[CIGARETTE])
    step(analysis(sight, rule), 1.0)
    (part,) = sight.crops
    (cigarette,) = [d for d in rule.scenes[0].detections if d.label == "cigarette"]
    assert cigarette.box == CIGARETTE.box.moved(part.x1, part.y1)


def test_without_a_rule_that_needs_them_there_are_no_crops() -> None:
    sight = Sight()

    class Content(Recorder):
        crop_labels: ClassVar[frozenset[str]] = frozenset()

    step(analysis(sight, Content()), 1.0)
    assert sight.crops == []


def test_no_more_crops_than_allowed_and_every_person_gets_a_turn() -> None:
    people = [Detection("person", 0.9, Box(x, 100, x + 150, 600)) for x in range(0, 1100, 200)]
    sight = Sight(whole=people)
    work = analysis(sight, max_crops=2)
    for number in range(3):
        step(work, number)
    assert len(sight.crops) == 6
    assert len({part.x1 for part in sight.crops}) == len(people)


@pytest.mark.parametrize("faces", [None, []])
def test_the_networks_faces_serve_where_the_stream_covers_none(faces: list[Track] | None) -> None:
    face = Detection("face", 0.9, Box(450, 120, 520, 200))
    rule = Recorder()
    step(analysis(Sight(whole=[PERSON, face]), rule), 1.0, faces)
    assert any(d.label == "face" for d in rule.scenes[0].detections) is (faces is None)


def test_covered_faces_are_part_of_the_scene() -> None:
    rule = Recorder()
    face = Track(1, "face", 0.9, Box(450, 120, 520, 200))
    tracks, _ = step(analysis(Sight(), rule), 1.0, [face])
    assert rule.scenes[0].labelled("face") == [face]
    assert face not in tracks  # the stream has it already


def test_a_network_that_fails_raises_and_tracks_stay() -> None:
    sight = Sight()
    work = analysis(sight)
    step(work, 1.0)
    sight.whole = None
    with pytest.raises(DetectorError):
        step(work, 1.3)
    tracks, rule_events = work.process(None, [], seen(1.4), SIZE)
    assert [track.label for track in tracks] == ["person"]
    assert rule_events == []


def test_numbers_are_unique_in_a_stream() -> None:
    bag = Detection("handbag", 0.9, Box(10, 10, 50, 60))
    work = analysis(Sight(whole=[PERSON, bag]))
    tracks, _ = step(work, 1.0)
    assert len({track.track_id for track in tracks} | {next(work.numbers)}) == 3


def test_the_end_ends_what_goes_on() -> None:
    assert [rule_event.type for rule_event in analysis(Sight()).end()] == ["over"]


def test_an_analyst_makes_what_a_stream_asked_for() -> None:
    analyzers = AnalyzerFactory(ObjectSettings(), read_rule_settings(), Sight())  # type: ignore[arg-type]
    assert analyzers.create(StreamSpec("a", "demo:")) is None
    assert analyzers.create(StreamSpec("a", "demo:", analytics={"smoking": {}})) is not None
    with pytest.raises(InvalidRequest):
        analyzers.create(StreamSpec("a", "demo:", analytics={"dancing": {}}))


def test_a_server_without_the_network_says_so() -> None:
    analyzers = AnalyzerFactory(ObjectSettings(), read_rule_settings(), None)
    with pytest.raises(NoAnalytics):
        analyzers.create(StreamSpec("a", "demo:", analytics={"smoking": {}}))


class _Slow(_Look):
    def detections(self, timeout_s: float, size: tuple[int, int]) -> list[Detection]:
        time.sleep(0.15)
        return super().detections(timeout_s, size)


@pytest.mark.parametrize(("max_wait", "looks"), [(0.1, 2), (1, 10)])
def test_where_frames_wait_long_there_are_fewer_inferences(max_wait: float, looks: int) -> None:
    """Each waits 0.15 s: a tenth of the time is waited when the next is 1.5 s later."""
    rule, sight = Recorder(), Sight()
    sight.submit = lambda image: _Slow(sight.whole)  # type: ignore[method-assign]
    work = analysis(sight, rule, max_fps=5, max_wait=max_wait, max_crops=0)
    names = {track.track_id for n in range(20) for track in step(work, n / 10)[0]}
    assert abs(len(rule.scenes) - looks) <= 1
    assert names == {1}  # nobody is forgotten meanwhile


@dataclass
class Doubter(Recorder):
    """Wants to see one place enlarged."""

    requested_labels: ClassVar[frozenset[str]] = frozenset({"person"})
    crop_requests: list[Box] = field(default_factory=lambda: [Box(100, 100, 200, 150)])


def test_what_a_rule_doubts_is_shown_to_it_enlarged() -> None:
    rule, sight = Doubter(), Sight(whole=[], close=[CIGARETTE])
    step(analysis(sight, rule), 1.0, size=(640, 360))
    (part,) = sight.crops
    assert part == (200, 150, 400, 350)  # in pixels of the frame, and square
    (close,) = rule.scenes[0].crops or ()
    assert close.part == Box(100, 75, 200, 175)
    assert close.detections[0].box == CIGARETTE.box.moved(200, 150).scaled(0.5, 0.5)
    assert rule.scenes[0].detections == []


def test_a_bag_seen_as_two_kinds_is_one() -> None:
    bag = Box(100, 100, 160, 160)
    whole = [Detection("handbag", 0.6, bag), Detection("suitcase", 0.5, bag.moved(3, 2))]
    tracks, _ = step(analysis(Sight(whole=whole), Recorder()), 1.0)
    assert [track.label for track in tracks] == ["handbag"]


def test_what_was_detected_is_remembered_in_a_still_scene() -> None:
    rule, sight = Recorder(), Sight(close=[CIGARETTE])
    work = analysis(sight, rule, max_fps=5, recheck_s=1.0)
    for number in range(5):
        step(work, number / 5)
    assert len(sight.crops) == 1  # in the first frame
    assert len(rule.scenes) == 5  # rules see each as if it had been analysed
    labels = [[d.label for d in scene.detections] for scene in rule.scenes]
    assert labels == [["person", "cigarette"]] * 5


def test_while_somebody_waits_for_a_close_look_nothing_is_remembered() -> None:
    people = [Detection("person", 0.9, Box(x, 100, x + 150, 600)) for x in range(0, 1100, 200)]
    sight = Sight(whole=people)
    work = analysis(sight, max_crops=2, recheck_s=1.0)
    for number in range(3):
        step(work, number / 5)
    assert len({part.x1 for part in sight.crops}) == len(people)


def test_a_failure_is_not_remembered() -> None:
    sight = Sight(whole=None)
    work = analysis(sight, recheck_s=1.0)
    with pytest.raises(DetectorError):
        step(work, 1.0)
    sight.whole = [PERSON]
    tracks, _ = step(work, 1.2)
    assert [track.label for track in tracks] == ["person"]


@pytest.mark.parametrize(
    ("asked", "labels"),
    [
        ({"bags": {}}, {"person", "backpack", "handbag", "suitcase"}),
        ({"smoking": {}}, {"person"}),
        ({"bags": {}, "smoking": {}}, {"person", "backpack", "handbag", "suitcase"}),
    ],
)
def test_only_what_the_rules_need_is_looked_for(
    asked: dict[str, dict[str, Any]], labels: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[set[str]] = []

    def for_labels(sight: Sight, labels: Iterable[str]) -> Sight:
        parts.append(set(labels))
        return sight

    monkeypatch.setattr(Sight, "for_labels", for_labels)
    analyzers = AnalyzerFactory(ObjectSettings(), read_rule_settings(), Sight())  # type: ignore[arg-type]
    analyzers.create(StreamSpec("a", "demo:", analytics=asked))
    assert parts[0] == labels


def test_only_what_is_looked_for_is_counted() -> None:
    """A camera without the rule for bags has no number of bags: none was looked for."""
    work = analysis(Sight())
    step(work, 1.0)
    assert work.counts == {"person": 1}


def test_when_a_file_begins_again_its_objects_are_others_and_rules_are_told() -> None:
    class Told(Recorder):
        restarts = 0

        def restart(self) -> None:
            self.restarts += 1

    rule = Told()
    work = analysis(Sight(), rule, Recorder(), max_fps=5)
    ids, told = [], []
    for number, restarts in enumerate((0, 0, 1, 1, 2)):
        now = number / 5
        pending = work.submit(now, picture)
        tracks, _ = work.process(pending, None, seen(now, restarts), SIZE)
        ids.append([track.track_id for track in tracks])
        told.append(rule.restarts)
    assert ids == [[1], [1], [2], [2], [3]]
    assert told == [0, 0, 1, 1, 2]
    late = work.process(work.submit(2.0, picture), None, seen(1.1, 1), SIZE)
    assert late == ((), []), "a result of the round before is of no use"
