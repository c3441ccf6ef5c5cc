"""A video of somebody who passes a camera, from one side of a line into a zone."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

from app.pipeline.sources.demo import BUNDLED

SECONDS, FPS = 6, 15
SIZE = (640, 360)
ZONE = {
    "kind": "count",
    "name": "right",
    "points": [[0.6, 0], [1, 0], [1, 1], [0.6, 1]],
}
LINE = {"name": "middle", "points": [[0.45, 1], [0.45, 0.1]], "sides": ["left", "right"]}


def write_passage(path: Path) -> None:
    """A photograph of a person that moves from left to right in front of a wall."""
    wall = np.full((SIZE[1], SIZE[0], 3), (120, 130, 125), np.uint8)
    photo = np.asarray(cv2.imread(str(BUNDLED)), np.uint8)
    height = 300
    person = cv2.resize(photo, (round(photo.shape[1] * height / photo.shape[0]), height))
    width = person.shape[1]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(SECONDS * FPS):
            share = min(1.0, number / (0.75 * SECONDS * FPS))
            left = round(share * (SIZE[0] - width))
            frame = wall.copy()
            frame[30 : 30 + height, left : left + width] = person
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(stream.encode(None))
