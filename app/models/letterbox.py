"""Pictures of any shape on canvases of few shapes, since a network is compiled for each shape.

The picture lies at the top left, so that boxes need only be scaled; the rest is grey.
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
    """The next multiple, at least one."""
    return max(1, -(-round(side) // multiple)) * multiple


def canvas_for(size: Size, longest: int, multiple: int = STRIDE) -> Size:
    """The canvas for a picture whose longer side is brought to ``longest``.

    Args:
        longest: a multiple of 32.
        multiple: the shorter side is padded to a multiple of this; the larger, the fewer shapes.
    """
    scale = longest / max(size)
    height, width = (min(longest, padded(side * scale, multiple)) for side in size)
    return height, width


def letterbox(image: Image, canvas: Size) -> tuple[Image, Size]:
    """The (H, W, 3) picture as large as it fits on the canvas, and how large that is."""
    height, width = image.shape[:2]
    scale = min(canvas[0] / height, canvas[1] / width)
    seen = _scaled(height, scale, canvas[0]), _scaled(width, scale, canvas[1])
    if seen != (height, width):
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, seen[::-1], interpolation=method), np.uint8)
    if seen == canvas:
        return image, seen
    boxed = np.full((*canvas, 3), GREY, np.uint8)
    boxed[: seen[0], : seen[1]] = image
    return boxed, seen


def _scaled(side: int, scale: float, most: int) -> int:
    return min(most, max(1, round(side * scale)))
