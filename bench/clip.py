"""A 1080p25 H.264 clip with faces in it, made from the demo's photographs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import av
import cv2
import numpy as np

from app.pipeline.sources.demo import demo_photos, look

WIDTH, HEIGHT, FPS = 1920, 1080, 25


def make(seconds: int, *, fps: int = FPS) -> Path:
    """The clip of that length, made once and kept in the temporary folder."""
    path = Path(tempfile.gettempdir()) / f"watchpost-bench-{HEIGHT}p{fps}-{seconds}s.mp4"
    if path.exists():
        return path
    unfinished = path.with_suffix(".part.mp4")
    photos = [np.asarray(cv2.imread(str(photo)), np.uint8) for photo in demo_photos()]
    with av.open(str(unfinished), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "fast", "crf": "21"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.gop_size = fps
        for number in range(seconds * fps):
            view = cv2.resize(look(photos, number / fps * 2), (WIDTH, HEIGHT))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="bgr24")))
        container.mux(stream.encode(None))
    return unfinished.rename(path)
