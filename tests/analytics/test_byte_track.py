"""Association of detections: both passes, the filter's prediction, and the best sum of pairs."""

from __future__ import annotations

import numpy as np
import pytest

from app.analytics.byte_track import Array, ByteTrack, best_pairs

STEP_S = 0.2


@pytest.fixture
def tracker() -> ByteTrack:
    return ByteTrack(start_confidence=0.4, lost_s=2.0, fps=1 / STEP_S)


def boxes(*left: float, width: float = 60) -> Array:
    return np.array([(x, 100, x + width, 280) for x in left], np.float64).reshape(-1, 4)


def confidences(*values: float) -> Array:
    return np.array(values, np.float64)


def test_the_sum_of_all_pairs_counts_not_the_best_pair() -> None:
    assert best_pairs(np.array([[0.9, 0.8], [0.8, 0.1]]), 0.1) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (2, 5)])
def test_there_may_be_more_rows_or_columns(shape: tuple[int, int]) -> None:
    similarity = np.zeros(shape)
    similarity[0, 0] = 0.5
    assert best_pairs(similarity, 0.1) == [(0, 0)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_is_paired_with_nothing(shape: tuple[int, int]) -> None:
    assert best_pairs(np.zeros(shape), 0.1) == []


def test_only_a_confident_detection_begins_a_track(tracker: ByteTrack) -> None:
    assert tracker.update(boxes(0, 300), confidences(0.39, 0.4), 0.0) == [(1, 0)]


def test_a_doubtful_detection_continues_what_no_confident_one_does(tracker: ByteTrack) -> None:
    tracker.update(boxes(0), confidences(0.9), 0.0)
    assert tracker.update(boxes(4, 0), confidences(0.9, 0.3), STEP_S) == [(0, 0)]
    assert tracker.update(boxes(4), confidences(0.1), 2 * STEP_S) == [(0, 0)]


def test_a_track_is_looked_for_where_it_moves_to(tracker: ByteTrack) -> None:
    """At its speed it is 240 pixels further, four times its width, when it is seen again."""
    for n in range(8):
        assert tracker.update(boxes(30 * n), confidences(0.9), n * STEP_S) == [(0, 0)]
    assert tracker.update(boxes(30 * 15), confidences(0.9), 15 * STEP_S) == [(0, 0)]


def test_time_counts_not_the_number_of_frames(tracker: ByteTrack) -> None:
    """150 pixels a second, looked at in irregular intervals."""
    for at in (0.0, 0.1, 0.2, 0.5, 0.6, 1.0, 1.7):
        assert tracker.update(boxes(150 * at), confidences(0.9), at) == [(0, 0)]


def test_who_was_lost_for_too_long_is_somebody_else(tracker: ByteTrack) -> None:
    tracker.update(boxes(0), confidences(0.9), 0.0)
    assert tracker.update(boxes(), confidences(), 1.0) == []
    assert tracker.update(boxes(0), confidences(0.9), 2.0) == [(0, 0)]
    assert tracker.update(boxes(0), confidences(0.9), 4.1) == [(0, 1)]
