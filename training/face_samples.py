"""Draw training samples for the face network: pictures, crowds of small faces, worse copies.

Half of the samples are cut from one picture, or from four, at another scale. The others are crowds:
a grid of heads, each scaled down so that its face has 5 to 30 pixels. Both are then turned, masked,
darkened and blurred at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from training.face_copies import (
    SMALLEST,
    Mix,
    Sample,
    boxes_of,
    clipped,
    cut,
    masked,
    mirrored,
    quarter_turned,
    sides,
    tilted,
    worsened,
)
from training.images import read_image
from training.label_faces import LabelledPicture, turned

SIZE = 320
"""Sides of a sample in pixels."""
LARGEST_IN_CROWD, LARGEST = 30.0, 240.0
"""The shorter side of a face in pixels of the sample."""
SHARP = 24
"""Faces from this size on are scaled down for crowds."""
CACHED = 2000
"""Decoded pictures that are kept, about a megabyte each."""
HEAD_FACE, HEAD_SIDES = 36.0, 6.0
"""A head is kept with its face scaled to this many pixels, and this many sides of it around."""


def read_picture(root: Path, picture: LabelledPicture) -> Sample:
    """Read a picture upright."""
    upright = turned(read_image(root / picture.file), picture.turn)
    return Sample(upright, boxes_of(picture.sure), boxes_of(picture.unsure))


class SampleSource:
    """Draws samples from labelled pictures.

    Args:
        root: the folder with the data.
        pictures: what is drawn from.
    """

    def __init__(
        self, root: Path, pictures: Sequence[LabelledPicture], seed: int, mix: Mix | None = None
    ) -> None:
        self.mix = mix or Mix()
        self.pictures = pictures
        self.rng = np.random.default_rng(seed)
        self.read = lru_cache(CACHED)(lambda number: read_picture(root, pictures[number]))
        self.heads = [head for number in range(len(pictures)) for head in self._heads(number)]

    def _heads(self, number: int) -> list[Sample]:
        """Cut the faces of a picture that are large enough to be scaled down."""
        boxes = boxes_of(self.pictures[number].sure)
        large = boxes[sides(boxes) >= SHARP]
        heads = []
        for box in large:
            sample = self.read(number)
            side = float(sides(box[None])[0])
            scale = min(1.0, HEAD_FACE / side)
            size = min(HEAD_SIDES * side, *sample.image.shape[:2]) * scale
            heads.append(cut(sample, (box[:2] + box[2:]) / 2, scale, round(size)))
        return heads

    def draw(self) -> Sample:
        """Draw one sample of SIZE x SIZE pixels."""
        mix, rng = self.mix, self.rng
        sample = self.crowd() if rng.random() < mix.crowd else self.part()
        if rng.random() < 0.5:
            sample = mirrored(sample)
        if rng.random() < mix.mask:
            sample = masked(sample, rng)
        chance = rng.random()
        if chance < mix.quarter_turned:
            for _ in range(rng.choice([1, 2, 3], p=[0.4, 0.2, 0.4])):
                sample = quarter_turned(sample)
        elif chance < mix.quarter_turned + mix.tilted:
            sample = tilted(sample, float(rng.uniform(-40, 40)))
        return Sample(worsened(sample.image, rng, mix), sample.faces, sample.unsure)

    def part(self) -> Sample:
        """Draw a part of a picture at another scale, or parts of four."""
        if self.rng.random() < self.mix.four:
            half = SIZE // 2
            return _grid([self._part(half) for _ in range(4)], half)
        return self._part(SIZE)

    def _part(self, size: int) -> Sample:
        """Draw a part of ``size`` x ``size`` pixels that the picture fills as far as it can."""
        rng = self.rng
        sample = self.read(int(rng.integers(len(self.pictures))))
        middle = rng.uniform(0, 1, 2) * sample.image.shape[1::-1]
        scale = float(rng.uniform(0.5, 1.8))
        if len(sample.faces):
            box = sample.faces[rng.integers(len(sample.faces))]
            side = float(np.exp(rng.uniform(np.log(12), np.log(LARGEST))))
            scale = min(side / float(sides(box[None])[0]), 2.5)
            if rng.random() < 0.7:
                middle = (box[:2] + box[2:]) / 2 + rng.uniform(-0.5, 0.5, 2) * size / scale
        return cut(sample, middle, max(scale, size / max(sample.image.shape[:2])), size)

    def crowd(self) -> Sample:
        """Draw a grid of heads that are scaled down."""
        rng = self.rng
        typical = float(np.exp(rng.uniform(np.log(6), np.log(LARGEST_IN_CROWD))))
        cell = SIZE // int(np.clip(SIZE / (typical * rng.uniform(2, 4.5)), 3, 12))
        places = -(-SIZE // cell)
        return _grid([self._cell(cell, typical) for _ in range(places**2)], cell)

    def _cell(self, cell: int, typical: float) -> Sample:
        """Draw a head, or what is beside it, in a square of ``cell`` pixels."""
        rng = self.rng
        head = self.heads[rng.integers(len(self.heads))]
        size = head.image.shape[0]
        box = head.faces[rng.integers(len(head.faces))] if len(head.faces) else None
        face = size / HEAD_SIDES if box is None else float(sides(box[None])[0])
        wanted = max(SMALLEST, typical * float(np.exp(rng.normal(0, 0.25))))
        scale = float(np.clip(wanted / face, cell / size, 1.5))
        play = max(0.0, cell / 2 - wanted * 0.6) / scale
        middle = np.full(2, size / 2) if box is None else (box[:2] + box[2:]) / 2
        if rng.random() < 0.15:
            play = size / 2
        return cut(head, middle + rng.uniform(-play, play, 2), scale, cell)


def _grid(parts: Sequence[Sample], cell: int) -> Sample:
    """Put squares of ``cell`` pixels into a square of SIZE pixels, row by row."""
    columns = -(-SIZE // cell)
    canvas = np.zeros((SIZE, SIZE, 3), np.uint8)
    faces, unsure = [], []
    for number, part in enumerate(parts):
        y, x = cell * (number // columns), cell * (number % columns)
        room = canvas[y : y + cell, x : x + cell]
        room[:] = part.image[: room.shape[0], : room.shape[1]]
        offset = np.array([x, y, x, y], np.float32)
        faces.append(part.faces + offset)
        unsure.append(part.unsure + offset)
    return clipped(canvas, np.concatenate(faces), np.concatenate(unsure))
