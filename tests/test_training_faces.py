"""Training the face network: its weights there and back, its samples, its loss, its scores.

Tests import torch themselves: it takes a second and 300 MB in each process that collects tests.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import openvino as ov
import pytest

from app.models.faces import SHIPPED
from training.face_copies import (
    Mix,
    Sample,
    boxes_of,
    cut,
    masked,
    mirrored,
    quarter_turned,
    tilted,
    worsened,
)
from training.face_samples import SIZE, SampleSource
from training.label_faces import LabelledPicture, folds

if TYPE_CHECKING:
    import torch

    from training.score_faces import Frame
    from training.yunet import YuNet

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)
BOX = (40.0, 20.0, 60.0, 50.0)


@pytest.fixture(scope="module")
def model() -> ov.Model:
    return ov.Core().read_model(SHIPPED)


@pytest.fixture(scope="module")
def network(model: ov.Model) -> YuNet:
    from training.yunet import from_openvino

    return from_openvino(model).eval()


def outputs(model: ov.Model, image: np.ndarray) -> list[np.ndarray]:
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    return list(ov.Core().compile_model(model, "CPU", config)(image).values())


def marked(box: tuple[float, ...] = BOX, width: int = 120, height: int = 80) -> Sample:
    """Draw a white box on black, whose place can be measured in the pixels."""
    image = np.zeros((height, width, 3), np.uint8)
    x1, y1, x2, y2 = map(int, box)
    image[y1:y2, x1:x2] = 255
    return Sample(image, boxes_of([box]), boxes_of([]))


def white_box(image: np.ndarray) -> np.ndarray:
    y, x = np.nonzero(image[..., 0] > 127)
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float32)


# ── weights ──────────────────────────────────────────────────────────────────────────────────


def test_torch_computes_what_openvino_does(model: ov.Model, network: YuNet) -> None:
    import torch

    image = np.random.default_rng(0).uniform(0, 255, (2, 3, 64, 96)).astype(np.float32)
    with torch.no_grad():
        maps = network(torch.from_numpy(image))
    for values, expected in zip(maps, outputs(model, image), strict=True):
        logits = values[:, :2].sigmoid().prod(1).sqrt()
        assert np.allclose(logits, expected[..., 0], atol=1e-5)
        assert np.allclose(values[:, 2:].permute(0, 2, 3, 1), expected[..., 1:], atol=1e-4)


def test_trained_weights_reach_the_openvino_model(network: YuNet) -> None:
    import torch

    from training.yunet import YuNet, into_openvino

    image = np.full((1, 3, 32, 32), 100, np.float32)
    changed = YuNet({name: value.clone() for name, value in network.state_dict().items()})
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.mul_(1.02)
        expected = changed(torch.from_numpy(image))
    model = ov.Core().read_model(SHIPPED)
    into_openvino(changed, model)
    for values, found in zip(expected, outputs(model, image), strict=True):
        assert np.allclose(values[:, 2:].permute(0, 2, 3, 1), found[..., 1:], atol=1e-4)


# ── loss ─────────────────────────────────────────────────────────────────────────────────────


def test_a_face_is_answered_for_by_cells_at_its_centre() -> None:
    import torch

    from training.face_loss import Truth, all_cells, assign

    maps = [torch.zeros(1, 6, 64 // s, 96 // s) for s in (8, 16, 32)]
    places = all_cells(maps)
    faces = torch.tensor([[20.0, 20.0, 36.0, 36.0], [70.0, 30.0, 78.0, 40.0]])
    boxes = torch.cat([places.points - 8, places.points + 8], 1)
    level = torch.zeros(len(places.points))
    cell, owner, _ = assign(places, level, level, boxes, Truth(faces, boxes_of_torch()))
    assert set(owner.tolist()) == {0, 1}
    assert len(cell.unique()) == len(cell)
    middle = (faces[owner, :2] + faces[owner, 2:]) / 2
    assert ((places.points[cell] - middle).abs().amax(1) < 2.5 * places.strides[cell]).all()


def boxes_of_torch(*rows: tuple[float, ...]) -> torch.Tensor:
    import torch

    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


def test_training_on_one_face_finds_it_and_unsure_places_are_not_judged() -> None:
    import torch

    from training.face_loss import Truth, face_loss

    torch.manual_seed(0)
    maps = [torch.zeros(1, 6, 64 // s, 64 // s, requires_grad=True) for s in (8, 16, 32)]
    truth = Truth(boxes_of_torch((20, 20, 36, 36)), boxes_of_torch((47, 47, 64, 64)))
    optimizer = torch.optim.Adam(maps, 0.05)
    first = last = face_loss(maps, [truth])
    for _ in range(150):
        optimizer.zero_grad()
        last = face_loss(maps, [truth])
        last.backward()
        optimizer.step()
    assert last < first / 3
    scores = maps[0][0, 1].detach().sigmoid()
    y, x = np.nonzero(scores.numpy() > 0.5)
    assert len(y) > 0
    assert (np.abs(np.stack([x, y]) * 8 - 28) < 20).all()
    assert scores[7, 7] == 0.5  # as it began
    assert scores[0, 7] < 0.1


def test_equal_boxes_have_no_loss_and_distant_ones_more_than_near_ones() -> None:
    from training.face_loss import eiou_loss

    box = boxes_of_torch((10, 10, 30, 40))
    losses = [float(eiou_loss(box + shift, box)) for shift in (0, 5, 100)]
    assert losses[0] == pytest.approx(0, abs=1e-6)
    assert losses[0] < losses[1] < losses[2]


# ── samples ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "change",
    [
        mirrored,
        quarter_turned,
        lambda sample: cut(sample, np.array([50, 40]), 2.0, 100),
        lambda sample: cut(sample, np.array([60, 40]), 0.5, 80),
    ],
    ids=["mirrored", "quarter", "enlarged", "reduced"],
)
def test_boxes_stay_on_their_faces(change: object) -> None:
    changed = change(marked())  # type: ignore[operator]
    assert changed.faces[0] == pytest.approx(white_box(changed.image), abs=1.5)


def test_a_tilted_box_has_the_face_in_it() -> None:
    sample = marked()
    ellipse = np.zeros_like(sample.image)
    cv2.ellipse(ellipse, (50, 35), (10, 15), 0, 0, 360, (255, 255, 255), -1)
    turned = tilted(Sample(ellipse, sample.faces, sample.unsure), 30)
    assert turned.faces[0] == pytest.approx(white_box(turned.image), abs=2)


def test_a_face_that_is_mostly_cut_off_is_not_judged() -> None:
    part = cut(marked(), np.array([75, 60]), 1.0, 40)
    assert len(part.faces) == 0
    assert len(part.unsure) == 1


def test_masks_hide_a_part_of_the_face_alone() -> None:
    sample = marked()
    copies = [masked(sample, np.random.default_rng(seed)).image for seed in range(20)]
    changed = np.stack([(copy != sample.image).any(2) for copy in copies])
    shares = changed[:, 20:50, 40:60].mean((1, 2))
    assert (shares > 0.1).sum() > 5
    assert shares.max() < 0.7
    changed[:, 17:53, 37:63] = False
    assert not changed.any()


def test_dark_copies_are_dark() -> None:
    bright = np.full((20, 20, 3), 200, np.uint8)
    mix = Mix(dark=1, grey=0, blurred=0, noisy=0, compressed=0)
    assert worsened(bright, np.random.default_rng(0), mix).mean() < 130


def test_samples_are_drawn_with_faces_in_them(tmp_path: Path) -> None:
    box = (60.0, 60.0, 90.0, 100.0)
    cv2.imwrite(str(tmp_path / "a.png"), marked(box, 200, 160).image)
    picture = LabelledPicture("a.png", 0, 0, 0, [list(box)], [])
    mix = Mix(tilted=0, quarter_turned=0, mask=0, dark=0, grey=0, blurred=0)
    source = SampleSource(tmp_path, [picture], seed=0, mix=mix)
    samples = [source.draw() for _ in range(10)]
    assert {sample.image.shape for sample in samples} == {(SIZE, SIZE, 3)}
    crowd = source.crowd()
    assert len(crowd.faces) > 5
    for x1, y1, x2, y2 in crowd.faces:
        assert crowd.image[int((y1 + y2) / 2), int((x1 + x2) / 2)].mean() > 127


def test_near_duplicates_share_a_fold() -> None:
    drawn = folds([0, 1, 0, 2, 1])
    assert drawn[0] == drawn[2]
    assert drawn[1] == drawn[4]
    assert len(set(folds(list(range(200))))) == 10


# ── scores ───────────────────────────────────────────────────────────────────────────────────


class Sees:
    """A network that finds one face of 16 pixels, at (24, 24), of this confidence."""

    def __init__(self, confidence: float) -> None:
        self.confidence = confidence

    def __call__(self, blob: np.ndarray) -> list[np.ndarray]:
        maps = [np.zeros((1, blob.shape[2] // s, blob.shape[3] // s, 5)) for s in (8, 16, 32)]
        maps[0][0, 3, 3] = [self.confidence, 0, 0, np.log(2), np.log(2)]
        return [m.astype(np.float32) for m in maps]


def seen(confidence: float, *faces: tuple[float, ...]) -> Frame:
    from training.score_faces import look

    image = np.zeros((96, 96, 3), np.uint8)
    return look(Sees(confidence), Sample(image, boxes_of(faces), boxes_of([])), 0)  # type: ignore[arg-type]


def test_a_covered_face_does_not_leak_and_the_margin_counts() -> None:
    from training.score_faces import Bounds, score

    inside, in_margin, beside = (16, 16, 32, 32), (20, 20, 36, 36), (26, 26, 42, 42)
    for box, leaks in ((inside, 0), (in_margin, 0), (beside, 1)):
        result = score([seen(0.5, box)], Bounds())
        assert result.leaks == (0, leaks, 0)
        assert result.stray == 0


def test_an_unsure_detection_covers_nothing_and_a_box_beside_all_faces_is_false() -> None:
    from training.score_faces import Bounds, Score, score

    frame = seen(0.12, (16, 16, 32, 32))
    assert score([frame], Bounds()).leaks == (0, 1, 0)
    assert score([frame], Bounds(small=0.1)).leaks == (0, 0, 0)
    assert score([seen(0.5, (60, 60, 80, 80))], Bounds()) == Score((0, 1, 0), (0, 1, 0), 1.0, 0.0)


def test_the_cheapest_bounds_are_chosen() -> None:
    from training.choose_faces import FOLDS, GRID, choose, count

    face, nothing = seen(0.22, (16, 16, 32, 32)), seen(0.17)
    frames = [replace(frame, group=fold) for frame in (face, nothing) for fold in range(FOLDS)]
    bounds, unseen = choose([count(frames)], box_cost=1)
    assert 0.17 < bounds.small <= 0.22
    assert unseen == 0
    assert bounds in GRID
