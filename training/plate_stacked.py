"""Small letters stacked beside a number, as on many US plates: painted into photos of plates.

They are not part of the number: ``WV 1234`` with a small ``H`` above a ``C`` is searched as 1234.
Real ones are too few for the recogniser to learn to leave them out.
"""

from __future__ import annotations

import string
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Quad = npt.NDArray[np.float32]
Rng = np.random.Generator

MAX_SLOPE = 0.09
"""Height difference of a line's ends as a share of its length, up to which letters are painted."""
MIN_HEIGHT = 24.0
LETTERS = np.array(list(string.ascii_uppercase))
FACES = (cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_TRIPLEX)


class Painted(NamedTuple):
    """A photo with stacked letters, and the line with them inside."""

    image: Image
    quad: Quad


def with_stacked(rng: Rng, image: Image, quad: Quad) -> Painted | None:
    """Paint two or three small letters above each other at one end of a line.

    Returns:
        None if the line is too small or does not lie level.
    """
    height = float(np.linalg.norm(quad[3] - quad[0]))
    along = quad[1] - quad[0]
    if height < MIN_HEIGHT or abs(along[1]) > MAX_SLOPE * abs(along[0]):
        return None
    margin = round(0.8 * height)
    wide = np.asarray(
        cv2.copyMakeBorder(image, 0, 0, margin, margin, cv2.BORDER_REPLICATE), np.uint8
    )
    quad = quad + np.array([margin, 0], np.float32)
    left = bool(rng.random() < 0.5)
    edge = float(quad[[0, 3], 0].mean() if left else quad[[1, 2], 0].mean())
    middle = float(quad[[0, 3], 1].mean() if left else quad[[1, 2], 1].mean())
    width, gap = height * rng.uniform(0.26, 0.42), height * rng.uniform(-0.1, 0.06)
    begin = edge - gap - width if left else edge + gap
    ground, ink = _colours(wide, quad, edge, height, left)
    _paint(rng, wide, (begin, middle, width, height), ground, ink)
    shift = np.zeros((4, 2), np.float32)
    shift[[0, 3] if left else [1, 2], 0] = (-1 if left else 1) * (gap + width + 0.04 * height)
    return Painted(wide, (quad + shift).astype(np.float32))


def _colours(
    image: Image, quad: Quad, edge: float, height: float, left: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The colours of the plate's ground at one end of a line, and of its letters."""
    x1, x2 = (edge, edge + height) if left else (edge - height, edge)
    y1, y2 = float(quad[:, 1].min()), float(quad[:, 1].max())
    part = image[max(0, round(y1)) : round(y2) + 1, max(0, round(x1)) : round(x2) + 1]
    rows = max(1, round(0.1 * height))
    rim = np.concatenate([part[:rows].reshape(-1, 3), part[-rows:].reshape(-1, 3)])
    ground = np.median(rim, axis=0)
    pixels = part.reshape(-1, 3).astype(np.float64)
    away = np.abs(pixels - ground).sum(axis=1)
    return ground, np.median(pixels[away >= 0.7 * np.percentile(away, 97)], axis=0)


def _paint(
    rng: Rng,
    image: Image,
    where: tuple[float, float, float, float],
    ground: npt.NDArray[np.float64],
    ink: npt.NDArray[np.float64],
) -> None:
    """Paint a patch of the ground's colour, and letters on it; changes the image."""
    begin, middle, width, height = where
    x1, x2 = max(0, round(begin)), min(image.shape[1], round(begin + width))
    y1, y2 = max(0, round(middle - 0.46 * height)), round(middle + 0.46 * height)
    part = image[y1:y2, x1:x2]
    size = part.shape[1], part.shape[0]
    mask, letters = np.zeros(size[::-1], np.float32), np.zeros(size[::-1], np.uint8)
    soft = max(1, round(0.03 * height))
    mask[soft:-soft, soft:-soft] = 1
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), soft), np.float32)
    count = 3 if rng.random() < 0.15 else 2
    cap = height * (rng.uniform(0.25, 0.34) if count == 2 else rng.uniform(0.18, 0.24))
    face, thick = FACES[rng.integers(len(FACES))], max(1, round(cap * rng.uniform(0.12, 0.2)))
    step = cap * rng.uniform(1.1, 1.35)
    for row in range(count):
        letter = str(rng.choice(LETTERS))
        (across, tall), _ = cv2.getTextSize(letter, face, cap / 22, thick)
        base = size[1] / 2 + (row - (count - 1) / 2) * step + tall / 2
        at = round((size[0] - across) / 2), round(base)
        cv2.putText(letters, letter, at, face, cap / 22, 255, thick, cv2.LINE_AA)
    seen = part * (1 - mask[..., None]) + ground * mask[..., None]
    share = (letters / 255.0)[..., None]
    part[:] = np.clip(seen * (1 - share) + ink * share, 0, 255).astype(np.uint8)
