"""What all collection jobs of this process came to; belongs to the event loop's thread."""

from __future__ import annotations

from app.jobs import FileFacts, Job, JobState
from app.metric_types import CounterMap, Histogram

DURATION_BOUNDS_S = (10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0)


class JobMetrics:
    """Counts up from the start of the process, also while jobs are removed.

    Attributes:
        ended: jobs that are over, by how they ended.
        durations: seconds from a job's beginning to its end.
        bytes, seconds, frames: of finished files, those removed since included.
        retries: attempts to get back a source that was lost.
    """

    def __init__(self) -> None:
        self.started = 0
        self.ended: CounterMap[JobState] = CounterMap(
            *(state for state in JobState if state is not JobState.RUNNING)
        )
        self.durations = Histogram(DURATION_BOUNDS_S)
        self.files = 0
        self.bytes = 0
        self.seconds = 0.0
        self.frames = 0
        self.retries = 0

    def file(self, facts: FileFacts) -> None:
        """A file was finished and counts."""
        self.files += 1
        self.bytes += facts.bytes
        self.seconds += facts.seconds
        self.frames += facts.frames

    def end(self, job: Job) -> None:
        self.ended.add(job.state)
        if job.ended_ts is not None:
            self.durations.observe(job.ended_ts - job.created_ts)
