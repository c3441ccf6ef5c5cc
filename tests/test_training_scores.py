"""Average precision with some uncertain labels."""

import pytest

from training.boxes import CIGARETTE, NO_BOXES, Boxes
from training.scores import score

LABEL = [0, 0, 10, 10]
NEAR = [0, 0, 10, 8]
ELSEWHERE = [50, 50, 60, 60]


def cigarettes(boxes: list[list[int]], scores: list[float] | None = None) -> Boxes:
    return Boxes.of(boxes, CIGARETTE, scores)


def test_a_confident_false_alarm_halves_the_precision() -> None:
    found = cigarettes([NEAR, ELSEWHERE], [0.6, 0.9])
    result = score([found], [cigarettes([LABEL])], [NO_BOXES], 0.5)
    assert result.average_precision == pytest.approx(0.5)
    assert result.precision(0.5) == pytest.approx(0.5)
    assert result.recall(0.5) == 1
    assert result.recall(0.7) == 0


def test_a_detection_on_an_unsure_box_does_not_count() -> None:
    found = cigarettes([NEAR, ELSEWHERE], [0.6, 0.9])
    result = score([found], [cigarettes([LABEL])], [cigarettes([ELSEWHERE])], 0.5)
    assert result.average_precision == pytest.approx(1)


def test_two_detections_of_one_label_are_one_hit() -> None:
    found = cigarettes([LABEL, NEAR], [0.9, 0.8])
    result = score([found], [cigarettes([LABEL])], [NO_BOXES], 0.5)
    assert result.hits.tolist() == [True, False]


def test_the_threshold_for_a_precision_is_the_lowest_that_reaches_it() -> None:
    found = cigarettes([LABEL, ELSEWHERE], [0.9, 0.4])
    result = score([found], [cigarettes([LABEL])], [NO_BOXES], 0.5)
    assert result.threshold_for(0.85) == pytest.approx(0.9)
