"""Drawn numbers whose last characters are smaller: the region of Russian plates."""

from __future__ import annotations

import re
from collections.abc import Callable

import cv2
import numpy as np

from training.letters import CAP, Letters

Rng = np.random.Generator
RUSSIAN = re.compile(r"([A-Z]\d{3}[A-Z]{2})(\d{2,3})")
"""A number, and its region."""
LEAST_PAINT = 0.5
SHARE = 0.8
"""How many of such numbers are drawn with a small region."""


def letters_with_region(rng: Rng, text: str, letters_of: Callable[[str], Letters]) -> Letters:
    """Draw letters; in a Russian number the region is three quarters as high, with its head at
    the same height, behind a line, and with the country's letters below.

    Args:
        letters_of: draws the letters of a text.
    """
    parts = RUSSIAN.fullmatch(text)
    if parts is None or rng.random() > SHARE:
        return letters_of(text)
    number, region = letters_of(parts[1]), letters_of(parts[2])
    if region.mask.mean() < LEAST_PAINT * number.mask.mean():  # its strokes were thinned away
        return letters_of(text)
    scale = rng.uniform(0.66, 0.8)
    height, width = region.mask.shape
    small = cv2.resize(
        region.mask, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA
    )
    mask = np.zeros((height, small.shape[1]), np.float32)
    down = round((1 - scale) * (height - CAP) / 2 + rng.normal(0, 0.02) * CAP)
    mask[down : down + small.shape[0]] = small[: height - down]
    if rng.random() < 0.8:
        base = round(height / 2 + CAP * rng.uniform(0.42, 0.52))
        at, size = (round(small.shape[1] * 0.3), base), CAP / 96 * rng.uniform(0.4, 0.6)
        below = np.zeros(mask.shape, np.uint8)
        cv2.putText(below, "RUS", at, cv2.FONT_HERSHEY_DUPLEX, size, 255, 1, cv2.LINE_AA)
        mask = np.maximum(mask, (below / 255).astype(np.float32))
    if rng.random() < 0.8:
        thick = max(1, round(CAP * rng.uniform(0.02, 0.05)))
        cv2.line(mask, (0, 0), (0, height), 1.0, thick, cv2.LINE_AA)
    return Letters(np.hstack([number.mask, mask]).astype(np.float32), number.gaps)
