"""Non-maximum suppression: which boxes are the same object."""

from __future__ import annotations

import numpy as np
import pytest

from app.models.nms import merged, suppress
from app.types import Box, Detection


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return float(width * height / (sum(areas) - width * height))


def by_hand(
    boxes: np.ndarray, confidences: np.ndarray, groups: np.ndarray, limits: np.ndarray
) -> list[int]:
    kept: list[int] = []
    for index in np.argsort(-confidences):
        mine = [other for other in kept if groups[other] == groups[index]]
        if all(iou(boxes[index], boxes[other]) <= limits[index] for other in mine):
            kept.append(int(index))
    return kept


@pytest.mark.parametrize("seed", range(12))
def test_suppression_matches_the_textbook_with_a_limit_per_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = [0, 1, 2, 40, 150][seed % 5]
    corner, extent = rng.uniform(0, 100, (count, 2)), rng.uniform(10, 60, (count, 2))
    boxes = np.concatenate([corner, corner + extent], axis=1).astype(np.float32)
    confidences = rng.permutation(np.linspace(0.3, 0.9, count)).astype(np.float32)
    groups = rng.integers(0, 4, count)
    limits = np.array([0.6, 0.3, 0.6, 0.45], np.float32)[groups]
    kept = suppress(boxes, confidences, groups, limits)
    assert kept.tolist() == by_hand(boxes, confidences, groups, limits)
    if count > 30:
        assert 4 < len(kept) < count


def seen(confidence: float, *box: float, label: str = "cigarette") -> Detection:
    return Detection(label, confidence, Box(*box))


def test_the_most_confident_of_two_overlapping_boxes_stays() -> None:
    assert merged([seen(0.5, 0, 0, 10, 10), seen(0.8, 2, 2, 12, 12)]) == [seen(0.8, 2, 2, 12, 12)]


def test_a_box_inside_another_is_the_same_object() -> None:
    large, small = seen(0.6, 0, 0, 40, 40), seen(0.5, 10, 10, 20, 20)
    assert merged([small, large]) == [large]
    assert merged([seen(0.9, *small.box), large]) == [seen(0.9, *small.box)]


def test_neighbours_stay_two() -> None:
    two = [seen(0.8, 0, 0, 10, 10), seen(0.5, 8, 0, 18, 10)]
    assert merged(two) == two
    assert merged([]) == []


def test_a_suppressed_box_suppresses_no_other() -> None:
    chain = [seen(0.9, 0, 0, 10, 10), seen(0.8, 4, 0, 14, 10), seen(0.7, 9, 0, 19, 10)]
    assert merged(chain) == [chain[0], chain[2]]
