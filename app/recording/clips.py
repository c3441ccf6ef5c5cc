"""Clips: the seconds around each event, cut from the stream's ring of packets.

    event ──▶ wait until the clip's end is in the ring ──▶ one MP4 file, row

Nothing is encoded for a clip. Events of a stream that overlap share one file while it is short
enough. What was in the ring when the process was killed is lost.
"""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from av.error import FFmpegError

from app.errors import StoreError
from app.events import Event
from app.footage import Footage, Period
from app.pipeline.event_log import EventLog
from app.pipeline.packets import PacketRing, RingLimits
from app.recording.continuous import wall_time
from app.recording.footage_files import EVENT, FootageFiles
from app.recording.footage_metrics import FootageMetrics
from app.recording.packet_file import PacketFile, write_clip
from app.recording.stores import FootageStore
from app.types import StreamSpec

logger = logging.getLogger(__name__)

SHARED_S = 15.0
"""How much longer than one event's clip a shared one may get."""
LATE_S = 5.0
"""How long to wait for frames that are still being processed when the clip should end."""
POLL_S = 0.25
REPORTED_S = 60.0
"""How late an event may be reported: that something is gone is known a minute later."""
KEYFRAME_S = 2.0
MAX_RING_BYTES = 48 * 2**20
AT_ONCE = 2
ATTEMPTS, PAUSE_S = 4, 1.0
CLOSE_S = 10.0
HasRoom = Callable[[], bool]


def ring_limits(spec: StreamSpec) -> RingLimits:
    """What the ring of a stream must keep for its clips.

    The packets of an output are large, so there are none for events that are reported very late.
    """
    seconds = spec.clip_before_s + spec.clip_after_s + SHARED_S + LATE_S + 2 * KEYFRAME_S
    return RingLimits(seconds + (REPORTED_S if spec.output is None else 0.0), MAX_RING_BYTES)


@dataclass(slots=True, eq=False)
class PendingClip:
    """A clip that is not on disk yet; times are monotonic.

    Attributes:
        cut: its packets are being written, so that no more events can share it.
        dropped: it shall not be kept.
    """

    stream_id: str
    ring: PacketRing
    begin_at: float
    end_at: float
    event_ids: list[int] = field(default_factory=list)
    cut: bool = False
    dropped: bool = False

    def takes(self, begin_at: float, end_at: float, longest_s: float) -> bool:
        """Whether a clip with these ends overlaps this one, and fits into it."""
        overlaps = begin_at <= self.end_at and end_at >= self.begin_at
        length_s = max(end_at, self.end_at) - min(begin_at, self.begin_at)
        return overlaps and length_s <= longest_s and not (self.cut or self.dropped)


