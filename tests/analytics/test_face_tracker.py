"""Faces through time: when in doubt, a face stays covered."""

from __future__ import annotations

import pytest

from app.analytics.face_tracker import FaceTracker
from app.types import Box, Detection, Track

FPS = 15
HOLD_S = 1.0


@pytest.fixture
def tracker() -> FaceTracker:
    return FaceTracker(start_confidence=0.3, hold_s=HOLD_S)


def face(x: float, y: float, size: float = 40, confidence: float = 0.9) -> Detection:
    return Detection("face", confidence, Box(x, y, x + size, y + size))


def covers(tracks: tuple[Track, ...], box: Box, margin: float = 0.25) -> bool:
    """Whether one track, with the margin that blur adds, covers the whole box."""
    return any(
        grown.x1 <= box.x1 and grown.y1 <= box.y1 and grown.x2 >= box.x2 and grown.y2 >= box.y2
        for grown in (track.box.grown(margin) for track in tracks)
    )


def test_a_face_that_is_seen_is_where_it_is_seen(tracker: FaceTracker) -> None:
    (track,) = tracker.update([face(10, 20)], 0)
    assert track.box == Box(10, 20, 50, 60)
    assert (track.age_s, track.label, track.confidence) == (0, "face", 0.9)


def test_a_face_keeps_its_id(tracker: FaceTracker) -> None:
    ids = {tracker.update([face(10 + n, 20)], n / FPS)[0].track_id for n in range(30)}
    assert len(ids) == 1


def test_a_missed_face_stays_covered_until_hold_s_and_not_longer(tracker: FaceTracker) -> None:
    tracker.update([face(100, 100)], 0)
    for number in range(1, int(HOLD_S * FPS) + 1):
        assert covers(tracker.update([], number / FPS), Box(100, 100, 140, 140))
    assert tracker.update([], HOLD_S + 0.01) == ()


def test_a_face_that_is_missed_when_the_resolution_changes_stays_covered(
    tracker: FaceTracker,
) -> None:
    tracker.resize((1280, 720))
    for number in range(3):
        tracker.update([face(100 + 10 * number, 100)], number / FPS)
    tracker.resize((640, 360))
    small = [face(65, 50, size=20, confidence=0.2)]  # too unsure to start a track
    for detections, at, left in (([], 3, 65), (small, 3, 65), ([], 4, 70)):
        (track,) = tracker.update(detections, at / FPS)
        assert covers((track,), Box(left, 50, left + 20, 70))
        assert track.box.width < 25


def test_without_hold_a_missed_face_is_forgotten_at_once() -> None:
    tracker = FaceTracker(start_confidence=0.3, hold_s=0)
    assert len(tracker.update([face(0, 0)], 0)) == 1
    assert tracker.update([], 1 / FPS) == ()


@pytest.mark.parametrize(("dx", "dy"), [(120, 0), (-120, 0), (0, 90), (80, -60)])
@pytest.mark.parametrize("missed", [1, 3, 7])
def test_a_moving_face_stays_covered_while_it_is_missed(
    tracker: FaceTracker, dx: float, dy: float, missed: int
) -> None:
    """Three widths a second, which is a person walking past close by."""
    for number in range(10):
        tracker.update([face(500 + dx * number / FPS, 500 + dy * number / FPS)], number / FPS)
    for number in range(10, 10 + missed):
        now = number / FPS
        true = face(500 + dx * now, 500 + dy * now).box
        assert covers(tracker.update([], now), true), f"uncovered after {number - 9} missed frames"


def test_a_missed_face_that_is_seen_again_is_the_same_one(tracker: FaceTracker) -> None:
    (before,) = tracker.update([face(100, 100)], 0)
    tracker.update([], 0.3)
    (after,) = tracker.update([face(105, 100)], 0.5)
    assert after.track_id == before.track_id
    assert after.age_s == 0


