"""Images with drawn plates: the labels must be where the plates are."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.boxes import CIGARETTE, NO_BOXES, PLATE, Boxes
from training.draw_cars import draw_cars, drawing, paste, plate, with_another_plate, with_writing
from training.evaluate import read_boxes
from training.images import SourceImage
from training.prepare import Labels, Manifest, Row, write_image, write_index

STREET = np.full((360, 640, 3), 90, np.uint8)
OLD_PLATE = Boxes.of([[300, 200, 400, 222]], PLATE)


@pytest.mark.parametrize("seed", range(10))
def test_the_box_of_a_pasted_plate_is_exact(seed: int) -> None:
    rng, image = np.random.default_rng(seed), STREET.copy()
    (box,) = paste(rng, image, (320.0, 180.0), 120.0, plate(rng, [])).xyxy
    changed = np.argwhere((image != STREET).any(axis=2))[:, ::-1]
    assert np.abs(np.concatenate([changed.min(axis=0), changed.max(axis=0)]) - box).max() <= 2.5


@pytest.mark.parametrize("seed", range(10))
def test_another_plate_covers_the_old_one(seed: int) -> None:
    source_image = SourceImage("photo", "plates", STREET, OLD_PLATE)
    cigarette = Boxes.of([[10, 10, 30, 20]], CIGARETTE)
    labels = Labels(Boxes.join(cigarette, OLD_PLATE), NO_BOXES)
    seen, new = with_another_plate(np.random.default_rng(seed), source_image, labels, [])
    assert (source_image.image == 90).all(), "the original photo is not modified"
    assert new.sure.only(CIGARETTE).xyxy.tolist() == cigarette.xyxy.tolist()
    (box,) = new.sure.only(PLATE).xyxy
    assert np.abs((box[:2] + box[2:]) / 2 - (350, 211)).max() < 8
    assert 90 <= box[2] - box[0] <= 150
    assert np.ptp(seen.image[205:217, 310:390]) > 20, "there is text on it"


def test_drawings_have_at_most_one_plate_and_it_is_inside() -> None:
    rng = np.random.default_rng(3)
    seen = [drawing(rng, "car", []) for _ in range(60)]
    with_plate = [labels.sure for _, labels in seen if len(labels.sure)]
    assert 25 <= len(with_plate) <= 55
    for source_image, labels in seen:
        height, width = source_image.image.shape[:2]
        assert (labels.sure.xyxy >= 0).all()
        assert (labels.sure.xyxy <= [width, height, width, height]).all()
        assert (labels.sure.labels == PLATE).all()


def test_added_text_leaves_labels_and_cigarettes_unchanged() -> None:
    labels = Labels(Boxes.of([[310, 170, 330, 180]], CIGARETTE), NO_BOXES)
    changed = 0
    for seed in range(20):
        source_image = SourceImage("smoker", "cigarettes", STREET, labels.sure)
        seen, same = with_writing(np.random.default_rng(seed), source_image, labels)
        assert same == labels
        assert (seen.image[170:180, 310:330] == 90).all()
        changed += int((seen.image != STREET).any())
    assert changed >= 10


def test_drawing_twice_adds_the_images_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.draw_cars.DRAWINGS", 3)
    manifest = Manifest(tmp_path / "manifest.csv")
    for name, source, sure in (
        ("plates_a", "plates", OLD_PLATE),
        ("cigarettes_b", "cigarettes", NO_BOXES),
    ):
        source_image, labels = SourceImage(name, source, STREET, sure), Labels(sure, NO_BOXES)
        for split in ("train", "val"):
            write_image(tmp_path, split, source_image, labels)
        manifest.add([Row(f"{name}.jpg", source, "train", 0, 1)])
    write_index(tmp_path, manifest.rows)
    for _ in range(2):
        draw_cars(tmp_path, [], seed=1)
    with (tmp_path / "manifest.csv").open(encoding="utf-8", newline="") as file:
        files = [row["file"] for row in csv.DictReader(file)]
    assert len(files) == len(set(files))
    shown = (tmp_path / "branch" / "train.txt").read_text(encoding="utf-8").split()
    assert sorted(Path(path).name for path in shown) == sorted(files)
    assert {"drawn_plates_a_0.jpg", "drawn_car_000.jpg"} < set(files)
    drawn = cv2.imread(str(tmp_path / "images/train/drawn_plates_a_0.jpg"))
    assert drawn is not None
    label = tmp_path / "labels/train/drawn_plates_a_0.txt"
    assert read_boxes(label, 640, 360).labels.tolist() == [PLATE]
