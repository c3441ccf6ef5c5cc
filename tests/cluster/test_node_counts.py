"""What streams count since midnight, on several nodes and after failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'watchpost[cluster]'")

from support.local_ray import local_front

from app.analytics.objects.daily_counts import DailyCounts
from app.cluster.node_counts import NewCounts, NodeCounts
from app.places import CountKey, DayCounts, Line
from app.types import StreamSpec

PATIENCE_S = 60.0
TODAY = date(2026, 5, 4)
IN: CountKey = ("line", "gate", "in", "person")
OUT: CountKey = ("line", "gate", "out", "person")


class Front:
    """The front's part of the exchange with some nodes."""

    def __init__(self) -> None:
        self.daily = DailyCounts()
        self._confirmed: dict[int, int] = {}

    def ask(self, node: NodeCounts) -> NewCounts:
        known = self.daily.newest("cam")
        totals = [] if known is None else [known]
        return node.exchange(self._confirmed.get(id(node), -1), totals)

    def take(self, node: NodeCounts, new: NewCounts) -> None:
        for one in new.counts:
            self.daily.merge(one)
        self._confirmed[id(node)] = new.place

    def step(self, node: NodeCounts) -> None:
        self.take(node, self.ask(node))


def add(node: NodeCounts, key: CountKey = IN, times: int = 1, day: date = TODAY) -> None:
    for _ in range(times):
        node.daily.add("cam", day, key)


def test_a_stream_that_moves_and_comes_back_counts_on() -> None:
    front, first, second = Front(), NodeCounts(), NodeCounts()
    add(first, times=3)
    front.step(first)
    add(second, times=2)  # it has moved, and counts before the front has said the total
    front.step(second)
    assert second.daily.of("cam", TODAY) == {IN: 5}
    add(second, OUT)
    front.step(second)
    add(first)
    front.step(first)
    for counts in (first.daily, front.daily):
        assert counts.of("cam", TODAY) == {IN: 6, OUT: 1}
    for node in (first, second) * 3:
        front.step(node)
    assert front.daily.of("cam", TODAY) == {IN: 6, OUT: 1}


def test_a_lost_reply_is_neither_lost_nor_counted_twice() -> None:
    front, node = Front(), NodeCounts()
    add(node, times=2)
    front.ask(node)  # the reply does not arrive
    add(node)
    front.step(node)
    assert front.daily.of("cam", TODAY) == {IN: 3}
    add(node)
    front.ask(node)
    for _ in range(3):
        front.step(node)
    assert front.daily.of("cam", TODAY) == node.daily.of("cam", TODAY) == {IN: 4}


def test_a_node_that_starts_again_gets_the_totals() -> None:
    front, node = Front(), NodeCounts()
    add(node, times=4)
    front.step(node)
    again = NodeCounts()
    add(again)
    front.step(again)
    assert again.daily.of("cam", TODAY) == front.daily.of("cam", TODAY) == {IN: 5}


def test_a_node_that_starts_again_takes_no_confirmation_of_before() -> None:
    node, again = NodeCounts(), NodeCounts()
    add(node, times=4)
    confirmed = node.exchange(-1, []).place
    add(again)
    again.exchange(confirmed, [])  # the reply does not arrive
    assert again.exchange(confirmed, []).counts == [DayCounts("cam", TODAY, {IN: 1})]


def test_a_new_day_begins_at_zero() -> None:
    front, node = Front(), NodeCounts()
    add(node, times=4)
    front.step(node)
    tomorrow = TODAY + timedelta(days=1)
    add(node, day=tomorrow)
    front.step(node)
    front.step(node)
    assert front.daily.of("cam", tomorrow) == node.daily.of("cam", tomorrow) == {IN: 1}
    front.daily.merge(DayCounts("cam", TODAY, {IN: 9}))  # what comes late from the day before
    assert front.daily.newest("cam") == DayCounts("cam", tomorrow, {IN: 1})


async def counts_follow_a_stream(tmp_path: Path) -> None:
    async with local_front(tmp_path, {"a": 1, "b": 1}) as (streams, ray):

        async def until(done: Callable[[], bool]) -> None:
            while not done():
                await streams.rounds.step()
                await asyncio.sleep(0.05)

        async def counts(name: str) -> DailyCounts:
            found = (await ray.actor_of(name)._parts()).counts
            assert found is not None
            return found.daily

        await asyncio.wait_for(until(lambda: len(streams._nodes) == 2), PATIENCE_S)
        line = Line(((0.5, 0.0), (0.5, 1.0)))
        spec = StreamSpec("cam", "demo:", max_fps=5, lines=[line])
        await streams.put_camera(spec, replace=False)
        first = str(streams.node_of("cam"))
        for _ in range(3):
            (await counts(first)).add("cam", TODAY, IN)
        totals = streams.rounds._counts._daily
        await asyncio.wait_for(until(lambda: totals.of("cam", TODAY) == {IN: 3}), PATIENCE_S)

        await streams.drain(first, drain=True)
        (second,) = {"a", "b"} - {first}
        await asyncio.wait_for(until(lambda: streams.node_of("cam") == second), PATIENCE_S)
        there = await counts(second)
        await asyncio.wait_for(until(lambda: there.of("cam", TODAY) == {IN: 3}), PATIENCE_S)


def test_counts_follow_a_stream_to_another_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHPOST_DATA_DIR", str(tmp_path / "nodes"))
    asyncio.run(counts_follow_a_stream(tmp_path))
