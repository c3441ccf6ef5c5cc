"""Writes a stream's packets to segments, for as long as it runs.

    packets ──▶ segment (fragmented MP4, growing) ──▶ segment (finished), row

A segment ends at a keyframe once it is long enough, and at once where the video has a gap, the
encoder changed, or the clock of the machine was set: within a segment, times follow the frames.
A full disk ends the segment; recording continues as soon as there is space.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from av.error import FFmpegError

from app.errors import StoreError
from app.footage import Ended, Footage
from app.pipeline.channel import Closed
from app.pipeline.packets import PacketRing, VideoPacket
from app.recording.footage_files import CONTINUOUS, FootageFiles
from app.recording.footage_metrics import FootageMetrics
from app.recording.packet_file import PacketFile
from app.recording.segments import FINISHED, GROWING, finished_name
from app.recording.stores import FootageStore
from app.types import StreamSpec

logger = logging.getLogger(__name__)

BACKLOG = 256  # packets that may wait for the disk
GAP_S, SLOW_INTERVALS = 5.0, 3
CLOCK_STEP_S = 1.0
RETRY_S = 5.0
MAX_UNWRITTEN = 1000
FULL = "the disk is nearly full"
TimeOf = Callable[[float], float]
"""The Unix time of a monotonic time."""


def gap_of(spec: StreamSpec) -> float:
    """Seconds without a frame that are a gap: more for a camera with few frames."""
    interval_s = max(1 / spec.max_fps, spec.interval or 0.0)
    return max(GAP_S, SLOW_INTERVALS * interval_s)


def wall_time(at: float) -> float:
    """The Unix time of a monotonic time, by the clocks as they are now."""
    return time.time() - (time.monotonic() - at)


class SegmentRecorder:
    """Writes packets to segments; used by one thread.

    Args:
        store: gets a row for each finished segment.
        segment_s: length of a segment.
        has_room: whether the disk has space to write more.
        gap_s: seconds without a frame after which a segment ends.

    Attributes:
        problem: why nothing is written now; None if all is well.
    """

    def __init__(
        self,
        stream_id: str,
        files: FootageFiles,
        store: FootageStore,
        segment_s: float,
        has_room: Callable[[], bool] = lambda: True,
        time_of: TimeOf = wall_time,
        gap_s: float = GAP_S,
        metrics: FootageMetrics | None = None,
    ) -> None:
        self.problem: str | None = None
        self._stream_id = stream_id
        self._files = files
        self._store = store
        self._segment_s = segment_s
        self._has_room = has_room
        self._time_of = time_of
        self._gap_s = gap_s
        self._metrics = metrics or FootageMetrics()
        self._file: PacketFile | None = None
        self._begin_ts = 0.0
        self._last: VideoPacket | None = None
        self._pause_until = 0.0  # on the clock of the packets
        self._unwritten: deque[Footage] = deque(maxlen=MAX_UNWRITTEN)

    def write(self, packet: VideoPacket) -> None:
        """Write a packet, to a new segment if one is due."""
        if self._file is not None and self._ends_before(packet):
            self.finish(self._why_ended(packet))
        self._last = packet
        if self._file is None and not self._begin(packet):
            return
        assert self._file is not None
        try:
            self._file.add(packet)
        except (FFmpegError, OSError) as error:
            self._fail(error, packet)

    def growing(self) -> Footage | None:
        """The segment that is being written; it can be read up to its last keyframe."""
        file, begin_ts = self._file, self._begin_ts
        if file is None:
            return None
        try:
            length_s, size = file.end_at - file.begin_at, file.path.stat().st_size
        except OSError:
            return None
        path = file.path.relative_to(self._files.root).as_posix()
        return Footage(self._stream_id, CONTINUOUS, begin_ts, begin_ts + length_s, path, size)

    def finish(self, ended: Ended | None = None) -> None:
        """Close the open segment and add its row; the next keyframe begins another.

        Args:
            ended: why there is a gap behind it; None if there is none.
        """
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.close()
        except (FFmpegError, OSError) as error:
            self._say(f"{type(error).__name__}: {error.strerror}")
        path = finished_name(file.path)
        try:
            file.path.rename(path)
            size, length_s = path.stat().st_size, file.end_at - file.begin_at
        except OSError as error:
            self._say(str(error.strerror))
            return
        name = path.relative_to(self._files.root).as_posix()
        end_ts = self._begin_ts + length_s
        self._unwritten.append(
            Footage(self._stream_id, CONTINUOUS, self._begin_ts, end_ts, name, size, ended=ended)
        )
        self._metrics.file(self._unwritten[-1])
        self._write_rows()

    def _why_ended(self, packet: VideoPacket) -> Ended | None:
        """Why there is no video between the segment and this packet; None if there is."""
        assert self._last is not None
        if packet.captured_at - self._last.captured_at > self._gap_s:
            return "no_video"
        return None if self._has_room() else "full"

    def _ends_before(self, packet: VideoPacket) -> bool:
        file, last = self._file, self._last
        assert file is not None and last is not None
        if packet.run != file.run or packet.number != last.number + 1:
            return True
        if packet.captured_at - last.captured_at > self._gap_s:
            return True
        length_s = packet.captured_at - file.begin_at
        if abs(self._time_of(packet.captured_at) - (self._begin_ts + length_s)) > CLOCK_STEP_S:
            return True
        return packet.is_keyframe and length_s >= self._segment_s

    def _begin(self, packet: VideoPacket) -> bool:
        """Begin a segment with this packet; returns whether that worked."""
        if not packet.is_keyframe or packet.captured_at < self._pause_until:
            return False
        try:
            if not self._has_room():
                self._say(FULL)
                self._pause_until = packet.captured_at + RETRY_S
                return False
            self._begin_ts = self._time_of(packet.captured_at)
            path = self._files.new(self._stream_id, CONTINUOUS, self._begin_ts)
            growing = path.with_name(path.name.removesuffix(FINISHED) + GROWING)
            self._file = PacketFile(growing, packet, fragmented=True)
        except (FFmpegError, OSError) as error:
            self._fail(error, packet)
            return False
        if self.problem is not None:
            logger.info("stream %s: recording continues", self._stream_id)
            self.problem = None
        return True

    def _fail(self, error: FFmpegError | OSError, packet: VideoPacket) -> None:
        """End the segment, whose part on disk can be used, and try again in a while."""
        self._say(str(error.strerror))
        self._metrics.failures.inc()
        self._pause_until = packet.captured_at + RETRY_S
        self.finish("full" if error.errno == errno.ENOSPC else "failed")

    def _say(self, problem: str) -> None:
        """Log a problem once, however often it is met."""
        if self.problem != problem:
            logger.error("stream %s is not recorded: %s", self._stream_id, problem)
        self.problem = problem

    def _write_rows(self) -> None:
        """Add the rows of finished segments, those first that a failing database did not take.

        What it never takes is found again at the next start.
        """
        try:
            while self._unwritten:
                self._store.add(self._unwritten[0], ())
                self._unwritten.popleft()
        except StoreError as error:
            logger.error("stream %s: a segment has no row yet: %s", self._stream_id, error)


class ContinuousRecording:
    """The thread that records one run of a stream; it ends when the run does."""

    def __init__(self, recorder: SegmentRecorder, packets: PacketRing, stream_id: str) -> None:
        self.recorder = recorder
        self.stream_id = stream_id
        self._packets = packets
        self._roll = threading.Event()
        self._rolled = threading.Event()
        self._subscribed = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"{stream_id}-continuous", daemon=True
        )

    def start(self) -> None:
        """Start; returns once no packet can be missed any more."""
        self._thread.start()
        self._subscribed.wait()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def roll(self, timeout_s: float) -> None:
        """Finish the open segment now, so that it can be read or erased. Blocks."""
        self._rolled.clear()
        self._roll.set()
        if self._thread.is_alive():
            self._rolled.wait(timeout_s)

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the run to be on disk; False if that took too long."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with self._packets.subscribed(BACKLOG) as waiting:
            self._subscribed.set()
            with suppress(Closed):
                while True:
                    packet = waiting.get(timeout=0.5)
                    if self._roll.is_set():
                        self._roll.clear()
                        self.recorder.finish()
                        self._rolled.set()
                    if packet is not None:
                        self.recorder.write(packet)
            self.recorder.finish("stopped")
