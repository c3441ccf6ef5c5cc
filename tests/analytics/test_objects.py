"""Objects that appear, enter zones, stay, and cross lines, with tracks that a test draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import pytest

from app.analytics.objects.daily_counts import DailyCounts
from app.analytics.rules import (
    AnalyzedFrame,
    FramePixels,
    StreamContext,
    make_rules,
    read_rule_settings,
)
from app.analytics.rules.objects import HELPER, ObjectRule, ObjectRuleSettings
from app.errors import InvalidRequest
from app.events import RuleEvent
from app.places import Line, Zone
from app.types import Box, Track

SIZE = (1000, 500)
STEP_S = 0.2
HALL = Zone("count", ((0.4, 0.0), (1.0, 0.0), (1.0, 1.0), (0.4, 1.0)), "hall")
DOOR = Line(((0.5, 0.0), (0.5, 1.0)), "door", ("yard", "house"))
"""Seen from above it leads down the image, so its side A is on the right of the image."""

Place = tuple[float, float]


def box_at(place: Place, height: float = 100.0) -> Box:
    """The box of somebody who stands there."""
    x, y = place
    return Box(x - height / 5, y - height, x + height / 5, y)


def track(place: Place, number: int = 1, label: str = "person", **changes: Any) -> Track:
    values: dict[str, Any] = {"confidence": 0.9, "box": box_at(place)} | changes
    return Track(number, label, **values)


def no_pixels(_: object) -> NoReturn:
    pytest.fail("the rule needs no pixels")


class Watch:
    """A rule, and a clock that both move on with each frame."""

    def __init__(
        self,
        zones: Sequence[Zone] = (),
        lines: Sequence[Line] = (),
        helpers: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        context = StreamContext("cam", zones, lines, helpers=helpers or {})
        self.now, self.ts = 100.0, 1_800_000_000.0
        self.rule = ObjectRule(ObjectRuleSettings(**settings), context, lambda: self.ts)
        self.events: list[RuleEvent] = []

    def look(self, *tracks: Track, step_s: float = STEP_S) -> list[str]:
        self.now += step_s
        self.ts += step_s
        pixels = FramePixels(SIZE, no_pixels, no_pixels, self.now)
        frame = AnalyzedFrame(tracks, [], self.now, SIZE, pixels)
        rule_events = self.rule.update(frame)
        self.events += rule_events
        return [rule_event.type for rule_event in rule_events]

    def walk(self, places: Iterable[Place], number: int = 1, label: str = "person") -> list[str]:
        return [kind for place in places for kind in self.look(track(place, number, label))]

    def wait(self, seconds: float, *tracks: Track) -> list[str]:
        return [kind for _ in range(round(seconds / STEP_S)) for kind in self.look(*tracks)]

    def crossings(self) -> list[str]:
        return [e.details["direction"] for e in self.events if e.type == "line_crossed"]

    def today(self) -> dict[str, dict[str, int]]:
        (line,) = self.rule.place_counts().lines
        return {way: dict(labels) for way, labels in line.today.items()}


def along(start: float, end: float, y: float = 300.0, step: float = 20.0) -> Iterator[Place]:
    """The places of a walk from one side to the other."""
    steps = max(1, round(abs(end - start) / step))
    return ((start + (end - start) * n / steps, y) for n in range(steps + 1))


# ── appearing and leaving ────────────────────────────────────────────────────────────────────


def test_an_object_is_reported_after_a_few_frames_and_when_it_has_left() -> None:
    watch = Watch()
    assert [watch.look(track((100, 300))) for _ in range(4)] == [[], [], ["object_appeared"], []]
    assert watch.wait(4.8) == []
    assert watch.wait(0.4) == ["object_left"]
    appeared, left = watch.events
    assert appeared.details == {"object_id": 1, "label": "person", "zones": []}
    assert appeared.at == pytest.approx(100.2), "it was there before it was certain"
    assert left.duration_s == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("settings", "seen"),
    [
        ({"min_confidence": 0.95}, {}),
        ({"min_area": 0.01}, {}),
        ({"labels": ["car"]}, {}),
        ({"min_frames": 50}, {}),
        ({}, {"age_s": 0.4}),
    ],
)
def test_what_is_not_chosen_is_not_reported(settings: Any, seen: dict[str, Any]) -> None:
    watch = Watch([HALL], [DOOR], **settings)
    for x, y in along(900, 100):
        assert watch.look(track((x, y), **seen)) == []
    assert watch.wait(10.0) == []


def test_a_few_certain_frames_of_many_confirm_nothing() -> None:
    watch = Watch()
    for number in range(60):
        confidence = 0.6 if number % 3 == 0 else 0.3
        assert watch.look(track((100, 300), confidence=confidence)) == []


def test_what_stands_still_is_reported_once_though_its_track_breaks_again_and_again() -> None:
    watch = Watch([HALL], loiter_s=3600)
    watch.wait(30.0, track((600, 300), 1, "car"))
    for number in range(2, 40):
        watch.wait(4.0, track((600, 300), number, "car"))
        watch.wait(8.0)  # longer than gone_s
    assert [e.type for e in watch.events] == ["object_appeared", "zone_entered"]


def test_a_van_that_is_now_a_car_now_a_truck_is_one_object() -> None:
    watch = Watch()
    for number in range(60):
        which = number % 20 < 10
        seen = [track((600, 300), 1, "car")] if which else [track((603, 300), 2, "truck")]
        if number % 7 == 0:
            seen = [track((600, 300), 1, "car"), track((603, 300), 2, "truck")]
        watch.look(*seen)
    assert [e.type for e in watch.events] == ["object_appeared"]


def test_only_chosen_events_are_reported() -> None:
    watch = Watch([HALL], [DOOR], report=["line_crossed"])
    watch.walk(along(900, 100))
    watch.wait(6.0)
    assert [e.type for e in watch.events] == ["line_crossed"]


# ── zones ────────────────────────────────────────────────────────────────────────────────────


def test_the_foot_enters_and_leaves_a_zone() -> None:
    watch = Watch([HALL])
    watch.walk(along(200, 700))
    watch.walk(along(700, 200))
    kinds = [e.type for e in watch.events]
    assert kinds == ["object_appeared", "zone_entered", "zone_left"]
    entered, left = watch.events[1:]
    assert entered.details["zone"] == "hall"
    assert entered.details["zones"] == ["hall"]
    assert entered.tracks[0].box.foot[0] == pytest.approx(420, abs=30)
    assert left.duration_s == pytest.approx(2 * 300 / 20 * STEP_S, abs=0.8)
    assert left.details["zones"] == []


def test_who_trembles_on_a_border_enters_once() -> None:
    watch = Watch([HALL])
    watch.walk(along(300, 400))
    for number in range(100):
        watch.look(track((400 + 9 * (-1) ** number, 300)))
    watch.wait(3.0, track((404, 300)))
    assert [e.type for e in watch.events] == ["object_appeared", "zone_entered"]


def test_who_appears_in_a_zone_enters_it_and_leaves_it_when_out_of_sight() -> None:
    watch = Watch([HALL])
    assert watch.wait(2.0, track((700, 300))) == ["object_appeared", "zone_entered"]
    assert watch.rule.place_counts().zones[0].now == {"person": 1}
    assert watch.wait(6.0) == ["zone_left", "object_left"]
    (zone,) = watch.rule.place_counts().zones
    assert (zone.now, zone.today) == ({}, {"person": 1})


def test_who_stays_too_long_is_reported_once_for_each_stay() -> None:
    watch = Watch([HALL], loiter_s=4)
    watch.walk(along(200, 700))
    assert watch.wait(60.0, track((700, 300))).count("zone_loitering") == 1
    watch.walk(along(700, 200))
    assert watch.walk(along(200, 700)).count("zone_loitering") == 0
    assert watch.wait(6.0, track((700, 300))).count("zone_loitering") == 1


def test_a_zone_counts_for_its_labels_only() -> None:
    cars = HALL._replace(labels=("car",))
    watch = Watch([cars])
    watch.walk(along(200, 700))
    watch.walk(along(200, 700), 2, "car")
    (entered,) = [e for e in watch.events if e.type == "zone_entered"]
    assert entered.details["label"] == "car"


def test_the_last_events_come_when_the_stream_ends() -> None:
    watch = Watch([HALL])
    watch.wait(1.0, track((700, 300)))
    assert [e.type for e in watch.rule.end()] == ["zone_left", "object_left"]
    assert watch.rule.place_counts().zones[0].now == {}


def test_a_file_that_begins_again_has_new_objects() -> None:
    watch = Watch([HALL])
    watch.wait(2.0, track((700, 300)))
    watch.rule.restart()
    assert watch.look(track((700, 300), 9)) == ["zone_left", "object_left"]
    assert watch.wait(1.0, track((700, 300), 9)) == ["object_appeared", "zone_entered"]


# ── lines ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("start", "end", "direction", "sides"),
    [(900, 100, "a_to_b", ("yard", "house")), (100, 900, "b_to_a", ("house", "yard"))],
)
def test_a_line_is_crossed_in_a_direction(
    start: float, end: float, direction: str, sides: tuple[str, str]
) -> None:
    watch = Watch(lines=[DOOR])
    watch.walk(along(start, end))
    (crossed,) = [e for e in watch.events if e.type == "line_crossed"]
    details = crossed.details
    assert (details["line"], details["direction"]) == ("door", direction)
    assert (details["from"], details["to"]) == sides
    assert watch.today()[direction] == {"person": 1}


def test_side_a_is_above_a_line_from_left_to_right() -> None:
    watch = Watch(lines=[Line(((0.0, 0.5), (1.0, 0.5)), "kerb")])
    watch.walk((500, y) for y in range(150, 400, 20))
    assert watch.crossings() == ["a_to_b"]


def test_there_and_back_are_two_crossings_and_trembling_is_none() -> None:
    watch = Watch(lines=[DOOR])
    watch.walk(along(200, 495))
    for number in range(100):
        watch.look(track((500 + 8 * (-1) ** number, 300)))
    assert watch.crossings() == []
    watch.walk(along(500, 800))
    watch.walk(along(800, 200))
    assert watch.crossings() == ["b_to_a", "a_to_b"]


def test_who_passes_beside_the_line_does_not_cross_it() -> None:
    short = Line(((0.5, 0.0), (0.5, 0.4)), "short")
    watch = Watch(lines=[short])
    watch.walk(along(200, 800, y=400))
    watch.walk((800, y) for y in range(400, 120, -20))
    assert watch.crossings() == []
    watch.walk(along(800, 200, y=120))
    assert watch.crossings() == ["a_to_b"]


def test_a_line_reports_one_direction_and_counts_both() -> None:
    watch = Watch(lines=[DOOR._replace(direction="b_to_a")])
    watch.walk(along(200, 800))
    watch.walk(along(800, 200))
    assert watch.crossings() == ["b_to_a"]
    assert watch.today() == {"a_to_b": {"person": 1}, "b_to_a": {"person": 1}}


def test_who_crosses_before_it_is_certain_is_counted_once_it_is() -> None:
    watch = Watch(lines=[DOOR], min_frames=4)
    watch.walk(along(440, 680, step=80))
    assert watch.crossings() == ["b_to_a"]


def test_who_is_lost_before_the_line_and_found_behind_it_has_crossed_once() -> None:
    watch = Watch(lines=[DOOR])
    watch.walk(along(300, 470))
    watch.wait(1.0)
    watch.walk(along(560, 800), 2)
    assert watch.crossings() == ["b_to_a"]
    assert [e.type for e in watch.events].count("object_appeared") == 1


def test_somebody_else_who_comes_later_is_another_object() -> None:
    watch = Watch(lines=[DOOR])
    watch.walk(along(300, 470))
    watch.wait(4.0)
    watch.walk(along(480, 800), 2)
    assert [e.type for e in watch.events].count("object_appeared") == 2


def test_two_whose_tracks_are_swapped_where_they_meet_cross_once_each() -> None:
    """They meet aside of the line, and from there on each has the other's track."""
    watch = Watch(lines=[DOOR])
    for n in range(41):
        right, left = (100 + 20 * n, 300.0), (700 - 20 * n, 304.0)
        numbers = (1, 2) if n <= 15 else (2, 1)
        watch.look(track(right, numbers[0]), track(left, numbers[1]))
    assert watch.today() == {"a_to_b": {"person": 1}, "b_to_a": {"person": 1}}


