"""Box arithmetic of the training scripts."""

import numpy as np
import pytest

from training.boxes import CIGARETTE, FACE, PERSON, Boxes, crop_boxes, iou, non_max, upper_body


def test_iou_of_halves_and_strangers() -> None:
    a = np.array([[0, 0, 10, 10]], np.float32)
    b = np.array([[0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30]], np.float32)
    assert iou(a, b)[0] == pytest.approx([1.0, 0.5, 0.0])


def test_non_max_keeps_the_most_confident_of_each_class() -> None:
    twins = Boxes.of([[0, 0, 10, 10], [1, 0, 11, 10]], FACE, [0.5, 0.9])
    other = Boxes.of([[0, 0, 10, 10]], PERSON, [0.4])
    kept = non_max(Boxes.join(twins, other), 0.5)
    assert sorted(zip(kept.labels.tolist(), kept.scores.round(1).tolist(), strict=True)) == [
        (PERSON, pytest.approx(0.4)),
        (FACE, pytest.approx(0.9)),
    ]


@pytest.mark.parametrize(
    "person", [(900, 100, 1000, 400), (0, 0, 60, 200), (1800, 900, 1920, 1080)]
)
def test_upper_body_is_a_square_inside_the_frame(person: tuple[int, ...]) -> None:
    x1, y1, x2, y2 = upper_body(np.array(person, np.float32), 1920, 1080)
    assert x2 - x1 == pytest.approx(y2 - y1, abs=1)
    assert 0 <= x1 < x2 <= 1920
    assert 0 <= y1 < y2 <= 1080


def test_a_box_mostly_outside_a_crop_is_dropped() -> None:
    boxes = Boxes.of([[0, 0, 10, 10], [45, 45, 60, 55]], CIGARETTE)
    seen = crop_boxes(boxes, np.array([40, 40, 80, 80]), 0.4)
    assert seen.xyxy.tolist() == [[5, 5, 20, 15]]
