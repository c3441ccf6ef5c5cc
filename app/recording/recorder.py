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
from app.recording.segments import FRAGMENTED, RecordingProgress, SegmentFiles, SegmentWriter
from app.types import BlurredFrame, ProcessedFrame

MAX_RATE = 30.0  # what the bitrate is derived from; a pushed stream has no rate of its own
SAME_S = 0.001
PRESET = {"libx264": {"preset": "superfast", "forced-idr": "1"}}


class Recorder:
    """A sink that writes files. Safe to finish while a thread still writes.

    Args:
        segment_s: length of a file.
        fps: the expected rate, from which the bitrate is derived.
        gap_s: seconds without a frame that count as a gap; None for a file.
        skip_s, limit_s: the part of the source to keep, in seconds of its own time.
    """

    def __init__(
        self,
        files: SegmentFiles,
        *,
        segment_s: float,
        fps: float,
        gap_s: float | None,
        skip_s: float = 0.0,
        limit_s: float | None = None,
    ) -> None:
        self.written = RecordingProgress(skip_s)
        self.delivered: Callable[[float, float], None] = lambda *_: None
        self._segment_s = segment_s
        self._fps = min(fps, MAX_RATE)
        self._gap_s = gap_s
        self._skip_s, self._limit_s = skip_s, limit_s
        self._segments: SegmentWriter[_EncodedFile] = SegmentWriter(files, self.written)
        self._first_at: float | None = None
        self._last_number = 0
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
        at = result.captured_at
        if self._gap_s is None and result.number <= self._last_number:
            self.written.failure = SourceError(end="input", reason=FailureReason.CLOSED, url="file")
            raise self.written.failure  # a file that is opened again must not be recorded twice
        self._last_number = result.number
        self._first_at = at if self._first_at is None else self._first_at
        seconds = at - self._first_at
        if self._skip_s and seconds <= self._skip_s + SAME_S:
            self.written.passed += 1
            return
        if self._limit_s is not None and seconds >= self._limit_s:
            self.written.full = True
            return
        self._place(result).add(result.frame, at)
        ts = time.time() - (time.monotonic() - at)
        self.written.picture(ts, seconds - self._skip_s, self._gap_s)

    def _place(self, result: ProcessedFrame) -> _EncodedFile:
        """The file for this result, a new one where the last is long enough or does not fit."""
        file = self._segments.file
        if (
            file is None
            or not file.accepts(result.frame)
            or result.captured_at - file.started_at >= self._segment_s
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
        self._last_pts = -1
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
        self._last_pts = pts
        image.pts, image.time_base = pts, TIME_BASE
        if at - self._keyframe_at >= KEYFRAME_SECONDS:  # however low the frame rate is
            self._keyframe_at = at
            image.pict_type = PictureType.I
        self._container.mux(self._stream.encode(image))

    def close(self) -> None:
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()
