"""The files of a recording: their names, and the progress while they are written."""

from __future__ import annotations

import errno
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from av.error import FFmpegError

from app import urls
from app.errors import SinkError, WatchpostError
from app.failure_reason import FailureReason

GROWING = ".part.mp4"
FINISHED = ".mp4"
# Each fragment is complete in itself and on disk: a kill loses the last seconds, not the file.
# The header waits for the first fragment, to include the offset between sound and video.
FRAGMENTED = {"movflags": "frag_keyframe+delay_moov+default_base_moof", "flush_packets": "1"}
MAX_SLUG = 40


@dataclass(frozen=True, slots=True)
class Segment:
    """A closed file that was not examined yet; ``started_ts`` is in Unix seconds."""

    path: Path
    started_ts: float


class SegmentFiles:
    """Consecutive file names for one part of a job, which continue after a restart.

    Args:
        stem: what their names begin with; see ``stem_of``.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        self._folder = folder
        self._stem = stem

    def next(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        taken = [_number(path) for path in self._folder.glob(f"{self._stem}-*{FINISHED}")]
        return self._folder / f"{self._stem}-{max(taken, default=0) + 1:04d}{GROWING}"


def stem_of(index: int, label: str) -> str:
    """``01-cam-1`` for the first part: safe in a file name, and recognisable.

    Of a network's URL it has host and port: the rest is stored in plain text nowhere.
    """
    name = urls.origin(label).rpartition("://")[2]
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[-MAX_SLUG:]
    return f"{index + 1:02d}-{slug.strip('-.') or 'source'}"


def finished_name(path: Path) -> Path:
    """The name of a file once it is finished."""
    return path.with_name(path.name.removesuffix(GROWING) + FINISHED)


def _number(path: Path) -> int:
    digits = re.search(r"-(\d+)(?:\.part)?\.mp4$", path.name)
    return int(digits[1]) if digits else 0


@dataclass
class RecordingProgress:
    """What one capture has recorded: filled by its thread, read by its ``SourceRecorder``.

    Attributes:
        skip_s: where in a file it began.
        passed: frames before that, which are skipped because they were recorded before.
        seconds: of the source's time, from there or the first frame to the newest.
        first_ts, last_ts: when the first and the newest frame were captured.
        gaps: times in between without frames, Unix seconds.
        closed: files that wait to be examined.
        full: everything that was requested is recorded.
        failure: why nothing more can be written.
    """

    skip_s: float = 0.0
    passed: int = 0
    frames: int = 0
    seconds: float = 0.0
    first_ts: float | None = None
    last_ts: float | None = None
    gaps: deque[tuple[float, float]] = field(default_factory=deque)
    closed: deque[Segment] = field(default_factory=deque)
    growing: Path | None = None
    full: bool = False
    failure: WatchpostError | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def picture(self, ts: float, seconds: float, gap_s: float | None) -> None:
        """Count a frame; ``gap_s`` without one makes a gap, None for a file, which has none."""
        if gap_s is not None and self.last_ts is not None and ts - self.last_ts > gap_s:
            self.gaps.append((self.last_ts, ts))
        self.first_ts = ts if self.first_ts is None else self.first_ts
        self.last_ts = ts
        self.seconds = seconds
        self.frames += 1

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
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = FailureReason.DISK_FULL if full else FailureReason.of(error)
    return SinkError(end="recording", reason=reason, url=path.name if path else "recording")
