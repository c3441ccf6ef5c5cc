"""Copies of a picture as a worse camera would take it: turned, dark, out of focus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]
Copy = tuple[Image, Callable[[Points], Points]]
"""An image (H, W, 3), and what takes points (N, 2) of the original to it."""


def turned(image: Image, degrees: float) -> Copy:
    """Turn an image about its centre, counter-clockwise; only 90 degrees change its size."""
    height, width = image.shape[:2]
    new = (height, width) if degrees == 90 else (width, height)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    matrix[:, 2] += (new[0] - width) / 2, (new[1] - height) / 2
    drawn = cv2.warpAffine(image, matrix, new)
    return np.asarray(drawn, np.uint8), lambda points: points @ matrix[:, :2].T + matrix[:, 2]


def dark(image: Image) -> Copy:
    """Leave a fifth of the light."""
    return (image * 0.2).astype(np.uint8), _unmoved


def blurred(image: Image) -> Copy:
    """Blur as a lens out of focus does, by a fixed share of the image's width."""
    sigma = image.shape[1] / 640
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8), _unmoved


def _unmoved(points: Points) -> Points:
    return points


COPIES: Mapping[str, Callable[[Image], Copy]] = {
    "turned by 30°": lambda image: turned(image, 30),
    "turned by −30°": lambda image: turned(image, -30),
    "turned by 90°": lambda image: turned(image, 90),
    "dark": dark,
    "blurred": blurred,
}
