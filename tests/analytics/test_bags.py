"""Bags on a staged square: painted people come, leave things, and go.

The persons' boxes are given, as a good detector would give them; the things are found in the
pixels, over a background with texture and a noisy sensor.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from app.analytics.rules.bags import BagRule, BagSettings
from app.analytics.rules.base import AnalyzedFrame, FramePixels
from app.events import RuleEvent
from app.models.crop_refiner import CropWindow
from app.types import Box, Track

Picture = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 320, 180
STEP_S = 0.2
BODY = 80
RED, GREEN, BLACK = (170, 40, 40), (40, 130, 60), (25, 25, 30)


def square(seed: int = 3) -> Picture:
    """A paved place: coarse and fine texture, as real ground has."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.integers(70, 180, (9, 16, 3), np.uint8), (WIDTH, HEIGHT))
    fine = rng.integers(-14, 15, (HEIGHT, WIDTH, 1))
    return np.clip(coarse.astype(int) + fine, 0, 255).astype(np.uint8)


def cut_out(picture: Picture, part: CropWindow) -> Picture:
    return picture[part.y1 : part.y2, part.x1 : part.x2]


def whole(picture: Picture, _: int) -> Picture:
    return picture


@dataclass
class Actor:
    """A person of one colour whose feet are at (x, y)."""

    number: int
    colour: tuple[int, int, int]
    x: float = -100.0
    y: float = 150.0

    @property
    def box(self) -> Box:
        return Box(self.x - 15, self.y - BODY, self.x + 15, self.y)

    @property
    def visible(self) -> bool:
        return -15 < self.x < WIDTH + 15


@dataclass
class Stage:
    """Paints the square as it is, and lets the rule look."""

    rule: BagRule = field(default_factory=lambda: BagRule(BagSettings()))
    ground: Picture = field(default_factory=square)
    actors: list[Actor] = field(default_factory=list)
    things: dict[str, Box] = field(default_factory=dict)
    light: float = 1.0
    shift: tuple[int, int] = (0, 0)
    now: float = 10.0
    reported: list[tuple[float, RuleEvent]] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(7)
        noise = [rng.normal(0, 2, (HEIGHT, WIDTH, 3)).astype(np.float32) for _ in range(7)]
        self._noise = itertools.cycle(noise)

    def paint(self) -> Picture:
        picture = np.roll(self.ground, self.shift, axis=(1, 0)).astype(np.float32)
        for box in self.things.values():
            left, top, right, bottom = (int(side) for side in box)
            picture[top:bottom, left:right] = (35, 32, 40)
            picture[top : top + 3, left:right] = (90, 80, 70)
        for actor in self.actors:
            left, top, right, bottom = (int(side) for side in actor.box)
            left, right = max(0, left), max(0, right)
            picture[top:bottom, left:right] = actor.colour
            picture[top : top + 14, left + 8 : max(left + 8, right - 8)] = (200, 160, 140)
        picture = picture * np.float32(self.light) + next(self._noise)
        return np.clip(picture, 0, 255).astype(np.uint8)

    def look(self, seconds: float = STEP_S) -> None:
        """Let time pass with everything as it is."""
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            picture = self.paint()
            tracks = [
                Track(actor.number, "person", 0.9, actor.box)
                for actor in self.actors
                if actor.visible
            ]
            seen = FramePixels(
                (WIDTH, HEIGHT),
                functools.partial(cut_out, picture),
                functools.partial(whole, picture),
                self.now,
            )
            scene = AnalyzedFrame(tracks, [], self.now, (WIDTH, HEIGHT), seen)
            self.reported += [(self.now, rule_event) for rule_event in self.rule.update(scene)]

    def walk(self, actor: Actor, x: float, seconds: float) -> None:
        steps = max(1, round(seconds / STEP_S))
        for place in np.linspace(actor.x, x, steps + 1)[1:]:
            actor.x = float(place)
            self.look()

    def words(self) -> list[str]:
        return [rule_event.type for _, rule_event in self.reported]

    def who(self, kind: str) -> list[int]:
        return [f.details["person_id"] for _, f in self.reported if f.type == kind]


BAG = Box(172, 128, 196, 150)


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.look(4)  # it learns the place
    return stage


def enter(stage: Stage, number: int = 1, colour: tuple[int, int, int] = RED) -> Actor:
    actor = Actor(number, colour)
    stage.actors.append(actor)
    actor.x = -14
    return actor


def leave_a_bag(stage: Stage, box: Box = BAG, number: int = 1, name: str = "bag") -> Actor:
    """Somebody walks in, stands over a bag for a while, and goes out again to the left."""
    actor = enter(stage, number, RED if number == 1 else GREEN)
    stage.walk(actor, box.x1 - 4, 3)
    stage.things[name] = box
    stage.look(2)
    stage.walk(actor, -60, 4)
    return actor


