"""Plate candidates: boxes of the object detector, and lines of text as a second source.

Each covers what the other misses: a plate without a box is found by its text, and a plate whose
text is not found in the whole image by its box.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from app.models.batching import Image
from app.models.plates.text_lines import MAX_ENLARGEMENT, TextLine, TextLineDetector, ordered
from app.types import Box

CANVAS_STEP = 64
CROP_CANVAS, CROP_ENLARGEMENT = (320, 192), 4.0
MIN_CROP_SIDE = 4
MIN_HEIGHT, MIN_RATIO, MAX_RATIO = 7.0, 1.2, 10.0
MIN_PIECE_RATIO = 0.2
"""A line of one character, which is a part of a number where another line stands beside it."""
PLATE_MARGIN, SMALL_PRINT, MIN_CUT_WIDTH = 0.15, 0.45, 120.0
SAME_PLATE = 2.2
JOIN_RATIO, JOIN_DOWN, JOIN_GAP = 1.4, 0.35, 1.5
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
    legible = sorted(with_pieces(lines), key=lambda line: -line.confidence * line.height)
    inside = [[line for line in legible if _holds(box, line)] for box in boxes]
    taken = {id(line) for own in inside for line in own}
    free = [line for line in legible if id(line) not in taken]
    return [CandidateRegion(box, tuple(own)) for box, own in zip(boxes, inside, strict=True)], free


def canvas_of(image: Image, longest: int) -> tuple[int, int]:
    """Return the canvas width and height for finding lines in a whole image."""
    height, width = image.shape[:2]
    scale = min(MAX_ENLARGEMENT, longest / max(image.shape[:2]))
    return _stepped(width * scale), _stepped(height * scale)


def crop_lines(
    image: Image, boxes: Sequence[Box], detector: TextLineDetector
) -> list[list[TextLine]]:
    """Find lines in an enlarged crop around each box, in pixels of the whole image."""
    crops = [_crop_around(image, box) for box in boxes]
    large = [crop.pixels for crop in crops if crop.is_large]
    found = iter(detector.lines_of_each(large, CROP_CANVAS, CROP_ENLARGEMENT))
    return [with_pieces(crop.moved(next(found))) if crop.is_large else [] for crop in crops]


class _Crop(NamedTuple):
    """A part of an image, and where its top left corner is."""

    pixels: Image
    corner: tuple[int, int]

    @property
    def is_large(self) -> bool:
        """Whether it is large enough to be searched."""
        return bool(min(self.pixels.shape[:2]) >= MIN_CROP_SIDE)

    def moved(self, lines: Sequence[TextLine]) -> list[TextLine]:
        """Its lines in pixels of the whole image."""
        offset = np.array(self.corner, np.float32)
        return [TextLine(line.quad + offset, line.confidence) for line in lines]


def _crop_around(image: Image, box: Box) -> _Crop:
    around = box.grown(PLATE_MARGIN)
    left, top = max(0, int(around.x1)), max(0, int(around.y1))
    return _Crop(image[top : int(around.y2) + 1, left : int(around.x2) + 1], (left, top))


def with_pieces(lines: Sequence[TextLine]) -> list[TextLine]:
    """Return the legible lines, and each of them joined with a single character beside it, which
    an emblem or a wide gap may separate from the rest of a number."""
    legible = [line for line in lines if is_legible(line)]
    pieces = [line for line in lines if is_piece(line)]
    joined = [
        _union(piece, line)
        for piece in pieces
        for line in legible
        if _are_beside(piece, line) or _are_beside(line, piece)
    ]
    return [*legible, *filter(is_legible, joined)]


def is_piece(line: TextLine) -> bool:
    """Whether a line has the size and shape of one character."""
    return line.height >= MIN_HEIGHT and MIN_PIECE_RATIO <= line.width / line.height < MIN_RATIO


def is_legible(line: TextLine) -> bool:
    """Whether a line has the size and shape of a line on a plate."""
    if line.height < MIN_HEIGHT:
        return False
    return MIN_RATIO <= line.width / line.height <= MAX_RATIO


def is_cut_off(lines: Sequence[TextLine], box: Box, image: Image) -> bool:
    """Whether the crop around a box may have cut lines off at the left or right.

    On a small plate a line reaches the edges anyway, as its ends are not found exactly.
    """
    left, _, right, _ = box.grown(PLATE_MARGIN).pixels((image.shape[1], image.shape[0]))
    across = np.concatenate([line.quad[:, 0] for line in lines])
    at_left = left > 0 and across.min() < left + 1
    at_right = right < image.shape[1] and across.max() > right - 1
    return box.width >= MIN_CUT_WIDTH and bool(at_left or at_right)


def with_joined(lines: Sequence[TextLine]) -> list[TextLine]:
    """Add the joined pairs of lines that stand side by side: a gap in a number may divide it."""
    joined = [
        _union(a, b)
        for a in lines
        for b in lines
        if a.centre[0] < b.centre[0] and _are_beside(a, b)
    ]
    return [*lines, *filter(is_legible, joined)]


def _are_beside(left: TextLine, right: TextLine) -> bool:
    tall, small = max(left.height, right.height), min(left.height, right.height)
    down = abs(float(left.centre[1] - right.centre[1]))
    gap = float(right.quad[:, 0].min() - left.quad[:, 0].max())
    return (
        tall <= JOIN_RATIO * small and down < JOIN_DOWN * small and -small < gap < JOIN_GAP * tall
    )


def _union(a: TextLine, b: TextLine) -> TextLine:
    """The rectangle around two lines."""
    corners = cv2.boxPoints(cv2.minAreaRect(np.concatenate([a.quad, b.quad])))
    return TextLine(ordered(corners), min(a.confidence, b.confidence))


def tall_lines(lines: Sequence[TextLine]) -> list[TextLine]:
    """Leave out a plate's small print: stickers, slogans, the name of the state."""
    tallest = max((line.height for line in lines), default=0.0)
    return [line for line in lines if line.height >= SMALL_PRINT * tallest]


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
