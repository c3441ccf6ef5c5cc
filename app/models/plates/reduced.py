"""Plates that are smeared too much for their letters to be seen, found in reduced copies."""

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
"""Share of the smaller box from which two boxes are of the same plate."""


class ReducedCopy(NamedTuple):
    """How an image is reduced.

    Attributes:
        side: its longer side in pixels, before it is squeezed.
        squeeze: factor by which it is narrower than that. A smear along the road is squeezed with
            it, so that the plate's edges are sharp again.
    """

    side: int
    squeeze: float = 1.0


COPIES = (
    ReducedCopy(416),
    ReducedCopy(256),
    ReducedCopy(512, 0.6),
    ReducedCopy(320, 0.6),
    ReducedCopy(416, 0.45),
)


class ReducedSearch:
    """Searches the likeliest plate of an image in copies of it.

    Args:
        objects: the detector; its threshold for the label is lowered.
        label: the label of plates.
    """

    def __init__(self, objects: ObjectDetector, label: str) -> None:
        self._objects = objects.with_threshold(label, MIN_CONFIDENCE)
        self._label = label

    def likeliest(self, image: Image) -> list[tuple[Box, float]]:
        """Return the box on which most copies agree, with the sum of its confidences, at most 1;
        none if no copy shows one.

        Raises:
            DetectorError: when the network fails.
        """
        size = image.shape[1], image.shape[0]
        pending = [self._objects.submit_part(reduced(image, copy), 1.0) for copy in COPIES]
        by_copy = [
            [
                (each.box, each.confidence)
                for each in answer.detections(TIMEOUT_S, size)
                if each.label == self._label
            ]
            for answer in pending
        ]
        sums = [(box, agreement(box, by_copy)) for own in by_copy for box, _ in own]
        return [max(sums, key=lambda one: one[1])] if sums else []


def reduced(image: Image, copy: ReducedCopy) -> Image:
    """Return the copy of an image."""
    height, width = image.shape[:2]
    scale = copy.side / max(height, width)
    size = max(2, round(width * scale * copy.squeeze)), max(2, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def agreement(box: Box, by_copy: Sequence[Sequence[tuple[Box, float]]]) -> float:
    """Return the sum of the confidences with which the copies show this box, at most 1."""
    best = [
        max((sure for other, sure in own if _are_same(box, other)), default=0.0) for own in by_copy
    ]
    return min(1.0, sum(best))


def _are_same(a: Box, b: Box) -> bool:
    return a.intersection(b) > SAME * min(a.area, b.area)