def test_each_step_of_a_bag_that_is_left_is_reported_once(stage: Stage) -> None:
    leave_a_bag(stage)
    stage.look(15)
    assert stage.words() == ["bag_placed", "bag_unattended", "bag_abandoned"]
    assert {who for kind in set(stage.words()) for who in stage.who(kind)} == {1}
    (_, placed), *_ = stage.reported
    box = Box(*placed.details["box"])
    assert abs(box.x1 - BAG.x1) < 30
    assert placed.details["owner_confidence"] > 0.9
    assert placed.at is not None
    assert placed.at < stage.reported[0][0]


def test_an_owner_who_stays_near_leaves_nothing(stage: Stage) -> None:
    owner = enter(stage)
    stage.walk(owner, 168, 3)
    stage.things["bag"] = BAG
    stage.look(1)
    stage.walk(owner, 130, 1)
    stage.look(20)
    assert stage.words() == ["bag_placed"]
    assert stage.rule.counts == {"bag": 1, "owned_bag": 1}


def test_an_owner_who_comes_back_reclaims_the_bag(stage: Stage) -> None:
    leave_a_bag(stage)
    stage.look(4)
    back = Actor(9, RED, x=-14)  # a new track, the same clothes
    stage.actors = [back]
    stage.walk(back, BAG.x1 - 4, 4)
    del stage.things["bag"]
    stage.look(1)
    stage.walk(back, -60, 4)
    stage.look(3)
    assert stage.words()[-1] == "bag_reclaimed"
    assert stage.words().count("bag_placed") == 1
    assert stage.who("bag_reclaimed") == [1]


def test_a_bag_that_somebody_else_takes_is_reported_as_taken(stage: Stage) -> None:
    leave_a_bag(stage)
    stage.look(4)
    thief = Actor(2, GREEN, x=WIDTH + 14)
    stage.actors = [thief]
    stage.walk(thief, BAG.x2 + 4, 4)
    del stage.things["bag"]
    stage.look(1)
    stage.walk(thief, WIDTH + 60, 4)
    stage.look(3)
    assert stage.words()[-1] == "bag_taken"
    assert stage.who("bag_taken") == [2]


def test_a_file_that_begins_again_takes_nobodys_bag(stage: Stage) -> None:
    """In its first frames somebody passes where the bag will lie: they did not take it."""
    leave_a_bag(stage)
    stage.look(2)
    (placed, *_), before = stage.reported, stage.words()
    stage.rule.restart()
    del stage.things["bag"]
    other = Actor(2, GREEN, x=BAG.x2 + 4)
    stage.actors = [other]
    stage.look(1)
    stage.walk(other, WIDTH + 60, 4)
    stage.look(3)
    assert stage.words() == before
    leave_a_bag(stage, Box(92, 130, 114, 150), 3)
    assert stage.words().count("bag_placed") == 2
    assert stage.reported[-1][1].details["bag_id"] != placed[1].details["bag_id"]


def test_two_bags_have_two_owners(stage: Stage) -> None:
    leave_a_bag(stage, Box(92, 130, 114, 150), 1, "left")
    stage.actors.clear()
    leave_a_bag(stage, Box(232, 130, 256, 150), 2, "right")
    stage.look(12)
    assert stage.who("bag_placed") == [1, 2]
    assert sorted(stage.who("bag_abandoned")) == [1, 2]


def test_somebody_in_front_while_it_is_set_down_changes_nothing(stage: Stage) -> None:
    owner = enter(stage)
    passer = Actor(5, GREEN, x=WIDTH + 14, y=165)
    stage.actors.append(passer)
    stage.walk(owner, BAG.x1 - 4, 3)
    stage.things["bag"] = BAG
    stage.walk(passer, BAG.x2, 1.4)
    stage.walk(passer, -60, 2.4)
    stage.look(1)
    stage.walk(owner, -60, 3)
    stage.look(12)
    assert stage.words() == ["bag_placed", "bag_unattended", "bag_abandoned"]
    assert stage.who("bag_placed") == [1]


def test_a_bag_hidden_by_a_passer_by_is_still_the_same_bag(stage: Stage) -> None:
    leave_a_bag(stage)
    stage.look(10)
    passer = Actor(5, GREEN, x=WIDTH + 14, y=165)
    stage.actors = [passer]
    stage.walk(passer, BAG.x2 - 10, 2)
    stage.look(4)
    stage.walk(passer, -60, 3)
    stage.look(5)
    assert stage.words() == ["bag_placed", "bag_unattended", "bag_abandoned"]


# ── what must not alarm ──────────────────────────────────────────────────────────────────────


def _stands_still(stage: Stage) -> None:
    somebody = enter(stage)
    stage.walk(somebody, 160, 3)
    stage.look(30)
    stage.walk(somebody, WIDTH + 60, 3)
    stage.look(5)


