"""What clips and continuous recordings add up to."""

from __future__ import annotations

from typing import get_args

from app.footage import Footage, FootageKind
from app.metric_types import Collector, counter


class FootageMetrics:
    """Counts from the start of the process.

    Attributes:
        files, bytes, seconds: of finished files, by kind.
        clips_failed: events that get no clip although there should be one.
        failures: times that a continuous recording could not be written.
    """

    def __init__(self) -> None:
        kinds = get_args(FootageKind)
        self.files = counter("footage_files", "Clips and segments that were written.", kind=kinds)
        self.bytes = counter("footage_written_bytes", "Bytes of them.", kind=kinds)
        self.seconds = counter("footage_seconds", "Seconds of video in them.", kind=kinds)
        self.clips_failed = counter("clips_failed", "Clips that could not be written.")
        self.failures = counter(
            "continuous_failures", "Times that a continuous recording could not be written."
        )

    def all(self) -> list[Collector]:
        return list(vars(self).values())

    def file(self, footage: Footage) -> None:
        """Count a finished file."""
        self.files.labels(footage.kind).inc()
        self.bytes.labels(footage.kind).inc(footage.bytes)
        self.seconds.labels(footage.kind).inc(max(0.0, footage.end_ts - footage.begin_ts))
