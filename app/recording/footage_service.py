"""Clips and continuous recordings of all streams: what records, and what there is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from app.config import RecordingSettings
from app.errors import StoreError
from app.footage import Footage, Period
from app.pipeline.event_log import EventLog
from app.pipeline.packets import PacketRing
from app.recording.clips import ClipRecorder, ring_limits
from app.recording.continuous import FULL, ContinuousRecording, SegmentRecorder, gap_of
from app.recording.footage_files import CONTINUOUS, FootageFiles
from app.recording.footage_metrics import FootageMetrics
from app.recording.stores import FootageStore
from app.types import StreamSpec

logger = logging.getLogger(__name__)

JOIN_S = 5.0
ROLL_S = 3.0


class FootageService:
    """Belongs to the event loop's thread, but for methods that block.

    Args:
        has_room: whether the disk has space to record more.

    Attributes:
        metrics: counts what is written.
        clips: writes the clips of events.
        files, store: where footage is.
    """

    def __init__(
        self,
        log: EventLog,
        files: FootageFiles,
        store: FootageStore,
        settings: RecordingSettings,
        has_room: Callable[[], bool],
    ) -> None:
        self.files, self.store = files, store
        self.metrics = FootageMetrics()
        self.clips = ClipRecorder(log, files, store, has_room, self.metrics)
        self._settings = settings
        self._has_room = has_room
        self._recordings: dict[str, ContinuousRecording] = {}

    # ── recording ────────────────────────────────────────────────────────────────────────

    def new_packets(self, spec: StreamSpec) -> PacketRing:
        """The ring for a new run of a stream, whose packets are recorded as its spec says."""
        ring = PacketRing(ring_limits(spec))
        self.clips.watch(spec, ring)
        self._forget_ended()
        if spec.record == CONTINUOUS:
            segment_s = self._settings.segment_s
            recorder = SegmentRecorder(
                spec.stream_id,
                self.files,
                self.store,
                segment_s,
                self._has_room,
                gap_s=gap_of(spec),
                metrics=self.metrics,
            )
            recording = ContinuousRecording(recorder, ring, spec.stream_id)
            self._recordings[spec.stream_id] = recording
            recording.start()
        return ring

    def _forget_ended(self) -> None:
        self._recordings = {
            name: recording for name, recording in self._recordings.items() if recording.running
        }

    async def recover(self, idle_s: float = 0.0) -> None:
        """Give rows to what a killed process has left; called before anything is recorded."""
        try:
            await asyncio.to_thread(self.files.recover, self.store, idle_s)
        except (StoreError, OSError) as error:
            logger.error("recordings could not be recovered: %s", error)

    async def close(self) -> None:
        """Finish what is being written; the streams have ended before."""
        await self.clips.close()
        recordings = list(self._recordings.values())
        ended = await asyncio.gather(
            *(asyncio.to_thread(recording.join, JOIN_S) for recording in recordings)
        )
        if not all(ended):
            logger.warning("a recording could not be finished; the next start recovers it")

    # ── what there is ────────────────────────────────────────────────────────────────────

    def of_stream(self, stream_id: str, period: Period) -> list[Footage]:
        """What is recorded of a stream in a period, in order, with the segment that grows.

        Blocks; raises StoreError.
        """
        found = self.store.of_stream(stream_id, period)
        recording = self._recordings.get(stream_id)
        growing = recording.recorder.growing() if recording is not None else None
        if growing is None or growing.begin_ts >= period.end_ts:
            return found
        return [*found, growing] if growing.end_ts > period.begin_ts else found

    def clip_of(self, event_id: int) -> Path | None:
        """The file with the clip of an event, if it is there. Blocks; raises StoreError."""
        clip = self.store.clip_of(event_id)
        path = self.files.root / clip.path if clip is not None else None
        return path if path is not None and path.is_file() else None

    def problem(self, stream_id: str) -> str | None:
        """Why a stream that should be recorded is not; None if all is well."""
        recording = self._recordings.get(stream_id)
        if recording is not None and recording.recorder.problem is not None:
            return recording.recorder.problem
        return None if self._has_room() else FULL

    async def release(self, stream_id: str, period: Period) -> None:
        """Let go of what is being recorded in a period, so that all of it can be erased."""
        await self.clips.forget(stream_id, period)
        recording = self._recordings.get(stream_id)
        if recording is not None:
            await asyncio.to_thread(recording.roll, ROLL_S)
