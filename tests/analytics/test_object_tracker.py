"""Tracks of people and objects: they get an id at once, and keep it."""

from __future__ import annotations

import itertools

import pytest

from app.analytics.object_tracker import ObjectTracker
from app.types import Box, Detection, Track

INFERENCE_S = 0.2
HOLD_S = 1.5


@pytest.fixture
def tracker() -> ObjectTracker:
    return ObjectTracker(start_confidence=0.4, hold_s=HOLD_S, numbers=itertools.count(1))


def person(x: float, confidence: float = 0.9, label: str = "person") -> Detection:
    return Detection(label, confidence, Box(x, 100, x + 60, 280))


def ids(tracks: tuple[Track, ...]) -> list[int]:
    return [track.track_id for track in tracks]


def test_whoever_is_sure_has_a_name_at_once(tracker: ObjectTracker) -> None:
    (track,) = tracker.update([person(0), person(300, 0.3)], 5.0)
    assert (track.track_id, track.label, track.confidence) == (1, "person", 0.9)
    assert track.box == person(0).box
    assert track.age_s == 0


def test_a_person_with_low_confidence_for_a_while_keeps_their_id(tracker: ObjectTracker) -> None:
    names = {
        name
        for n in range(20)
        for name in ids(
            tracker.update([person(8 * n, 0.3 if 5 < n < 12 else 0.8)], n * INFERENCE_S)
        )
    }
    assert names == {1}


def test_two_people_who_cross_are_not_confused(tracker: ObjectTracker) -> None:
    """They meet in the middle, and one of them is not seen for three looks."""
    first: tuple[Track, ...] = ()
    last: tuple[Track, ...] = ()
    for n in range(31):
        seen = [person(10 * n)] if 13 <= n <= 15 else [person(10 * n), person(300 - 10 * n)]
        last = tracker.update(seen, n * INFERENCE_S)
        first = first or last
    assert sorted(ids(first)) == sorted(ids(last)) == [1, 2]
    left_to_right = {track.track_id: track.box.x1 for track in last}
    assert left_to_right[first[0].track_id] == pytest.approx(300)


def test_between_inferences_a_track_moves_on_by_itself(tracker: ObjectTracker) -> None:
    for n in range(6):
        tracker.update([person(20 * n)], n * INFERENCE_S)
    (track,) = tracker.coast(5 * INFERENCE_S + 0.1)
    assert track.age_s == pytest.approx(0.1)
    assert track.box.x1 == pytest.approx(110, abs=4)


def test_what_is_not_seen_for_long_is_forgotten(tracker: ObjectTracker) -> None:
    tracker.update([person(0)], 0)
    assert ids(tracker.update([], HOLD_S - 0.1)) == [1]
    assert tracker.coast(HOLD_S + 0.1) == ()
    assert ids(tracker.update([person(0)], 5)) == [2]


def test_a_person_who_is_back_in_time_keeps_their_id(tracker: ObjectTracker) -> None:
    for n in range(4):
        tracker.update([person(0)], n * INFERENCE_S)
    tracker.update([], 4 * INFERENCE_S)
    tracker.update([], 5 * INFERENCE_S)
    assert ids(tracker.update([person(5)], 6 * INFERENCE_S)) == [1]


def test_a_things_label_is_what_it_was_seen_as_most(tracker: ObjectTracker) -> None:
    seen = [("handbag", 0.5), ("suitcase", 0.6), ("handbag", 0.5), ("backpack", 0.4)]
    for n, (label, confidence) in enumerate(seen):
        (track,) = tracker.update([person(0, confidence, label)], n * INFERENCE_S)
    assert (track.track_id, track.label) == (1, "handbag")


def test_a_clock_that_goes_back_starts_again(tracker: ObjectTracker) -> None:
    tracker.update([person(0)], 100)
    (track,) = tracker.update([person(0)], 3)
    assert (track.track_id, track.age_s) == (2, 0)


def test_trackers_of_one_stream_never_share_a_number() -> None:
    numbers = itertools.count(1)
    people = ObjectTracker(start_confidence=0.4, hold_s=1, numbers=numbers)
    bags = ObjectTracker(start_confidence=0.4, hold_s=1, numbers=numbers)
    names = [*ids(people.update([person(0), person(200)], 0)), *ids(bags.update([person(0)], 0))]
    assert sorted(names) == [1, 2, 3]
