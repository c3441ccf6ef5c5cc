"""Thread to thread: what waits, what is dropped, and what close means."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.pipeline.channel import Broadcast, Channel, Closed

PATIENCE_S = 30.0


def test_a_live_channel_keeps_the_newest_and_counts_what_it_drops() -> None:
    channel: Channel[int] = Channel(2, live=True)
    for number in range(10):
        channel.put(number)
    assert (channel.get(), channel.get(), channel.dropped, len(channel)) == (8, 9, 8, 0)


def test_a_file_channel_makes_the_producer_wait_and_loses_nothing() -> None:
    channel: Channel[int] = Channel(3, live=False)
    sizes: list[int] = []

    def produce() -> None:
        for number in range(200):
            channel.put(number)
            sizes.append(len(channel))
        channel.close()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(produce)
        taken = list(_drain(channel))
        done.result(PATIENCE_S)
    assert taken == list(range(200))
    assert max(sizes) <= 3
    assert channel.dropped == 0


def _drain(channel: Channel[int]) -> list[int]:
    taken: list[int] = []
    while True:
        try:
            item = channel.get()
        except Closed:
            return taken
        assert item is not None
        taken.append(item)


def test_get_gives_none_when_nothing_comes_in_time() -> None:
    channel: Channel[int] = Channel(1, live=True)
    assert channel.get(timeout=0) is None
    assert channel.get(timeout=0.01) is None


def test_what_waits_is_handed_out_after_close_and_then_the_channel_is_closed() -> None:
    channel: Channel[int] = Channel(3, live=True)
    channel.put(1)
    channel.put(2)
    channel.close()
    assert [channel.get(), channel.get(timeout=0)] == [1, 2]
    with pytest.raises(Closed):
        channel.get()
    with pytest.raises(Closed):
        channel.get(timeout=0)


def test_close_with_discard_hands_nothing_out() -> None:
    channel: Channel[int] = Channel(3, live=True)
    channel.put(1)
    channel.close(discard=True)
    with pytest.raises(Closed):
        channel.get()


@pytest.mark.parametrize("live", [True, False])
def test_nothing_gets_in_after_close(live: bool) -> None:
    channel: Channel[int] = Channel(1, live=live)
    channel.close()
    channel.close()
    with pytest.raises(Closed):
        channel.put(1)


@pytest.mark.parametrize("discard", [True, False])
def test_close_wakes_who_waits_for_an_item(discard: bool) -> None:
    channel: Channel[int] = Channel(1, live=True)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(channel.get) for _ in range(4)]
        channel.close(discard=discard)
        for future in waiting:
            assert isinstance(future.exception(PATIENCE_S), Closed)


@pytest.mark.parametrize("discard", [True, False])
def test_close_wakes_who_waits_for_room(discard: bool) -> None:
    channel: Channel[int] = Channel(1, live=False)
    channel.put(0)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(channel.put, number) for number in range(4)]
        channel.close(discard=discard)
        for future in waiting:
            assert isinstance(future.exception(PATIENCE_S), Closed)


def test_nothing_is_lost_or_doubled_between_many_threads() -> None:
    channel: Channel[int] = Channel(5, live=False)
    start = threading.Barrier(8)

    def produce(first: int) -> None:
        start.wait(PATIENCE_S)
        for number in range(500):
            channel.put(first + number)

    def consume() -> list[int]:
        start.wait(PATIENCE_S)
        return _drain(channel)

    with ThreadPoolExecutor(8) as pool:
        producers = [pool.submit(produce, 1000 * n) for n in range(4)]
        consumers = [pool.submit(consume) for _ in range(4)]
        for producer in producers:
            producer.result(PATIENCE_S)
        channel.close()
        taken = [consumer.result(PATIENCE_S) for consumer in consumers]
    assert sorted(item for items in taken for item in items) == sorted(
        1000 * n + i for n in range(4) for i in range(500)
    )
    for items in taken:  # of one producer, each consumer sees the order
        for n in range(4):
            mine = [item for item in items if item // 1000 == n]
            assert mine == sorted(mine)


def test_taken_and_dropped_together_are_all_that_was_put() -> None:
    channel: Channel[int] = Channel(1, live=True)
    with ThreadPoolExecutor(2) as pool:
        taken = pool.submit(_drain, channel)
        for number in range(2000):
            channel.put(number)
        channel.close()
        items = taken.result(PATIENCE_S)
    assert len(items) + channel.dropped == 2000
    assert items == sorted(items)
    assert items[-1] == 1999


# ── a fan ────────────────────────────────────────────────────────────────────────────────────


def test_every_tap_gets_every_item_from_when_it_came() -> None:
    fan: Broadcast[int] = Broadcast()
    fan.publish(1)
    with fan.subscribed(4) as early:
        fan.publish(2)
        with fan.subscribed(4) as late:
            fan.publish(3)
            assert (early.get(), early.get(), late.get()) == (2, 3, 3)
        fan.publish(4)
        assert early.get() == 4
        with pytest.raises(Closed):
            late.get()


def test_a_slow_tap_loses_the_oldest_and_slows_nobody() -> None:
    fan: Broadcast[int] = Broadcast()
    with fan.subscribed(2) as slow:
        for number in range(10):
            fan.publish(number)
        assert (slow.get(), slow.get(), slow.dropped) == (8, 9, 8)


def test_a_closed_fan_hands_out_what_waits_and_ends_every_tap() -> None:
    fan: Broadcast[int] = Broadcast()
    with fan.subscribed(2) as tap:
        fan.publish(1)
        fan.close()
        fan.publish(2)
        assert tap.get() == 1
        with pytest.raises(Closed):
            tap.get()
    with fan.subscribed(2) as late, pytest.raises(Closed):
        late.get()
