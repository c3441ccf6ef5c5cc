"""Detection on files: the command ``python -m app.models detect``."""

from __future__ import annotations

import json
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from app.config import Settings
from app.errors import DetectorError, InvalidRequest
from app.models.annotate import AnnotatedWriter
from app.models.faces import FaceDetector, load_faces
from app.models.letterbox import Image
from app.models.media import count_frames, frames
from app.models.nms import merged
from app.models.objects import load_objects
from app.models.tta import detect_with_tta
from app.types import Detection

MAX_PENDING = 12
"""Frames submitted before the first of them is done, so that batches form."""
SHAPE_MULTIPLE = 128
"""Inputs are padded to a multiple of this, so that few shapes have to be compiled."""
TIMEOUT_S = 600.0
PROGRESS_DELAY_S = 2.0


@dataclass(frozen=True, slots=True)
class FrameRef:
    """One frame of a file; a still image is frame 0."""

    path: Path
    frame: int
    image: Image


class DetectorSuite:
    """Combines the detections of all networks in an image.

    Args:
        min_confidence: for all labels and both networks; None for their own thresholds.
        crops: detect cigarettes with test-time augmentation, also in enlarged crops of people.

    Raises:
        SetupError: when a network cannot be loaded.
    """

    def __init__(self, settings: Settings, *, min_confidence: float | None, crops: bool) -> None:
        objects = settings.objects
        if min_confidence is not None:
            objects = objects.model_copy(update={"min_confidence": min_confidence})
        data_dir = settings.writable_data_dir()
        self._objects = load_objects(objects, settings.device, data_dir, multiple=SHAPE_MULTIPLE)
        self._face_runner = load_faces(settings.device, data_dir / "cache" if data_dir else None)
        face_confidence = (
            settings.faces.min_confidence if min_confidence is None else min_confidence
        )
        self._faces = FaceDetector(
            self._face_runner, min_confidence=face_confidence, multiple=SHAPE_MULTIPLE
        )
        self._face_width = settings.faces.width
        self._crops = crops

    def detect(self, image: Image) -> list[Detection]:
        """Return all detections in an (H, W, 3) RGB image, in its pixels, most confident first.

        Faces come from the face network and from the object detector; duplicates are merged.

        Raises:
            DetectorError: when a network fails.
        """
        size = image.shape[1], image.shape[0]
        pending_faces = self._faces.submit(_shrunk(image, self._face_width))
        if self._crops:
            found = detect_with_tta(self._objects, image, TIMEOUT_S)
        else:
            found = self._objects.submit(image).detections(TIMEOUT_S, size)
        faces = pending_faces.detections(TIMEOUT_S, size)
        faces += [detection for detection in found if detection.label == "face"]
        others = [detection for detection in found if detection.label != "face"]
        return sorted(others + merged(faces), key=lambda detection: -detection.confidence)

    def close(self) -> None:
        """End the threads of all networks."""
        self._objects.close()
        self._face_runner.close()


def detect(
    paths: Sequence[Path],
    detectors: DetectorSuite,
    *,
    as_json: bool,
    annotated: AnnotatedWriter | None,
) -> int:
    """Run the detectors on every frame and print the results. Returns the exit code."""
    failed = False

    def report_error(text: str) -> None:
        nonlocal failed
        failed = True
        tqdm.write(text, file=sys.stderr)

    print_result: Callable[[FrameRef, list[Detection]], None] = (
        _print_json if as_json else _print_text
    )
    total = sum(map(count_frames, paths))
    with tqdm(
        total=total, unit="frame", delay=PROGRESS_DELAY_S, disable=None, file=sys.stderr
    ) as bar:
        for ref, pending in _in_order(_frames(paths, report_error), detectors):
            try:
                found = pending.result()
            except DetectorError as error:
                report_error(f"{ref.path}, frame {ref.frame}: {error}")
                continue
            finally:
                bar.update()
            print_result(ref, found)
            if annotated is not None:
                annotated.add(ref.path, ref.image, found)
    if annotated is not None:
        annotated.close()
    return 1 if failed else 0


def _frames(paths: Sequence[Path], report_error: Callable[[str], None]) -> Iterator[FrameRef]:
    """Yield all frames of all files; files that cannot be read are reported and skipped."""
    for path in paths:
        try:
            for number, image in enumerate(frames(path)):
                yield FrameRef(path, number, image)
        except InvalidRequest as error:
            report_error(str(error))


def _in_order(
    refs: Iterator[FrameRef], detectors: DetectorSuite
) -> Iterator[tuple[FrameRef, Future[list[Detection]]]]:
    waiting: deque[tuple[FrameRef, Future[list[Detection]]]] = deque()
    with ThreadPoolExecutor(MAX_PENDING) as pool:
        for ref in refs:
            waiting.append((ref, pool.submit(detectors.detect, ref.image)))
            if len(waiting) == MAX_PENDING:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()


def _print_json(ref: FrameRef, found: list[Detection]) -> None:
    detections = [
        {
            "label": detection.label,
            "confidence": round(detection.confidence, 4),
            "box": [round(side, 2) for side in detection.box],
        }
        for detection in found
    ]
    line = {"path": str(ref.path), "frame": ref.frame, "detections": detections}
    tqdm.write(json.dumps(line), file=sys.stdout)


def _print_text(ref: FrameRef, found: list[Detection]) -> None:
    counts = Counter(detection.label for detection in found)
    summary = ", ".join(f"{count} {label}" for label, count in counts.most_common()) or "nothing"
    where = f"{ref.path}" + (f", frame {ref.frame}" if ref.frame else "")
    tqdm.write(f"{where}: {summary}", file=sys.stdout)


def _shrunk(image: Image, longest: int) -> Image:
    """Shrink the image until its longer side is at most ``longest``; never enlarge it."""
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