class ClipRecorder:
    """Writes the clips of all streams. Belongs to the event loop's thread.

    Args:
        store: gets a row for each clip.
        has_room: whether the disk has space to write more.
    """

    def __init__(
        self,
        log: EventLog,
        files: FootageFiles,
        store: FootageStore,
        has_room: HasRoom,
        metrics: FootageMetrics | None = None,
    ) -> None:
        self._log = log
        self._files = files
        self._store = store
        self._has_room = has_room
        self._metrics = metrics or FootageMetrics()
        # A run keeps its ring alive, and so does a clip that is not written yet.
        self._streams: dict[str, tuple[StreamSpec, weakref.ref[PacketRing]]] = {}
        self._pending: dict[asyncio.Task[None], PendingClip] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._closing = asyncio.Event()

    def watch(self, spec: StreamSpec, ring: PacketRing) -> None:
        """Cut the clips of a stream from this ring from now on."""
        self._streams = {name: known for name, known in self._streams.items() if known[1]()}
        self._streams[spec.stream_id] = (spec, weakref.ref(ring))

    async def run(self) -> None:
        """Take events until there are no more."""
        with self._log.with_clip() as events:
            async for event in events:
                if missed := events.missed():
                    logger.error("%d events have no clip: they came too fast", missed)
                self._take(event)

    async def close(self) -> None:
        """Write the clips that wait, as far as they have come."""
        self._closing.set()
        if self._pending:
            await asyncio.wait(self._pending, timeout=CLOSE_S)

    def ready_ts(self, event_id: int) -> float | None:
        """When the clip of an event will be there, Unix seconds; None if none is pending.

        From any thread.
        """
        for clip in list(self._pending.values()):
            if event_id in clip.event_ids:
                return wall_time(clip.end_at + LATE_S)
        return None

    def pending(self) -> dict[int, float]:
        """When the clips will be there that are being recorded, by their events."""
        return {
            event_id: wall_time(clip.end_at + LATE_S)
            for clip in list(self._pending.values())
            for event_id in clip.event_ids
        }

    def is_pending(self, event_id: int) -> bool:
        """Whether the clip of an event is still being recorded; from any thread."""
        return self.ready_ts(event_id) is not None

    async def forget(self, stream_id: str, period: Period) -> None:
        """Drop the clips that are not on disk yet and show a part of a period."""
        await self._forget(
            lambda clip: (
                clip.stream_id == stream_id
                and wall_time(clip.begin_at) < period.end_ts
                and wall_time(clip.end_at) > period.begin_ts
            )
        )

    async def forget_events(self, event_ids: set[int]) -> None:
        """Drop the clips of events that are not on disk yet."""
        await self._forget(lambda clip: not event_ids.isdisjoint(clip.event_ids))

    async def _forget(self, chosen: Callable[[PendingClip], bool]) -> None:
        """Drop clips, and wait for those that are being written: they are on disk then."""
        tasks = [task for task, clip in self._pending.items() if chosen(clip)]
        for task in tasks:
            clip = self._pending[task]
            clip.dropped = not clip.cut
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_S)

    def _take(self, event: Event) -> None:
        spec, find_ring = self._streams.get(event.stream_id, (None, None))
        ring = find_ring() if find_ring is not None else None
        if spec is None or ring is None:
            return
        at, oldest_at = time.monotonic() - (time.time() - event.ts), ring.oldest_at
        if oldest_at is not None and at < oldest_at:
            at = time.monotonic()  # too long ago: the clip shows when it was noticed
        begin_at, end_at = at - spec.clip_before_s, at + spec.clip_after_s
        longest_s = spec.clip_before_s + spec.clip_after_s + SHARED_S
        for clip in self._pending.values():
            if clip.ring is ring and clip.takes(begin_at, end_at, longest_s):
                clip.begin_at = min(clip.begin_at, begin_at)
                clip.end_at = max(clip.end_at, end_at)
                clip.event_ids.append(event.event_id)
                return
        clip = PendingClip(event.stream_id, ring, begin_at, end_at, [event.event_id])
        task = asyncio.create_task(self._finish(clip))
        self._pending[task] = clip
        task.add_done_callback(self._pending.pop)

    async def _finish(self, clip: PendingClip) -> None:
        """Wait for the end of a clip and write it, unless it was dropped meanwhile."""
        try:
            while not (clip.dropped or self._is_complete(clip)):
                await asyncio.sleep(POLL_S)
            async with self._slots:
                clip.cut = not clip.dropped
                if clip.cut:
                    await asyncio.to_thread(self._write, clip)
        except (FFmpegError, OSError, StoreError) as error:
            self._metrics.clips_failed.inc()
            logger.error("stream %s: a clip is lost: %s", clip.stream_id, _reason(error))

    def _is_complete(self, clip: PendingClip) -> bool:
        newest_at = clip.ring.newest_at
        return (
            self._closing.is_set()
            or clip.ring.closed
            or (newest_at is not None and newest_at >= clip.end_at)
            or time.monotonic() > clip.end_at + LATE_S
        )

    def _write(self, clip: PendingClip) -> None:
        """Write the file, then the row. Blocks; raises FFmpegError, OSError, StoreError."""
        packets = clip.ring.between(clip.begin_at, clip.end_at)
        if not packets:
            raise StoreError(reason="no video of that time was encoded")
        if not self._has_room():
            raise StoreError(reason="the disk is nearly full")
        begin_ts = wall_time(packets[0].captured_at)
        path = self._files.new(clip.stream_id, EVENT, begin_ts)
        file = write_clip(path, packets)
        footage = self._footage(clip.stream_id, path, file, begin_ts)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._store.add(footage, clip.event_ids)
                self._metrics.file(footage)
                break
            except StoreError:
                if attempt == ATTEMPTS:  # the next start finds the file and gives it a row
                    raise
                time.sleep(PAUSE_S * attempt)

    def _footage(self, stream_id: str, path: Path, file: PacketFile, begin_ts: float) -> Footage:
        name = path.relative_to(self._files.root).as_posix()
        end_ts = begin_ts + file.end_at - file.begin_at
        return Footage(stream_id, EVENT, begin_ts, end_ts, name, path.stat().st_size)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