def test_a_face_that_moved_its_own_width_in_one_frame_is_the_same_one(tracker: FaceTracker) -> None:
    (before,) = tracker.update([face(100, 100)], 0)
    (after,) = tracker.update([face(140, 100)], 1 / FPS)
    assert after.track_id == before.track_id


def test_an_unsure_detection_starts_nothing(tracker: FaceTracker) -> None:
    assert tracker.update([face(0, 0, confidence=0.29)], 0) == ()


def test_an_unsure_detection_continues_a_face_for_as_long_as_it_is_there(
    tracker: FaceTracker,
) -> None:
    tracker.update([face(100, 100)], 0)
    for number in range(1, 10 * FPS):
        (track,) = tracker.update([face(100 + number, 100, confidence=0.13)], number / FPS)
        assert track.age_s == 0
        assert track.box.x1 == pytest.approx(100 + number)


def test_a_sure_detection_is_preferred_to_an_unsure_one(tracker: FaceTracker) -> None:
    tracker.update([face(100, 100)], 0)
    (track,) = tracker.update([face(96, 100, confidence=0.2), face(103, 100)], 1 / FPS)
    assert track.confidence == 0.9


def test_two_faces_that_cross_are_both_covered_all_the_time(tracker: FaceTracker) -> None:
    for number in range(4 * FPS):
        now = number / FPS
        left, right = face(100 + 60 * now, 100), face(340 - 60 * now, 110)
        apart = abs(left.box.x1 - right.box.x1) > 15
        tracks = tracker.update([left, right] if apart else [left], now)  # one hides the other
        assert covers(tracks, left.box)
        assert covers(tracks, right.box)
        assert len(tracks) <= 3


def test_faces_side_by_side_keep_their_ids(tracker: FaceTracker) -> None:
    first = {t.box.x1: t.track_id for t in tracker.update([face(0, 0), face(45, 0)], 0)}
    later = tracker.update([face(46, 0), face(1, 0)], 1 / FPS)
    assert {round(t.box.x1 / 45): t.track_id for t in later} == {0: first[0], 1: first[45]}


def test_every_sure_face_of_a_crowd_is_covered(tracker: FaceTracker) -> None:
    crowd = [face(60 * x, 60 * y, 30) for x in range(20) for y in range(10)]
    for number in range(5):
        tracks = tracker.update(crowd, number / FPS)
        assert len(tracks) == 200
        assert all(covers(tracks, detection.box) for detection in crowd)


def test_a_face_that_is_seen_after_hold_s_is_another_one(tracker: FaceTracker) -> None:
    (before,) = tracker.update([face(100, 100)], 0)
    (after,) = tracker.update([face(100, 100)], HOLD_S + 60)
    assert after.track_id != before.track_id


def test_ids_are_never_given_twice(tracker: FaceTracker) -> None:
    seen: list[int] = []
    for number in range(20):
        now = number * (HOLD_S + 0.1)
        tracker.update([], now - 0.01)
        (track,) = tracker.update([face(0, 0)], now)
        seen.append(track.track_id)
    assert len(set(seen)) == 20


def test_a_long_gap_forgets_everything(tracker: FaceTracker) -> None:
    tracker.update([face(0, 0), face(100, 100)], 0)
    assert tracker.update([], 3600) == ()


def test_a_clock_that_stands_still_harms_nothing(tracker: FaceTracker) -> None:
    tracker.update([face(0, 0)], 5)
    (track,) = tracker.update([face(2, 0)], 5)
    assert track.box == Box(2, 0, 42, 40)


def test_a_wild_speed_does_not_carry_a_face_out_of_view_at_once(
    tracker: FaceTracker,
) -> None:
    tracker.update([face(100, 100)], 0)
    tracker.update([face(130, 100)], 0.001)
    (track,) = tracker.update([], 0.1)
    centre = (track.box.x1 + track.box.x2) / 2
    assert abs(centre - 150) <= 2.5 * 40
