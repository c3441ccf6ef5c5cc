"""How many faces the network finds if a camera is mounted sideways or upside down.

The ground truth is what the network finds in the upright clip at the clip's own size. The same
frames are then turned, as such a camera would send them. With ``rotate`` they are identical to the
upright ones.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from app.config import FaceSettings
from app.models.faces import FaceDetector, load_faces
from app.models.orientation import UPRIGHT
from app.pipeline.normalise import normalised
from app.pipeline.scale import to_rgb
from app.types import Box
from bench.motion import FOUND_IOU, SMALLEST, SURE, TIMEOUT_S
from bench.table import show

EVERY = 10
DEGREES = (0, 90, 180, 270)
SQUARE = Fraction(1)


def run(clips: list[Path] | None = None) -> None:
    folder = Path(os.environ.get("WATCHPOST_DATA", "")) / "videos"
    clips = clips or sorted(folder.iterdir() if folder.is_dir() else [])
    if not clips:
        print("\nturned: WATCHPOST_DATA does not name a folder with videos")
        return
    network = load_faces()
    judge = FaceDetector(network, min_confidence=SURE)
    faces = FaceDetector(network, min_confidence=FaceSettings().min_confidence)
    rows = []
    for clip in clips:
        truth, found = _count(clip, judge, faces)
        if truth:
            rows.append((clip.name, str(truth), *(str(found[degrees]) for degrees in DEGREES)))
    network.close()
    head = ["clip", "faces", *(f"{degrees}°" for degrees in DEGREES)]
    show("faces found if the frames are turned by", head, rows)


def _count(clip: Path, judge: FaceDetector, faces: FaceDetector) -> tuple[int, Counter[int]]:
    truth, found = 0, Counter[int]()
    for image in _frames(clip):
        known = [face for face in _seen(judge, image) if face.height >= SMALLEST]
        truth += len(known)
        for degrees in DEGREES:
            turned_image = normalised(image, UPRIGHT, SQUARE, degrees)
            back = [_turned_back(box, degrees, turned_image) for box in _seen(faces, turned_image)]
            found[degrees] += sum(any(b.iou(face) >= FOUND_IOU for b in back) for face in known)
    return truth, found


def _frames(clip: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(clip)) as container:
        for number, image in enumerate(container.decode(video=0)):
            if number % EVERY == 0:
                yield normalised(image, UPRIGHT, SQUARE)


def _seen(faces: FaceDetector, image: av.VideoFrame) -> list[Box]:
    pending = faces.submit(to_rgb(image, FaceSettings().width))
    return [face.box for face in pending.detections(TIMEOUT_S, (image.width, image.height))]


def _turned_back(box: Box, degrees: int, turned_image: av.VideoFrame) -> Box:
    """A box of the turned frame, in the upright one."""
    width, height = turned_image.width, turned_image.height
    for _ in range(degrees // 90):  # a quarter turn to the left each
        box = Box(box.y1, width - box.x2, box.y2, width - box.x1)
        width, height = height, width
    return box
