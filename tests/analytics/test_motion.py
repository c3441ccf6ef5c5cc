"""Where a picture changed: found when it is faint or slow, not invented by noise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from app.analytics.motion import CONTEXT, MARGIN, Image, MotionDetector, MotionRegion, to_cells
from app.types import Box

WIDTH, HEIGHT = 960, 540


def scene(seed: int = 1, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image:
    """Something to look at: smooth and busy places, dark and bright ones."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def noisy(image: Image, sigma: float, seed: int) -> Image:
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.asarray((image + noise).round().clip(0, 255), np.uint8)


def with_patch(image: Image, box: Box, by: int) -> Image:
    """The picture with a rectangle made lighter or darker."""
    changed = image.astype(np.int16)
    x1, y1, x2, y2 = map(int, box)
    changed[y1:y2, x1:x2] += np.where(changed[y1:y2, x1:x2] > 128, -by, by).astype(np.int16)
    return np.asarray(changed.clip(0, 255), np.uint8)


def gate_that_saw(image: Image) -> MotionDetector:
    gate = MotionDetector(image.shape[1], image.shape[0])
    gate.looked_at(to_cells(image), None)
    return gate


def asked(
    gate: MotionDetector, image: Image, faces: list[Box] | None = None
) -> list[MotionRegion] | None:
    return gate.windows(to_cells(image), faces or [])


def in_a_core(windows: list[MotionRegion] | None, box: Box) -> bool:
    assert windows is not None
    return any(
        w.core.x1 <= box.x1 and w.core.y1 <= box.y1 and box.x2 <= w.core.x2 and box.y2 <= w.core.y2
        for w in windows
    )


def inside(box: Box) -> Box:
    """What of a box is in the picture."""
    return Box(max(0, box.x1), max(0, box.y1), min(WIDTH, box.x2), min(HEIGHT, box.y2))


def test_everything_is_looked_at_first_and_nothing_that_stayed_as_it_was() -> None:
    gate = MotionDetector(WIDTH, HEIGHT)
    assert asked(gate, scene()) is None
    gate.looked_at(to_cells(scene()), None)
    assert asked(gate, scene()) == []


@pytest.mark.parametrize("size", [(2, 2), (960, 2), (2, 960), (3, 5)])
def test_a_picture_that_is_smaller_than_a_cell_is_compared_too(size: tuple[int, int]) -> None:
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    gate = gate_that_saw(image)
    assert asked(gate, image) == []
    assert asked(gate, image + np.uint8(40)) is None


@pytest.mark.parametrize("side", [12, 16, 40, 120])
@pytest.mark.parametrize("place", [(0, 0), (301, 203), (WIDTH - 120, HEIGHT - 120)])
def test_a_faint_change_of_a_small_faces_size_is_looked_at_with_its_context(
    side: int, place: tuple[int, int]
) -> None:
    box = Box(*place, place[0] + side, place[1] + side)
    windows = asked(gate_that_saw(scene()), with_patch(scene(), box, by=6))
    around = box.grown((CONTEXT - 4) / side)  # less the cells that its edge fills by half
    assert in_a_core(windows, inside(around))


def test_what_is_looked_at_is_a_small_part_with_trusted_answers_away_from_its_edges() -> None:
    (window,) = asked(gate_that_saw(scene()), with_patch(scene(), Box(400, 300, 430, 330), 20))  # type: ignore[misc]
    assert window.width * window.height < WIDTH * HEIGHT / 6
    assert window.core == Box(
        window.left + MARGIN,
        window.top + MARGIN,
        window.left + window.width - MARGIN,
        window.top + window.height - MARGIN,
    )
    assert window.of(scene()).shape == (window.height, window.width, 3)


def test_changes_too_slow_for_two_frames_add_up() -> None:
    """Compared with the frame before, this one would never be seen."""
    gate, box = gate_that_saw(scene()), Box(200, 100, 224, 130)
    found = [step for step in range(1, 9) if asked(gate, with_patch(scene(), box, by=step)) != []]
    assert found and 3 <= found[0] <= 6


def test_only_the_core_counts_as_seen() -> None:
    """What lies in the margin was seen without its context."""
    gate = gate_that_saw(scene())
    later = with_patch(scene(), Box(400, 300, 430, 330), 20)
    windows = asked(gate, later)
    assert windows is not None
    margin = windows[0].core
    beside = Box(margin.x2 + 4, 310, margin.x2 + MARGIN - 4, 330)
    latest = with_patch(later, beside, 20)
    gate.looked_at(to_cells(latest), windows)
    assert in_a_core(asked(gate, latest), beside)
    assert not in_a_core(asked(gate, latest), Box(400, 300, 430, 330))


@pytest.mark.parametrize("sigma", [2, 4])
def test_noise_is_no_change_and_hides_none(sigma: float) -> None:
    gate = gate_that_saw(noisy(scene(), sigma, seed=2))
    still = asked(gate, noisy(scene(), sigma, seed=3))
    assert still is not None and sum(w.width * w.height for w in still) < WIDTH * HEIGHT / 4
    box = Box(500, 300, 520, 324)
    changed = with_patch(scene(), box, by=12)
    assert in_a_core(asked(gate, noisy(changed, sigma, seed=4)), box)


def test_where_noise_drowns_everything_everything_is_looked_at() -> None:
    assert asked(gate_that_saw(noisy(scene(), 40, seed=2)), noisy(scene(), 40, seed=3)) is None


def test_when_the_camera_moves_everything_is_looked_at() -> None:
    moved = np.roll(scene(), 8, axis=1)
    assert asked(gate_that_saw(scene()), moved) is None


def test_many_changes_all_over_are_not_worth_windows() -> None:
    image = scene()
    for x in range(40, WIDTH - 40, 160):
        for y in range(40, HEIGHT - 40, 160):
            image = with_patch(image, Box(x, y, x + 24, y + 24), 30)
    assert asked(gate_that_saw(scene()), image) is None


def test_two_changes_far_apart_get_a_window_each() -> None:
    one, other = Box(60, 60, 90, 90), Box(820, 420, 850, 450)
    image = with_patch(with_patch(scene(), one, 20), other, 20)
    windows = asked(gate_that_saw(scene()), image)
    assert windows is not None and len(windows) == 2
    assert in_a_core(windows, one) and in_a_core(windows, other)


def test_a_face_that_changed_in_part_is_looked_at_whole() -> None:
    face, mouth = Box(400, 200, 520, 360), Box(440, 320, 480, 340)
    image = with_patch(scene(), mouth, 20)
    assert not in_a_core(asked(gate_that_saw(scene()), image), face)
    assert in_a_core(asked(gate_that_saw(scene()), image, [face]), face)


def test_a_face_that_did_not_change_costs_nothing() -> None:
    assert asked(gate_that_saw(scene()), scene(), [Box(400, 200, 520, 360)]) == []


@pytest.mark.parametrize(
    "size", [(960, 540), (540, 960), (768, 432), (321, 241), (96, 54), (16, 12)]
)
def test_pictures_of_every_size_are_covered(size: tuple[int, int]) -> None:
    width, height = size
    gate = gate_that_saw(scene(size=size))
    assert asked(gate, scene(size=size)) == []
    box = Box(width // 2, height // 2, width // 2 + 8, height // 2 + 8)
    windows = asked(gate, with_patch(scene(size=size), box, 60))
    assert windows is None or in_a_core(windows, box)
    for window in windows or []:
        assert window.of(scene(size=size)).shape[:2] == (window.height, window.width)
