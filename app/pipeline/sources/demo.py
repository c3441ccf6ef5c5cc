"""The demo camera: it pans and zooms over bundled photographs."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from app.config import StreamSettings
from app.errors import SourceError
from app.failure_reason import FailureReason
from app.types import Frame, StreamSpec

WIDTH, HEIGHT = 1280, 720
SECONDS_PER_PHOTO = 12.0
CLOSEST = 0.55  # the narrowest view, as a share of the widest that fits
PACKAGE, PHOTOS = "ultralytics", ("zidane.jpg", "bus.jpg")
BUNDLED = Path(__file__).with_name("astronaut.jpg")
"""Eileen Collins, photographed by NASA (public domain); the demo of installations without torch."""

Photo = npt.NDArray[np.uint8]


class DemoSource:
    """An endless live source with ``max_fps``."""

    live = True
    codec = "demo"
    dropped = 0

    def __init__(self, spec: StreamSpec, settings: StreamSettings) -> None:
        del settings
        self._interval = 1 / spec.max_fps
        self._photos: list[Photo] = []
        self._closed = True

    def open(self) -> None:
        self._closed = False
        loaded = [cv2.imread(str(path)) for path in demo_photos()]
        self._photos = [np.asarray(photo, np.uint8) for photo in loaded if photo is not None]
        if not self._photos:
            raise SourceError(end="input", reason=FailureReason.NOT_FOUND, url="demo:")

    def frames(self) -> Iterator[Frame]:
        started_at = time.monotonic()
        number = 0
        while not self._closed:
            number += 1
            due = started_at + number * self._interval
            time.sleep(max(0.0, due - time.monotonic()))
            view = camera_view(self._photos, due - started_at)
            image = av.VideoFrame.from_ndarray(view, format="bgr24").reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            yield Frame(image, time.monotonic(), number)

    def close(self) -> None:
        self._closed = True


def demo_photos() -> list[Path]:
    """Photographs of people: those of an installed package, found without importing it, or one."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is not None and spec.submodule_search_locations:
        root = Path(spec.submodule_search_locations[0])
        found = [path for name in PHOTOS for path in root.glob(f"*/{name}")]
        if found:
            return found
    return [BUNDLED]


def camera_view(photos: list[Photo], seconds: float) -> Photo:
    """The image at a time, (HEIGHT, WIDTH, 3): a window that pans over one photo after another."""
    photo = photos[int(seconds / SECONDS_PER_PHOTO) % len(photos)]
    phase = 2 * math.pi * (seconds % SECONDS_PER_PHOTO) / SECONDS_PER_PHOTO
    height, width = photo.shape[:2]
    fit = min(width / WIDTH, height / HEIGHT)
    scale = fit * (1 - (1 - CLOSEST) * (1 - math.cos(phase)) / 2)
    x = (width - WIDTH * scale) * (1 + math.sin(phase)) / 2
    y = (height - HEIGHT * scale) * (1 - math.cos(phase / 2)) / 4
    window = np.array([[scale, 0, x], [0, scale, y]], dtype=np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(photo, window, (WIDTH, HEIGHT), flags=flags)  # type: ignore[return-value]
