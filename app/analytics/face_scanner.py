"""The faces of one stream: detected where its image changed, remembered where it did not.

    image ──submit──▶ network: the whole image, some regions, or nothing ──merge──▶ all its faces
          thread "detect", a frame ahead                    thread "blur", in the same order

It fails closed. The known faces depend on every inference since the last one on the whole image.
When one of them fails or is left out, no faces are known until the whole image has been seen
again, and until then every frame is withheld.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from app.analytics.motion import MotionDetector, MotionRegion, to_cells
from app.config import FaceSettings
from app.errors import DetectorError
from app.models.detections import PendingDetections
from app.models.faces import FaceDetector
from app.types import Detection

SAME_FACE_IOU = 0.5  # with less overlap, rather blur twice than not at all

Image = npt.NDArray[np.uint8]


class FaceScanner:
    """Detects the faces of one stream, on as few pixels as is safe.

    Args:
        faces: the detector that all streams share.
    """

    def __init__(self, faces: FaceDetector, settings: FaceSettings) -> None:
        self._faces = faces
        self._recheck_s = settings.recheck_s
        self._motion: MotionDetector | None = None
        self._rechecked_at = float("-inf")
        self._numbers = itertools.count()
        self._next = 0  # the number of the frame to merge next
        self._known: tuple[Detection, ...] | None = None
        self._was_truncated = False

    def submit(self, image: Image, at: float) -> PendingFaces:
        """Start inference on an (H, W, 3) RGB image that was captured at ``at`` (seconds).

        Raises:
            DetectorError: when overloaded; then the image counts as not seen.
        """
        height, width = image.shape[:2]
        motion = self._motion
        if motion is None or (motion.width, motion.height) != (width, height):
            motion = self._motion = MotionDetector(width, height)
        cells = to_cells(image)
        regions = self._regions(motion, cells, at)
        parts = [image] if regions is None else [region.crop(image) for region in regions]
        inferences = [self._faces.submit(part) for part in parts]
        motion.mark_scanned(cells, regions)
        if regions is None:
            self._rechecked_at, self._was_truncated = at, False
        return PendingFaces(self, next(self._numbers), (width, height), regions, inferences)

    def _regions(
        self, motion: MotionDetector, cells: Image, at: float
    ) -> list[MotionRegion] | None:
        """What has to go to the network; None for the whole image."""
        known = self._known
        due = abs(at - self._rechecked_at) >= self._recheck_s
        if due or known is None or self._was_truncated:
            return None
        return motion.regions(cells, [face.box for face in known])

    def merge(self, pending: PendingFaces, timeout_s: float) -> tuple[Detection, ...]:
        """All faces of a submitted image, in its pixels. Called once for each, in order.

        Raises:
            DetectorError: when the inference on it, or on an image before it, is missing.
        """
        known = self._known if pending.number == self._next else None
        self._next, merged = pending.number + 1, None
        try:
            merged = self._merged(pending, known, time.monotonic() + timeout_s)
            return merged
        finally:
            self._known = merged

    def _merged(
        self, pending: PendingFaces, known: tuple[Detection, ...] | None, deadline: float
    ) -> tuple[Detection, ...]:
        if pending.regions is None:
            return tuple(_wait(pending.inferences[0], deadline, pending.size))
        if known is None:
            raise DetectorError(network="faces", reason="the whole image has not been seen yet")
        for region, inference in zip(pending.regions, pending.inferences, strict=True):
            found = _wait(inference, deadline, (region.width, region.height))
            found = [_moved(face, region.left, region.top) for face in found]
            self._was_truncated |= any(region.truncates(face.box) for face in found)
            new = [face for face in found if region.owns(face.box)]
            old = [face for face in known if not region.owns(face.box)]
            known = (*(face for face in old if not _is_among(face, new)), *new)
        return known


class PendingFaces:
    """The faces of one image, while inference on all, parts or none of it is running.

    Attributes:
        number: counts the images that were submitted.
        size: width and height of the image.
        regions: what went to the network; None for the whole image.
        inferences: one for each region, or one for the whole image.
    """

    def __init__(
        self,
        scanner: FaceScanner,
        number: int,
        size: tuple[int, int],
        regions: list[MotionRegion] | None,
        inferences: list[PendingDetections],
    ) -> None:
        self._scanner = scanner
        self.number, self.size = number, size
        self.regions, self.inferences = regions, inferences

    def is_answered(self, timeout_s: float) -> bool:
        """Wait at most this long for each answer; returns whether all have arrived."""
        return all(inference.is_answered(timeout_s) for inference in self.inferences)

    def detections(self, timeout_s: float, size: tuple[int, int]) -> list[Detection]:
        """Wait for all faces, in pixels of the same image at this size (width, height).

        Raises:
            DetectorError: when they are not known for certain, or not in time.
        """
        x, y = size[0] / self.size[0], size[1] / self.size[1]
        faces = self._scanner.merge(self, timeout_s)
        return [replace(face, box=face.box.scaled(x, y)) for face in faces]


def _wait(inference: PendingDetections, deadline: float, size: tuple[int, int]) -> list[Detection]:
    return inference.detections(max(0.0, deadline - time.monotonic()), size)


def _moved(face: Detection, dx: float, dy: float) -> Detection:
    return replace(face, box=face.box.moved(dx, dy))


def _is_among(face: Detection, others: Iterable[Detection]) -> bool:
    return any(face.box.iou(other.box) > SAME_FACE_IOU for other in others)
