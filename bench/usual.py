"""The usual loop: what most projects of this kind run, with one or two networks per frame.

``cv2.VideoCapture``, YOLOv8n networks through Ultralytics on torch, ``cv2.GaussianBlur`` on the
faces, raw frames piped into ``ffmpeg``.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import cv2
import imageio_ffmpeg

from bench import clip
from bench.clip import Pace, Stopwatch

FACES, OBJECTS = "first_recipe.pt", "yolov8n.pt"
FACE_CLASS = 78  # of the 80 classes of the first network


def usual(source: Path, target: Path, *, objects: bool) -> Pace:
    """Blur the faces in a file.

    Args:
        objects: also run a second network for everything else, as most such programs do.
    """
    faces = network(FACES)
    others = network(OBJECTS) if objects else None
    capture = cv2.VideoCapture(str(source))
    first = capture.read()[1]
    for model in filter(None, (faces, others)):
        predict(model, first)
    pipe = _ffmpeg(target)
    assert pipe.stdin is not None
    frames = 0
    stopwatch = Stopwatch()
    while (read := capture.read())[0]:
        image = read[1]
        if others is not None:
            predict(others, image)
        for box in predict(faces, image, [FACE_CLASS]).xyxy:
            x1, y1, x2, y2 = (int(side) for side in box)
            image[y1:y2, x1:x2] = cv2.GaussianBlur(image[y1:y2, x1:x2], (51, 51), 0)
        pipe.stdin.write(image.tobytes())
        frames += 1
    pipe.stdin.close()
    pipe.wait()
    return stopwatch.pace(frames, clip.FPS if objects else 0)


def network(file: str) -> Any:
    """Load the network of this name from ``$WATCHPOST_DATA/weights``.

    If the file is missing, an untrained one of the same architecture is used: it takes as long,
    but detects nothing.
    """
    from ultralytics.models import YOLO

    path = weights(file)
    return YOLO(str(path) if path.is_file() else "yolov8n.yaml", verbose=False)


def weights(file: str) -> Path:
    """Return the path of a weights file in ``$WATCHPOST_DATA``."""
    return Path(os.environ.get("WATCHPOST_DATA", "")) / "weights" / file


def predict(model: Any, image: Any, classes: list[int] | None = None) -> Any:
    """Return the boxes that a network detects in a BGR image."""
    return model.predict(image, imgsz=640, device="cpu", classes=classes, verbose=False)[0].boxes


def _ffmpeg(target: Path) -> subprocess.Popen[bytes]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"]
    command += ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{clip.WIDTH}x{clip.HEIGHT}"]
    command += ["-r", str(clip.FPS), "-i", "-", "-c:v", "libx264", "-preset", "ultrafast"]
    command += ["-tune", "zerolatency", "-pix_fmt", "yuv420p", "-f", "h264", str(target)]
    return subprocess.Popen(command, stdin=subprocess.PIPE)
