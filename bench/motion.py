"""Face detection in changed regions only: how much it saves, and whether it misses faces.

Each clip of ``$WATCHPOST_DATA/videos`` runs twice through the face detection of a stream: with
every frame scanned as a whole, and with motion detection. What the network is sure of at the clip's
own resolution serves as ground truth; ``leaks.py`` has faces labelled by hand. A face counts as
found if a box overlaps it, and as covered if the blur hides three quarters of it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from app.analytics.face_scanner import FaceScanner
from app.analytics.face_tracker import FaceTracker
from app.config import FaceSettings
from app.models.batching import BatchingRunner
from app.models.faces import FaceDetector, load_faces
from app.pipeline.scale import ScaledFrame
from app.types import Box
from bench.table import show

SURE = 0.3
SMALLEST = 12.0
FOUND_IOU = 0.4
HIDDEN = 0.75
MARGIN = 0.25
EVERY = 5
TIMEOUT_S = 60.0
GRID = (np.arange(16) + 0.5) / 16


class FacePipeline:
    """The face detection of a stream, scored frame by frame; counts the scanned pixels."""

    def __init__(self, network: BatchingRunner, recheck_s: float) -> None:
        settings = FaceSettings(recheck_s=recheck_s)
        self._settings = settings
        self._detector = FaceDetector(network, min_confidence=settings.keep_confidence)
        self._scanner = FaceScanner(self._detector, settings)
        self._tracker = FaceTracker(
            start_confidence=settings.min_confidence, hold_s=settings.hold_s
        )
        self.scanned = self.pixels = self.truth = self.found = self.hidden = 0

    def process(self, image: av.VideoFrame, at: float, truth: list[Box] | None) -> None:
        """Process a frame, and score it if the ground truth is given."""
        small = ScaledFrame(image, self._settings.width)
        pending = self._scanner.submit(small, at)
        parts = [pending.size] if pending.regions is None else [w[2:4] for w in pending.regions]
        self.scanned += sum(width * height for width, height in parts)
        self.pixels += pending.size[0] * pending.size[1]
        faces = pending.detections(TIMEOUT_S, (image.width, image.height))
        tracks = self._tracker.update(faces, at)
        if truth is None:
            return
        found = [face.box for face in faces if face.confidence >= self._settings.min_confidence]
        blurred = [track.box.grown(MARGIN) for track in tracks]
        self.truth += len(truth)
        self.found += sum(any(face.iou(box) >= FOUND_IOU for box in found) for face in truth)
        self.hidden += sum(_hidden(face, blurred) >= HIDDEN for face in truth)

    def row(self) -> tuple[str, ...]:
        """Return the scanned share of pixels, and the shares of faces found and covered."""
        shares = [f"{n / self.truth:.3f}" if self.truth else "-" for n in (self.found, self.hidden)]
        return (f"{self.scanned / self.pixels:.2f}", *shares)


def _hidden(face: Box, boxes: list[Box]) -> float:
    """Return the share of a face that is covered by boxes."""
    x = (face.x1 + face.width * GRID)[None, :]
    y = (face.y1 + face.height * GRID)[:, None]
    inside = np.zeros((len(GRID), len(GRID)), bool)
    for box in boxes:
        inside |= (x >= box.x1) & (x <= box.x2) & (y >= box.y1) & (y <= box.y2)
    return float(inside.mean())


def _frames(path: Path) -> Iterator[tuple[av.VideoFrame, float]]:
    with av.open(str(path)) as container:
        for number, image in enumerate(container.decode(video=0)):
            yield image, image.time if image.time is not None else number / 25


def _truth(network: BatchingRunner, image: av.VideoFrame) -> list[Box]:
    rgb: npt.NDArray[np.uint8] = image.to_ndarray(format="rgb24")  # type: ignore[assignment]
    pending = FaceDetector(network, min_confidence=SURE).submit(rgb)
    faces = pending.detections(TIMEOUT_S, (image.width, image.height))
    return [face.box for face in faces if face.box.height >= SMALLEST]


def run(clips: list[Path] | None = None) -> None:
    """Print a table of these clips, or of all in ``$WATCHPOST_DATA/videos``."""
    folder = Path(os.environ.get("WATCHPOST_DATA", "")) / "videos"
    clips = clips or sorted(folder.iterdir() if folder.is_dir() else [])
    if not clips:
        print("\nmotion detection is not measured: WATCHPOST_DATA names no folder with videos")
        return
    network = load_faces()
    rows = []
    for clip in clips:
        pipelines = [
            FacePipeline(network, recheck_s=seconds) for seconds in (0, FaceSettings().recheck_s)
        ]
        for number, (image, at) in enumerate(_frames(clip)):
            truth = _truth(network, image) if number % EVERY == 0 else None
            for pipeline in pipelines:
                pipeline.process(image, at, truth)
        whole, changed = (pipeline.row() for pipeline in pipelines)
        pairs = [f"{one} → {other}" for one, other in zip(whole, changed, strict=True)]
        rows.append([clip.name, str(pipelines[0].truth), *pairs])
        print(*rows[-1], flush=True)
    head = ["clip", "faces", "share scanned", "found", "covered"]
    show("Whole frames → changed regions only", head, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path)
    run(parser.parse_args().clips)