def test_two_whose_tracks_are_swapped_far_apart_stay_who_they_are() -> None:
    watch = Watch([HALL], [DOOR])
    for n in range(100):
        numbers = (1, 2) if n % 20 < 10 else (2, 1)
        watch.look(track((300, 300), numbers[0]), track((700, 300), numbers[1]))
    assert [e.type for e in watch.events].count("zone_entered") == 1
    assert watch.today() == {"a_to_b": {}, "b_to_a": {}}


# ── counts ───────────────────────────────────────────────────────────────────────────────────


def test_counts_begin_again_at_midnight_and_outlive_the_run_of_a_stream() -> None:
    counts = DailyCounts()
    watch = Watch([HALL], [DOOR], {HELPER: counts})
    watch.walk(along(200, 800))
    assert watch.today()["b_to_a"] == {"person": 1}
    again = Watch([HALL], [DOOR], {HELPER: counts})
    assert again.today()["b_to_a"] == {"person": 1}
    again.ts += 86_400
    assert again.today()["b_to_a"] == {}
    again.walk(along(200, 800), 5)
    assert again.today()["b_to_a"] == {"person": 1}


def test_midnight_is_that_of_the_time_zone() -> None:
    ts = datetime(2026, 7, 1, 23, 30, tzinfo=ZoneInfo("Asia/Seoul")).timestamp()
    days = [
        ObjectRule(ObjectRuleSettings(), StreamContext(timezone=ZoneInfo(zone)), lambda: ts)
        .place_counts()
        .day.isoformat()
        for zone in ("Asia/Seoul", "Pacific/Auckland")
    ]
    assert days == ["2026-07-01", "2026-07-02"]


