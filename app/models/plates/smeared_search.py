"""Plates that are smeared too much for their letters to be seen, found by a network of their own.

A plate that moved is blurred along the road. In a copy of the image that is squeezed across, the
smear is short and the plate's edges are sharp again, so that is what the network looks at, and what
it was trained on (``training/train_smeared.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from app.models.batching import Image
from app.models.objects import ObjectDetector
from app.types import Box

TIMEOUT_S = 20.0
MIN_CONFIDENCE = 0.02
SAME = 0.5
"""Share of the smaller box that two boxes of one plate have in common."""

Boxes = Sequence[tuple[Box, float]]
"""Boxes that may be plates, with their confidences."""


class SqueezedCopy(NamedTuple):
    """How an image is reduced.

    Attributes:
        side: its longer side in pixels, before it is squeezed.
        squeeze: factor by which it is narrower than that.
    """

    side: int
    squeeze: float


COPIES = SqueezedCopy(512, 0.6), SqueezedCopy(320, 0.6), SqueezedCopy(416, 0.45)
"""Chosen on fold 0: together they see more than each of them, and more than without a squeeze."""


class SmearedSearch:
    """Searches the plates of an image in squeezed copies of it.

    Args:
        detector: detects smeared plates; its threshold is lowered.
    """

    def __init__(self, detector: ObjectDetector) -> None:
        (label,) = detector.labels
        self._detector = detector.with_threshold(label, MIN_CONFIDENCE)

    def boxes(self, image: Image) -> list[tuple[Box, float]]:
        """Return what may be plates, the likeliest first, with mean confidences of all copies.

        Raises:
            DetectorError: when the network fails.
        """
        size = image.shape[1], image.shape[0]
        pending = [self._detector.submit_part(squeezed(image, copy), 1.0) for copy in COPIES]
        by_copy = [
            [(each.box, each.confidence) for each in answer.detections(TIMEOUT_S, size)]
            for answer in pending
        ]
        means = [(box, agreement(box, by_copy)) for own in by_copy for box, _ in own]
        return sorted(means, key=lambda one: -one[1])


def squeezed(image: Image, copy: SqueezedCopy) -> Image:
    """Return a copy of an image that is reduced like this."""
    height, width = image.shape[:2]
    scale = copy.side / max(height, width)
    size = max(2, round(width * scale * copy.squeeze)), max(2, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def agreement(box: Box, by_copy: Sequence[Sequence[tuple[Box, float]]]) -> float:
    """Return the mean confidence with which the copies show this box."""
    best = [
        max((sure for other, sure in own if are_same(box, other)), default=0.0) for own in by_copy
    ]
    return sum(best) / len(best)


def are_same(a: Box, b: Box) -> bool:
    """Whether two boxes are of the same plate."""
    return a.intersection(b) > SAME * min(a.area, b.area)
