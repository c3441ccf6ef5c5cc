"""A short 1080p H.264 clip to measure with: one person walks past a camera that does not move.

The picture has the grain of a sensor, as real cameras do: without it, decoding and encoding would
cost half of what they do.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
import cv2
import numpy as np
import numpy.typing as npt

from app.pipeline.sources.demo import BUNDLED

WIDTH, HEIGHT, FPS = 1920, 1080, 15
FRAMES = 20
BIT_RATE = 4_000_000
GRAIN = 2.0
PERSON = 420  # pixels, the side of the photograph that moves through the picture
STEP = 18  # pixels that it moves from one frame to the next
SHIFT = 64  # the grain is one tile, shifted by up to this much from frame to frame

Image = npt.NDArray[np.uint8]


def clip() -> bytes:
    """An MP4 file of this scene."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate, stream.gop_size = BIT_RATE, FPS
        for view in _views():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


def photo() -> Image:
    """A photograph of a person, (H, W, 3) RGB."""
    image = np.asarray(cv2.imread(str(BUNDLED)), np.uint8)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _views() -> Iterator[Image]:
    random = np.random.default_rng(0)
    coarse = random.integers(60, 190, (9, 16, 3), np.uint8)
    wall = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    person = cv2.resize(photo(), (PERSON, PERSON), interpolation=cv2.INTER_AREA)
    grain = random.normal(0, GRAIN, (HEIGHT + SHIFT, WIDTH + SHIFT, 1)).astype(np.float32)
    for number in range(FRAMES):
        view = wall.astype(np.float32)
        left, top = 300 + number * STEP, (HEIGHT - PERSON) // 2
        view[top : top + PERSON, left : left + PERSON] = person
        y, x = random.integers(0, SHIFT, 2)
        view += grain[y : y + HEIGHT, x : x + WIDTH]
        yield view.round().clip(0, 255).astype(np.uint8)
