"""Plate candidates: boxes of the object detector, and lines of text as a second source.

Each covers what the other misses: a plate without a box is found by its text, and a plate whose
text is not found in the whole image by its box.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.models.batching import Image
from app.models.plates.text_lines import MAX_ENLARGEMENT, TextLine, TextLineDetector
from app.types import Box

QUICK_SIDE, FULL_SIDE, CANVAS_STEP = 768, 1024, 64
"""Longer side at which a photo is searched for lines, and again if no plate was certain."""
CROP_CANVAS = (320, 192)
MIN_HEIGHT, MIN_RATIO, MAX_RATIO = 7.0, 1.2, 10.0
MAX_LINES = 24
PLATE_MARGIN = 0.15
SAME_PLATE = 2.2
TWO_LINE_GAP, TWO_LINE_RATIO, TWO_LINE_OVERLAP = 0.9, 1.8, 0.5


class CandidateRegion(NamedTuple):
    """A box of the object detector, and the lines of text in it."""

    box: Box
    lines: tuple[TextLine, ...]


def candidate_regions(
    boxes: Sequence[Box], lines: Sequence[TextLine]
) -> tuple[list[CandidateRegion], list[TextLine]]:
    """Return everything worth reading in an image: the boxes, and the lines outside of them.

    Args:
        boxes: plates of the object detector.
        lines: lines of text in the whole image.
    """
    legible = sorted(filter(is_legible, lines), key=lambda line: -line.confidence * line.height)
    inside = [[line for line in legible if _holds(box, line)] for box in boxes]
    taken = {id(line) for own in inside for line in own}
    free = [line for line in legible if id(line) not in taken][:MAX_LINES]
    return [CandidateRegion(box, tuple(own)) for box, own in zip(boxes, inside, strict=True)], free


def canvas_of(image: Image, longest: int = FULL_SIDE) -> tuple[int, int]:
    """Return the canvas width and height for finding lines in a whole image."""
    height, width = image.shape[:2]
    scale = scale_of(image, longest)
    return _stepped(width * scale), _stepped(height * scale)


def scale_of(image: Image, longest: int = FULL_SIDE) -> float:
    """Return the factor by which an image is resized for its canvas."""
    return float(min(MAX_ENLARGEMENT, longest / max(image.shape[:2])))


def crop_lines(image: Image, box: Box, detector: TextLineDetector) -> list[TextLine]:
    """Find lines in an enlarged crop around a box, in pixels of the whole image."""
    around = box.grown(PLATE_MARGIN)
    left, top = max(0, int(around.x1)), max(0, int(around.y1))
    crop = image[top : int(around.y2) + 1, left : int(around.x2) + 1]
    if min(crop.shape[:2]) < 4:
        return []
    offset = np.array([left, top], np.float32)
    lines = detector.lines(crop, CROP_CANVAS)
    moved = [TextLine(line.quad + offset, line.confidence) for line in lines]
    return [line for line in moved if is_legible(line)]


def is_legible(line: TextLine) -> bool:
    """Whether a line has the size and shape of a line on a plate."""
    if line.height < MIN_HEIGHT:
        return False
    return MIN_RATIO <= line.width / line.height <= MAX_RATIO


def same_plate(a: TextLine, b: TextLine) -> bool:
    """Whether two lines are close enough to be on the same plate."""
    dy = abs(float(a.centre[1] - b.centre[1]))
    dx = abs(float(a.centre[0] - b.centre[0]))
    height = max(a.height, b.height)
    return dy < SAME_PLATE * height and dx < (a.width + b.width) / 2 + height


def two_line_pairs(lines: Sequence[TextLine]) -> list[tuple[TextLine, TextLine]]:
    """Return the pairs that may be the upper and the lower line of a two-line plate."""
    return [(a, b) for a in lines for b in lines if a is not b and _is_above(a, b)]


def _is_above(upper: TextLine, lower: TextLine) -> bool:
    gap = float(lower.quad[:, 1].min() - upper.quad[:, 1].max())
    tall, small = max(upper.height, lower.height), min(upper.height, lower.height)
    left = max(upper.quad[:, 0].min(), lower.quad[:, 0].min())
    right = min(upper.quad[:, 0].max(), lower.quad[:, 0].max())
    shared = float(right - left) / min(upper.width, lower.width)
    near = -0.7 * small < gap < TWO_LINE_GAP * tall and upper.centre[1] < lower.centre[1]
    return bool(near and tall <= TWO_LINE_RATIO * small and shared > TWO_LINE_OVERLAP)


def box_of(lines: Sequence[TextLine], size: tuple[int, int], margin: float = 0.0) -> Box:
    """Return the axis-aligned box around lines, clipped to an image of this width and height.

    Args:
        margin: added on each side, as a share of the first line's height.
    """
    points = np.concatenate([line.quad for line in lines])
    padding = margin * lines[0].height
    (x1, y1), (x2, y2) = points.min(axis=0) - padding, points.max(axis=0) + padding
    width, height = size
    return Box(float(max(0, x1)), float(max(0, y1)), float(min(width, x2)), float(min(height, y2)))


def _holds(box: Box, line: TextLine) -> bool:
    x, y = line.centre
    around = box.grown(PLATE_MARGIN)
    return bool(around.x1 <= x <= around.x2 and around.y1 <= y <= around.y2)


def _stepped(side: float) -> int:
    return max(CANVAS_STEP, -(-round(side) // CANVAS_STEP) * CANVAS_STEP)
