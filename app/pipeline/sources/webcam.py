"""Webcams: ``webcam:0`` is the first one."""

from __future__ import annotations

import sys
from typing import cast

import av
from av.container import InputContainer

from app.config import StreamSettings
from app.failure_reason import FailureReason
from app.pipeline.sources.av import AvSource
from app.types import StreamSpec

# FFmpeg's input format on each system, and its name for the camera with an index.
SYSTEMS = {
    "linux": ("v4l2", "/dev/video{}"),
    "darwin": ("avfoundation", "{}"),
}


class WebcamSource(AvSource):
    """A webcam, through Video4Linux on Linux and AVFoundation on macOS. Live."""

    def __init__(self, spec: StreamSpec, settings: StreamSettings) -> None:
        super().__init__(spec, settings)
        self.live = self._endless = True
        self._index = spec.source.partition(":")[2]

    def _connect(self) -> InputContainer:
        if sys.platform not in SYSTEMS:
            raise self._failure(FailureReason.NO_DEVICE)
        format, name = SYSTEMS[sys.platform]
        timeout = (self._open_timeout_s, cast(float, self._limit))
        try:
            return av.open(name.format(self._index), format=format, timeout=timeout)
        except FileNotFoundError:
            raise self._failure(FailureReason.NO_DEVICE) from None
