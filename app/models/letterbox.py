"""Letterboxing: images of any shape on few canvas shapes, as a network is compiled per shape.

The image is placed at the top left, so that boxes only need scaling; the rest is grey.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]
"""Height and width, as in an array's shape."""

STRIDE = 32
GREY = 114


def padded(side: float, multiple: int = STRIDE) -> int:
    """Round up to a multiple, at least to the first one."""
    return max(1, -(-round(side) // multiple)) * multiple


def canvas_for(size: Size, longest: int, multiple: int = STRIDE) -> Size:
    """Return the canvas for an image whose longer side is resized to ``longest``.

    Args:
        longest: a multiple of 32.
        multiple: the shorter side is padded to a multiple of this; the larger, the fewer shapes.
    """
    scale = longest / max(size)
    height, width = (min(longest, padded(side * scale, multiple)) for side in size)
    return height, width


def letterbox(image: Image, canvas: Size) -> tuple[Image, Size]:
    """Resize the (H, W, 3) image to fill the canvas; return it padded, and its resized size."""
    height, width = image.shape[:2]
    scale = min(canvas[0] / height, canvas[1] / width)
    size = _scaled(height, scale, canvas[0]), _scaled(width, scale, canvas[1])
    if size != (height, width):
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, size[::-1], interpolation=method), np.uint8)
    if size == canvas:
        return image, size
    boxed = np.full((*canvas, 3), GREY, np.uint8)
    boxed[: size[0], : size[1]] = image
    return boxed, size


def _scaled(side: int, scale: float, upper: int) -> int:
    return min(upper, max(1, round(side * scale)))
