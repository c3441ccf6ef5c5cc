"""Remembers what was detected in a stream: only where its image changes is there something new.

In front of a fixed camera most of an image is like the one before, and a network is a function of
pixels: where they are unchanged, so is its answer. Images are compared as for faces (see
``motion.py``), with what the network saw last, so that slow changes add up until they count. What
the comparison cannot see is found by the next inference on the whole image: after ``recheck_s``
while there is life in front of the camera, and less and less often where nothing has moved for
long.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from app.analytics.motion import Image, MotionDetector, MotionRegion, to_cells
from app.models.detections import PendingDetections
from app.types import Box, Detection

MAX_RECHECKS = 4.0  # the longest time without inference, in times of ``recheck_s``
SHAPES = ((1 / 3, 1 / 3), (1 / 3, 1.0), (1 / 2, 1.0))
"""Regions as in ``motion.py``; in smaller ones an object would lack its surroundings."""
SAME_OBJECT_IOU = 0.5


class SceneMemory:
    """What the network saw last of one stream, and which parts of an image differ from it.

    One thread calls ``changes`` and ``keep``; ``forget`` may be called by another.

    Args:
        recheck_s: after this many seconds the whole image counts as changed; up to four times as
            many where nothing has changed for long. 0: it always does.
    """

    def __init__(self, recheck_s: float) -> None:
        self._recheck_s = recheck_s
        self._rechecks = 1.0
        self._motion: MotionDetector | None = None
        self._cells: Image = np.empty((0, 0, 3), np.uint8)
        self._whole_at: float | None = None

    def changes(self, image: Image, at: float, known: Iterable[Box]) -> list[MotionRegion] | None:
        """The regions that changed: none in a still scene; None stands for the whole image.

        Args:
            image: (H, W, 3) RGB.
            at: when it was captured, in seconds.
            known: the last objects, in its pixels; one that changed in part counts as changed.
        """
        if not self._recheck_s:
            return None
        height, width = image.shape[:2]
        if self._motion is None or (self._motion.width, self._motion.height) != (width, height):
            self._motion = MotionDetector(width, height, SHAPES)
            self._whole_at = None
        self._cells = to_cells(image)
        regions = None if self._whole_at is None else self._motion.regions(self._cells, known)
        if regions is None or regions:
            self._rechecks = 1.0
        whole_at = self._whole_at  # another thread may forget
        if regions is None or whole_at is None:
            return None
        if abs(at - whole_at) < self._recheck_s * self._rechecks:
            return regions
        if not regions:
            self._rechecks = min(2 * self._rechecks, MAX_RECHECKS)
        return None

    def keep(self, at: float, regions: list[MotionRegion] | None) -> None:
        """Remember that inference has begun on these regions of the image of ``changes``."""
        if regions is None:
            self._whole_at = at
        if self._motion is not None:
            self._motion.mark_scanned(self._cells, regions)

    def forget(self) -> None:
        """Let the whole of the next image count as changed: the last inference is not enough."""
        self._whole_at = None


class RegionDetections:
    """The objects in an image of which only some regions went to the network.

    Args:
        before: those of the image before.
        size: width and height of both images.
        regions: what changed.
        inferences: one for each region.

    Attributes:
        truncated: an object may extend beyond its region; known once there are detections.
    """

    def __init__(
        self,
        before: PendingObjects,
        size: tuple[int, int],
        regions: Sequence[MotionRegion],
        inferences: Sequence[PendingDetections],
    ) -> None:
        self._before: PendingObjects | None = before
        self._size = size
        self._regions, self._inferences = regions, inferences
        self._merged: Sequence[Detection] = ()
        self.truncated = False

    def is_answered(self, timeout_s: float) -> bool:
        """Wait at most this long for each inference; returns whether all have ended."""
        before = [] if self._before is None else [self._before]
        return all(each.is_answered(timeout_s) for each in (*before, *self._inferences))

    def detections(self, timeout_s: float, size: tuple[int, int]) -> list[Detection]:
        """Wait for all objects, in pixels of the same image at this size (width, height).

        Raises:
            DetectorError: when inference on this image, or on one before, failed or is too late.
        """
        if self._before is not None:
            self._merged = self._merge(self._before, time.monotonic() + timeout_s)
            self._before = None  # a long chain of images ends here
        x, y = size[0] / self._size[0], size[1] / self._size[1]
        return [replace(d, box=d.box.scaled(x, y)) for d in self._merged]

    def _merge(self, before: PendingObjects, deadline: float) -> list[Detection]:
        known = before.detections(max(0.0, deadline - time.monotonic()), self._size)
        for region, inference in zip(self._regions, self._inferences, strict=True):
            left_s = max(0.0, deadline - time.monotonic())
            found = [
                replace(d, box=d.box.moved(region.left, region.top))
                for d in inference.detections(left_s, (region.width, region.height))
            ]
            self.truncated |= any(region.truncates(d.box) for d in found)
            new = [d for d in found if region.owns(d.box)]
            old = [d for d in known if not region.owns(d.box) and not _is_among(d, new)]
            known = [*old, *new]
        return known


PendingObjects = PendingDetections | RegionDetections


def _is_among(detection: Detection, others: Iterable[Detection]) -> bool:
    return any(
        detection.label == other.label and detection.box.iou(other.box) > SAME_OBJECT_IOU
        for other in others
    )
