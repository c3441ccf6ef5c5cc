"""Metric types of prometheus-client, used without its global registry.

The code that counts creates its metrics without a registry. Each server then registers its own on
a registry of its own (``app.api.health``), so that servers in one process do not mix. Counting
takes about a microsecond and is safe from any thread; code that counts often looks up the labelled
child once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.registry import Collector

__all__ = [
    "Collector",
    "CollectorRegistry",
    "Counter",
    "Gauge",
    "Histogram",
    "HistogramSnapshot",
    "counter",
    "gauge",
    "histogram",
]
PREFIX = "watchpost_"

disable_created_metrics()  # they would double the number of series


def counter(name: str, about: str, **labels: Iterable[str]) -> Counter:
    """A counter; every combination of the given label values exists from the start, at 0."""
    created = Counter(PREFIX + name, about, list(labels), registry=None)
    if labels:
        for values in itertools.product(*labels.values()):
            created.labels(*values)
    return created


def gauge(name: str, about: str) -> Gauge:
    """A value that goes up and down, from 0."""
    return Gauge(PREFIX + name, about, registry=None)


def histogram(name: str, about: str, bounds: Sequence[float]) -> Histogram:
    """A histogram with the given upper bounds, ascending and finite."""
    return Histogram(PREFIX + name, about, registry=None, buckets=bounds)


@dataclass(frozen=True, slots=True)
class HistogramSnapshot:
    """The values of a histogram at one moment.

    Attributes:
        buckets: upper bounds, each with the number of values up to it; the last bound is infinite,
            so its count is that of all values.
        total: sum of all values.
    """

    buckets: tuple[tuple[float, int], ...]
    total: float

    @classmethod
    def of(cls, histogram: Histogram) -> HistogramSnapshot:
        samples = [sample for family in histogram.collect() for sample in family.samples]
        buckets = [(s.labels["le"], s.value) for s in samples if s.name.endswith("_bucket")]
        (total,) = (sample.value for sample in samples if sample.name.endswith("_sum"))
        return cls(tuple((float(bound), int(count)) for bound, count in buckets), total)

    @property
    def count(self) -> int:
        return self.buckets[-1][1]
