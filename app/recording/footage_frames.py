"""Single frames of footage as JPEG: exactly those of a time, or quick ones to look through it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.error import FFmpegError

from app.errors import NoFootage
from app.footage import Footage
from app.recording.footage_files import CONTINUOUS

JPEG_QUALITY, PREVIEW_QUALITY = 85, 70
STEP_S = 2.0
"""Previews this close to each other are one: there is a keyframe every two seconds."""
MAX_CACHED_BYTES = 16 * 2**20
AT_ONCE = 2


class _Place(NamedTuple):
    """Where a preview is: its file, its step in it, and its width."""

    path: str
    step: int
    width: int | None


class FootageFrames:
    """Reads frames; from any thread, a few at a time. Blocking.

    Args:
        root: the folder of the footage.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._cached: OrderedDict[_Place, bytes] = OrderedDict()
        self._cached_bytes = 0

    def exact(self, footage: Sequence[Footage], ts: float, width: int | None = None) -> bytes:
        """The frame that was shown at a time, as JPEG. Raises NoFootage.

        Args:
            footage: the files around that time.
            width: at most, in pixels.
        """
        found = file_at(footage, ts)
        return self._read(found.path, ts - found.begin_ts, width, keyframe=False)

    def preview(self, footage: Sequence[Footage], ts: float, width: int | None = None) -> bytes:
        """A keyframe less than ``STEP_S`` from a time, as JPEG. Raises NoFootage.

        The newest ``MAX_CACHED_BYTES`` of previews are kept, so that going back and forth reads
        nothing again.
        """
        found = file_at(footage, ts)
        step = int((ts - found.begin_ts) / STEP_S)
        place = _Place(found.path, step, width)
        with self._lock:
            if (cached := self._cached.get(place)) is not None:
                self._cached.move_to_end(place)
                return cached
        at_s = min((step + 1) * STEP_S - 0.001, found.end_ts - found.begin_ts)
        jpeg = self._read(found.path, at_s, width, keyframe=True)
        self._keep(place, jpeg)
        return jpeg

    def forget(self) -> None:
        """Drop all previews, because their footage was erased."""
        with self._lock:
            self._cached.clear()
            self._cached_bytes = 0

    def _keep(self, place: _Place, jpeg: bytes) -> None:
        with self._lock:
            self._cached_bytes += len(jpeg) - len(self._cached.pop(place, b""))
            self._cached[place] = jpeg
            while self._cached_bytes > MAX_CACHED_BYTES:
                self._cached_bytes -= len(self._cached.popitem(last=False)[1])

    def _read(self, path: str, seconds: float, width: int | None, *, keyframe: bool) -> bytes:
        with self._slots:
            try:
                with av.open(str(self._root / path)) as container:
                    image = _frame_at(container, seconds, keyframe=keyframe)
            except (FFmpegError, OSError, IndexError):
                raise NoFootage from None
            return _jpeg(image, width, PREVIEW_QUALITY if keyframe else JPEG_QUALITY)


def file_at(footage: Sequence[Footage], ts: float) -> Footage:
    """The file that shows a time, preferably of a continuous recording. Raises NoFootage."""
    around = [one for one in footage if one.begin_ts <= ts < one.end_ts]
    if not around:
        raise NoFootage
    return min(around, key=lambda one: one.kind != CONTINUOUS)


def _frame_at(source: InputContainer, seconds: float, *, keyframe: bool) -> av.VideoFrame:
    """The frame that is shown at a time in a file, or the keyframe before it.

    Raises IndexError if there is none.
    """
    video = source.streams.video[0]
    if keyframe:
        video.codec_context.skip_frame = "NONKEY"
    source.seek(round(seconds / float(video.time_base or 1)), stream=video, backward=True)
    newest: list[av.VideoFrame] = []
    with suppress(FFmpegError):
        for frame in source.decode(video):
            if newest and frame.time is not None and frame.time > seconds:
                break
            newest = [frame]
            if keyframe:
                break
    return newest[0]


def _jpeg(image: av.VideoFrame, width: int | None, quality: int) -> bytes:
    """A frame as JPEG, at most ``width`` pixels wide. Raises NoFootage."""
    pixels: npt.NDArray[np.uint8] = image.to_ndarray(format="bgr24")  # type: ignore[assignment]
    if width is not None and width < image.width:
        size = width, max(1, round(image.height * width / image.width))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    encoded, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise NoFootage
    return jpeg.tobytes()
