"""The latest frame as JPEG, encoded once for all viewers, and only while there are any."""

from __future__ import annotations

import threading
import time

from app.pipeline.hub import LatestValue
from app.pipeline.sinks.base import Delivered
from app.pipeline.sinks.jpeg import encode_jpeg
from app.types import JpegFrame, ProcessedFrame


class Preview:
    """Keeps the newest result as JPEG for viewers (through a topic) and for snapshots.

    Args:
        topic: gets each result with its JPEG while it has subscribers.
    """

    def __init__(self, topic: LatestValue[JpegFrame], delivered: Delivered) -> None:
        self._topic = topic
        self._delivered = delivered
        self._encoding = threading.Lock()
        self._newest: ProcessedFrame | None = None
        self._encoded: tuple[int, bytes] | None = None

    def write(self, result: ProcessedFrame) -> None:
        self._newest = result
        self._delivered(result.captured_at, time.monotonic())
        if self._topic.wanted:
            self._topic.publish(JpegFrame(result.report(), self._jpeg(result)))

    def idle(self, seconds: float) -> None:
        """A preview has no far end that could go away."""

    def close(self) -> None:
        """Forget the frame: a stopped stream shows nothing."""
        self._newest = self._encoded = None

    def snapshot(self) -> bytes | None:
        """The newest frame as JPEG, or None before the first. Blocks while it encodes."""
        newest = self._newest
        return None if newest is None else self._jpeg(newest)

    def _jpeg(self, result: ProcessedFrame) -> bytes:
        with self._encoding:
            if self._encoded is None or self._encoded[0] != result.number:
                self._encoded = (result.number, encode_jpeg(result.picture))
            return self._encoded[1]
