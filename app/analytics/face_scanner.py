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
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from app.analytics.motion import ArrayImage, MotionDetector, MotionRegion, NetworkImage
from app.config import FaceSettings
from app.errors import DetectorError
from app.models.detections import PendingDetections
from app.models.faces import FaceDetector
from app.types import Box, Detection

HELD_GROWTH = 0.25
"""Of the cover of a face that may move under it, as a share of the face on each side."""
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
        self._rechecked_at = self._complete_at = float("-inf")
        self._sure = settings.min_confidence
        self._numbers = itertools.count()
        self._next = 0  # the number of the frame to merge next
        self._known: tuple[Detection, ...] | None = None
        self._was_truncated = False

    def submit(self, image: Image | NetworkImage, at: float, *, gap_s: float = 0.0) -> PendingFaces:
        """Start inference on an image that was captured at ``at`` (seconds).

        Args:
            image: (H, W, 3) RGB, or one that is made only if something changed.
            gap_s: for how long a covered face may change under its cover before inference runs on
                it again. Where anything changes that no cover hides, it runs at once.

        Raises:
            DetectorError: when overloaded; then the image counts as not seen.
        """
        image = ArrayImage(image) if isinstance(image, np.ndarray) else image
        width, height = image.size
        motion = self._motion
        if motion is None or (motion.width, motion.height) != (width, height):
            motion = self._motion = MotionDetector(width, height)
        cells = image.cells
        covered = self._covered() if gap_s and abs(at - self._complete_at) <= gap_s else ()
        regions, held = self._regions(motion, cells, at, covered)
        parts = [image.rgb] if regions is None else [part.crop(image.rgb) for part in regions]
        inferences = [self._faces.submit(part) for part in parts]
        motion.mark_scanned(cells, regions)
        if regions is None:
            self._rechecked_at, self._was_truncated = at, False
        if not held:
            self._complete_at = at
        size = (width, height)
        return PendingFaces(self, next(self._numbers), size, regions, inferences, held)

    def _covered(self) -> tuple[Detection, ...]:
        """The known faces that are certain to be covered now."""
        return tuple(face for face in self._known or () if face.confidence >= self._sure)

    def _regions(
        self, motion: MotionDetector, cells: Image, at: float, covered: Sequence[Detection]
    ) -> tuple[list[MotionRegion] | None, tuple[Detection, ...]]:
        """What has to go to the network, None for the whole image; and the faces that may change
        under their covers meanwhile."""
        known = self._known
        due = abs(at - self._rechecked_at) >= self._recheck_s
        if due or known is None or self._was_truncated:
            return None, ()
        covers = [face.box.grown(HELD_GROWTH) for face in covered]
        regions, held = motion.regions_outside(cells, [face.box for face in known], covers)
        return regions, () if regions is None else tuple(covered[index] for index in held)

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
        held: faces that changed under their covers, on which no inference runs.
    """

    def __init__(
        self,
        scanner: FaceScanner,
        number: int,
        size: tuple[int, int],
        regions: list[MotionRegion] | None,
        inferences: list[PendingDetections],
        held: tuple[Detection, ...],
    ) -> None:
        self._scanner = scanner
        self.number, self.size = number, size
        self.regions, self.inferences = regions, inferences
        self.held = held

    def is_answered(self, timeout_s: float) -> bool:
        """Wait at most this long for each answer; returns whether all have arrived."""
        return all(inference.is_answered(timeout_s) for inference in self.inferences)

    def detections(self, timeout_s: float, size: tuple[int, int]) -> list[Detection]:
        """Wait for all faces but those that are held, in pixels of the image at this size.

        Raises:
            DetectorError: when they are not known for certain, or not in time.
        """
        faces = self._scanner.merge(self, timeout_s)
        return self._scaled([face for face in faces if face not in self.held], size)

    def held_covers(self, size: tuple[int, int]) -> list[Box]:
        """What hides the held faces, in pixels of the image at this size."""
        return [face.box.grown(HELD_GROWTH) for face in self._scaled(self.held, size)]

    def _scaled(self, faces: Iterable[Detection], size: tuple[int, int]) -> list[Detection]:
        x, y = size[0] / self.size[0], size[1] / self.size[1]
        return [replace(face, box=face.box.scaled(x, y)) for face in faces]


def _wait(inference: PendingDetections, deadline: float, size: tuple[int, int]) -> list[Detection]:
    return inference.detections(max(0.0, deadline - time.monotonic()), size)


def _moved(face: Detection, dx: float, dy: float) -> Detection:
    return replace(face, box=face.box.moved(dx, dy))


def _is_among(face: Detection, others: Iterable[Detection]) -> bool:
    return any(face.box.iou(other.box) > SAME_FACE_IOU for other in others)
