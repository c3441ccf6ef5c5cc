"""What the collection jobs of this process add up to."""

from __future__ import annotations

from app.jobs import FileFacts, Job, JobState
from app.metric_types import Collector, counter, histogram

DURATION_BOUNDS_S = (10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0)


class JobMetrics:
    """Counts from the start of the process, including jobs and files that were removed since.

    Attributes:
        ended: finished jobs, by their final state.
        durations: seconds from the start of a job to its end.
        bytes, seconds, frames: of finished files.
        retries: attempts to get back a source that was lost.
    """

    def __init__(self) -> None:
        ends = [state for state in JobState if state is not JobState.RUNNING]
        self.started = counter("jobs_started", "Jobs that were begun.")
        self.ended = counter("jobs_ended", "Jobs that ended.", state=ends)
        self.durations = histogram(
            "job_duration_seconds", "From a job's start to its end.", DURATION_BOUNDS_S
        )
        self.retries = counter("job_retries", "Attempts to get a lost source back.")
        self.files = counter("job_recorded_files", "Recordings that were finished and checked.")
        self.bytes = counter("job_recorded_bytes", "Bytes of finished recordings.")
        self.seconds = counter("job_recorded_seconds", "Seconds of video in finished recordings.")
        self.frames = counter("job_recorded_frames", "Frames of finished recordings.")

    def all(self) -> list[Collector]:
        return list(vars(self).values())

    def file(self, facts: FileFacts) -> None:
        """Count a finished file."""
        self.files.inc()
        self.bytes.inc(facts.bytes)
        self.seconds.inc(facts.seconds)
        self.frames.inc(facts.frames)

    def end(self, job: Job) -> None:
        """Count a finished job."""
        self.ended.labels(job.state).inc()
        if job.ended_ts is not None:
            self.durations.observe(job.ended_ts - job.created_ts)
