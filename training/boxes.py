"""Box arithmetic. A box is (x1, y1, x2, y2) in pixels; a set of boxes is a float array (N, 4)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from app.models import crop_refiner
from app.types import LABELS, Box

Array = NDArray[np.float32]
Choice = NDArray[np.bool_] | NDArray[np.intp] | slice

CLASSES = LABELS
PERSON, FACE, PLATE, CIGARETTE = (
    CLASSES.index(n) for n in ("person", "face", "plate", "cigarette")
)
COCO_CLASSES, NEW_CLASSES = CLASSES[:FACE], CLASSES[FACE:]
BAGS = tuple(CLASSES.index(n) for n in ("backpack", "handbag", "suitcase"))


@dataclass(frozen=True)
class Boxes:
    """The boxes in an image: `xyxy` (N, 4) in pixels, `labels` (N,) into CLASSES, `scores` (N,)."""

    xyxy: Array
    labels: NDArray[np.int64]
    scores: Array

    @classmethod
    def of(cls, xyxy: object, label: int, scores: object = None) -> Boxes:
        """Create boxes of one class; the score is 1 if none is given."""
        corners = np.asarray(xyxy, np.float32).reshape(-1, 4)
        confidence = np.ones(len(corners)) if scores is None else scores
        return cls(corners, np.full(len(corners), label), np.asarray(confidence, np.float32))

    @classmethod
    def join(cls, *parts: Boxes) -> Boxes:
        """Concatenate several sets of boxes."""
        return cls(
            np.concatenate([p.xyxy for p in parts]),
            np.concatenate([p.labels for p in parts]),
            np.concatenate([p.scores for p in parts]),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: Choice) -> Boxes:
        return Boxes(self.xyxy[chosen], self.labels[chosen], self.scores[chosen])

    def only(self, *labels: int) -> Boxes:
        """Return the boxes of these classes."""
        return self[np.isin(self.labels, labels)]

    def shifted(self, x: float, y: float) -> Boxes:
        """Return the boxes moved by pixels."""
        return Boxes(self.xyxy + np.array([x, y, x, y], np.float32), self.labels, self.scores)


NO_BOXES = Boxes.of([], 0)


def area(boxes: Array) -> Array:
    """(N,) areas in square pixels; 0 for an inverted box."""
    extent: Array = np.clip(boxes[..., 2:] - boxes[..., :2], 0, None)
    return extent[..., 0] * extent[..., 1]


def intersection(a: Array, b: Array) -> Array:
    """(N, M) intersection areas of two sets of boxes."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return area(np.concatenate([low, high], axis=-1))


def iou(a: Array, b: Array) -> Array:
    """(N, M) intersection over union."""
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    overlap: Array = shared / np.maximum(union, 1e-9)
    return overlap


def non_max(boxes: Boxes, threshold: float, groups: NDArray[np.int64] | None = None) -> Boxes:
    """Non-maximum suppression within each group; the default group is the class."""
    if not len(boxes):
        return boxes
    groups = boxes.labels if groups is None else groups
    corners_and_size = np.concatenate([boxes.xyxy[:, :2], boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]], 1)
    kept = cv2.dnn.NMSBoxesBatched(
        corners_and_size.tolist(),
        boxes.scores.tolist(),
        groups.tolist(),
        0.0,
        threshold,
    )
    return boxes[np.asarray(kept, int).reshape(-1)]


def upper_body(person: Array, width: int, height: int) -> NDArray[np.int64]:
    """Return the window of a person's crop in the second pass: one box in whole pixels."""
    window = crop_refiner.upper_body(Box(*map(float, person)), (width, height))
    return np.array(window, np.int64)


def crop_boxes(boxes: Boxes, window: NDArray[np.int64], min_visible: float) -> Boxes:
    """Convert boxes to a crop: shift and clip them, and drop those that are mostly outside."""
    low, high = np.tile(window[:2], 2), np.tile(window[2:], 2)
    clipped = np.clip(boxes.xyxy, low, high).astype(np.float32)
    visible = area(clipped) / np.maximum(area(boxes.xyxy), 1e-9) >= min_visible
    return Boxes(clipped - low, boxes.labels, boxes.scores)[visible]
