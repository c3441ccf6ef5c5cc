"""Near-duplicates stay in one split, and unsure faces are painted over."""

import numpy as np

from training.boxes import CIGARETTE, FACE, Boxes
from training.prepare import (
    Labels,
    near_duplicate_groups,
    paint_unsure_faces,
    validation_groups,
    yolo_text,
)


def test_hashes_that_differ_little_are_linked_into_one_group() -> None:
    base = np.zeros(64, np.uint8)
    near, nearer_to_near, far = base.copy(), base.copy(), base.copy()
    near[:6], nearer_to_near[:12], far[:40] = 1, 1, 1
    groups = near_duplicate_groups(np.stack([base, far, nearer_to_near, near]))
    assert groups[0] == groups[2] == groups[3] != groups[1]


def test_validation_takes_whole_groups() -> None:
    groups = np.arange(200) // 2
    drawn = validation_groups(groups, ["cigarettes"] * 200)
    assert len(drawn) == 5


def test_an_unsure_face_is_painted_unless_it_overlaps_a_cigarette() -> None:
    image = np.zeros((40, 80, 3), np.uint8)
    faces = Boxes.of([[0, 0, 20, 20], [40, 0, 60, 20]], FACE)
    labels = Labels(sure=Boxes.of([[50, 10, 55, 12]], CIGARETTE), unsure=faces)
    painted = paint_unsure_faces(image, labels)
    assert (painted[10, 10] == 114).all()
    assert not painted[:, 40:].any()


def test_yolo_text_holds_centre_and_extent() -> None:
    text = yolo_text(Boxes.of([[10, 10, 30, 20]], FACE), 100, 50)
    assert text == "8 0.20000 0.30000 0.20000 0.20000\n"
