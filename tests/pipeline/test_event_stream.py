"""Every value, in order, to each subscriber: what ``LatestValue`` does not promise."""

from __future__ import annotations

import asyncio

import pytest

from app.pipeline.hub import EventStream, Subscription

pytestmark = pytest.mark.anyio
PATIENCE_S = 30.0


async def _next(values: Subscription[int]) -> int:
    return await asyncio.wait_for(anext(values), PATIENCE_S)


async def test_every_value_reaches_every_subscriber_in_order() -> None:
    feed: EventStream[int] = EventStream(asyncio.get_running_loop())

    async def all_of(values: Subscription[int]) -> list[int]:
        return [value async for value in values]

    with feed.subscribed(6000) as one, feed.subscribed(6000) as two:
        tasks = [asyncio.create_task(all_of(values)) for values in (one, two)]

        def publish() -> None:
            for number in range(5000):
                feed.publish(number)
            feed.close()

        await asyncio.to_thread(publish)
        got = await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_S)
    assert got == [list(range(5000))] * 2


async def test_values_from_before_it_came_are_not_for_a_subscriber() -> None:
    feed: EventStream[int] = EventStream(asyncio.get_running_loop())
    feed.publish(1)
    with feed.subscribed() as values:
        feed.publish(2)
        assert await _next(values) == 2


async def test_a_slow_subscriber_loses_the_oldest_and_learns_how_many() -> None:
    feed: EventStream[int] = EventStream(asyncio.get_running_loop())
    with feed.subscribed(backlog=3) as slow, feed.subscribed() as quick:
        for number in range(10):
            feed.publish(number)
        assert [await _next(slow) for _ in range(3)] == [7, 8, 9]
        assert (slow.missed(), slow.missed(), quick.missed()) == (7, 0, 0)


async def test_a_backlog_of_one_is_the_newest_and_only_chooses() -> None:
    feed: EventStream[int] = EventStream(asyncio.get_running_loop())
    with feed.subscribed(1, lambda number: number % 2 == 0) as even:
        for number in range(10):
            feed.publish(number)
        assert await _next(even) == 8


async def test_a_subscriber_that_left_gets_nothing_more() -> None:
    feed: EventStream[int] = EventStream(asyncio.get_running_loop())
    with feed.subscribed() as values:
        feed.publish(1)
    feed.publish(2)
    assert list(values.values) == [1]
    assert not feed._subscribers


async def test_a_subscriber_that_is_cancelled_leaves_nothing_waiting() -> None:
    feed: EventStream[int] = EventStream(asyncio.get_running_loop())
    with feed.subscribed() as values:
        waiting = asyncio.create_task(_next(values))
        while not feed._waiting:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not feed._waiting
        feed.publish(5)
        assert await _next(values) == 5
