"""The files of a recording: their names, and the progress while they are written."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from av.error import FFmpegError

from app import urls
from app.errors import SinkError, WatchpostError
from app.failure_reason import FailureReason
from app.pace import StallLimit

GROWING = ".part.mp4"
FINISHED = ".mp4"
# Each fragment is complete in itself and on disk: a kill loses the last seconds, not the file.
# The header waits for the first fragment, because hardware encoders need that.
FRAGMENTED = {"movflags": "frag_keyframe+delay_moov+default_base_moof", "flush_packets": "1"}
MAX_SLUG = 40
MAX_JUMPS = 100  # further jumps are only counted
JITTER_S = 0.2  # smaller jumps are removed, but not listed


@dataclass(frozen=True, slots=True)
class Segment:
    """A closed file that was not examined yet; ``started_ts`` is in Unix seconds."""

    path: Path
    started_ts: float


class SegmentFiles:
    """Consecutive file names for one part of a job, which continue after a restart.

    Args:
        stem: what their names begin with; see ``stem_of``.
        after: the number of the last file that is elsewhere.
    """

    def __init__(self, folder: Path, stem: str, after: int = 0) -> None:
        self._folder = folder
        self._stem = stem
        self._after = after

    def next(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        names = [path.name for path in self._folder.glob(f"{self._stem}-*{FINISHED}")]
        last = max(map(number_of, names), default=0)
        return self._folder / f"{self._stem}-{max(last, self._after) + 1:04d}{GROWING}"


def stem_of(index: int, label: str) -> str:
    """``01-cam-1`` for the first part: safe in a file name, and recognisable.

    Of a network's URL it has host and port: the rest is stored in plain text nowhere.
    """
    name = urls.origin(label).rpartition("://")[2]
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[-MAX_SLUG:]
    return f"{index + 1:02d}-{slug.strip('-.') or 'source'}"


def finished_name(path: Path) -> Path:
    """The name of a file once it is finished; of one that is, its own."""
    return path.with_name(path.name.removesuffix(GROWING).removesuffix(FINISHED) + FINISHED)


def number_of(name: str) -> int:
    """The number in the name of a file; 0 if it has none."""
    digits = re.search(r"-(\d+)(?:\.part)?\.mp4$", name)
    return int(digits[1]) if digits else 0


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """What is to be written, and where.

    Attributes:
        segment_s: length of a file.
        gap_s: seconds without a frame that count as a gap; None for a file.
        begin_s, limit_s: the part of the source to record, in seconds of its continuous clock.
    """

    files: SegmentFiles
    segment_s: float
    gap_s: float | None
    begin_s: float = 0.0
    limit_s: float | None = None

    @property
    def live(self) -> bool:
        return self.gap_s is not None


@dataclass(frozen=True, slots=True)
class ClockJump:
    """A jump of a source's clock that was removed.

    Attributes:
        ts: when it was recorded, Unix seconds.
        at_s: its position in the source, seconds.
        jump_s: how far the clock jumped; negative if it went back.
    """

    ts: float
    at_s: float
    jump_s: float

    def __str__(self) -> str:
        how = "ahead" if self.jump_s > 0 else "back"
        return (
            f"the clock of the source jumped {how} by {abs(self.jump_s):.1f} s, {self.at_s:.1f} s "
            "after its beginning; the jump was removed, and no frame is missing"
        )


@dataclass
class RecordingProgress:
    """What one capture has recorded: filled by its thread, read by its ``SourceRecorder``.

    Attributes:
        begin_s: position in a file where the capture began.
        seconds: time that really passed in the source from there, or from the first frame of a live
            source, to the newest frame.
        first_ts, last_ts: when the first and the newest frame were captured.
        written_at: when the newest frame was written, monotonic seconds.
        gaps: times in between without frames, Unix seconds.
        jumps: jumps of the source's clock, the first ``MAX_JUMPS``.
        jump_count: number of all jumps.
        dropped: number of frames that are missing from the files, by reason.
        closed: files that wait to be examined.
        full: everything that was requested is recorded.
        failure: why nothing more can be written.
    """

    begin_s: float = 0.0
    frames: int = 0
    seconds: float = 0.0
    first_ts: float | None = None
    last_ts: float | None = None
    written_at: float | None = None
    gaps: deque[tuple[float, float]] = field(default_factory=deque)
    jumps: deque[ClockJump] = field(default_factory=deque)
    jump_count: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    closed: deque[Segment] = field(default_factory=deque)
    growing: Path | None = None
    full: bool = False
    failure: WatchpostError | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    _pace: StallLimit | None = None

    def picture(self, ts: float, seconds: float, gap_s: float | None) -> None:
        """Count a frame; ``gap_s`` without one makes a gap, None for a file, which has none.

        For a slow camera, the limit follows from the pace of its frames.
        """
        if gap_s is not None:
            self._pace = self._pace or StallLimit(gap_s)
            if self.last_ts is not None and ts - self.last_ts > self._pace.seconds:
                self.gaps.append((self.last_ts, ts))
            self._pace.seen(ts)
        self.first_ts = ts if self.first_ts is None else self.first_ts
        self.last_ts, self.written_at = ts, time.monotonic()
        self.seconds = seconds
        self.frames += 1

    def jump(self, at_s: float, jump_s: float) -> None:
        """Record a jump of the source's clock."""
        if abs(jump_s) < JITTER_S:
            return
        self.jump_count += 1
        if self.jump_count <= MAX_JUMPS:
            self.jumps.append(ClockJump(time.time(), at_s, jump_s))

    def growing_bytes(self) -> int:
        """Size of the file that is being written."""
        growing = self.growing
        try:
            return growing.stat().st_size if growing is not None else 0
        except OSError:
            return 0


class OpenSegment(Protocol):
    """A file that is being written."""

    path: Path
    started_ts: float

    def close(self) -> None:
        """Raises FFmpegError, OSError; it is closed anyway."""
        ...


F = TypeVar("F", bound=OpenSegment)


class SegmentWriter(Generic[F]):
    """Writes the files of one capture, one after another; closed ones go to ``written.closed``.

    Attributes:
        file: the open one.
    """

    def __init__(self, files: SegmentFiles, written: RecordingProgress) -> None:
        self.file: F | None = None
        self._files = files
        self._written = written

    def begin(self, make: Callable[[Path], F]) -> F:
        """Close the open file, if there is one, and open the next."""
        self.roll()
        self._written.growing = path = self._files.next()
        self.file = file = make(path)
        return file

    def roll(self) -> None:
        """Close the open file. Raises FFmpegError, OSError."""
        file, self.file = self.file, None
        try:
            if file is not None:
                file.close()
        finally:
            if file is not None:
                self._written.closed.append(Segment(file.path, file.started_ts))
            self._written.growing = None

    def end(self) -> None:
        """Close the last file. After a failed write the part on disk may still be usable."""
        try:
            self.roll()
        except (FFmpegError, OSError) as error:
            self._written.failure = self._written.failure or write_failure(error, None)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn errors of libav and the system into SinkError."""
        try:
            yield
        except (FFmpegError, OSError) as error:
            raise write_failure(error, self._written.growing) from None


def write_failure(error: FFmpegError | OSError, path: Path | None) -> SinkError:
    """The error that a failed write is reported as."""
    reason = FailureReason.of_writing(error)
    return SinkError(end="recording", reason=reason, url=path.name if path else "recording")
