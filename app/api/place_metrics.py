"""The metrics of zones and lines, of the streams with the rule ``objects``."""

from __future__ import annotations

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from app.metric_types import PREFIX
from app.places import PlaceCounts


class PlaceFamilies:
    """The counts of zones and lines of all streams in one scrape.

    Those since midnight are gauges: they begin at 0 each day.
    """

    def __init__(self) -> None:
        self._now = GaugeMetricFamily(
            f"{PREFIX}zone_objects", "Objects in a zone now.", labels=["stream", "zone", "label"]
        )
        self._entered = GaugeMetricFamily(
            f"{PREFIX}zone_entered_today",
            "Objects that entered a zone since midnight.",
            labels=["stream", "zone", "label"],
        )
        self._crossed = GaugeMetricFamily(
            f"{PREFIX}line_crossed_today",
            "Objects that crossed a line since midnight.",
            labels=["stream", "line", "direction", "label"],
        )

    def add(self, stream_id: str, counts: PlaceCounts | None) -> None:
        """Add the counts of a stream, if it has any."""
        if counts is None:
            return
        for zone in counts.zones:
            for label in zone.now.keys() | zone.today.keys():
                self._now.add_metric([stream_id, zone.name, label], zone.now.get(label, 0))
                self._entered.add_metric([stream_id, zone.name, label], zone.today.get(label, 0))
        for line in counts.lines:
            for direction, by_label in line.today.items():
                for label, count in by_label.items():
                    self._crossed.add_metric([stream_id, line.name, direction, label], count)

    def all(self) -> list[Metric]:
        """The families."""
        return [self._now, self._entered, self._crossed]
