"""Who counts as smoking, and when it ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NoReturn
from unittest.mock import create_autospec

import numpy as np
import pytest

from app.analytics.rules import RULES, AnalyzedFrame, FramePixels, make_rules, read_rule_settings
from app.analytics.rules.plate_track import CropReader
from app.analytics.rules.smoking import SmokingRule, SmokingSettings
from app.errors import InvalidRequest
from app.events import RuleEvent
from app.types import Box, Detection, Track

PERSON = Box(100, 100, 200, 400)
AT_THE_MOUTH = Box(155, 150, 170, 155)
AT_THE_FEET = Box(150, 390, 160, 394)
STEP_S = 0.2
SIZE = (1280, 720)


def person(box: Box = PERSON, number: int = 1, age_s: float = 0.0) -> Track:
    return Track(number, "person", 0.9, box, age_s)


def cigarette(box: Box = AT_THE_MOUTH, confidence: float = 0.8) -> Detection:
    return Detection("cigarette", confidence, box)


def scene(tracks: Iterable[Track], detections: Iterable[Detection], now: float) -> AnalyzedFrame:
    seen = FramePixels(SIZE, no_pixels, no_pixels, now)
    return AnalyzedFrame(list(tracks), list(detections), now, SIZE, seen)


def no_pixels(_: object) -> NoReturn:
    pytest.fail("the rule needs no pixels")


class Watcher:
    """A rule and a clock."""

    def __init__(self, **settings: float) -> None:
        self.rule = SmokingRule(SmokingSettings(**settings))
        self.now = 100.0

    def look(
        self, tracks: Iterable[Track], detections: Iterable[Detection] = ()
    ) -> list[RuleEvent]:
        self.now += STEP_S
        return self.rule.update(scene(tracks, detections, self.now))

    def looks(self, count: int, *detections: Detection, tracks: Iterable[Track] = ()) -> list[str]:
        people = list(tracks) or [person()]
        return [f.type for _ in range(count) for f in self.look(people, detections)]


def test_a_smoker_is_reported_once_and_the_end_with_its_duration() -> None:
    watcher = Watcher(confirm=3, window=8, gap_s=2)
    assert watcher.looks(2, cigarette()) == []
    (started,) = watcher.look([person()], [cigarette(confidence=0.7)])
    assert started.type == "smoking_started"
    assert started.tracks[0].track_id == 1
    assert started.tracks[1].box == AT_THE_MOUTH
    assert started.confidence == pytest.approx(0.8, abs=0.06)
    assert watcher.looks(20, cigarette()) == []
    rule_events = [f for _ in range(15) for f in watcher.look([person()])]
    assert [f.type for f in rule_events] == ["smoking_ended"]
    assert rule_events[0].duration_s == pytest.approx(22 * STEP_S, abs=0.05)


def test_a_pause_between_two_puffs_is_one_smoke() -> None:
    watcher = Watcher(gap_s=5)
    reported = watcher.looks(5, cigarette()) + watcher.looks(20) + watcher.looks(5, cigarette())
    assert reported == ["smoking_started"]


def test_what_shows_now_and_then_is_no_cigarette() -> None:
    watcher = Watcher(confirm=3, window=8)
    assert [watcher.looks(1, cigarette()) + watcher.looks(4) for _ in range(20)] == [[]] * 20


def test_what_is_hardly_seen_confirms_nothing_but_keeps_a_smoke_going() -> None:
    watcher = Watcher(min_confidence=0.4, keep_confidence=0.25, gap_s=2)
    faint = cigarette(confidence=0.3)
    assert watcher.looks(30, faint) == []
    assert watcher.looks(3, cigarette()) == ["smoking_started"]
    assert watcher.looks(30, faint) == []


@pytest.mark.parametrize(
    "place",
    [
        AT_THE_FEET,
        Box(400, 150, 415, 155),  # beside somebody
        Box(110, 110, 195, 180),  # as long as a head is high, and more
    ],
)
def test_only_what_a_head_or_hand_can_hold_counts(place: Box) -> None:
    assert Watcher().looks(30, cigarette(place)) == []


def test_a_cigarette_belongs_to_the_nearest_head() -> None:
    left, right = person(), person(Box(180, 100, 280, 400), number=2)
    watcher = Watcher()
    reported = [
        f
        for _ in range(5)
        for f in watcher.look([left, right], [cigarette(Box(228, 140, 240, 145))])
    ]
    assert [f.tracks[0].track_id for f in reported] == [2]


def test_a_face_tells_where_the_head_is() -> None:
    """A head in close-up is larger than a share of the body would say."""
    close = Box(0, 0, 400, 330)
    long_one = cigarette(Box(150, 200, 250, 240))
    face = Track(9, "face", 0.9, Box(120, 60, 280, 270))
    assert Watcher().looks(5, long_one, tracks=[person(close)]) == []
    assert Watcher().looks(5, long_one, tracks=[person(close), face]) == ["smoking_started"]


def test_a_broken_track_is_no_second_alarm() -> None:
    watcher = Watcher(gap_s=5)
    assert watcher.looks(5, cigarette()) == ["smoking_started"]
    again = [person(PERSON.moved(10, 0), number=7)]
    assert watcher.looks(20, cigarette(), tracks=again) == []
    rule_events = [f for _ in range(40) for f in watcher.look(again)]
    assert [(f.type, f.tracks[0].track_id) for f in rule_events] == [("smoking_ended", 7)]
    assert rule_events[0].details == {"person_id": 1}  # as it was reported to begin


def test_somebody_else_elsewhere_is_an_alarm_of_their_own() -> None:
    watcher = Watcher(gap_s=5)
    watcher.looks(5, cigarette())
    other = person(Box(600, 100, 700, 400), number=7)
    held = cigarette(AT_THE_MOUTH.moved(500, 0))
    assert watcher.looks(5, held, tracks=[other]) == ["smoking_started"]


def test_a_person_who_is_hidden_for_a_while_does_not_fill_the_window() -> None:
    watcher = Watcher(confirm=3, window=4)
    watcher.looks(2, cigarette())
    watcher.looks(10, tracks=[person(age_s=0.5)])
    assert watcher.looks(1, cigarette()) == ["smoking_started"]


def test_the_end_of_a_stream_ends_a_smoke() -> None:
    watcher = Watcher()
    watcher.looks(5, cigarette())
    assert [f.type for f in watcher.rule.end()] == ["smoking_ended"]
    assert Watcher().rule.end() == []


@pytest.mark.parametrize("seed", range(50))
def test_starts_and_ends_take_turns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    seen = rng.random(300) < rng.random()
    watcher = Watcher(gap_s=1)
    reported = [t for yes in seen for t in watcher.looks(1, *([cigarette()] if yes else []))]
    reported += [f.type for f in watcher.rule.end()]
    assert reported == ["smoking_started", "smoking_ended"] * (len(reported) // 2)


def test_nothing_is_kept_of_people_who_left() -> None:
    watcher = Watcher(gap_s=1)
    for number in range(1, 500):
        watcher.look([person(Box(number * 300, 0, number * 300 + 100, 300), number)])
    assert len(watcher.rule._watches) < 10


# ── the table ────────────────────────────────────────────────────────────────────────────────

DEFAULTS = read_rule_settings()


def test_every_rule_has_defaults_among_the_servers_settings() -> None:
    assert set(RULES) == set(DEFAULTS)
    read_queue = create_autospec(CropReader, instance=True)
    made = make_rules({name: {} for name in RULES}, DEFAULTS, {"plates": read_queue})
    assert len(made) == len(RULES)


@pytest.mark.parametrize(
    ("analytics", "field"),
    [
        ({"flying": {}}, "analytics"),
        ({"smoking": {"confirm": 0}}, "analytics.smoking.confirm"),
        ({"smoking": {"confirm": 9, "window": 3}}, "analytics.smoking"),
        ({"smoking": {"colour": 1}}, "analytics.smoking.colour"),
    ],
)
def test_what_a_stream_cannot_ask_for_is_named(
    analytics: dict[str, dict[str, int]], field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make_rules(analytics, DEFAULTS)
    assert caught.value.details["field"] == field


def test_a_stream_changes_its_own_settings_only() -> None:
    (own,) = make_rules({"smoking": {"confirm": 1}}, DEFAULTS)
    (other,) = make_rules({"smoking": {}}, DEFAULTS)
    smoking = scene([person()], [cigarette()], 1.0)
    assert [f.type for f in own.update(smoking)] == ["smoking_started"]
    assert other.update(smoking) == []


# ── low frame rates ──────────────────────────────────────────────────────────────────────────


def test_two_boxes_of_one_person_are_one_smoker() -> None:
    """A person near the camera often has a second box, and the cigarette is nearest to either."""
    one, other = person(Box(0, 0, 443, 335)), person(Box(0, 0, 243, 335), number=2)
    near_one, near_other = cigarette(Box(215, 60, 235, 66)), cigarette(Box(112, 60, 132, 66))
    watcher = Watcher(gap_s=5)
    reported = []
    for turn in range(40):
        tracks = [[one, other], [one], [other]][turn % 3]
        held = near_one if turn % 2 else near_other
        reported += [event.type for event in watcher.look(tracks, [held])]
    assert reported == ["smoking_started"]


def test_who_moved_between_two_frames_goes_on_smoking_under_a_new_id() -> None:
    """The old track is still predicted nearby for a while, without a detection."""
    watcher = Watcher(gap_s=5)
    assert watcher.looks(3, cigarette()) == ["smoking_started"]
    watcher.now += 0.4
    there = Box(260, 100, 360, 400)
    expected = person(Box(110, 100, 210, 400), age_s=STEP_S)
    hand = cigarette(Box(315, 150, 330, 155))
    reported = [
        e.type for _ in range(6) for e in watcher.look([expected, person(there, 2)], [hand])
    ]
    assert reported == []


def test_two_smokers_side_by_side_are_two() -> None:
    left, right = person(), person(Box(150, 100, 250, 400), number=2)
    watcher = Watcher()
    both = [cigarette(Box(118, 130, 128, 134)), cigarette(Box(222, 130, 232, 134))]
    reported = [e for _ in range(5) for e in watcher.look([left, right], both)]
    assert sorted(e.tracks[0].track_id for e in reported) == [1, 2]


def test_somebody_far_behind_a_smoker_may_smoke_too() -> None:
    near, far = person(Box(0, 0, 400, 700)), person(Box(300, 100, 380, 300), number=2)
    watcher = Watcher()
    both = [cigarette(Box(190, 60, 230, 66)), cigarette(Box(335, 120, 345, 123))]
    reported = [e for _ in range(5) for e in watcher.look([near, far], both)]
    assert sorted(e.tracks[0].track_id for e in reported) == [1, 2]


def test_who_was_not_examined_shows_nothing_either_way() -> None:
    """With many people in view each gets a close look in some frames only."""
    watcher = Watcher(confirm=3, window=4)
    rule_events = []
    for number in range(9):
        watcher.now += STEP_S
        examined = number % 3 == 0
        seen = scene([person()], [cigarette()] if examined else [], watcher.now)
        parts = [PERSON if examined else Box(500, 100, 600, 400)]
        rule_events += watcher.rule.update(replace(seen, examined=parts))
    assert [rule_event.type for rule_event in rule_events] == ["smoking_started"]
