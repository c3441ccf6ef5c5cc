"""Thread to asyncio: the newest value, for any number of coroutines."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from app.pipeline.hub import LatestValue, outcome

pytestmark = pytest.mark.anyio
PATIENCE_S = 30.0


async def _next(values: AsyncIterator[int]) -> int:
    return await asyncio.wait_for(anext(values), PATIENCE_S)


async def _listening(topic: LatestValue[int], count: int = 1) -> None:
    while len(topic._waiting) < count:
        await asyncio.sleep(0)


async def _from_thread(work: object, *arguments: object) -> None:
    await asyncio.to_thread(work, *arguments)  # type: ignore[arg-type]


async def test_what_a_thread_publishes_reaches_every_subscriber() -> None:
    topic: LatestValue[int] = LatestValue(asyncio.get_running_loop())
    tasks = [asyncio.create_task(_next(topic.subscribe())) for _ in range(5)]
    await _listening(topic, 5)
    await _from_thread(topic.publish, 42)
    assert await asyncio.gather(*tasks) == [42] * 5


async def test_a_slow_subscriber_gets_the_newest_only() -> None:
    topic: LatestValue[int] = LatestValue(asyncio.get_running_loop())
    values = topic.subscribe()
    first = asyncio.create_task(_next(values))
    await _listening(topic)
    topic.publish(0)
    assert await first == 0

    def many() -> None:
        for number in range(1, 1001):
            topic.publish(number)

    await _from_thread(many)
    assert await _next(values) == 1000


async def test_a_subscriber_sees_what_comes_after_it_and_not_what_was_before() -> None:
    topic: LatestValue[int] = LatestValue(asyncio.get_running_loop())
    topic.publish(1)
    waiting = asyncio.create_task(_next(topic.subscribe()))
    await _listening(topic)
    topic.publish(2)
    assert await waiting == 2


async def test_however_often_a_thread_publishes_the_loop_is_woken_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    topic: LatestValue[int] = LatestValue(loop)
    waiting = asyncio.create_task(_next(topic.subscribe()))
    await _listening(topic)
    woken: list[object] = []
    call = loop.call_soon_threadsafe

    def counted(work: Callable[..., object], *arguments: object, **options: object) -> object:
        if getattr(work, "__self__", None) is topic:
            woken.append(work)
        return call(work, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)

    def many() -> None:
        for number in range(1000):
            topic.publish(number)

    thread = threading.Thread(target=many)
    thread.start()
    thread.join()  # the loop stands still meanwhile
    assert len(woken) == 1
    assert await waiting == 999
    topic.publish(1000)
    assert len(woken) == 2


async def test_close_ends_subscriptions_after_the_value_that_is_there() -> None:
    topic: LatestValue[int] = LatestValue(asyncio.get_running_loop())

    async def collect() -> list[int]:
        return [value async for value in topic.subscribe()]

    tasks = [asyncio.create_task(collect()) for _ in range(3)]
    await _listening(topic, 3)
    topic.publish(7)
    await _from_thread(topic.close)
    assert await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_S) == [[7]] * 3


async def test_a_subscription_after_close_ends_at_once() -> None:
    topic: LatestValue[int] = LatestValue(asyncio.get_running_loop())
    topic.publish(1)
    topic.close()
    topic.close()
    assert [value async for value in topic.subscribe()] == []


async def test_it_is_wanted_while_somebody_listens_and_not_longer() -> None:
    topic: LatestValue[int] = LatestValue(asyncio.get_running_loop())
    assert not topic.wanted
    waiting = asyncio.create_task(_next(topic.subscribe()))
    await _listening(topic)
    assert topic.wanted
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not topic.wanted


async def test_a_subscriber_that_left_while_it_held_a_value_is_forgotten() -> None:
    topic: LatestValue[int] = LatestValue(asyncio.get_running_loop())
    values = topic.subscribe()
    waiting = asyncio.create_task(_next(values))
    await _listening(topic)
    topic.publish(1)
    await waiting
    del values, waiting
    gc.collect()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not topic.wanted


async def test_no_value_is_missed_for_ever_however_threads_and_loop_meet() -> None:
    topic: LatestValue[int] = LatestValue(asyncio.get_running_loop())

    async def last() -> int:
        newest = -1
        async for value in topic.subscribe():
            assert value > newest
            newest = value
        return newest

    tasks = [asyncio.create_task(last()) for _ in range(4)]
    await _listening(topic, 4)

    def publish() -> None:
        for number in range(5000):
            topic.publish(number)
        topic.close()

    await _from_thread(publish)
    assert await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_S) == [4999] * 4


def test_a_loop_that_is_closed_harms_nobody() -> None:
    loop = asyncio.new_event_loop()
    topic: LatestValue[int] = LatestValue(loop)
    loop.close()
    topic.publish(1)
    topic.publish(2)
    topic.close()


async def test_a_wait_that_ends_does_not_cancel_what_is_waited_for() -> None:
    future: Future[int] = Future()
    with pytest.raises(TimeoutError):
        await outcome(future, 0.01)
    assert not future.cancelled()
    waiting = asyncio.create_task(outcome(future, PATIENCE_S))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(future.set_result, 3)
    assert await waiting == 3