def _light_is_switched(stage: Stage) -> None:
    somebody = enter(stage)
    stage.walk(somebody, 160, 3)
    stage.light = 0.45
    stage.look(10)
    stage.light = 1.0
    stage.walk(somebody, WIDTH + 60, 3)
    stage.look(10)


def _daylight_fades(stage: Stage) -> None:
    somebody = enter(stage)
    stage.walk(somebody, 60, 2)
    for light in np.linspace(1, 0.6, 100):
        stage.light = float(light)
        stage.look()
    stage.walk(somebody, -60, 2)
    stage.look(5)


def _a_shadow_falls(stage: Stage) -> None:
    somebody = enter(stage)
    stage.walk(somebody, 120, 2)
    darker = stage.ground.copy()
    darker[120:150, 150:185] = (darker[120:150, 150:185] * 0.65).astype(np.uint8)
    stage.ground = darker
    stage.look(2)
    stage.walk(somebody, -60, 3)
    stage.look(12)


def _a_car_leaves(stage: Stage) -> None:
    somebody = enter(stage)
    stage.walk(somebody, 150, 2)
    del stage.things["car"]
    stage.actors.clear()
    stage.look(15)


def _a_chair_is_moved_and_put_back(stage: Stage) -> None:
    somebody = enter(stage)
    stage.walk(somebody, 210, 3)
    chair = stage.things.pop("chair")
    stage.things["chair"] = chair.moved(30, 0)
    stage.look(3)
    stage.things["chair"] = chair
    stage.look(1)
    stage.walk(somebody, -60, 4)
    stage.look(12)


def _nothing_but_noise(stage: Stage) -> None:
    stage.look(60)


@pytest.mark.parametrize(
    "happens",
    [
        _stands_still,
        _light_is_switched,
        _daylight_fades,
        _a_shadow_falls,
        _a_car_leaves,
        _a_chair_is_moved_and_put_back,
        _nothing_but_noise,
    ],
)
def test_this_is_no_bag(happens: Callable[[Stage], None]) -> None:
    stage = Stage(things={"car": Box(230, 110, 290, 150), "chair": Box(214, 120, 228, 150)})
    if happens is not _a_car_leaves:
        del stage.things["car"]
    stage.look(4)
    happens(stage)
    alarms = [word for word in stage.words() if word in ("bag_unattended", "bag_abandoned")]
    assert alarms == []


def test_what_stands_there_from_the_start_is_furniture() -> None:
    stage = Stage(things={"bin": BAG})
    stage.look(6)
    passer = enter(stage)
    stage.walk(passer, WIDTH + 60, 5)
    stage.look(20)
    assert stage.words() == []


def test_a_bumped_camera_is_reported_and_the_background_is_learned_again(stage: Stage) -> None:
    leave_a_bag(stage)
    stage.look(12)
    before = stage.words()
    stage.shift = (14, 6)
    stage.things = {name: box.moved(14, 6) for name, box in stage.things.items()}
    stage.look(20)
    assert stage.words() == [*before, "camera_moved"]


# ── settings ─────────────────────────────────────────────────────────────────────────────────

LEFT_HALF = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
RIGHT_HALF = [(0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)]


@pytest.mark.parametrize(
    ("settings", "counts"),
    [
        (BagSettings(watch=[LEFT_HALF]), False),
        (BagSettings(watch=[RIGHT_HALF]), True),
        (BagSettings(ignore=[RIGHT_HALF]), False),
        (BagSettings(watch=[LEFT_HALF, RIGHT_HALF]), True),
    ],
)
def test_zones_say_where_bags_count(settings: BagSettings, counts: bool) -> None:
    stage = Stage(rule=BagRule(settings))
    stage.look(4)
    leave_a_bag(stage)
    stage.look(8)
    assert ("bag_abandoned" in stage.words()) is counts


def test_times_are_settings() -> None:
    stage = Stage(rule=BagRule(BagSettings(unattended_s=5, abandoned_s=20)))
    stage.look(4)
    leave_a_bag(stage)
    stage.look(10)
    assert stage.words() == ["bag_placed", "bag_unattended"]
    stage.look(20)
    assert stage.words() == ["bag_placed", "bag_unattended", "bag_abandoned"]


def test_nothing_grows_with_the_people_who_pass() -> None:
    stage = Stage()
    stage.look(3)
    for number in range(40):
        actor = Actor(number + 1, (number * 6 % 255, number * 37 % 255, 90), x=-14)
        stage.actors = [actor]
        stage.walk(actor, WIDTH + 60, 1.2)
    stage.actors = []
    stage.now += 400
    stage.look(1)
    rule = stage.rule
    assert len(rule._people._known) == len(rule._people._by_track) == 0
    assert len(rule._presences) == 0
