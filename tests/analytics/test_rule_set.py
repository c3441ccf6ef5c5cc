"""Rules with hours and zones of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest

from app.analytics.rule_set import RuleSet
from app.analytics.rules import AnalyzedFrame, FramePixels, RuleScope
from app.events import RuleEvent
from app.places import Zone
from app.types import Box, Detection, Track

SIZE = (100, 100)
LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
SEOUL = "Asia/Seoul"
NIGHT = {"hours": [{"from": "22:00", "to": "06:00"}], "timezone": SEOUL}


@dataclass
class Seer:
    """A rule that reports each frame, and keeps what it was shown."""

    crop_labels: ClassVar[frozenset[str]] = frozenset()
    shown: list[str] = field(default_factory=list)

    def update(self, frame: AnalyzedFrame) -> list[RuleEvent]:
        self.shown = [f"{track.label}{track.track_id}" for track in frame.tracks]
        assert len(frame.detections) == len(frame.tracks)
        return [RuleEvent("seen")]

    def end(self) -> list[RuleEvent]:
        return [RuleEvent("over")]


def frame() -> AnalyzedFrame:
    """A person and a car on the left, and another of each on the right."""
    places = [("person", 20), ("car", 30), ("person", 70), ("car", 80)]
    tracks = [
        Track(number, label, 0.9, Box(x - 5, 40, x + 5, 60))
        for number, (label, x) in enumerate(places, 1)
    ]
    detections = [Detection(track.label, 0.9, track.box) for track in tracks]
    pixels = FramePixels(SIZE, lambda _: pytest.fail(), lambda _: pytest.fail(), 5.0)
    return AnalyzedFrame(tracks, detections, 5.0, SIZE, pixels)


@pytest.mark.parametrize(("hour", "expected"), [(23, ["seen", "over"]), (12, [])])
def test_outside_of_its_hours_a_rule_goes_on_and_reports_nothing(
    hour: int, expected: list[str]
) -> None:
    ts = datetime(2026, 7, 1, hour, tzinfo=ZoneInfo(SEOUL)).timestamp()
    scope = RuleScope.of("seer", NIGHT, ())
    rule = Seer()
    rules = RuleSet([rule], [RuleScope(scope.hours, scope.timezone, clock=lambda at: ts)])
    assert [event.type for event in rules.update(frame()) + rules.end()] == expected
    assert len(rule.shown) == 4


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        (Zone("watch", LEFT, rules=("seer",)), ["person1", "car2"]),
        (Zone("ignore", LEFT, rules=("seer",)), ["person3", "car4"]),
        (Zone("watch", LEFT, rules=("seer",), labels=("car",)), ["person1", "car2", "person3"]),
        (Zone("ignore", LEFT, rules=("seer",), labels=("car",)), ["person1", "person3", "car4"]),
        (Zone("count", LEFT, rules=("seer",)), ["person1", "car2", "person3", "car4"]),
        (Zone("watch", LEFT, rules=("other",)), ["person1", "car2", "person3", "car4"]),
    ],
)
def test_a_zone_counts_for_its_rules_and_labels(zone: Zone, shown: list[str]) -> None:
    changes: dict[str, Any] = {}
    rule = Seer()
    rules = RuleSet([rule], [RuleScope.of("seer", changes, [zone])])
    rules.update(frame())
    assert rule.shown == shown
