"""Average precision and recall, with unsure labels ignored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.boxes import Array, Boxes, area, intersection, iou


@dataclass(frozen=True)
class Scored:
    """One class over many images: `scores` and `hits` (N,) of detections, number of labels."""

    scores: Array
    hits: NDArray[np.bool_]
    truths: int

    @property
    def average_precision(self) -> float:
        """Area under the monotone precision-recall curve; NaN without labels."""
        if not self.truths:
            return float("nan")
        hits = self.hits[np.argsort(-self.scores, kind="stable")]
        found = np.cumsum(hits)
        precision = found / np.arange(1, len(hits) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        return float(envelope[hits].sum() / self.truths)

    def precision(self, threshold: float) -> float:
        """Return the share of detections from `threshold` that are correct."""
        chosen = self.scores >= threshold
        return float(self.hits[chosen].mean()) if chosen.any() else float("nan")

    def recall(self, threshold: float) -> float:
        """Return the share of labels found with detections from `threshold`."""
        found = self.hits[self.scores >= threshold].sum()
        return float(found / self.truths) if self.truths else float("nan")

    def threshold_for(self, precision: float) -> float:
        """Return the lowest threshold that reaches the precision; 1 if none does."""
        order = np.argsort(-self.scores, kind="stable")
        reached = np.cumsum(self.hits[order]) / np.arange(1, len(order) + 1) >= precision
        return float(self.scores[order][reached][-1]) if reached.any() else 1.0


def assign(found: Boxes, truth: Array, min_iou: float) -> NDArray[np.int64]:
    """Match detections with labels, the most confident first; (N,) label index, or -1."""
    overlap = iou(found.xyxy, truth)
    hit = np.full(len(found), -1)
    for i in np.argsort(-found.scores, kind="stable"):
        if len(truth) and overlap[i].max() >= min_iou:
            hit[i] = overlap[i].argmax()
            overlap[:, hit[i]] = 0
    return hit


def on_unsure(found: Array, unsure: Array) -> NDArray[np.bool_]:
    """(N,) whether at least half of a detection lies on an unsure box."""
    covered = intersection(found, unsure).max(1, initial=0)
    return np.asarray(covered >= np.maximum(area(found), 1e-9) / 2)


def score(
    found: Sequence[Boxes], truth: Sequence[Boxes], unsure: Sequence[Boxes], min_iou: float
) -> Scored:
    """Score the detections of one class, or of several as one, over images."""
    scores: list[Array] = [np.zeros(0, np.float32)]
    hits: list[NDArray[np.bool_]] = [np.zeros(0, np.bool_)]
    for detections, labels, doubtful in zip(found, truth, unsure, strict=True):
        hit = assign(detections, labels.xyxy, min_iou) >= 0
        counted = hit | ~on_unsure(detections.xyxy, doubtful.xyxy)
        scores.append(detections.scores[counted])
        hits.append(hit[counted])
    return Scored(np.concatenate(scores), np.concatenate(hits), sum(map(len, truth)))
