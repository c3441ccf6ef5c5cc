"""Letterboxing of images."""

from __future__ import annotations

import numpy as np
import pytest

from app.models.letterbox import (
    GREY,
    IDLE_S,
    MAX_EXACT_AREA,
    CanvasChoice,
    canvas_for,
    letterbox,
    padded,
)

SIZES = [
    *[(1080, 1920), (1920, 1080), (480, 640), (336, 448)],
    *[(1, 4000), (4000, 1), (7, 5), (640, 640)],
]


@pytest.mark.parametrize(
    ("size", "canvas"),
    [
        ((1080, 1920), (384, 640)),
        ((1920, 1080), (640, 384)),
        ((720, 1280), (384, 640)),
        ((480, 640), (480, 640)),
        ((120, 160), (480, 640)),
        ((500, 500), (640, 640)),
        ((1, 4000), (32, 640)),
    ],
)
def test_the_canvas_of_a_shape(size: tuple[int, int], canvas: tuple[int, int]) -> None:
    assert canvas_for(size, 640) == canvas


def test_a_larger_multiple_gives_few_canvases() -> None:
    sizes = [(height, 1000) for height in range(1, 1001)]
    assert len({canvas_for(size, 640, 128) for size in sizes}) == 5
    assert len({canvas_for(size, 640, 32) for size in sizes}) == 20


@pytest.mark.parametrize("multiple", [32, 96, 128])
@pytest.mark.parametrize("size", SIZES)
def test_an_image_fills_one_side_of_its_canvas_and_keeps_its_aspect_ratio(
    size: tuple[int, int], multiple: int
) -> None:
    canvas = canvas_for(size, 640, multiple)
    boxed, seen = letterbox(np.full((*size, 3), 200, np.uint8), canvas)
    assert boxed.shape == (*canvas, 3)
    assert all(side % 32 == 0 and 32 <= side <= 640 for side in canvas)
    assert max(seen) == 640
    scale = 640 / max(size)
    assert all(
        abs(side - max(1, full * scale)) <= 0.5 for side, full in zip(seen, size, strict=True)
    )
    assert (boxed[: seen[0], : seen[1]] == 200).all()
    assert (boxed[seen[0] :] == GREY).all()
    assert (boxed[:, seen[1] :] == GREY).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("canvas", [(384, 640), (384, 384), (64, 96)])
def test_any_image_fits_any_canvas(size: tuple[int, int], canvas: tuple[int, int]) -> None:
    boxed, seen = letterbox(np.full((*size, 3), 200, np.uint8), canvas)
    assert boxed.shape == (*canvas, 3)
    assert seen[0] == canvas[0] or seen[1] == canvas[1]
    assert boxed.flags.c_contiguous


def test_an_image_of_the_right_size_is_neither_resized_nor_modified() -> None:
    image = np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8)
    before = image.copy()
    boxed, seen = letterbox(image, (384, 640))
    assert seen == (360, 640)
    assert np.array_equal(boxed[:360], before)
    assert np.array_equal(image, before)


@pytest.mark.parametrize(("side", "expected"), [(1, 32), (32, 32), (33, 64), (640, 640)])
def test_sides_are_padded_upwards(side: int, expected: int) -> None:
    assert padded(side) == expected


# ── the choice of a canvas ───────────────────────────────────────────────────────────────────


def area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def test_the_first_sizes_keep_their_exact_shapes_while_they_are_used() -> None:
    choice = CanvasChoice(960, 320)
    cameras = [(544, 960), (736, 960), (160, 160), (320, 320)]
    assert [choice.choose(size) for size in cameras] == cameras
    for side in range(32, 961, 32):
        choice.choose((side, 992 - side))
    assert [choice.choose(size) for size in cameras] == cameras


def test_other_sizes_share_a_few_larger_shapes() -> None:
    choice = CanvasChoice(960, 320)
    chosen = set()
    for height, width in np.random.default_rng(4).integers(1, 31, (500, 2)) * 32:
        canvas = choice.choose((int(height), int(width)))
        assert canvas[0] >= height
        assert canvas[1] >= width
        assert area(canvas) <= area((960, 960))
        chosen.add(canvas)
    assert sum(map(area, chosen)) <= (MAX_EXACT_AREA + 1 + 4 / 9 + 1 / 9) * 960 * 960


def test_an_unused_shape_is_replaced_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("app.models.letterbox.time.monotonic", lambda: now)
    choice = CanvasChoice(640, 640)
    assert choice.choose((640, 640)) == (640, 640)
    assert choice.choose((608, 640)) == (608, 640)
    assert choice.choose((352, 640)) == (352, 640)
    assert choice.choose((320, 640)) == (352, 640)
    now += IDLE_S / 2
    choice.choose((640, 640))
    now += IDLE_S / 2 + 1
    assert choice.choose((320, 640)) == (320, 640)
    assert choice.choose((640, 640)) == (640, 640)


def test_an_image_larger_than_usual_gets_a_shape_as_well() -> None:
    assert CanvasChoice(64, 64).choose((640, 960)) == (960, 960)
