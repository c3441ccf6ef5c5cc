"""Counting from many threads."""

from __future__ import annotations

import threading

import pytest
from prometheus_client import REGISTRY
from support.metrics import counts

from app.metric_types import CollectorRegistry, HistogramSnapshot, counter, histogram


def test_a_histogram_counts_values_up_to_each_bound() -> None:
    seconds = histogram("test_seconds", "Seconds.", (1, 2))
    for value in (0.5, 1.0, 1.5, 9.0):
        seconds.observe(value)
    spread = HistogramSnapshot.of(seconds)
    assert spread.buckets == ((1, 2), (2, 3), (float("inf"), 4))
    assert spread.count == 4
    assert spread.total == pytest.approx(12)


def test_a_counter_shows_what_never_happened_too() -> None:
    tally = counter("test", "Things.", kind=("a", "b"))
    tally.labels("b").inc(3)
    tally.labels("c").inc()
    assert counts(tally) == {"a": 0, "b": 3, "c": 1}


def test_every_combination_of_labels_is_there_from_the_start() -> None:
    tally = counter("test", "Things.", source=("x", "y"), outcome=("a", "b"))
    assert counts(tally) == {"x,a": 0, "x,b": 0, "y,a": 0, "y,b": 0}


def test_two_servers_in_one_process_count_for_themselves() -> None:
    mine, other = counter("test", "Things."), counter("test", "Things.")
    registry, other_registry = CollectorRegistry(), CollectorRegistry()
    registry.register(mine)
    other_registry.register(other)
    mine.inc()
    assert registry.get_sample_value("watchpost_test_total") == 1
    assert other_registry.get_sample_value("watchpost_test_total") == 0
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(other)
    assert not [family for family in REGISTRY.collect() if family.name.startswith("watchpost")]


def test_no_count_is_lost_between_threads() -> None:
    tally, seconds = counter("test", "Things.", kind=("a",)), histogram("s", "Seconds.", (1,))

    def work() -> None:
        for _ in range(5000):
            tally.labels("a").inc()
            seconds.observe(0.5)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts(tally) == {"a": 20_000}
    assert HistogramSnapshot.of(seconds).count == 20_000
    assert HistogramSnapshot.of(seconds).total == pytest.approx(10_000)
