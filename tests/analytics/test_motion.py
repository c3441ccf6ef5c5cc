"""Changes in images: found when they are faint or slow, not invented by noise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from app.analytics.motion import CONTEXT, MARGIN, Image, MotionDetector, MotionRegion, to_cells
from app.types import Box

WIDTH, HEIGHT = 960, 540


def scene(seed: int = 1, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image:
    """An image with smooth and busy places, dark and bright ones."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def noisy(image: Image, sigma: float, seed: int) -> Image:
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.asarray((image + noise).round().clip(0, 255), np.uint8)


def with_patch(image: Image, box: Box, by: int) -> Image:
    """The image with a rectangle made lighter or darker."""
    changed = image.astype(np.int16)
    x1, y1, x2, y2 = map(int, box)
    changed[y1:y2, x1:x2] += np.where(changed[y1:y2, x1:x2] > 128, -by, by).astype(np.int16)
    return np.asarray(changed.clip(0, 255), np.uint8)


def detector_that_saw(image: Image) -> MotionDetector:
    detector = MotionDetector(image.shape[1], image.shape[0])
    detector.mark_scanned(to_cells(image), None)
    return detector


def asked(
    detector: MotionDetector, image: Image, faces: list[Box] | None = None
) -> list[MotionRegion] | None:
    return detector.regions(to_cells(image), faces or [])


def in_a_core(regions: list[MotionRegion] | None, box: Box) -> bool:
    assert regions is not None
    return any(
        w.core.x1 <= box.x1 and w.core.y1 <= box.y1 and box.x2 <= w.core.x2 and box.y2 <= w.core.y2
        for w in regions
    )


def inside(box: Box) -> Box:
    """What of a box is in the picture."""
    return Box(max(0, box.x1), max(0, box.y1), min(WIDTH, box.x2), min(HEIGHT, box.y2))


def test_the_first_image_is_scanned_whole_and_a_still_one_not_at_all() -> None:
    detector = MotionDetector(WIDTH, HEIGHT)
    assert asked(detector, scene()) is None
    detector.mark_scanned(to_cells(scene()), None)
    assert asked(detector, scene()) == []


@pytest.mark.parametrize("size", [(2, 2), (960, 2), (2, 960), (3, 5)])
def test_an_image_smaller_than_a_cell_is_compared_too(size: tuple[int, int]) -> None:
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    detector = detector_that_saw(image)
    assert asked(detector, image) == []
    assert asked(detector, image + np.uint8(40)) is None


@pytest.mark.parametrize("side", [12, 16, 40, 120])
@pytest.mark.parametrize("place", [(0, 0), (301, 203), (WIDTH - 120, HEIGHT - 120)])
def test_a_faint_change_of_a_small_faces_size_is_scanned_with_its_context(
    side: int, place: tuple[int, int]
) -> None:
    box = Box(*place, place[0] + side, place[1] + side)
    regions = asked(detector_that_saw(scene()), with_patch(scene(), box, by=6))
    around = box.grown((CONTEXT - 4) / side)  # less the cells that its edge fills by half
    assert in_a_core(regions, inside(around))


def test_a_region_is_small_and_its_core_is_away_from_its_edges() -> None:
    (region,) = asked(detector_that_saw(scene()), with_patch(scene(), Box(400, 300, 430, 330), 20))  # type: ignore[misc]
    assert region.width * region.height < WIDTH * HEIGHT / 6
    assert region.core == Box(
        region.left + MARGIN,
        region.top + MARGIN,
        region.left + region.width - MARGIN,
        region.top + region.height - MARGIN,
    )
    assert region.crop(scene()).shape == (region.height, region.width, 3)


def test_changes_too_slow_for_two_frames_add_up() -> None:
    """Compared with the frame before, this one would never be seen."""
    detector, box = detector_that_saw(scene()), Box(200, 100, 224, 130)
    found = [
        step for step in range(1, 9) if asked(detector, with_patch(scene(), box, by=step)) != []
    ]
    assert found and 3 <= found[0] <= 6


def test_only_the_core_counts_as_seen() -> None:
    """What lies in the margin was seen without its context."""
    detector = detector_that_saw(scene())
    later = with_patch(scene(), Box(400, 300, 430, 330), 20)
    regions = asked(detector, later)
    assert regions is not None
    margin = regions[0].core
    beside = Box(margin.x2 + 4, 310, margin.x2 + MARGIN - 4, 330)
    latest = with_patch(later, beside, 20)
    detector.mark_scanned(to_cells(latest), regions)
    assert in_a_core(asked(detector, latest), beside)
    assert not in_a_core(asked(detector, latest), Box(400, 300, 430, 330))


@pytest.mark.parametrize("sigma", [2, 4])
def test_noise_is_no_change_and_hides_none(sigma: float) -> None:
    detector = detector_that_saw(noisy(scene(), sigma, seed=2))
    still = asked(detector, noisy(scene(), sigma, seed=3))
    assert still is not None and sum(w.width * w.height for w in still) < WIDTH * HEIGHT / 4
    box = Box(500, 300, 520, 324)
    changed = with_patch(scene(), box, by=12)
    assert in_a_core(asked(detector, noisy(changed, sigma, seed=4)), box)


def test_where_noise_hides_changes_the_whole_image_is_scanned() -> None:
    assert asked(detector_that_saw(noisy(scene(), 40, seed=2)), noisy(scene(), 40, seed=3)) is None


def test_when_the_camera_moves_the_whole_image_is_scanned() -> None:
    moved = np.roll(scene(), 8, axis=1)
    assert asked(detector_that_saw(scene()), moved) is None


def test_many_changes_all_over_are_not_worth_regions() -> None:
    image = scene()
    for x in range(40, WIDTH - 40, 160):
        for y in range(40, HEIGHT - 40, 160):
            image = with_patch(image, Box(x, y, x + 24, y + 24), 30)
    assert asked(detector_that_saw(scene()), image) is None


def test_two_changes_far_apart_get_a_region_each() -> None:
    one, other = Box(60, 60, 90, 90), Box(820, 420, 850, 450)
    image = with_patch(with_patch(scene(), one, 20), other, 20)
    regions = asked(detector_that_saw(scene()), image)
    assert regions is not None and len(regions) == 2
    assert in_a_core(regions, one) and in_a_core(regions, other)


def test_a_face_that_changed_in_part_is_scanned_whole() -> None:
    face, mouth = Box(400, 200, 520, 360), Box(440, 320, 480, 340)
    image = with_patch(scene(), mouth, 20)
    assert not in_a_core(asked(detector_that_saw(scene()), image), face)
    assert in_a_core(asked(detector_that_saw(scene()), image, [face]), face)


def test_a_face_that_did_not_change_costs_nothing() -> None:
    assert asked(detector_that_saw(scene()), scene(), [Box(400, 200, 520, 360)]) == []


@pytest.mark.parametrize(
    "size", [(960, 540), (540, 960), (768, 432), (321, 241), (96, 54), (16, 12)]
)
def test_changes_are_found_in_images_of_every_size(size: tuple[int, int]) -> None:
    width, height = size
    detector = detector_that_saw(scene(size=size))
    assert asked(detector, scene(size=size)) == []
    box = Box(width // 2, height // 2, width // 2 + 8, height // 2 + 8)
    regions = asked(detector, with_patch(scene(size=size), box, 60))
    assert regions is None or in_a_core(regions, box)
    for region in regions or []:
        assert region.crop(scene(size=size)).shape[:2] == (region.height, region.width)
