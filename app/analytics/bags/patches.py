"""The appearance of a place, to know later whether it is still the same."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from app.types import Box

PATCH = (24, 24)

Patch = npt.NDArray[np.float32]


class PatchView:
    """A small grey image, addressed in pixels of the large one.

    Args:
        small: (H, W, 3) RGB.
        shrink: from pixels of the large image to those of the small one.
    """

    def __init__(self, small: npt.NDArray[np.uint8], shrink: float) -> None:
        self._grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        self._shrink = shrink

    def patch(self, box: Box) -> Patch:
        """The edges in a box and its surroundings, (24, 24)."""
        grown = box.grown(0.25).scaled(self._shrink, self._shrink)
        height, width = self._grey.shape
        left, top, right, bottom = grown.pixels((width, height))
        if right - left < 3 or bottom - top < 3:
            return np.zeros(PATCH, np.float32)
        part = cv2.resize(
            self._grey[top:bottom, left:right], PATCH, interpolation=cv2.INTER_AREA
        ).astype(np.float32)
        return np.hypot(cv2.Sobel(part, cv2.CV_32F, 1, 0), cv2.Sobel(part, cv2.CV_32F, 0, 1))


def patch_similarity(one: Patch, other: Patch) -> float:
    """Correlation of two patches, -1 to 1; 0 where one of them has no edges."""
    a, b = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 1e-6 else 0.0
