"""The faces of one stream: asked for where the picture changed, remembered where it did not.

    picture ──look──▶ network: all of it, some windows, or nothing ──detections──▶ all its faces
          thread "look", a frame ahead                        thread "cover", in the same order

It fails closed. What is known rests on every look since the last one at the whole picture. When
one of them fails or is left out, nothing is known until the whole picture has been looked at
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

SAME_FACE_IOU = 0.5  # less is covered twice rather than not at all

Image = npt.NDArray[np.uint8]


class FaceScanner:
    """Looks for faces on behalf of one stream.

    Args:
        faces: the detector that all streams share.
    """

    def __init__(self, faces: FaceDetector, settings: FaceSettings) -> None:
        self._faces = faces
        self._recheck_s = settings.recheck_s
        self._gate: MotionDetector | None = None
        self._rechecked_at = float("-inf")
        self._numbers = itertools.count()
        self._next = 0  # the number whose answer comes next
        self._known: tuple[Detection, ...] | None = None
        self._was_cut = False

    def submit(self, image: Image, at: float) -> PendingFaces:
        """Ask for the faces of a (H, W, 3) RGB picture that was taken at ``at`` (seconds).

        Raises:
            DetectorError: when overloaded; then the picture was not looked at.
        """
        height, width = image.shape[:2]
        gate = self._gate
        if gate is None or (gate.width, gate.height) != (width, height):
            gate = self._gate = MotionDetector(width, height)
        cells = to_cells(image)
        windows = self._where(gate, cells, at)
        parts = [image] if windows is None else [window.of(image) for window in windows]
        looks = [self._faces.submit(part) for part in parts]
        gate.looked_at(cells, windows)
        if windows is None:
            self._rechecked_at, self._was_cut = at, False
        return PendingFaces(self, next(self._numbers), (width, height), windows, looks)

    def _where(self, gate: MotionDetector, cells: Image, at: float) -> list[MotionRegion] | None:
        """Where to look; None for everywhere."""
        known = self._known
        due = abs(at - self._rechecked_at) >= self._recheck_s
        if due or known is None or self._was_cut:
            return None
        return gate.windows(cells, [face.box for face in known])

    def merge(self, glance: PendingFaces, timeout_s: float) -> tuple[Detection, ...]:
        """All faces of the picture of ``glance``, in its pixels. Called once for each, in order.

        Raises:
            DetectorError: when an answer is missing: one to this glance, or one that it rests on.
        """
        known = self._known if glance.number == self._next else None
        self._next, answered = glance.number + 1, None
        try:
            answered = self._answered(glance, known, time.monotonic() + timeout_s)
            return answered
        finally:
            self._known = answered

    def _answered(
        self, glance: PendingFaces, known: tuple[Detection, ...] | None, deadline: float
    ) -> tuple[Detection, ...]:
        if glance.windows is None:
            return tuple(_wait(glance.looks[0], deadline, glance.size))
        if known is None:
            raise DetectorError(network="faces", reason="it has yet to see the whole picture")
        for window, look in zip(glance.windows, glance.looks, strict=True):
            found = _wait(look, deadline, (window.width, window.height))
            found = [_moved(face, window.left, window.top) for face in found]
            self._was_cut |= any(window.cuts(face.box) for face in found)
            new = [face for face in found if window.counts(face.box)]
            old = [face for face in known if not window.counts(face.box)]
            known = (*(face for face in old if not _is_among(face, new)), *new)
        return known


class PendingFaces:
    """The faces asked for in one frame: like ``PendingDetections``, for all, some or none of it."""

    def __init__(
        self,
        lookout: FaceScanner,
        number: int,
        size: tuple[int, int],
        windows: list[MotionRegion] | None,
        looks: list[PendingDetections],
    ) -> None:
        self._lookout = lookout
        self.number, self.size, self.windows, self.looks = number, size, windows, looks

    def is_answered(self, timeout_s: float) -> bool:
        """Wait for this long, at most, for each answer; returns whether all are there."""
        return all(look.is_answered(timeout_s) for look in self.looks)

    def detections(self, timeout_s: float, size: tuple[int, int]) -> list[Detection]:
        """Wait for all faces, in pixels of the same picture at this size (width, height).

        Raises:
            DetectorError: when they are not known for certain, or not in time.
        """
        x, y = size[0] / self.size[0], size[1] / self.size[1]
        faces = self._lookout.merge(self, timeout_s)
        return [replace(face, box=face.box.scaled(x, y)) for face in faces]


def _wait(look: PendingDetections, deadline: float, size: tuple[int, int]) -> list[Detection]:
    return look.detections(max(0.0, deadline - time.monotonic()), size)


def _moved(face: Detection, dx: float, dy: float) -> Detection:
    return replace(face, box=face.box.moved(dx, dy))


def _is_among(face: Detection, others: Iterable[Detection]) -> bool:
    return any(face.box.iou(other.box) > SAME_FACE_IOU for other in others)
