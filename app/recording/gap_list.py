"""The gaps of a job: times without video, jumps of a clock, and missing frames."""

from __future__ import annotations

import time

from app.jobs import Gap, Job
from app.recording.segments import MAX_JUMPS, RecordingProgress

LOST_S = 1.0  # shorter interruptions are not reported as gaps
NO_PICTURE = "no picture"
UNREADABLE = "they were written, but could not be read back"


class GapList:
    """Adds the gaps of one source to the list of its job.

    Args:
        label: URL of the source without credentials, or the id of a stream.
        gap_s: seconds without a frame that count as a gap while a source is connected.
    """

    def __init__(self, job: Job, label: str, gap_s: float) -> None:
        self._job = job
        self._label = label
        self._gap_s = gap_s

    def add(self, from_ts: float, to_ts: float, reason: str, least_s: float = LOST_S) -> None:
        """List a time without video, unless it is too short."""
        if to_ts - from_ts > least_s:
            self._append(from_ts, to_ts, reason)

    def add_silences(self, written: RecordingProgress) -> None:
        """List the times when a connected source sent nothing."""
        while written.gaps:
            self.add(*written.gaps.popleft(), NO_PICTURE, self._gap_s)

    def add_jumps(self, written: RecordingProgress) -> None:
        """List the jumps of the source's clock that are new."""
        while written.jumps:
            jump = written.jumps.popleft()
            self._append(jump.ts, jump.ts, str(jump))

    def add_dropped(self, written: RecordingProgress) -> None:
        """List what a capture that has ended received and did not write."""
        for reason, count in written.dropped.items():
            self.add_frames(count, reason)
        if written.jump_count > MAX_JUMPS:
            self._append(
                time.time(), time.time(), f"{written.jump_count} jumps of the clock in total"
            )

    def add_frames(self, count: int, reason: str) -> None:
        """List missing frames."""
        if count > 0:
            self._append(
                time.time(), time.time(), f"{count} frames are missing from the files: {reason}"
            )

    def _append(self, from_ts: float, to_ts: float, reason: str) -> None:
        gap = Gap(self._label, round(from_ts, 3), round(to_ts, 3), reason)
        self._job.gaps.append(gap)
