"""Values of prometheus-client's metrics."""

from __future__ import annotations

from app.metric_types import Counter


def counts(counter: Counter) -> dict[str, float]:
    """Values of a counter, by the values of its labels."""
    return {
        ",".join(sample.labels.values()): sample.value
        for family in counter.collect()
        for sample in family.samples
    }
