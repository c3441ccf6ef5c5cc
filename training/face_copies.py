"""Samples for the face network, and copies of them: cut out, turned, masked, darkened, blurred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.boxes import Array, area
from training.label_faces import turned
from training.network import Image

Points = NDArray[np.floating]

VISIBLE = 0.5
"""A face is learned if at least this share of it is inside the sample."""
SMALLEST = 5.0
"""The shorter side, in pixels, of a face that is learned."""


@dataclass(frozen=True)
class Sample:
    """An image (H, W, 3) BGR, its faces (N, 4), and boxes (M, 4) that are not judged."""

    image: Image
    faces: Array
    unsure: Array


@dataclass(frozen=True)
class Mix:
    """The shares of samples that are drawn in each way."""

    crowd: float = 0.5
    four: float = 0.3
    tilted: float = 0.2
    quarter_turned: float = 0.2
    mask: float = 0.1
    dark: float = 0.2
    grey: float = 0.1
    blurred: float = 0.3
    noisy: float = 0.2
    compressed: float = 0.4


def boxes_of(rows: Sequence[Sequence[float]]) -> Array:
    """Return boxes (N, 4), also of none."""
    return np.asarray(rows, np.float32).reshape(-1, 4)


def sides(boxes: Array) -> Array:
    """Return the shorter sides (N,) in pixels."""
    shorter: Array = (boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.float32(1e9))
    return shorter


def cut(sample: Sample, middle: Points, scale: float, size: int) -> Sample:
    """Cut a square of ``size`` pixels out of a sample that is scaled first.

    Args:
        middle: its centre (x, y) in pixels of the unscaled sample, moved so that the square lies
            inside; where the sample is too small for that, the rest is black.
    """
    limits = np.array(sample.image.shape[1::-1])
    extent = max(2, round(size / scale))
    low = np.clip(np.round(middle - extent / 2), 0, np.maximum(limits - extent, 0)).astype(int)
    high = np.minimum(low + extent, limits)
    part = sample.image[low[1] : high[1], low[0] : high[0]]
    exact = size / extent
    inside = np.maximum(np.round((high - low) * exact), 1).astype(int)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image = np.zeros((size, size, 3), np.uint8)
    scaled = cv2.resize(part, (int(inside[0]), int(inside[1])), interpolation=way)
    image[: inside[1], : inside[0]] = scaled
    moved = ((b - np.tile(low, 2)) * exact for b in (sample.faces, sample.unsure))
    return clipped(image, *(m.astype(np.float32) for m in moved))


def clipped(image: Image, faces: Array, unsure: Array) -> Sample:
    """Clip boxes to an image; faces of which too little is visible become unsure."""
    limits = np.tile(np.array([image.shape[1], image.shape[0]], np.float32), 2)
    seen = np.clip(faces, 0, limits)
    share = area(seen) / np.maximum(area(faces), 1e-6)
    learned = (share >= VISIBLE) & (sides(seen) >= SMALLEST - 1)
    doubtful = np.concatenate([seen[~learned & (share > 0)], np.clip(unsure, 0, limits)])
    return Sample(image, seen[learned], doubtful[area(doubtful) > 0])


def resized(sample: Sample, scale: float) -> Sample:
    """Scale a whole sample."""
    size = round(sample.image.shape[1] * scale), round(sample.image.shape[0] * scale)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image = np.asarray(cv2.resize(sample.image, size, interpolation=way), np.uint8)
    return Sample(image, sample.faces * np.float32(scale), sample.unsure * np.float32(scale))


def mirrored(sample: Sample) -> Sample:
    """Swap left and right."""
    width = sample.image.shape[1]
    boxes = (
        np.stack([width - b[:, 2], b[:, 1], width - b[:, 0], b[:, 3]], 1)
        for b in (sample.faces, sample.unsure)
    )
    return Sample(np.ascontiguousarray(sample.image[:, ::-1]), *boxes)


def quarter_turned(sample: Sample) -> Sample:
    """Turn to the left by a quarter."""
    width = sample.image.shape[1]
    boxes = (
        np.stack([b[:, 1], width - b[:, 2], b[:, 3], width - b[:, 0]], 1)
        for b in (sample.faces, sample.unsure)
    )
    return Sample(turned(sample.image, 1), *boxes)


def tilted(sample: Sample, degrees: float) -> Sample:
    """Turn about the centre to the left; a box becomes that of the ellipse inside it."""
    height, width = sample.image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    image = np.asarray(cv2.warpAffine(sample.image, matrix, (width, height)), np.uint8)
    return clipped(image, *(_tilted(b, np.asarray(matrix)) for b in (sample.faces, sample.unsure)))


def _tilted(boxes: Array, matrix: Points) -> Array:
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (matrix[:, :2] ** 2).T)
    tilted_boxes: Array = np.concatenate([centre - half, centre + half], 1).astype(np.float32)
    return tilted_boxes


def masked(sample: Sample, rng: Generator) -> Sample:
    """Cover the lower half of some faces, or their eyes, with a patch of one colour."""
    image = sample.image.copy()
    for x1, y1, x2, y2 in sample.faces[sides(sample.faces) >= 10]:
        if rng.random() < 0.4:
            continue
        width, height = x2 - x1, y2 - y1
        low, high = (0.52, 1.0) if rng.random() < 0.7 else (0.25, 0.48)
        centre = (x1 + width / 2, y1 + height * (low + high) / 2)
        axes = (width * 0.48, height * (high - low) * 0.55)
        colour = tuple(
            int(c) for c in rng.choice([20, 60, 140, 200, 235]) + rng.integers(-15, 15, 3)
        )
        place = [round(float(value)) for value in centre]
        reach = [max(1, round(float(value))) for value in axes]
        cv2.ellipse(image, place, reach, 0, 0, 360, colour, cv2.FILLED, cv2.LINE_AA)
    return Sample(image, sample.faces, sample.unsure)


def worsened(image: Image, rng: Generator, mix: Mix) -> Image:
    """Change light and sharpness as worse cameras do."""
    values = image.astype(np.float32)
    values = values * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    values = (values - 128) * rng.uniform(0.7, 1.2) + 128 + rng.uniform(-20, 20)
    if rng.random() < mix.grey:
        values[:] = values.mean(2, keepdims=True)
    if rng.random() < mix.dark:
        values = np.clip(values, 0, 255) * rng.uniform(0.12, 0.5)
    if rng.random() < mix.blurred:
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), rng.uniform(0.4, 1.6)), np.float32)
    if rng.random() < mix.noisy:
        values = values + rng.normal(0, rng.uniform(2, 10), values.shape).astype(np.float32)
    result = np.clip(values, 0, 255).astype(np.uint8)
    if rng.random() < mix.compressed:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))]
        coded = cv2.imencode(".jpg", result, quality)[1]
        result = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return result
