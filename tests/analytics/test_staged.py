"""Staged clips through the shipped network, the trackers and the rule: real people, a real bag.

They are composited anew each time from recordings that are no part of the project.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench import staged
from bench.clips import Watcher, acted
from bench.truth import judge


@pytest.fixture(scope="module")
def watcher() -> Iterator[Watcher]:
    if reason := staged.missing():
        pytest.skip(reason)
    watcher = Watcher()
    yield watcher
    watcher.close()


@pytest.mark.parametrize("play", staged.PLAYS, ids=lambda play: play.name.replace(" ", "-"))
def test_events_are_reported_in_time_and_of_the_right_person(
    watcher: Watcher, play: staged.Play
) -> None:
    seeing = watcher.watch(acted(play))
    verdicts = judge(play.truths, seeing.told, seeing.names)
    rows = [verdict.row(play.name) for verdict in verdicts]
    assert all(verdict.in_time and verdict.right_person for verdict in verdicts), rows
    placed = [told for told in seeing.told if told.rule_event.type == "bag_placed"]
    happened = [truth for truth in play.truths if truth.type == "bag_placed"]
    for told, truth in zip(placed, happened, strict=True):
        assert told.rule_event.at == pytest.approx(truth.at, abs=1.0)  # when, though told later
