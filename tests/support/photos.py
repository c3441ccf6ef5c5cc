"""Photographs in installed packages, and the overlap of boxes."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

ASTRONAUT_FACE = (172, 60, 272, 196)  # determined by eye


def photo(package: str, *path: str) -> np.ndarray:
    """An RGB photograph in an installed package, found without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    image = cv2.imread(str(Path(spec.submodule_search_locations[0], *path)))
    if image is None:
        pytest.skip(f"{package} has no {path[-1]}")
    return np.ascontiguousarray(image[..., ::-1])


def overlap(box: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union."""
    width = max(0, min(box[2], other[2]) - max(box[0], other[0]))
    height = max(0, min(box[3], other[3]) - max(box[1], other[1]))
    both = width * height
    areas = [(side[2] - side[0]) * (side[3] - side[1]) for side in (box, other)]
    return both / (sum(areas) - both)
