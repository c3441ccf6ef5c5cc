"""What was detected is remembered where the image stays as it is."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from app.analytics.motion import MotionRegion
from app.analytics.scene_memory import MAX_RECHECKS, RegionDetections, SceneMemory
from app.errors import DetectorError
from app.types import Box, Detection

BAG = Box(300, 200, 320, 230)
WALL = np.full((360, 640, 3), 90, np.uint8)


def with_bag(shade: int = 200) -> np.ndarray:
    image = WALL.copy()
    image[200:230, 300:320] = shade
    return image


@pytest.fixture
def memory() -> SceneMemory:
    return SceneMemory(recheck_s=1.0)


def look(
    memory: SceneMemory, image: np.ndarray, at: float, *known: Box
) -> list[MotionRegion] | None:
    """The regions of an image that changed, which are then kept."""
    regions = memory.changes(image, at, known)
    if regions != []:
        memory.keep(at, regions)
    return regions


def is_whole(memory: SceneMemory, image: np.ndarray, at: float) -> bool:
    return look(memory, image, at) is None


def test_a_still_scene_has_no_changes_and_a_moved_one_some(memory: SceneMemory) -> None:
    assert is_whole(memory, WALL, 0.0)
    assert look(memory, WALL.copy(), 0.2) == []
    (region,) = look(memory, with_bag(), 0.4) or []
    assert region.owns(BAG)
    assert region.width * region.height < 0.3 * 640 * 360
    assert look(memory, with_bag(), 0.6) == []


def test_a_known_object_that_moved_in_part_is_in_the_region_whole(memory: SceneMemory) -> None:
    assert is_whole(memory, WALL, 0.0)
    person = Box(280, 60, 340, 250)
    (region,) = look(memory, with_bag(), 0.2, person) or []
    core = region.core
    assert core.x1 <= person.x1 < person.x2 <= core.x2
    assert core.y1 <= person.y1 < person.y2 <= core.y2


def test_large_changes_are_the_whole_image(memory: SceneMemory) -> None:
    assert is_whole(memory, WALL, 0.0)
    assert is_whole(memory, 255 - WALL, 0.2)


def test_the_noise_of_a_sensor_is_no_change(memory: SceneMemory) -> None:
    noise = np.random.default_rng(0)
    looks = 0
    for number in range(5):
        image = WALL + noise.normal(0, 4, WALL.shape)
        looks += look(memory, image.clip(0, 255).astype(np.uint8), number / 5) != []
    assert looks == 1


def test_slow_changes_add_up(memory: SceneMemory) -> None:
    assert is_whole(memory, with_bag(90), 0.0)
    shades = [90 + step for step in range(1, 12)]
    looks = [look(memory, with_bag(shade), 0.05 * step) for step, shade in enumerate(shades)]
    assert any(looks)


def test_it_is_looked_again_after_a_second_and_less_and_less_often(memory: SceneMemory) -> None:
    looks = [tick / 10 for tick in range(200) if is_whole(memory, WALL, tick / 10)]
    gaps = [round(after - before, 1) for before, after in itertools.pairwise(looks)]
    assert gaps == [1.0, 2.0, 4.0, 4.0, 4.0, 4.0]
    assert max(gaps) == MAX_RECHECKS


def test_after_a_movement_it_is_looked_every_second_again(memory: SceneMemory) -> None:
    for tick in range(100):
        look(memory, WALL, tick / 10)
    assert look(memory, with_bag(), 10.0) != []
    looks = [10.1 + tick / 10 for tick in range(30)]
    wholes = [round(at, 1) for at in looks if is_whole(memory, with_bag(), at)]
    assert wholes[0] <= 11.0


def test_what_failed_is_not_recalled(memory: SceneMemory) -> None:
    look(memory, WALL, 0.0)
    memory.forget()
    assert is_whole(memory, WALL, 0.2)


def test_an_image_of_another_size_is_another_scene(memory: SceneMemory) -> None:
    look(memory, WALL, 0.0)
    assert is_whole(memory, WALL[:180, :320], 0.2)


def test_without_a_time_nothing_is_recalled() -> None:
    memory = SceneMemory(recheck_s=0)
    assert all(is_whole(memory, WALL, tick / 10) for tick in range(5))


# ── merging regions into what was known ──────────────────────────────────────────────────────

REGION = MotionRegion(200, 100, 224, 224, Box(232, 132, 392, 292))


@dataclass
class Answer:
    """The detections of an image or a region."""

    found: list[Detection] | None
    done: bool = True

    def is_answered(self, timeout_s: float) -> bool:
        return self.done

    def detections(self, timeout_s: float, size: tuple[int, int]) -> list[Detection]:
        if self.found is None:
            raise DetectorError(network="objects", reason="too late")
        return self.found


def merged(before: list[Detection] | None, region: list[Detection] | None) -> RegionDetections:
    answers: Any = (Answer(before), [Answer(region)])
    return RegionDetections(answers[0], (640, 360), [REGION], answers[1])


def person(x: float, y: float) -> Detection:
    return Detection("person", 0.9, Box(x, y, x + 40, y + 80))


def test_what_is_outside_of_the_region_stays_and_what_is_inside_is_new() -> None:
    beside, gone, new = person(20, 20), person(260, 150), person(300, 170)
    pending = merged([beside, gone], [replace(new, box=new.box.moved(-200, -100))])
    assert pending.detections(1, (640, 360)) == [beside, new]
    assert not pending.truncated
    (_, doubled) = pending.detections(1, (1280, 720))
    assert doubled.box == new.box.scaled(2, 2)


def test_what_is_cut_off_at_the_edge_of_a_region_is_noticed() -> None:
    cut = Detection("person", 0.9, Box(60, 0, 120, 100))
    pending = merged([], [cut])
    pending.detections(1, (640, 360))
    assert pending.truncated


def test_regions_follow_upon_regions() -> None:
    first = merged([person(20, 20), person(260, 150)], [])
    second = RegionDetections(first, (640, 360), [REGION], [Answer([person(80, 60)])])  # type: ignore[list-item]
    assert second.detections(1, (640, 360)) == [person(20, 20), person(280, 160)]


@pytest.mark.parametrize(("before", "region"), [(None, []), ([], None)])
def test_a_failure_before_or_in_a_region_is_a_failure(
    before: list[Detection] | None, region: list[Detection] | None
) -> None:
    with pytest.raises(DetectorError):
        merged(before, region).detections(1, (640, 360))


@pytest.mark.parametrize(("before", "region"), [(True, True), (True, False), (False, True)])
def test_it_is_answered_when_all_that_it_needs_is(before: bool, region: bool) -> None:
    answers: Any = (Answer([], before), [Answer([], region)])
    pending = RegionDetections(answers[0], (640, 360), [REGION], answers[1])
    assert pending.is_answered(0) is (before and region)
