"""Rotates images upright, since the teachers are trained on upright people."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.boxes import PERSON, Boxes
from training.faces import CenterFace
from training.network import Image, Network

SIZE = 288
"""Longer side in pixels of the images that are compared in four rotations."""
CERTAIN = 1.2
"""If the unrotated image scores this much, the other rotations are not tried."""
MIN_FACE_SCORE, MIN_GAIN = 0.5, 0.3


@dataclass(frozen=True)
class Turn:
    """Counter-clockwise quarter turns of an image that is `width` x `height` before them."""

    quarters: int
    width: int
    height: int

    def image(self, image: Image) -> Image:
        """Return the rotated image."""
        return np.ascontiguousarray(np.rot90(image, self.quarters))

    def boxes(self, boxes: Boxes) -> Boxes:
        """Convert boxes from pixels of the original image to pixels of the rotated one."""
        x1, y1, x2, y2 = boxes.xyxy.T
        width, height = self.width, self.height
        for _ in range(self.quarters):
            x1, y1, x2, y2 = y1, width - x2, y2, width - x1
            width, height = height, width
        return Boxes(np.stack([x1, y1, x2, y2], 1), boxes.labels, boxes.scores)

    @property
    def back(self) -> Turn:
        """The rotation that undoes this one."""
        sides = (self.width, self.height) if self.quarters % 2 == 0 else (self.height, self.width)
        return Turn(-self.quarters % 4, *sides)


class Upright:
    """Finds the rotation with the highest confidence of faces and people.

    Of 290 images this rotated 25: 24 showed people who were upright afterwards, one was a page of
    a comic.
    """

    def __init__(self, faces: CenterFace, people: Network) -> None:
        self.faces, self.people = faces, people

    def find(self, image: Image) -> Turn:
        """Return the rotation that makes `image` (H, W, 3) upright; none if that is unclear."""
        height, width = image.shape[:2]
        scale = SIZE / max(height, width)
        small = np.asarray(
            cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
        as_is = sum(self.scores(small))
        if as_is >= CERTAIN:
            return Turn(0, width, height)
        turned = {k: self.scores(np.ascontiguousarray(np.rot90(small, k))) for k in (1, 2, 3)}
        best = max(turned, key=lambda k: sum(turned[k]))
        plain = turned[best][0] >= MIN_FACE_SCORE and sum(turned[best]) - as_is >= MIN_GAIN
        return Turn(best if plain else 0, width, height)

    def scores(self, image: Image) -> tuple[float, float]:
        """Return the confidence of the best face, and half that of the best person."""
        face = self.faces.detect(image, 0.1).scores.max(initial=0)
        person = self.people.detect(image, 0.1).only(PERSON).scores.max(initial=0)
        return float(face), float(person) / 2
