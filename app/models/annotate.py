"""Annotated copies of images and videos, with the detections drawn."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from app.errors import SetupError
from app.models.letterbox import Image
from app.models.media import frame_rate, is_still
from app.types import LABELS, Detection

FONT = cv2.FONT_HERSHEY_SIMPLEX
MAX_RATE = 1_000_000
COLOURS = {
    label: tuple(round(255 * part) for part in colorsys.hsv_to_rgb(index / len(LABELS), 0.85, 1.0))
    for index, label in enumerate(LABELS)
}


def draw(image: Image, detections: Iterable[Detection]) -> Image:
    """Return a copy of the (H, W, 3) RGB image with boxes, labels and confidences."""
    drawn = image.copy()
    line = max(1, round(max(image.shape) / 600))
    scale = max(0.35, max(image.shape) / 1800)
    for detection in sorted(detections, key=lambda d: d.confidence):
        x1, y1, x2, y2 = (round(side) for side in detection.box)
        colour = COLOURS[detection.label]
        cv2.rectangle(drawn, (x1, y1), (x2, y2), colour, line)
        text = f"{detection.label} {detection.confidence:.2f}"
        (width, height), below = cv2.getTextSize(text, FONT, scale, line)
        top = max(y1, height + below)
        cv2.rectangle(drawn, (x1, top - height - below), (x1 + width, top), colour, cv2.FILLED)
        cv2.putText(drawn, text, (x1, top - below // 2), FONT, scale, (0, 0, 0), line, cv2.LINE_AA)
    return drawn


class AnnotatedWriter:
    """Writes an annotated copy of each processed file into a folder.

    All frames of a file must be added before those of the next one. A video becomes an .mp4.

    Raises:
        SetupError: when the folder cannot be created, or contains one of the input files.
    """

    def __init__(self, folder: Path, paths: Iterable[Path]) -> None:
        self._folder = folder
        self._names: dict[Path, Path] = {}
        self._video: _Video | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(reason=f"--out {folder}: {error.strerror}") from None
        if any(path.resolve().parent == folder.resolve() for path in paths):
            raise SetupError(
                reason=f"--out {folder} contains the original files: choose another folder"
            )

    def add(self, path: Path, image: Image, detections: Iterable[Detection]) -> None:
        """Draw the detections into a frame of that file and write it."""
        drawn = draw(image, detections)
        if is_still(path):
            self.close()
            target = self._target(path, path.suffix)
            if not cv2.haveImageWriter(str(target)):
                target = self._target(path, ".png")
            cv2.imwrite(str(target), drawn[..., ::-1])
            return
        if self._video is None or self._video.path != path:
            self.close()
            self._video = _Video(path, self._target(path, ".mp4"), drawn)
        self._video.add(drawn)

    def close(self) -> None:
        """Finish the video that is being written."""
        if self._video is not None:
            self._video.close()
        self._video = None

    def _target(self, path: Path, suffix: str) -> Path:
        """Return a unique output path, even if files in two folders share a name."""
        taken = {target for source, target in self._names.items() if source != path}
        target, number = self._folder / f"{path.stem}{suffix}", 1
        while target in taken:
            number += 1
            target = self._folder / f"{path.stem}-{number}{suffix}"
        self._names[path] = target
        return target


class _Video:
    """An .mp4 that is being written, in the size of its first frame."""

    def __init__(self, path: Path, target: Path, first: Image) -> None:
        self.path = path
        height, width = first.shape[:2]
        self._container: OutputContainer = av.open(str(target), "w")
        rate = frame_rate(path).limit_denominator(MAX_RATE)
        self._stream: VideoStream = self._container.add_stream("libx264", rate=Fraction(rate))
        self._stream.width, self._stream.height = max(2, width // 2 * 2), max(2, height // 2 * 2)
        self._stream.pix_fmt = "yuv420p"

    def add(self, drawn: Image) -> None:
        size = self._stream.width, self._stream.height
        if drawn.shape[1::-1] != size:
            drawn = np.asarray(cv2.resize(drawn, size), np.uint8)
        frame = av.VideoFrame.from_ndarray(drawn, format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()
