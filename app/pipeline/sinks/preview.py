"""The newest frame as JPEG, encoded once for all viewers, and only while there are any."""

from __future__ import annotations

import math
import threading
import time

from app.pipeline.hub import LatestValue
from app.pipeline.sinks.base import Delivered
from app.pipeline.sinks.jpeg import encode_jpeg
from app.types import JpegFrame, ProcessedFrame

WIDTHS = (320, 480, 640, 960, 1280, 1920)
"""Widths of smaller snapshots; a few only, so that callers share what was encoded."""
SNAPSHOT_S = 10.0  # a client that polls snapshots counts as a viewer for this long


class Preview:
    """Gives the newest frame as JPEG to viewers, through ``topic``, and to snapshots.

    Args:
        topic: gets each frame as JPEG while it has subscribers.
    """

    def __init__(self, topic: LatestValue[JpegFrame], delivered: Delivered) -> None:
        self._topic = topic
        self._delivered = delivered
        self._encoding = threading.Lock()
        self._newest: ProcessedFrame | None = None
        self._encoded_number: int | None = None
        self._encoded: dict[int | None, bytes] = {}
        self._shown_at = -math.inf

    def write(self, result: ProcessedFrame) -> None:
        self._newest = result
        self._delivered(result.captured_at, time.monotonic())
        if self._topic.wanted:
            self._topic.publish(JpegFrame(result.metadata(), self._jpeg(result)))

    def idle(self, seconds: float) -> None:
        """Nothing to do: a preview has no far end that could disconnect."""

    def close(self) -> None:
        """Forget the frame: a stopped stream shows nothing."""
        self._newest = None
        with self._encoding:
            self._encoded_number, self._encoded = None, {}

    def snapshot(self, width: int | None = None) -> bytes | None:
        """The newest frame as JPEG, or None before the first. Blocks while it encodes.

        Args:
            width: of a smaller image, one of ``WIDTHS``; None for the frame's own size.
        """
        newest, self._shown_at = self._newest, time.monotonic()
        return None if newest is None else self._jpeg(newest, width)

    @property
    def recently_shown(self) -> bool:
        """Whether somebody asked for a snapshot lately, and may do so again."""
        return time.monotonic() - self._shown_at < SNAPSHOT_S

    def _jpeg(self, result: ProcessedFrame, width: int | None = None) -> bytes:
        with self._encoding:
            if self._encoded_number != result.number:
                self._encoded_number, self._encoded = result.number, {}
            jpeg = self._encoded.get(width)
            if jpeg is None:
                jpeg = self._encoded[width] = encode_jpeg(result.frame, width)
            return jpeg
