"""Copies of photos in which a plate is hard to read or to find."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from app.models.batching import Image
from app.models.plates.turned import turned
from app.types import Box
from training.plate_ageing import dark, dirty, smeared

Rng = np.random.Generator


class Copy(NamedTuple):
    """A photo, and where its plate is."""

    image: Image
    box: Box


def _smeared(rng: Rng, image: Image, box: Box) -> Copy:
    """The plate moved by 9 to 14 % of its width while the shutter was open."""
    length = max(3, round(box.width * rng.uniform(0.09, 0.14)))
    return _changed(image, box, lambda part: smeared(part, length, rng.normal(0, 8)))


def _dirty(rng: Rng, image: Image, box: Box) -> Copy:
    """Mud covers 25 to 45 % of the plate."""
    return _changed(image, box, lambda part: dirty(rng, part, rng.uniform(0.25, 0.45)))


def _dark(rng: Rng, image: Image, box: Box) -> Copy:
    """The photo has 6 to 15 % of its light."""
    return Copy(dark(rng, image, rng.uniform(0.06, 0.15)), box)


def _small(rng: Rng, image: Image, box: Box) -> Copy:
    """The plate is 30 to 45 pixels wide."""
    scale = min(1.0, rng.uniform(30, 45) / box.width)
    size = max(16, round(image.shape[1] * scale)), max(16, round(image.shape[0] * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Copy(small, box.scaled(size[0] / image.shape[1], size[1] / image.shape[0]))


def _tilted(rng: Rng, image: Image, box: Box) -> Copy:
    """The camera is tilted by 15 to 25 degrees."""
    height, width = image.shape[:2]
    angle = rng.uniform(15, 25) * rng.choice((-1, 1))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = cv2.transform(corners[None], turn)[0]
    low, high = moved.min(axis=0), moved.max(axis=0)
    turn[:, 2] -= low
    size = tuple(map(int, np.ceil(high - low)))
    seen = cv2.warpAffine(image, turn, size, borderMode=cv2.BORDER_CONSTANT, borderValue=(90,) * 3)
    own = np.array(
        [[box.x1, box.y1], [box.x2, box.y1], [box.x2, box.y2], [box.x1, box.y2]], np.float32
    )
    own = cv2.transform(own[None], turn)[0]
    (x1, y1), (x2, y2) = own.min(axis=0), own.max(axis=0)
    return Copy(np.asarray(seen, np.uint8), Box(float(x1), float(y1), float(x2), float(y2)))


def _on_its_side(rng: Rng, image: Image, box: Box) -> Copy:
    """The photo lies on its side."""
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        return Copy(turned(image, 1), Box(box.y1, width - box.x2, box.y2, width - box.x1))
    return Copy(turned(image, 3), Box(height - box.y2, box.x1, height - box.y1, box.x2))


def _upside_down(_: Rng, image: Image, box: Box) -> Copy:
    """The photo is upside down."""
    height, width = image.shape[:2]
    box = Box(width - box.x2, height - box.y2, width - box.x1, height - box.y1)
    return Copy(turned(image, 2), box)


COPIES: dict[str, Callable[[Rng, Image, Box], Copy]] = {
    "as it is": lambda _, image, box: Copy(image, box),
    "smeared": _smeared,
    "dirty": _dirty,
    "dark": _dark,
    "small": _small,
    "tilted": _tilted,
    "on its side": _on_its_side,
    "upside down": _upside_down,
}
"""By their names."""


def _changed(image: Image, box: Box, change: Callable[[Image], Image]) -> Copy:
    """Change the plate and a narrow margin, with a soft edge."""
    left, top, right, bottom = box.grown(0.15).pixels((image.shape[1], image.shape[0]))
    part = image[top:bottom, left:right]
    soft = np.zeros(part.shape[:2], np.float32)
    edge = max(1, round(0.06 * box.height))
    soft[edge:-edge, edge:-edge] = 1
    blend = np.asarray(cv2.GaussianBlur(soft, (0, 0), edge), np.float32)[..., None]
    copy = image.copy()
    copy[top:bottom, left:right] = (part * (1 - blend) + change(part) * blend).astype(np.uint8)
    return Copy(copy, box)
