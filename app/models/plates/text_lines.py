"""Text detection with PP-OCRv6's detector, which uses differentiable binarisation.

Liao et al.: Real-time Scene Text Detection with Differentiable Binarization (2020). The network
outputs, per pixel, the confidence of lying in the core of a line; cores are grown to whole lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from app.errors import DetectorLate
from app.models.batching import BatchingRunner, Image

Quad = npt.NDArray[np.float32]
"""Corners (4, 2) as x, y: top left, top right, bottom right, bottom left."""

MIN_CORE = 3.0
UNCLIP = 1.6
MAX_ENLARGEMENT = 2.0
"""Enlarging letters further does not improve detection, and the lines fit less tightly."""
TIMEOUT_S = 20.0


class TextLine(NamedTuple):
    """A line of text as a rotated rectangle."""

    quad: Quad
    confidence: float

    @property
    def width(self) -> float:
        return float(np.linalg.norm(self.quad[1] - self.quad[0]))

    @property
    def height(self) -> float:
        return float(np.linalg.norm(self.quad[3] - self.quad[0]))

    @property
    def centre(self) -> npt.NDArray[np.float32]:
        centre: npt.NDArray[np.float32] = self.quad.mean(axis=0)
        return centre

    @property
    def upside_down(self) -> TextLine:
        """The same line, to be read turned by half a circle."""
        return TextLine(np.roll(self.quad, 2, axis=0), self.confidence)


class TextLineDetector:
    """Detects lines of text in an image.

    Args:
        runner: the shared runner of the network.
        core: minimum confidence of a pixel to belong to the core of a line.
        min_confidence: minimum mean confidence over the pixels of a core.
    """

    def __init__(
        self, runner: BatchingRunner, *, core: float = 0.3, min_confidence: float = 0.4
    ) -> None:
        self._runner = runner
        self._core = core
        self._min_confidence = min_confidence

    def lines(
        self, image: Image, canvas: tuple[int, int], enlarged: float = MAX_ENLARGEMENT
    ) -> list[TextLine]:
        """Return the lines in an (H, W, 3) RGB image, in its pixels.

        Args:
            canvas: width and height of the network's input, multiples of 32; the image is
                resized to fit and placed in the top left corner.
            enlarged: factor by which the image is enlarged at most.

        Raises:
            DetectorError: when the network fails.
        """
        return self.lines_of_each([image], canvas, enlarged)[0]

    def lines_of_each(
        self, images: Sequence[Image], canvas: tuple[int, int], enlarged: float = MAX_ENLARGEMENT
    ) -> list[list[TextLine]]:
        """Return the lines in each of several images, which are searched at the same time.

        Raises:
            DetectorError: when the network fails.
        """
        boxed = [fitted(image, canvas, enlarged) for image in images]
        answers = [self._runner.submit(one) for one, _ in boxed]
        try:
            heats = [answer.result(TIMEOUT_S)[0][0] for answer in answers]
        except TimeoutError:
            raise DetectorLate("Plate reading") from None
        return [self._decoded(heat, scale) for heat, (_, scale) in zip(heats, boxed, strict=True)]

    def _decoded(self, heat: npt.NDArray[np.float32], scale: float) -> list[TextLine]:
        found = decode(heat, self._core, self._min_confidence)
        return [TextLine((line.quad / scale).astype(np.float32), line.confidence) for line in found]


def fitted(
    image: Image, canvas: tuple[int, int], enlarged: float = MAX_ENLARGEMENT
) -> tuple[Image, float]:
    """Resize an image into the corner of a grey canvas; return the canvas and the scale."""
    width, height = canvas
    scale = min(enlarged, width / image.shape[1], height / image.shape[0])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    boxed = np.full((height, width, 3), 127, np.uint8)
    boxed[: size[1], : size[0]] = cv2.resize(image, size, interpolation=how)
    return boxed, scale


def decode(
    heat: npt.NDArray[np.float32], core: float, min_confidence: float, unclip: float = UNCLIP
) -> list[TextLine]:
    """Find the lines in an (H, W) confidence map, in its pixels."""
    mask = cv2.dilate((heat > core).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    lines = []
    for contour in contours:
        centre, size, angle = cv2.minAreaRect(contour)
        if min(size) < MIN_CORE:
            continue
        quad = ordered(cv2.boxPoints((centre, size, angle)))
        confidence = _mean_inside(heat, quad)
        if confidence < min_confidence:
            continue
        grow = 2 * unclip * size[0] * size[1] / (2 * (size[0] + size[1]))
        grown = (centre, (size[0] + grow, size[1] + grow), angle)
        lines.append(TextLine(ordered(cv2.boxPoints(grown)), confidence))
    return lines


def _mean_inside(heat: npt.NDArray[np.float32], quad: Quad) -> float:
    x1, y1 = np.floor(quad.min(axis=0)).astype(int).clip(0)
    x2, y2 = np.ceil(quad.max(axis=0)).astype(int) + 1
    part = heat[y1:y2, x1:x2]
    mask = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(mask, [np.round(quad - (x1, y1)).astype(np.int32)], 1)
    return float(cv2.mean(part, mask)[0])


def ordered(corners: npt.ArrayLike) -> Quad:
    """Order the corners of a rectangle, rotated by less than 45 degrees, from the top left."""
    points = np.asarray(corners, np.float32)
    x_first = points[np.argsort(points[:, 0], kind="stable")]
    left = x_first[:2][np.argsort(x_first[:2, 1], kind="stable")]
    right = x_first[2:][np.argsort(x_first[2:, 1], kind="stable")]
    quad: Quad = np.array([left[0], right[0], right[1], left[1]], np.float32)
    return quad