def test_places_without_a_name_and_with_the_same_name_can_be_told_apart() -> None:
    zones = [HALL._replace(name=""), HALL, HALL, HALL._replace(kind="ignore")]
    counts = Watch(zones).rule.place_counts()
    assert [zone.name for zone in counts.zones] == ["zone 1", "hall", "hall (3)"]


# ── as one of the rules ──────────────────────────────────────────────────────────────────────


def made(*zones: Zone, **settings: Any) -> ObjectRule:
    stream = StreamContext("cam", zones)
    (rule,) = make_rules({"objects": settings}, read_rule_settings(None), None, stream)
    assert isinstance(rule, ObjectRule)
    return rule


def test_zones_of_other_rules_are_not_counted() -> None:
    rule = made(HALL, HALL._replace(name="bags", rules=("bags",)))
    assert [zone.name for zone in rule.place_counts().zones] == ["hall"]


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: made(labels=["tree"]), "analytics.objects.labels.0"),
        (lambda: made(timezone="Mars"), "analytics.objects.timezone"),
        (lambda: made(hours=[{"from": "8:00", "to": "9:00"}]), "analytics.objects.hours.0.from"),
        (lambda: made(hours=[{"from": "08:00"}]), "analytics.objects.hours.0.to"),
        (lambda: made(HALL._replace(rules=("dancing",))), "zones.0.rules.0"),
    ],
)
def test_what_is_wrong_is_said(make: Callable[[], object], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make()
    assert caught.value.details["field"] == field


def test_it_looks_for_what_was_chosen() -> None:
    assert made(labels=["car"]).labels == {"car"}
    assert "plate" not in made().labels
