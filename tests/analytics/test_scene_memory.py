"""What was detected is remembered while the image stays as it is."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.analytics.scene_memory import MAX_RECHECKS, SceneMemory

WALL = np.full((360, 640, 3), 90, np.uint8)


def inference() -> Any:
    return SimpleNamespace()


def with_bag(shade: int = 200) -> np.ndarray:
    image = WALL.copy()
    image[200:230, 300:320] = shade
    return image


@pytest.fixture
def memory() -> SceneMemory:
    return SceneMemory(recheck_s=1.0)


def look(memory: SceneMemory, image: np.ndarray, at: float) -> bool:
    """Whether an image needs inference, which is then kept."""
    if memory.recall(image, at) is not None:
        return False
    memory.keep(inference(), at)
    return True


def test_a_still_scene_is_recalled_and_a_change_is_not(memory: SceneMemory) -> None:
    assert memory.recall(WALL, 0.0) is None
    first = inference()
    memory.keep(first, 0.0)
    assert memory.recall(WALL.copy(), 0.2) is first
    assert memory.recall(with_bag(), 0.4) is None


def test_the_noise_of_a_sensor_is_no_change(memory: SceneMemory) -> None:
    noise = np.random.default_rng(0)
    looks = 0
    for number in range(5):
        image = WALL + noise.normal(0, 4, WALL.shape)
        looks += look(memory, image.clip(0, 255).astype(np.uint8), number / 5)
    assert looks == 1


def test_slow_changes_add_up(memory: SceneMemory) -> None:
    assert look(memory, with_bag(90), 0.0)
    shades = [90 + step for step in range(1, 12)]
    looks = [look(memory, with_bag(shade), 0.05 * step) for step, shade in enumerate(shades)]
    assert any(looks)


def test_it_is_looked_again_after_a_second_and_less_and_less_often(memory: SceneMemory) -> None:
    looks = [tick / 10 for tick in range(200) if look(memory, WALL, tick / 10)]
    gaps = [round(after - before, 1) for before, after in itertools.pairwise(looks)]
    assert gaps == [1.0, 2.0, 4.0, 4.0, 4.0, 4.0]
    assert max(gaps) == MAX_RECHECKS


def test_after_a_movement_it_is_looked_every_second_again(memory: SceneMemory) -> None:
    for tick in range(100):
        look(memory, WALL, tick / 10)
    assert look(memory, with_bag(), 10.0)
    assert not look(memory, with_bag(), 10.9)
    assert look(memory, with_bag(), 11.0)


def test_what_failed_is_not_recalled(memory: SceneMemory) -> None:
    look(memory, WALL, 0.0)
    memory.forget()
    assert look(memory, WALL, 0.2)


def test_an_image_of_another_size_is_another_scene(memory: SceneMemory) -> None:
    look(memory, WALL, 0.0)
    assert look(memory, WALL[:180, :320], 0.2)


def test_without_a_time_nothing_is_recalled() -> None:
    memory = SceneMemory(recheck_s=0)
    assert all(look(memory, WALL, tick / 10) for tick in range(5))
