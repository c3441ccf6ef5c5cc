"""The parts of the rule about bags, each by itself."""

from __future__ import annotations

import numpy as np
import pytest

from app.analytics.bags.carried import CarriedBags
from app.analytics.bags.crop_checks import CropChecks
from app.analytics.bags.geometry import is_in_hand, same_place, share_of, square_around
from app.analytics.bags.presence import PresenceHistory
from app.analytics.bags.tuning import BagTuning
from app.analytics.reidentification import KnownPerson
from app.analytics.static_objects import StaticObject, StaticObjectDetector
from app.types import Box, CropDetections, Detection, Track

SIZE = (640, 360)
INFERENCE_S = 0.2


def person(number: int, x: float, y: float = 300, height: float = 160) -> KnownPerson:
    box = Box(x - height / 5, y - height, x + height / 5, y)
    return KnownPerson(number, number, box, 0.0, np.zeros((2, 12, 6), np.float32))


def bag(x: float, y: float = 280, confidence: float = 0.6, label: str = "handbag") -> Track:
    return Track(90, label, confidence, Box(x - 12, y - 30, x + 12, y))


# ── who carries what ─────────────────────────────────────────────────────────────────────────


def test_a_bag_is_counted_while_its_carrier_is_in_view() -> None:
    carried, walker = CarriedBags(), person(1, 100)
    assert carried.update([bag(120)], [walker], 0) == []
    for n in range(1, 20):  # the network does not see it again
        carried.update([], [walker], n * INFERENCE_S)
        assert carried.count(n * INFERENCE_S) == 1
    carried.update([], [], 10)
    assert carried.count(10) == 0


def test_an_unsure_bag_counts_when_it_was_seen_twice() -> None:
    carried, walker = CarriedBags(), person(1, 100)
    carried.update([bag(120, confidence=0.32)], [walker], 0)
    assert carried.count(0) == 0
    carried.update([bag(121, confidence=0.32)], [walker], 1)
    assert carried.count(1) == 1
    assert carried.carriers() == {1}


def test_one_bag_seen_as_two_kinds_is_one_and_two_bags_are_two() -> None:
    carried, walker = CarriedBags(), person(1, 100)
    carried.update([bag(120), bag(121, label="suitcase", confidence=0.5)], [walker], 0)
    assert carried.count(0) == 1
    carried.update([bag(120), bag(78)], [walker], 1)
    assert carried.count(1) == 2
    carried.put_down(1)
    assert carried.count(1) == 1


def test_a_bag_belongs_to_the_nearest_person_in_reach() -> None:
    carried = CarriedBags()
    near, far = person(1, 110), person(2, 150)
    assert carried.update([bag(112)], [far, near], 0) == []
    assert carried.carriers() == {1}
    lonely = bag(400)
    assert carried.update([lonely], [near, far], 0) == [lonely]


# ── whose it is ──────────────────────────────────────────────────────────────────────────────


def test_the_owner_is_who_stops_and_not_who_passes() -> None:
    presences = PresenceHistory()
    for n in range(20):
        now = n * INFERENCE_S
        stands, passes = person(1, 300), person(2, 150 + 16 * n)
        presences.remember([stands, passes], SIZE, now)
    thing = Box(310, 280, 340, 302)
    owner, sure = presences.owner(thing, 2.0)
    assert owner == 1
    assert sure > 0.7
    assert presences.owner(thing, 2.0, walking=False)[0] == 1
    nobody_stops = PresenceHistory()
    for n in range(20):
        nobody_stops.remember([person(2, 150 + 40 * n)], SIZE, n * INFERENCE_S)
    assert nobody_stops.owner(thing, 1.0, walking=False) == (None, 0.0)


def test_an_owner_whose_track_broke_is_one_person() -> None:
    """Another person crossed them and took their id for one frame, at a low frame rate."""
    presences = PresenceHistory()
    for at, seen in (
        (8.0, [person(1, 100), person(2, 260)]),
        (8.5, [person(1, 180), person(6, 100)]),  # the passer has the owner's id
        (9.0, [person(2, 60), person(6, 100)]),
        (9.5, [person(6, 100)]),
        (12.0, [person(1, 100)]),  # found again by their clothes
    ):
        presences.remember(seen, SIZE, at)
    owner, sure = presences.owner(Box(140, 260, 160, 300), 9.0, walking=False)
    assert (owner, sure) == (1, 1.0)


def test_two_people_at_one_place_are_two() -> None:
    presences = PresenceHistory()
    for at in (8.0, 8.5, 9.0, 9.5):
        presences.remember([person(1, 100)] + [person(2, 105)] * (at > 8), SIZE, at)
    _, sure = presences.owner(Box(140, 260, 160, 300), 9.0, walking=False)
    assert sure < 0.7


