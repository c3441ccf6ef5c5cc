"""Staged clips through the shipped network, the trackers and the bag rule.

The clips are composed from recordings of real people and a real bag, which are not part of the
project.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench import staged
from bench.clips import ClipAnalyzer, staged_frames
from bench.truth import judge


@pytest.fixture(scope="module")
def analyzer() -> Iterator[ClipAnalyzer]:
    if reason := staged.missing():
        pytest.skip(reason)
    analyzer = ClipAnalyzer()
    yield analyzer
    analyzer.close()


@pytest.mark.parametrize(
    "scenario", staged.SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-")
)
def test_events_are_reported_in_time_and_of_the_right_person(
    analyzer: ClipAnalyzer, scenario: staged.Scenario
) -> None:
    result = analyzer.run(staged_frames(scenario))
    verdicts = judge(scenario.truths, result.events, result.names)
    rows = [verdict.row(scenario.name) for verdict in verdicts]
    assert all(verdict.in_time and verdict.right_person for verdict in verdicts), rows
    placed = [event for event in result.events if event.rule_event.type == "bag_placed"]
    truths = [truth for truth in scenario.truths if truth.type == "bag_placed"]
    for event, truth in zip(placed, truths, strict=True):
        # the time at which it happened, although it is reported later
        assert event.rule_event.at == pytest.approx(truth.at, abs=1.0)
