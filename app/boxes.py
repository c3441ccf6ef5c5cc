"""Overlap of many boxes at once; for two boxes, ``Box`` in ``app/types.py`` has the same."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Corners = TypeVar("Corners", npt.NDArray[np.float32], npt.NDArray[np.float64])


def pairwise_iou(boxes: Corners, others: Corners) -> Corners:
    """(N, M) intersection over union of (N, 4) and (M, 4) boxes as x1, y1, x2, y2."""
    shared, areas, their_areas = intersections(boxes, others)
    union = areas[:, None] + their_areas[None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-9))


def intersections(boxes: Corners, others: Corners) -> tuple[Corners, Corners, Corners]:
    """(N, M) area that two boxes share, and the area of each: (N,) and (M,)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    first, second = (np.prod(some[:, 2:] - some[:, :2], axis=-1) for some in (boxes, others))
    return shared, first, second
