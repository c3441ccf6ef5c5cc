"""Processed frames to fragmented MP4 files: H.264, no sound.

Sound is left out on purpose: whoever wants faces covered does not want voices recorded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import PictureType
from av.video.stream import VideoStream

from app.config import usable_cpus
from app.errors import SinkError, SourceError
from app.failure_reason import FailureReason
from app.models.colours import Colours
from app.pipeline.planes import copy_of
from app.pipeline.sinks.encode import (
    BITS_PER_PIXEL,
    KEYFRAME_SECONDS,
    MIN_BITRATE,
    TIME_BASE,
    best_encoder,
)
from app.recording.segments import FRAGMENTED, RecordingProgress, SegmentPlan, SegmentWriter
from app.types import BlurredFrame, ProcessedFrame

MAX_RATE = 30.0  # what the bitrate is derived from; a pushed stream has no rate of its own
SAME_S = 0.001
PRESET = {"libx264": {"preset": "superfast", "forced-idr": "1"}}


class Recorder:
    """A sink that writes files. Safe to finish while a thread still writes.

    Args:
        fps: the expected rate, from which the bitrate is derived.
    """

    def __init__(self, plan: SegmentPlan, fps: float) -> None:
        self.written = RecordingProgress(plan.begin_s)
        self.delivered: Callable[[float, float], None] = lambda *_: None
        self._plan = plan
        self._fps = min(fps, MAX_RATE)
        self._segments: SegmentWriter[_EncodedFile] = SegmentWriter(plan.files, self.written)
        self._first_at: float | None = None
        self._last_number = 0
        self._jumped_s = 0.0
        self._finished = False

    def write(self, result: ProcessedFrame) -> None:
        with self.written.lock:
            if self._finished or self.written.full or self.written.failure:
                return
            try:
                with self._segments.writing():
                    self._write(result)
            except SinkError as error:
                self.written.failure = error
                self._segments.end()
                raise
        self.delivered(result.captured_at, time.monotonic())

    def idle(self, seconds: float) -> None:
        """Nothing to do: a disk does not disconnect while nothing is written."""

    def close(self) -> None:
        """Close the open file; the next ``write`` begins another."""
        with self.written.lock:
            if self.written.failure is None:
                self._segments.end()

    def finish(self) -> None:
        """Close, and ignore further frames."""
        self._finished = True
        self.close()

    def _write(self, result: ProcessedFrame) -> None:
        at, plan = result.captured_at, self._plan
        if not plan.live and result.number <= self._last_number:
            self.written.failure = SourceError(end="input", reason=FailureReason.CLOSED, url="file")
            raise self.written.failure  # a file that is opened again must not be recorded twice
        self._last_number = result.number
        if self._first_at is None:
            self._first_at, self._jumped_s = at, result.jumped_s
        seconds = at - self._first_at
        if plan.limit_s is not None and plan.begin_s + seconds >= plan.limit_s - SAME_S:
            self.written.full = True
            return
        self.written.jump(plan.begin_s + seconds, result.jumped_s - self._jumped_s)
        self._jumped_s = result.jumped_s
        self._place(result).add(result.frame, at)
        ts = time.time() - (time.monotonic() - at)
        self.written.picture(ts, seconds, plan.gap_s)

    def _place(self, result: ProcessedFrame) -> _EncodedFile:
        """The file for this result, a new one where the last is long enough or does not fit."""
        file = self._segments.file
        if (
            file is None
            or not file.accepts(result.frame)
            or result.captured_at - file.started_at >= self._plan.segment_s - SAME_S
        ):
            file = self._segments.begin(lambda path: _EncodedFile(path, result, self._fps))
        return file


class _EncodedFile:
    """An MP4 file that is being written. Raises FFmpegError or OSError."""

    def __init__(self, path: Path, first: ProcessedFrame, fps: float) -> None:
        self.path = path
        self.started_at = first.captured_at
        self.started_ts = time.time() - (time.monotonic() - first.captured_at)
        self._size, self._format = first.frame.size, first.frame.image.format.name
        self._colours = Colours.of(first.frame.image)
        self._last_pts, self._step = -1, round(1 / fps / TIME_BASE)
        self._keyframe_at = first.captured_at
        self._container = av.open(str(path), "w", format="mp4", options=FRAGMENTED)
        self._stream = self._open(best_encoder(), fps)

    def _open(self, encoder: str, fps: float) -> VideoStream:
        stream = self._container.add_stream(encoder, rate=Fraction(fps).limit_denominator(1001))
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height = self._size
        context.pix_fmt = self._format
        self._colours.tag(context)
        context.time_base = TIME_BASE
        context.bit_rate = max(
            MIN_BITRATE, int(self._size[0] * self._size[1] * fps * BITS_PER_PIXEL)
        )
        context.gop_size = max(1, round(fps * KEYFRAME_SECONDS))
        context.max_b_frames = 0
        context.thread_count = max(1, min(4, usable_cpus() // 2))
        context.options = PRESET.get(encoder, {})
        return stream

    def accepts(self, picture: BlurredFrame) -> bool:
        given = picture.size, picture.image.format.name, Colours.of(picture.image)
        return given == (self._size, self._format, self._colours)

    def add(self, picture: BlurredFrame, at: float) -> None:
        image = copy_of(picture.image)  # encoders write timestamps into it, and sinks share it
        pts = max(round((at - self.started_at) / TIME_BASE), self._last_pts + 1)
        if self._last_pts >= 0:
            self._step = pts - self._last_pts
        self._last_pts = pts
        image.pts, image.time_base = pts, TIME_BASE
        if at - self._keyframe_at >= KEYFRAME_SECONDS:  # however low the frame rate is
            self._keyframe_at = at
            image.pict_type = PictureType.I
        self._mux(image)

    def close(self) -> None:
        try:
            self._mux(None)
        finally:
            self._container.close()

    def _mux(self, image: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(image):
            # Otherwise the duration of the last frame of a file would be unknown.
            packet.duration = round(self._step * TIME_BASE / (packet.time_base or TIME_BASE))
            self._container.mux(packet)
