"""1080p H.264 clips as cameras send them, the input of the benchmarks.

Two are made from the demo's photos and are always available: in one every pixel moves, in the
other, which only some benchmarks use, nothing does. The others are fixed cameras from
``$WATCHPOST_DATA/videos``, enlarged, with sensor noise added, and played frame by frame at the
requested rate (so people walk fast in clips with a lower frame rate).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import numpy.typing as npt

from app.pipeline.sources.demo import camera_view, demo_photos

WIDTH, HEIGHT, FPS = 1920, 1080, 25
BIT_RATE = 6_000_000
NOISE = 2.0
WANDERING = "wandering camera"
STILL = "still camera"
FIXED = {
    "people, one by one": "indoor_people_one_by_one.mp4",
    "a man leaves a bag": "left_bag_outdoor.avi",
    "crowd from above": "plaza_crowd_720p.mp4",
}

View = npt.NDArray[np.uint8]


class Pace(NamedTuple):
    """The speed of a loop over a clip.

    Attributes:
        rate: frames per second.
        cpu_ms: CPU time per frame, of all threads and child processes.
        inferences: object detections on whole frames, per second of video.
        crops: object detections on enlarged crops, per second of video.
    """

    rate: float
    cpu_ms: float
    inferences: float = 0.0
    crops: float = 0.0


class Stopwatch:
    """Times a loop from its creation on; load networks before."""

    def __init__(self) -> None:
        self._started = time.perf_counter(), _cpu_s()

    def pace(self, frames: int, inferences: float = 0.0, crops: float = 0.0) -> Pace:
        """Return the pace over this many frames up to now."""
        seconds, cpu_s = time.perf_counter() - self._started[0], _cpu_s() - self._started[1]
        return Pace(frames / seconds, cpu_s / frames * 1000, inferences, crops)


def _cpu_s() -> float:
    """Return the CPU seconds of this process and of its finished children."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def available() -> list[str]:
    """Return the names of the clips that can be made here."""
    return [WANDERING, *(name for name in FIXED if _recording(name).exists())]


def make(seconds: int, *, fps: int = FPS, name: str = WANDERING) -> Path:
    """Return the clip of this length, which is made once and kept in the temporary folder."""
    file = f"watchpost-bench-{name.replace(', ', '-').replace(' ', '-')}-{fps}-{seconds}s.mp4"
    path = Path(tempfile.gettempdir()) / file
    if path.exists():
        return path
    unfinished = path.with_suffix(".part.mp4")
    made = {WANDERING: _wandering, STILL: _still}
    views = made[name](fps) if name in made else _recorded(_recording(name))
    with av.open(str(unfinished), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate, stream.gop_size = BIT_RATE, fps
        for _, view in zip(range(seconds * fps), views, strict=False):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="bgr24")))
        container.mux(stream.encode(None))
    return unfinished.rename(path)


def _wandering(fps: int) -> Iterator[View]:
    photos = [np.asarray(cv2.imread(str(photo)), np.uint8) for photo in demo_photos()]
    number = 0
    while True:
        yield np.asarray(
            cv2.resize(camera_view(photos, number / fps * 2), (WIDTH, HEIGHT)), np.uint8
        )
        number += 1


def _still(fps: int) -> Iterator[View]:
    view = next(_wandering(fps))
    noise = np.random.default_rng(1)
    while True:
        yield _noisy(view, noise)


def _recording(name: str) -> Path:
    return Path(os.environ.get("WATCHPOST_DATA", "")) / "videos" / FIXED[name]


def _recorded(path: Path) -> Iterator[View]:
    """Loop the clip from a third of its length on, where somebody is in view."""
    noise = np.random.default_rng(1)
    while True:
        with av.open(str(path)) as container:
            first = container.streams.video[0].frames // 3
            for number, image in enumerate(container.decode(video=0)):
                if number >= first:
                    view = image.to_ndarray(format="bgr24", width=WIDTH, height=HEIGHT)
                    yield _noisy(np.asarray(view, np.uint8), noise)


def _noisy(view: View, noise: np.random.Generator) -> View:
    """Return a view with the noise of a sensor."""
    grain = noise.normal(0, NOISE, (HEIGHT, WIDTH, 1)).astype(np.float32)
    return np.asarray((view + grain).round().clip(0, 255), np.uint8)
