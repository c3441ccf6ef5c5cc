"""What jobs need of a cluster, whose nodes record sources: protocols.

Without a cluster, ``SourceRecorder`` records all of them in this process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from app.jobs import Job, Part
from app.recording.stop_signal import StopSignal
from app.types import StreamStatus

if TYPE_CHECKING:
    from app.recording.context import JobContext


class PartRecorder(Protocol):
    """Records one source of a job.

    Attributes:
        here: whether in this process, on whose disk the files are.
    """

    part: Part
    here: bool

    @property
    def frames(self) -> int:
        """Frames recorded since this process started."""
        ...

    @property
    def seconds(self) -> float:
        """The same in seconds of video."""
        ...

    def growing_bytes(self) -> int:
        """Size of what has no row yet."""
        ...

    def share(self) -> float:
        """How much of the run is done, 0 to 1."""
        ...

    async def measure(self) -> None:
        """Find out how long a file is."""
        ...

    async def recover(self) -> None:
        """Count the files that a killed process left behind."""
        ...

    async def record(self) -> None:
        """Record the source until its part is done or the job must end."""
        ...

    async def close(self) -> None:
        """The job ends: write what could not be written before."""
        ...


class RecordersElsewhere(Protocol):
    """Records sources of jobs on the nodes of a cluster."""

    def is_front(self) -> bool:
        """Whether this process may start jobs and write their rows."""
        ...

    def check(self) -> None:
        """Raise NotReady unless ``is_front``."""
        ...

    def streams(self) -> list[StreamStatus]:
        """The streams of all nodes and of this process."""
        ...

    async def load(self) -> None:
        """Wait until the streams of the cluster are known. No job runs in this process yet."""
        ...

    def recorder(
        self, ctx: JobContext, job: Job, index: int, stop: StopSignal
    ) -> PartRecorder | None:
        """What records a part of a job; None if this process has to."""
        ...

    async def reserve(self, job: Job) -> None:
        """Get room for all parts of a new job. Raises NotReady if no node has any."""
        ...

    def resumed(self, ctx: JobContext, again: Callable[[], Awaitable[None]]) -> None:
        """All jobs that run are known: whatever else the nodes record is to end.

        Args:
            again: reads the jobs again, after another process was the front.
        """
        ...
