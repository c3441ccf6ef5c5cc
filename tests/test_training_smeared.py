"""Samples of smeared plates must have right boxes, and what is trained must be what ships.

Tests import torch themselves: it takes seconds and memory in each process that collects tests.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.smeared_samples import (
    CANVAS,
    Picture,
    Sample,
    aged,
    painted_over,
    placed,
    with_plate,
)

BOX = np.array([[250, 200, 370, 240]], np.float32)


def picture() -> Picture:
    """A grey picture with a white plate."""
    image = np.full((400, 600, 3), 90, np.uint8)
    image[200:240, 250:370] = 255
    return Picture(image, BOX)


def test_the_box_of_a_placed_plate_is_around_it() -> None:
    placings = 0
    for seed in range(30):
        sample = placed(np.random.default_rng(seed), picture())
        assert sample.image.shape == (*CANVAS, 3)
        assert sample.image.dtype == np.uint8
        white = np.argwhere(sample.image[..., 0] > 170)
        for x1, y1, x2, y2 in sample.boxes:
            placings += 1
            low, high = white.min(axis=0), white.max(axis=0) + 1
            assert np.allclose([x1, y1, x2, y2], [*low[::-1], *high[::-1]], atol=4)
    assert placings > 20


def test_every_way_of_ageing_keeps_the_size_and_the_boxes() -> None:
    for seed in range(40):
        worse = aged(np.random.default_rng(seed), picture())
        assert worse.image.shape == (400, 600, 3)
        assert worse.image.dtype == np.uint8
        assert (worse.boxes == BOX).all()


def test_a_plate_that_is_painted_over_is_gone() -> None:
    empty = painted_over(picture())
    assert len(empty.boxes) == 0
    assert empty.image.max() < 120


def test_a_plate_is_replaced_by_another_one() -> None:
    other = np.zeros((50, 100, 3), np.uint8)
    other[:, 50:] = 200
    new = with_plate(np.random.default_rng(0), picture(), other).image[200:240, 250:370]
    assert new[:, :50].max() < 20
    assert new[:, 70:].min() > 100


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "ultralytics")),
    reason="torch and ultralytics are not installed",
)
def test_training_learns_one_class_and_keeps_the_first_layers(tmp_path: Path) -> None:
    import torch
    from ultralytics.nn.tasks import DetectionModel

    from training import train_smeared
    from training.network import checkpoint

    class Drawn:
        def draw(self) -> Sample:
            image = np.full((64, 96, 3), 90, np.uint8)
            cv2.rectangle(image, (30, 20), (60, 32), (255, 255, 255), cv2.FILLED)
            return Sample(image, np.array([[30, 20, 61, 33]], np.float32))

    torch.manual_seed(0)
    network = DetectionModel("yolov8n.yaml", nc=3, verbose=False)
    network.names = {0: "person", 1: "stop sign", 2: "dog"}
    torch.save({"model": network, "train_args": {}}, tmp_path / "start.pt")
    first = train_smeared.start(tmp_path / "start.pt")
    training = train_smeared.Training(tmp_path / "start.pt", Drawn(), seconds=1.0)
    training.run(tmp_path / "out.pt", steps=2)
    trained, names = checkpoint(tmp_path / "out.pt")
    assert names == {0: "plate"}
    assert trained(torch.zeros(1, 3, 64, 96))[0].shape[1] == 5
    before, after = (dict(one.named_parameters()) for one in (first, trained))
    for name in ("model.0.conv.weight", "model.2.cv1.conv.weight"):
        assert torch.allclose(before[name], after[name], atol=1e-3)
    moved = "model.22.cv3.0.2.bias"
    assert not torch.equal(before[moved], after[moved])


def test_a_batch_has_its_boxes_as_shares_of_the_canvas() -> None:
    if importlib.util.find_spec("ultralytics") is None:
        pytest.skip("ultralytics is not installed")
    from training.train_smeared import as_batch

    image = np.full((*CANVAS, 3), 255, np.uint8)
    boxes = np.array([[0, 0, CANVAS[1], CANVAS[0]], [0, 0, CANVAS[1] / 2, CANVAS[0] / 4]])
    batch = as_batch([Sample(image, boxes[:0]), Sample(image, boxes.astype(np.float32))])
    assert batch["img"].shape == (2, 3, *CANVAS)
    assert float(batch["img"].max()) == 1
    assert batch["batch_idx"].tolist() == [1, 1]
    assert batch["bboxes"].tolist() == [[0.5, 0.5, 1, 1], [0.25, 0.125, 0.5, 0.25]]
