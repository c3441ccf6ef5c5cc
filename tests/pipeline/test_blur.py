"""Faces to pixels: nothing of a face is left, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from support.doubles import luma, noise, planes, write_video

from app.pipeline.blur import conceal
from app.pipeline.scale import to_output
from app.types import BlurredFrame, Box

STYLES = ("gaussian", "pixelate", "solid")
FACE = Box(100, 60, 180, 140)


def stripes(width: int = 320, height: int = 192) -> av.VideoFrame:
    """Every second pixel black: all that is detail, at full contrast."""
    picture = np.indices((height, width)).sum(axis=0) % 2 * 219 + 16
    chroma = np.full((height // 2, width), 128)
    return av.VideoFrame.from_ndarray(
        np.vstack([picture, chroma]).astype(np.uint8), format="yuv420p"
    )


def inside(plane: np.ndarray, box: Box, shrink: int = 1) -> np.ndarray:
    left, top, right, bottom = (int(side) // shrink for side in box)
    return plane[top:bottom, left:right].astype(int)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("make", [noise, stripes])
def test_inside_no_detail_is_left(style: str, make: object) -> None:
    before = make()  # type: ignore[operator]
    picture = conceal(make(), [FACE], style, 0.0)  # type: ignore[operator, arg-type]
    for plane, was, shrink in zip(planes(picture.image), planes(before), (1, 2, 2), strict=True):
        part, old = inside(plane, FACE, shrink), inside(was, FACE, shrink)
        if old.std() < 1:
            continue
        assert part.std() < old.std() / 3
        if style == "gaussian":  # no step between neighbours that could be an edge
            assert np.abs(np.diff(part, axis=0)).max() <= 12
            assert np.abs(np.diff(part, axis=1)).max() <= 12
        if style == "pixelate":
            assert len(np.unique(part)) <= 6 * 6
        if style == "solid":
            assert len(np.unique(part)) == 1


@pytest.mark.parametrize("style", STYLES)
def test_what_is_left_says_little_about_what_was_there(style: str) -> None:
    """Two faces that differ only in detail come out nearly the same."""
    first = luma(conceal(noise(seed=1), [FACE], style, 0.0).image)  # type: ignore[arg-type]
    second = luma(conceal(noise(seed=2), [FACE], style, 0.0).image)  # type: ignore[arg-type]
    difference = np.abs(inside(first, FACE) - inside(second, FACE))
    assert difference.mean() < 8
    apart = np.abs(luma(noise(seed=1)).astype(int) - luma(noise(seed=2)))
    assert apart.mean() > 60


@pytest.mark.parametrize("style", STYLES)
def test_outside_every_pixel_stays_as_it_was(style: str) -> None:
    picture = conceal(noise(), [FACE], style, 0.25)  # type: ignore[arg-type]
    grown = FACE.grown(0.25)
    for plane, was, shrink in zip(planes(picture.image), planes(noise()), (1, 2, 2), strict=True):
        changed = np.argwhere(plane != was)
        assert changed[:, 0].min() >= grown.y1 // shrink - 1
        assert changed[:, 0].max() <= grown.y2 // shrink + 1
        assert changed[:, 1].min() >= grown.x1 // shrink - 1
        assert changed[:, 1].max() <= grown.x2 // shrink + 1


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("margin", [0.0, 0.25, 1.0])
def test_the_margin_is_covered_too(style: str, margin: float) -> None:
    picture = conceal(noise(), [FACE], style, margin)  # type: ignore[arg-type]
    grown = FACE.grown(margin)
    visible = Box(max(0, grown.x1), max(0, grown.y1), min(320, grown.x2), min(192, grown.y2))
    same = inside(luma(picture.image), visible) == inside(luma(noise()), visible)
    assert same.mean() < 0.1


@pytest.mark.parametrize(("margin", "pixels"), [(0.0, 0), (0.25, 4), (0.5, 8)])
def test_a_small_face_has_the_margin_of_one_of_16_pixels_in_960(margin: float, pixels: int) -> None:
    box = Box(400, 200, 410, 212)
    was = noise(960, 544)
    painted = luma(conceal(noise(960, 544), [box], "solid", margin).image) != luma(was)
    rows, columns = np.nonzero(painted)
    assert (columns.min(), columns.max() + 1) == (400 - pixels, 410 + pixels)
    assert (rows.min(), rows.max() + 1) == (200 - pixels, 212 + pixels)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "box",
    [
        pytest.param(Box(-50, -50, 30, 30), id="top-left"),
        pytest.param(Box(300, 170, 400, 300), id="bottom-right"),
        pytest.param(Box(-100, 50, 500, 90), id="across"),
        pytest.param(Box(-1000, -1000, 2000, 2000), id="everything"),
        pytest.param(Box(11.3, 17.7, 64.9, 81.1), id="odd"),
        pytest.param(Box(101, 61, 102, 62), id="one-pixel"),
        pytest.param(Box(0, 0, 1, 1), id="corner"),
        pytest.param(Box(319, 191, 320, 192), id="last-pixel"),
        pytest.param(Box(50, 50, 50.001, 50.001), id="less-than-a-pixel"),
        pytest.param(Box(3, 3, 317, 7), id="flat"),
        pytest.param(Box(157, 3, 161, 189), id="thin"),
    ],
)
def test_boxes_of_every_shape_and_place_are_covered(style: str, box: Box) -> None:
    picture = conceal(noise(), [box], style, 0.0)  # type: ignore[arg-type]
    left, top = max(0, int(box.x1)), max(0, int(box.y1))
    right, bottom = min(320, int(np.ceil(box.x2))), min(192, int(np.ceil(box.y2)))
    for plane, was, shrink in zip(planes(picture.image), planes(noise()), (1, 2, 2), strict=True):
        rows = slice(top // shrink, -(-bottom // shrink))
        seen = rows, slice(left // shrink, -(-right // shrink))
        unchanged = float((plane[seen] == was[seen]).mean())
        assert unchanged <= 0.35, f"plane of 1/{shrink} size"


@pytest.mark.parametrize(
    "box", [Box(-90, -90, -40, -40), Box(400, 10, 500, 80), Box(10, 300, 90, 400)]
)
def test_boxes_outside_the_frame_change_nothing(box: Box) -> None:
    picture = conceal(noise(), [box], "solid", 0.0)
    assert all(map(np.array_equal, planes(picture.image), planes(noise())))


@pytest.mark.parametrize("style", ["gaussian", "pixelate"])
def test_a_face_half_outside_the_frame_shows_no_more_detail_than_a_whole_one(style: str) -> None:
    """The detector cuts boxes at the edge: of a large face only a strip is left."""
    strip = Box(0, 10, 16, 182)
    before = inside(luma(stripes_across()), strip)
    picture = conceal(stripes_across(), [strip], style, 0.0)  # type: ignore[arg-type]
    assert inside(luma(picture.image), strip).std() < before.std() / 3


def stripes_across() -> av.VideoFrame:
    """Bars 12 rows high: eyes and mouth of a face that is 170 rows high."""
    rows = (np.arange(192) // 12 % 2 * 219 + 16).astype(np.uint8)
    chroma = np.full((96, 320), 128, np.uint8)
    picture = np.vstack([np.tile(rows[:, None], (1, 320)), chroma])
    return av.VideoFrame.from_ndarray(picture, format="yuv420p")


@pytest.mark.parametrize("style", STYLES)
def test_boxes_that_overlap_are_all_covered(style: str) -> None:
    boxes = [Box(40 + 15 * n, 40 + 8 * n, 100 + 15 * n, 100 + 8 * n) for n in range(6)]
    picture = conceal(noise(), boxes, style, 0.0)  # type: ignore[arg-type]
    for box in boxes:
        assert inside(luma(picture.image), box).std() < 30


def test_off_and_no_faces_change_nothing_and_copy_nothing() -> None:
    image = noise()
    assert conceal(image, [FACE], "off", 0.25).image is image
    assert conceal(image, [], "gaussian", 0.25).image is image
    assert all(map(np.array_equal, planes(image), planes(noise())))


@pytest.mark.parametrize("name", ["rgb24", "nv12", "yuv422p", "gray", "yuv420p10le"])
def test_other_pixel_formats_are_refused(name: str) -> None:
    with pytest.raises(ValueError):
        conceal(av.VideoFrame(64, 64, name), [FACE], "solid", 0)


def test_full_range_frames_are_taken() -> None:
    image = noise().reformat(format="yuvj420p")
    before = luma(image)
    picture = conceal(image, [FACE], "solid", 0.0)
    assert picture.image.format.name == "yuvj420p"
    assert inside(luma(picture.image), FACE).std() == 0
    assert np.array_equal(luma(picture.image)[:, :90], before[:, :90])


@pytest.mark.parametrize("size", [(1920, 1080), (1366, 768), (638, 358), (2, 2), (98, 34)])
def test_rows_with_padding_are_no_problem(size: tuple[int, int]) -> None:
    width, height = size
    box = Box(width * 0.25, height * 0.25, width * 0.75, height * 0.75)
    image = noise(width, height)
    picture = conceal(image, [box], "solid", 0.0)
    assert picture == BlurredFrame(picture.image)
    assert inside(luma(picture.image), box).std() == 0 if width > 10 else True


@pytest.mark.parametrize("style", STYLES)
def test_what_the_decoder_predicts_from_is_never_touched(style: str, tmp_path: Path) -> None:
    """Covering a frame in place would smear into the next ones, and uncover them."""
    path = tmp_path / "video.mp4"
    write_video(path, frames=25)
    with av.open(str(path)) as container:
        clean = [luma(image) for image in container.decode(video=0)]
    with av.open(str(path)) as container:
        for number, image in enumerate(container.decode(video=0)):
            assert np.array_equal(luma(image), clean[number]), f"frame {number} was smeared"
            picture = conceal(to_output(image, 1.0), [FACE], style, 0.25)  # type: ignore[arg-type]
            assert not np.array_equal(luma(picture.image), clean[number])


def test_a_frame_that_somebody_else_holds_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, frames=3)
    with av.open(str(path)) as container:
        images = list(container.decode(video=0))
    before = luma(images[0])
    other = images[0].reformat(format="yuv420p")  # the same buffer, when nothing has to change
    conceal(other, [FACE], "solid", 0.0)
    if other is not images[0]:
        assert np.array_equal(luma(images[0]), before)
