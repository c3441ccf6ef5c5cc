"""Rotated images and their boxes match, there and back."""

import numpy as np
import pytest

from training.boxes import FACE, Boxes
from training.upright import Turn


@pytest.mark.parametrize("quarters", range(4))
def test_boxes_turn_with_their_picture_and_back(quarters: int) -> None:
    image = np.zeros((50, 80, 3), np.uint8)
    image[10:20, 30:70] = 255
    boxes = Boxes.of([[30, 10, 70, 20]], FACE)
    turn = Turn(quarters, width=80, height=50)
    turned = turn.boxes(boxes)
    x1, y1, x2, y2 = turned.xyxy[0].astype(int)
    assert turn.image(image)[y1:y2, x1:x2].all()
    assert (x2 - x1) * (y2 - y1) == 400
    assert np.allclose(turn.back.boxes(turned).xyxy, boxes.xyxy)
