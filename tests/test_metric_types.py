"""Counting from many threads."""

from __future__ import annotations

import threading

import pytest

from app.metric_types import CounterMap, Histogram


def test_a_histogram_counts_values_up_to_each_bound() -> None:
    histogram = Histogram((1, 2))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(value)
    spread = histogram.read()
    assert spread.buckets == ((1, 2), (2, 3), (float("inf"), 4))
    assert spread.count == 4
    assert spread.total == pytest.approx(12)


def test_a_tally_shows_what_never_happened_too() -> None:
    tally = CounterMap("a", "b")
    tally.add("b", 3)
    tally.add("c")
    assert tally.read() == {"a": 0, "b": 3, "c": 1}


def test_no_count_is_lost_between_threads() -> None:
    tally, histogram = CounterMap("a"), Histogram((1,))

    def work() -> None:
        for _ in range(5000):
            tally.add("a")
            histogram.observe(0.5)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.read() == {"a": 20_000}
    assert histogram.read().count == 20_000
    assert histogram.read().total == pytest.approx(10_000)