def test_who_was_seen_once_did_not_stand_there() -> None:
    presences = PresenceHistory()
    for at in (8.0, 9.0, 10.0):
        presences.remember([person(1, 100)], SIZE, at)
        presences.remember([person(int(at), 130)], SIZE, at + 0.1)  # others, in one frame each
    owner, sure = presences.owner(Box(140, 260, 160, 300), 9.0)
    assert owner == 1
    assert sure > 0.6


def test_what_ends_above_the_feet_beside_somebody_may_be_in_their_hand() -> None:
    somebody = person(1, 300).box
    assert is_in_hand(Box(335, 240, 360, 275), somebody)
    assert not is_in_hand(Box(335, 265, 360, 302), somebody)  # on the ground
    assert not is_in_hand(Box(400, 240, 425, 275), somebody)  # out of reach


# ── a closer look ────────────────────────────────────────────────────────────────────────────

THING = Box(300, 250, 340, 290)
BODY = 160.0


def look(checks: CropChecks, now: float, *seen: Detection) -> object:
    """Answer what was asked for, and ask again."""
    checks.begin([CropDetections(part, seen) for part in checks.requests], now)
    return checks.passed(THING, BODY, now)


def test_nothing_is_reported_before_two_crops_show_no_person() -> None:
    checks = CropChecks()
    assert look(checks, 0) is None
    (part,) = checks.requests
    assert share_of(THING, part) == 1
    assert part.width == part.height == 2.5 * BODY
    assert look(checks, 0.2) is None
    assert look(checks, 0.4) == (0.0, "")
    assert checks.requests == []


def test_tuning_sets_how_many_crops_must_show_no_person() -> None:
    checks = CropChecks(BagTuning(clean_crops=1))
    assert look(checks, 0) is None
    assert look(checks, 0.2) == (0.0, "")


def test_a_person_who_was_missed_is_not_an_object() -> None:
    checks = CropChecks()
    hidden = Detection("person", 0.5, Box(290, 180, 350, 330))
    look(checks, 0)
    assert look(checks, 0.2, hidden) is None
    assert checks.requests == []  # for a while
    assert look(checks, 0.2 + BagTuning().crop_again_s) is None
    assert len(checks.requests) == 1


def test_a_small_person_is_none_and_a_bag_is_a_witness() -> None:
    checks = CropChecks()
    doll = Detection("person", 0.9, THING.grown(0.1))
    case = Detection("suitcase", 0.7, THING)
    look(checks, 0)
    look(checks, 0.2, doll, case)
    assert look(checks, 0.4, doll) == (0.7, "suitcase")


# ── light and things ─────────────────────────────────────────────────────────────────────────


def ground(seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(90, 170, (90, 160, 1)).repeat(3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("smooth", [False, True])
def test_a_shadow_is_cut_off_from_what_throws_it(smooth: bool) -> None:
    """The blob is as large as the thing, not as the thing and its shadow."""
    floor = np.full((90, 160, 3), 140, np.uint8) if smooth else ground()
    seen = StaticObjectDetector(settle_s=1.0)
    for n in range(20):
        seen.update(floor, [], n * INFERENCE_S)
    picture = floor.copy()
    picture[40:70, 60:130] = (picture[40:70, 60:130] * 0.85).astype(np.uint8)
    picture[40:70, 40:60] = (30, 30, 35)
    blobs: list[StaticObject] = []
    for n in range(20, 45):
        blobs, change = seen.update(picture, [], n * INFERENCE_S)
        assert change is None
    (blob,) = blobs
    thing = Box(40, 40, 60, 70)
    assert same_place(blob.box, thing)
    assert blob.box.width < 30
    assert seen.changed_share(thing) > 0.9
    assert seen.changed_share(Box(0, 0, 20, 20)) < 0.1


def test_a_jump_while_it_still_learns_does_not_blind_it() -> None:
    """Looks come slowly on a busy machine, and each counts for much."""
    seen, reported = StaticObjectDetector(), []
    one, other = ground(1), np.roll(ground(1), (9, 14), axis=(0, 1))
    views = [one] * 8 + [other] * 3 + [one] * 8 + [other] * 8
    for n, view in enumerate(views):
        _, change = seen.update(view, [], n * 0.7)
        reported += [n] if change else []
    assert reported == [9, 12, 20]


def test_a_square_has_its_middle_where_the_box_has() -> None:
    assert square_around(Box(0, 0, 20, 10), 40) == Box(-10, -15, 30, 25)
