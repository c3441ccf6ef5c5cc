"""Images and boxes turned by quarters of a circle."""

from __future__ import annotations

import numpy as np

from app.models.batching import Image
from app.types import Box

SIDEWAYS = 1, 3
"""Quarters, counter-clockwise, by which an image that lies on its side has to be turned."""


def turned(image: Image, quarters: int) -> Image:
    """Turn an image counter-clockwise by quarters of a circle."""
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image


def turned_back(box: Box, quarters: int, size: tuple[int, int]) -> Box:
    """Return a box of a turned image in the pixels of the original.

    Args:
        size: width and height of the original.
    """
    width, height = size
    if quarters == 1:
        return Box(width - box.y2, box.x1, width - box.y1, box.x2)
    if quarters == 2:
        return Box(width - box.x2, height - box.y2, width - box.x1, height - box.y1)
    if quarters == 3:
        return Box(box.y1, height - box.x2, box.y2, height - box.x1)
    return box
