"""Detects objects of any kind that were brought into a fixed camera's view and stay there.

A background that adapts slowly is compared with the current image, at low resolution. A pixel is
*static* once it has differed from the background, and not changed itself, for a while. Two rates
tell an object that was set down from one that passes (Porikli: Detection of temporarily static
regions by processing video at different frame rates, 2007).

Three things look like an object but are not. A *shadow* or a patch of light changes the brightness
and keeps the texture below it; it is removed, also where it touches the object that casts it. A
*ghost* is the place that an object left: its outline is in the background but not in the image.
And when most of the image changes at once, the light was switched or the camera was moved: then
the background is learned again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
import numpy.typing as npt

from app.types import Box

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

LEARN_S = 2.0
BACKGROUND_S = 40.0  # time constant of the background where nothing is in front of it
STILL_S = 0.8  # time constant of the average that shows whether a pixel is still
RECOVER = 4.0  # a pixel loses its age this many times faster than it gained it
SAMPLE = 3  # the exposure is estimated from every third pixel
ABSORB_S = 1800.0  # an object that stays longer becomes background
MIN_DIFFERENCE = 6.0  # grey levels; more where the sensor is noisy
MAX_NOISE = 6.0  # movement while the noise is learned would hide objects there for minutes
CLEAR_DIFFERENCE = 16.0  # grey levels...
CLEAR_SHARE = 0.2  # ...that at least this share of an object differs by; else it is noise
STILL_DIFFERENCE = 10.0
CHROMA_WEIGHT = 2.0
MAX_CHANGED = 0.5  # of the image at once; above, the light or the camera changed
MOVED_PIXELS = 2.0
MOVED_FITS = 0.6  # share of the difference that is left once the background is shifted
SAME_TEXTURE = 0.75
TEXTURE_WINDOW = 7  # pixels of the small image
LOCAL_TEXTURE, MIN_TEXTURE = 0.8, 3.0  # correlation; grey levels
SAME_COLOUR = 4.0
EDGE_GAIN = 1.1


class SceneChange(Enum):
    """Why the background must be learned again."""

    LIGHT = "light"
    CAMERA = "camera_moved"


@dataclass(slots=True)
class StaticObject:
    """A static object, in pixels of the small image.

    Attributes:
        since: when it began to differ from the background.
        confidence: from the share of its box that is static, and how clearly it differs.
    """

    box: Box
    since: float
    confidence: float


class StaticObjectDetector:
    """Detects the static objects of one camera; not shared between threads.

    Args:
        settle_s: an object is static once it has been still for this long.
        min_area: smaller blobs are noise; a share of the image.
    """

    def __init__(self, *, settle_s: float = 1.5, min_area: float = 0.0004) -> None:
        self._settle_s = settle_s
        self._min_area = min_area
        self._other_scene_for = 0  # images in a row
        self._background: Array | None = None
        self._still: Array | None = None
        self._noise: Array | None = None
        self._age: Array | None = None
        self._begun: Array | None = None
        self._changed: Mask | None = None
        self._started_at = self._last_at = 0.0

    @property
    def learning(self) -> bool:
        """True while the background is learned: at the start, and after a ``SceneChange``."""
        return self._background is None or self._last_at - self._started_at < LEARN_S

    def changed_share(self, box: Box) -> float:
        """Share of a box, in pixels of the small image, that differs from the background now, 0 to
        1; 0 while the background is not known."""
        if self._changed is None:
            return 0.0
        left, top = max(0, int(box.x1)), max(0, int(box.y1))
        part = self._changed[top : max(top, int(box.y2) + 1), left : max(left, int(box.x2) + 1)]
        return float(part.mean()) if part.size else 0.0

    def update(
        self, image: npt.NDArray[np.uint8], people: list[Box], now: float
    ) -> tuple[list[StaticObject], SceneChange | None]:
        """The static objects in the next image of the camera.

        Args:
            image: (H, W, 3) RGB, a few hundred pixels wide, always of one size.
            people: their boxes: there, nothing is learned and nothing ages.
        """
        current = _opponent(image)
        hidden = _mask(people, current.shape[:2])
        if self._background is None or self._background.shape != current.shape:
            self._restart(current, now)
            return [], None
        assert self._still is not None and self._noise is not None
        elapsed = min(1.0, max(0.0, now - self._last_at))
        self._last_at = now
        current = self._match_exposure(current, hidden)
        difference = _distance(current, self._background)
        changed = difference > np.maximum(MIN_DIFFERENCE, 4 * self._noise)
        scene_change = self._scene_change(current, changed & ~hidden)
        if scene_change is not None:
            self._restart(_opponent(image), now)
            return [], scene_change
        if self._other_scene_for:  # learn nothing from what may be another scene
            return [], None
        self._changed = changed
        still = _distance(current, self._still) < STILL_DIFFERENCE
        self._update_age(changed, still, hidden, elapsed, now)
        self._learn(current, difference, changed, hidden, elapsed)
        return ([], None) if self.learning else (self._objects(current, difference, hidden), None)

    def _restart(self, current: Array, now: float) -> None:
        self._background, self._still = current.copy(), current.copy()
        self._noise = np.full(current.shape[:2], MIN_DIFFERENCE / 4, np.float32)
        self._age = np.zeros(current.shape[:2], np.float32)
        self._begun = np.full(current.shape[:2], now, np.float32)
        self._changed = None
        self._started_at = self._last_at = now
        self._other_scene_for = 0

    def _match_exposure(self, current: Array, hidden: Mask) -> Array:
        """The image, as bright as the background: cameras adapt when somebody walks in."""
        assert self._background is not None
        sample = np.s_[::SAMPLE, ::SAMPLE]
        visible = ~hidden[sample]
        if not visible.any():
            return current
        before = float(np.median(self._background[..., 0][sample][visible]))
        gain = before / max(1.0, float(np.median(current[..., 0][sample][visible])))
        if 0.7 < gain < 1.4:
            current = current.copy()
            current[..., 0] *= np.float32(gain)
        return current

    def _scene_change(self, current: Array, changed: Mask) -> SceneChange | None:
        """Why most of the image changed, once it did in two images in a row."""
        assert self._background is not None
        if changed.mean() < MAX_CHANGED and not self._has_moved(current, changed):
            self._other_scene_for = 0
            return None
        self._other_scene_for += 1
        if self._other_scene_for < 2:
            return None
        return SceneChange.CAMERA if self._has_moved(current, changed) else SceneChange.LIGHT

    def _has_moved(self, current: Array, changed: Mask) -> bool:
        """Whether the edges of the background are all shifted by the same amount."""
        assert self._background is not None
        if changed.mean() < MAX_CHANGED / 8:
            return False
        old, new = _edges(self._background[..., 0]), _edges(current[..., 0])
        (x, y), _ = cv2.phaseCorrelate(old, new, _window(old.shape))
        if np.hypot(x, y) < MOVED_PIXELS:
            return False
        height, width = old.shape
        shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
        moved = np.asarray(cv2.warpAffine(self._background, shift, (width, height)), np.float32)
        inner = np.s_[height // 6 : -height // 6, width // 6 : -width // 6]
        before = _distance(self._background, current)[inner].mean()
        return bool(_distance(moved, current)[inner].mean() < MOVED_FITS * before)

    def _update_age(
        self, changed: Mask, still: Mask, hidden: Mask, elapsed: float, now: float
    ) -> None:
        """Update the age of each pixel, the time for which it has been static.

        It grows while the pixel is changed and still, also at the feet of whoever just set the
        object down, and waits while somebody passes in front of it."""
        assert self._age is not None and self._begun is not None
        self._age[changed & still] += elapsed
        self._age[~changed] = np.maximum(0, self._age[~changed] - RECOVER * elapsed)
        self._age[changed & ~still & ~hidden] *= 0.5
        gone = ~changed & (self._age == 0)
        self._begun[gone] = now

    def _learn(
        self, current: Array, difference: Array, changed: Mask, hidden: Mask, elapsed: float
    ) -> None:
        assert self._background is not None and self._still is not None
        assert self._noise is not None and self._age is not None
        fast = elapsed / (elapsed + STILL_S)
        cv2.accumulateWeighted(current, self._still, fast)
        slow = elapsed / (elapsed + (STILL_S if self.learning else BACKGROUND_S))
        free = (~hidden if self.learning else ~changed & ~hidden).astype(np.uint8)
        cv2.accumulateWeighted(current, self._background, slow, free)
        noise = np.minimum(1.25 * difference, MAX_NOISE)
        cv2.accumulateWeighted(noise, self._noise, slow, free)
        absorbed = self._age > ABSORB_S
        self._background[absorbed] = current[absorbed]
        self._age[absorbed] = 0

    def _objects(self, current: Array, difference: Array, hidden: Mask) -> list[StaticObject]:
        assert self._age is not None and self._begun is not None and self._background is not None
        old = self._age >= self._settle_s
        if not old.any():
            return []
        shadow = _shadows(current, self._background)
        static = _without_shadow((old & ~hidden).astype(np.uint8), shadow)
        whole = cv2.morphologyEx(static, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        whole = cv2.morphologyEx(whole, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        count, labels, stats, _ = cv2.connectedComponentsWithStats(whole, connectivity=8)
        objects: list[StaticObject] = []
        for number in range(1, count):
            left, top, width, height, area = (int(value) for value in stats[number])
            if area < self._min_area * static.size:
                continue
            inside = labels[top : top + height, left : left + width] == number
            place = np.s_[top : top + height, left : left + width]
            clear = difference[place][inside]
            if (clear > CLEAR_DIFFERENCE).mean() < CLEAR_SHARE:
                continue
            if _is_shadow(current[place], self._background[place], inside):
                continue
            if _is_ghost(current[..., 0], self._background[..., 0], labels == number):
                continue
            clarity = min(1.0, float(clear.mean()) / CLEAR_DIFFERENCE)
            confidence = (area / (width * height)) ** 0.5 * clarity
            since = float(np.median(self._begun[place][inside]))
            if since - self._started_at < LEARN_S:
                continue  # it may have been there before the background was known
            box = Box(left, top, left + width, top + height)
            objects.append(StaticObject(box, since, round(confidence, 3)))
        return objects


def _opponent(image: npt.NDArray[np.uint8]) -> Array:
    """Brightness and two colour differences, slightly smoothed, as floats."""
    smooth = cv2.GaussianBlur(image, (3, 3), 0)
    return np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2YCrCb), np.float32)


def _distance(one: Array, other: Array) -> Array:
    """(H, W) difference in grey levels; colour counts twice: light does not change it."""
    difference = np.abs(one - other)
    chroma = np.maximum(difference[..., 1], difference[..., 2])  # far faster than .max(axis=2)
    weighted = np.maximum(difference[..., 0], CHROMA_WEIGHT * chroma)
    return np.asarray(weighted, np.float32)


def _mask(boxes: list[Box], shape: tuple[int, ...]) -> Mask:
    """(H, W) whether a pixel is in one of the boxes, slightly enlarged."""
    mask = np.zeros(shape, bool)
    for box in boxes:
        grown = box.grown(0.05)
        mask[
            max(0, int(grown.y1)) : max(0, int(grown.y2) + 1),
            max(0, int(grown.x1)) : max(0, int(grown.x2) + 1),
        ] = True
    return mask


def _edges(luma: Array) -> Array:
    x, y = cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)
    return np.asarray(np.hypot(x, y), np.float32)


def _window(shape: tuple[int, ...]) -> Array:
    return np.asarray(cv2.createHanningWindow((shape[1], shape[0]), cv2.CV_32F), np.float32)


def _shadows(current: Array, background: Array) -> Mask:
    """(H, W) where only the light on the ground changed.

    On textured ground, the texture is still visible; an object would hide it. This is measured by
    local correlation (Jacques et al.: Background subtraction and shadow detection in grayscale
    video, 2005). A smooth floor or wall has no texture; there, a place that is still smooth, of the
    same colour, and only a little darker or brighter, is a shadow or light.
    """
    size = (TEXTURE_WINDOW, TEXTURE_WINDOW)
    luma, under = current[..., 0], background[..., 0]
    new, old = cv2.blur(luma, size), cv2.blur(under, size)
    new_power = np.maximum(cv2.blur(luma * luma, size) - new * new, 0)
    old_power = np.maximum(cv2.blur(under * under, size) - old * old, 0)
    both = cv2.blur(luma * under, size) - new * old
    correlated = both > LOCAL_TEXTURE * np.sqrt(new_power * old_power)
    textured = (old_power > MIN_TEXTURE**2) & (new_power > (MIN_TEXTURE / 2) ** 2)
    ratio = new / np.maximum(old, 1)
    on_texture = correlated & textured & (ratio > 0.4) & (ratio < 1.6)
    smooth = (old_power <= MIN_TEXTURE**2) & (new_power <= MIN_TEXTURE**2)
    difference = np.abs(current - background)
    colour = np.maximum(difference[..., 1], difference[..., 2])
    on_smooth = smooth & (ratio > 0.75) & (ratio < 1.3) & (cv2.blur(colour, size) < SAME_COLOUR)
    return np.asarray(on_texture | on_smooth, np.bool_)


def _without_shadow(static: npt.NDArray[np.uint8], shadow: Mask) -> npt.NDArray[np.uint8]:
    """The static pixels without shadows, (H, W) of 0 and 1.

    At the rim of a shadow, the texture window covers both sides, so the rim is removed too. What
    this takes from the object itself grows back from the rest of it.
    """
    window = np.ones((TEXTURE_WINDOW, TEXTURE_WINDOW), np.uint8)
    rim = np.asarray(cv2.dilate(shadow.astype(np.uint8), window), np.uint8)
    core = cv2.morphologyEx(static & (1 - rim), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return static & np.asarray(cv2.dilate(core, window), np.uint8)


def _is_shadow(current: Array, background: Array, inside: Mask) -> bool:
    """Whether colours and texture are the same, only darker or brighter: not an object."""
    new, old = current[..., 0][inside], background[..., 0][inside]
    if len(new) < 16 or np.abs(current - background)[..., 1:][inside].mean() > 4:
        return False
    if old.std() < 3:  # a smooth floor has no texture to compare
        ratio = new / np.maximum(old, 1)
        return bool(0.5 < np.median(ratio) < 0.95 and ratio.std() < 0.06)
    return bool(new.std() > 0 and np.corrcoef(new, old)[0, 1] > SAME_TEXTURE)


def _is_ghost(current: Array, background: Array, region: Mask) -> bool:
    """Whether the region's outline has stronger edges in the background than now: it left."""
    ring = cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    ring &= ~cv2.erode(region.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    new, old = float(_edges(current)[ring].mean()), float(_edges(background)[ring].mean())
    return old > EDGE_GAIN * new
