"""Photos of plates made worse, as cameras and weather do: for training and for measuring.

Every function takes (H, W, 3) RGB and returns a new image of the same size.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from app.models.plates.recogniser import Augmentation, strip_of

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Rng = np.random.Generator


def smeared(image: Image, length: int, angle: float = 0.0) -> Image:
    """Blur along one direction, as a moving car; the length is in pixels, the angle in degrees."""
    size = max(3, length | 1)
    kernel = np.zeros((size, size), np.float32)
    kernel[size // 2] = 1
    turn = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), angle, 1)
    kernel = np.asarray(cv2.warpAffine(kernel, turn, (size, size)), np.float32)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def dark(rng: Rng, image: Image, light: float) -> Image:
    """Take most of the light away, and add a sensor's noise."""
    seen = image.astype(np.float32) * light
    noise = rng.normal(0, 1, image.shape).astype(np.float32)
    return np.asarray(np.clip(seen + noise * np.sqrt(seen + 4) * 0.6, 0, 255), np.uint8)


def dirty(rng: Rng, image: Image, share: float) -> Image:
    """Cover about this share of an image with blots of mud."""
    height, width = image.shape[:2]
    noise = rng.normal(0, 1, (max(2, height // 6), max(2, width // 6))).astype(np.float32)
    soft = cv2.GaussianBlur(cv2.resize(noise, (width, height)), (0, 0), max(height, 8) / 16)
    mud = (soft > np.quantile(soft, 1 - share)).astype(np.float32)
    mud = cv2.GaussianBlur(mud, (0, 0), max(0.6, height / 40))[..., None] * rng.uniform(0.75, 0.95)
    tint = np.array(rng.uniform((70, 55, 40), (125, 105, 85)), np.float32)
    return np.asarray(np.clip(image * (1 - mud) + tint * mud, 0, 255), np.uint8)


def compressed(image: Image, quality: int) -> Image:
    """Encode as JPEG and decode."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def aged_strip(rng: Rng, image: Image, quad: npt.ArrayLike) -> Image:
    """Return an input strip of the recogniser for a line, as another photo would show it."""
    part, own = _surroundings(rng, image, np.asarray(quad, np.float32))
    part = _lit(rng, part)
    height = float(np.linalg.norm(own[3] - own[0]))
    if rng.random() < 0.5:
        part = np.asarray(cv2.GaussianBlur(part, (0, 0), height * rng.uniform(0.008, 0.05)))
    if rng.random() < 0.25:
        part = smeared(part, round(height * rng.uniform(0.05, 0.22)), rng.normal(0, 20))
    if rng.random() < 0.15:
        part = dirty(rng, part, rng.uniform(0.03, 0.15))
    if rng.random() < 0.5:
        noise = rng.normal(0, rng.uniform(1, 9), part.shape)
        part = np.clip(part + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        part = compressed(part, int(rng.integers(25, 95)))
    jitter = rng.normal(0, 0.035 * height, (1, 2)) + rng.normal(0, 0.03 * height, (4, 2))
    crop = Augmentation(
        vertical_margin=rng.uniform(-0.14, 0.06),
        horizontal_margin=rng.uniform(-0.03, 0.3),
        stretch=rng.uniform(1.05, 1.8),
        blur=rng.random() < 0.4,
    )
    return strip_of(part, (own + jitter).astype(np.float32), crop)


def _surroundings(rng: Rng, image: Image, quad: Floats) -> tuple[Image, Floats]:
    """Cut out a line with what is around it, seen from another side and from farther away."""
    height = float(np.linalg.norm(quad[3] - quad[0]))
    low, high = quad.min(axis=0) - 0.7 * height, quad.max(axis=0) + 0.7 * height
    left, top = np.maximum(0, low - 0.3 * height).astype(int)
    right, bottom = (high + 0.3 * height).astype(int) + 2
    image = image[top:bottom, left:right]
    low, high, quad = low - (left, top), high - (left, top), (quad - (left, top))
    wanted = float(np.exp(rng.uniform(np.log(11), np.log(max(12.0, min(56.0, height * 1.1))))))
    scale = min(wanted / height, 2.0)
    size = np.maximum(8, np.round((high - low) * scale)).astype(int)
    corners = np.array([low, (high[0], low[1]), high, (low[0], high[1])], np.float32)
    target = np.array([(0, 0), (size[0], 0), tuple(size), (0, size[1])], np.float32)
    target = (target + rng.normal(0, 0.05, (4, 2)) * height * scale).astype(np.float32)
    turn = cv2.getPerspectiveTransform(corners, target)
    if scale < 0.8:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 / scale), np.uint8)
    part = cv2.warpPerspective(
        image, turn, tuple(map(int, size)), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(part, np.uint8), cv2.perspectiveTransform(quad[None], turn)[0]


def _lit(rng: Rng, image: Image) -> Image:
    """Another light: contrast, tint, shadows, glare; sometimes night, or infrared."""
    seen = image.astype(np.float32)
    height, width = image.shape[:2]
    if rng.random() < 0.15:
        seen = np.repeat(seen.mean(axis=2, keepdims=True), 3, axis=2)
    seen *= rng.uniform(0.9, 1.1, 3).astype(np.float32)
    if rng.random() < 0.35:
        slope = rng.normal(0, 1, 2)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        side = slope[0] * (x / width - rng.random()) + slope[1] * (y / height - rng.random())
        edge = 1 / (1 + np.exp(-side * rng.uniform(4, 60)))
        seen *= (1 - edge * rng.uniform(0.2, 0.65))[..., None]
    seen = 128 + (seen - 128) * rng.uniform(0.45, 1.25) + rng.normal(0, 18)
    if rng.random() < 0.1:
        seen = 255 - seen
    seen = np.clip(seen, 0, 255)
    if rng.random() < 0.15:
        return dark(rng, seen.astype(np.uint8), rng.uniform(0.2, 0.6))
    gamma = np.exp(rng.normal(0, 0.3))
    return np.asarray(255 * (seen / 255) ** gamma, np.uint8)
