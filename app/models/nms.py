"""Non-maximum suppression and box fusion, vectorised; boxes (N, 4) as x1, y1, x2, y2."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from app.boxes import intersections, pairwise_iou
from app.types import Box, Detection

Floats = npt.NDArray[np.float32]
Index = npt.NDArray[np.intp]

SAME_IOU = 0.3
SAME_INSIDE = 0.7


def suppress(boxes: Floats, confidences: Floats, groups: Index, iou: Floats) -> Index:
    """Greedy non-maximum suppression per group (class); returns kept indices, best first.

    Args:
        confidences: (N,).
        groups: (N,) only boxes of the same group are compared.
        iou: (N,) how much each box may overlap a better one; the same within a group.
    """
    corners_and_size = boxes.astype(np.float64)
    corners_and_size[:, 2:] -= corners_and_size[:, :2]
    kept = [np.zeros(0, np.intp)]
    for limit in np.unique(iou):
        mine = np.flatnonzero(iou == limit)
        chosen = cv2.dnn.NMSBoxesBatched(
            corners_and_size[mine],  # type: ignore[arg-type]  # it accepts arrays; the stub does not say so
            confidences[mine],  # type: ignore[arg-type]
            groups[mine].astype(np.int32),  # type: ignore[arg-type]
            0.0,
            float(limit),
        )
        kept.append(mine[np.asarray(chosen, np.intp).reshape(-1)])
    index = np.concatenate(kept)
    return index[np.argsort(-confidences[index], kind="stable")]


def merged(detections: Sequence[Detection]) -> list[Detection]:
    """Merge detections of one label from several passes; the most confident of each object stays.

    Two are the same object if they overlap enough, or if one lies mostly inside the other: the
    edge and the enlargement of a crop both change the size of a box.
    """
    if len(detections) < 2:
        return list(detections)
    best_first = sorted(detections, key=lambda detection: -detection.confidence)
    same = _same(np.array([detection.box for detection in best_first], np.float32))
    kept: list[int] = []
    for index in range(len(best_first)):
        if not same[index, kept].any():
            kept.append(index)
    return [best_first[index] for index in kept]


def weighted_boxes_fusion(
    passes: Sequence[Sequence[Detection]],
) -> tuple[list[Box], list[list[float]]]:
    """Fuse the boxes of one label from several passes over the same image.

    Returns the box of each object and its confidence in each pass, 0 where a pass missed it; the
    most confident object comes first. A fused box is the mean of the boxes that overlap the most
    confident one, weighted by confidence. Source: Solovyev, Wang & Gabruseva, "Weighted boxes
    fusion" (Image and Vision Computing, 2021).
    """
    candidates = [(d, number) for number, found in enumerate(passes) for d in found]
    if not candidates:
        return [], []
    candidates.sort(key=lambda candidate: -candidate[0].confidence)
    corners = np.array([detection.box for detection, _ in candidates], np.float32)
    confidences = np.array([detection.confidence for detection, _ in candidates])
    numbers = np.array([number for _, number in candidates])
    free = np.ones(len(candidates), bool)
    boxes, by_pass = [], []
    while free.any():
        first = int(free.argmax())
        mine = (pairwise_iou(corners[first : first + 1], corners)[0] > SAME_IOU) & free
        mine[first] = True
        free &= ~mine
        mean = np.average(corners[mine], axis=0, weights=confidences[mine])
        boxes.append(Box(*map(float, mean)))
        by_pass.append(
            [
                float(confidences[mine & (numbers == number)].max(initial=0))
                for number in range(len(passes))
            ]
        )
    return boxes, by_pass


def _same(boxes: Floats) -> npt.NDArray[np.bool_]:
    """(N, N) whether two boxes show the same object."""
    shared, area, _ = intersections(boxes, boxes)
    smaller = np.maximum(np.minimum(area[:, None], area[None, :]), 1e-9)
    overlap = pairwise_iou(boxes, boxes)
    same: npt.NDArray[np.bool_] = (overlap > SAME_IOU) | (shared / smaller > SAME_INSIDE)
    return same
