"""What came into a fixed camera's view and stays there: found without knowing what it is.

A background that learns slowly is compared with the picture as it is now, at low resolution.
A place counts as *static* once it differed from the background, and kept still, for a while; two
rates tell an object that was set down from one that passes (Porikli: Detection of temporarily
static regions by processing video at different frame rates, 2007).

Three things look like an object and are none. A *shadow* or a patch of light changes brightness
and keeps the texture below it; it is cut off, also from the thing that throws it. A *ghost* is
the place that something left: its outline is in the background and not in the picture. And when
most of the picture changes at once, the light was switched or the camera was moved: then
everything is learnt anew.
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
STILL_S = 0.8  # time constant of the picture that a still thing is compared with
RECOVER = 4.0  # times faster than it grew old, a place is as it was
SAMPLE = 3  # every third pixel tells the exposure
ABSORB_S = 1800.0  # what stays longer is furniture
LEAST_DIFFERENCE = 6.0  # grey levels; more where the sensor is noisy
MOST_NOISE = 6.0  # or whatever moves while it is learnt would blind it there for minutes
CLEAR_DIFFERENCE = 16.0  # some of a thing differs so much, or it is noise
CLEAR_SHARE = 0.2
STILL_DIFFERENCE = 10.0
CHROMA_WEIGHT = 2.0
MOST_CHANGED = 0.5  # of the picture at once: the light, or the camera
MOVED_PIXELS = 2.0
MOVED_FITS = 0.6  # of the difference is left when the background is moved along
SAME_TEXTURE = 0.75
TEXTURE_WINDOW = 7  # pixels of the small picture
LOCAL_TEXTURE, LEAST_TEXTURE = 0.8, 3.0  # correlation; grey levels
SAME_COLOUR = 4.0
EDGE_GAIN = 1.1
OVERLAP = 0.25


class SceneChange(Enum):
    """Why everything must be learnt anew."""

    LIGHT = "light"
    CAMERA = "camera_moved"


@dataclass(slots=True)
class StaticObject:
    """Something static, in pixels of the small picture.

    Attributes:
        since: when it began to differ from the background.
        confidence: how much of its box is static, and how clearly it differs.
    """

    box: Box
    since: float
    confidence: float


class StaticObjectDetector:
    """Watches one camera; not shared between threads.

    Args:
        settle_s: a thing is static once it kept still for so long.
        least_area: smaller blobs are noise; a share of the picture.
    """

    def __init__(self, *, settle_s: float = 1.5, least_area: float = 0.0004) -> None:
        self._settle_s = settle_s
        self._least_area = least_area
        self._upset_for = 0
        self._forget()

    def _forget(self) -> None:
        self._background: Array | None = None
        self._still: Array | None = None
        self._noise: Array | None = None
        self._age: Array | None = None
        self._begun: Array | None = None
        self._changed: Mask | None = None
        self._started_at = self._last_at = 0.0

    @property
    def learning(self) -> bool:
        """True while nothing can be told: at the start, and after an upset."""
        return self._background is None or self._last_at - self._started_at < LEARN_S

    def changed_share(self, box: Box) -> float:
        """How much of a box, in pixels of the small picture, differs from the background now,
        0 to 1; 0 while nothing is known."""
        if self._changed is None:
            return 0.0
        left, top = max(0, int(box.x1)), max(0, int(box.y1))
        part = self._changed[top : max(top, int(box.y2) + 1), left : max(left, int(box.x2) + 1)]
        return float(part.mean()) if part.size else 0.0

    def update(
        self, image: npt.NDArray[np.uint8], busy: list[Box], now: float
    ) -> tuple[list[StaticObject], SceneChange | None]:
        """Take a picture; tell what is static in it.

        Args:
            image: (H, W, 3) RGB, a few hundred pixels wide, always of one size.
            busy: where people are: nothing is learnt and nothing ages there.
        """
        picture = _opponent(image)
        hidden = _covered(busy, picture.shape[:2])
        if self._background is None or self._background.shape != picture.shape:
            self._begin(picture, now)
            return [], None
        assert self._still is not None and self._noise is not None
        elapsed = min(1.0, max(0.0, now - self._last_at))
        self._last_at = now
        picture = self._same_exposure(picture, hidden)
        difference = _distance(picture, self._background)
        changed = difference > np.maximum(LEAST_DIFFERENCE, 4 * self._noise)
        upset = self._upset(picture, changed & ~hidden)
        if upset is not None:
            self._begin(_opponent(image), now)
            return [], upset
        if self._upset_for:  # nothing may be learnt of what may be another picture
            return [], None
        self._changed = changed
        still = _distance(picture, self._still) < STILL_DIFFERENCE
        self._grow_old(changed, still, hidden, elapsed, now)
        self._learn(picture, difference, changed, hidden, elapsed)
        return ([], None) if self.learning else (self._blobs(picture, difference, hidden), None)

    def _begin(self, picture: Array, now: float) -> None:
        self._background, self._still = picture.copy(), picture.copy()
        self._noise = np.full(picture.shape[:2], LEAST_DIFFERENCE / 4, np.float32)
        self._age = np.zeros(picture.shape[:2], np.float32)
        self._begun = np.full(picture.shape[:2], now, np.float32)
        self._changed = None
        self._started_at = self._last_at = now
        self._upset_for = 0

    def _same_exposure(self, picture: Array, hidden: Mask) -> Array:
        """The picture as bright as the background: cameras adapt when somebody walks in."""
        assert self._background is not None
        some = np.s_[::SAMPLE, ::SAMPLE]
        seen = ~hidden[some]
        if not seen.any():
            return picture
        before = float(np.median(self._background[..., 0][some][seen]))
        gain = before / max(1.0, float(np.median(picture[..., 0][some][seen])))
        if 0.7 < gain < 1.4:
            picture = picture.copy()
            picture[..., 0] *= np.float32(gain)
        return picture

    def _upset(self, picture: Array, changed: Mask) -> SceneChange | None:
        """Whether most of the picture is another one, in two pictures running."""
        assert self._background is not None
        if changed.mean() < MOST_CHANGED and not self._has_moved(picture, changed):
            self._upset_for = 0
            return None
        self._upset_for += 1
        if self._upset_for < 2:
            return None
        return SceneChange.CAMERA if self._has_moved(picture, changed) else SceneChange.LIGHT

    def _has_moved(self, picture: Array, changed: Mask) -> bool:
        """Whether the edges of the background are found again, somewhere else."""
        assert self._background is not None
        if changed.mean() < MOST_CHANGED / 8:
            return False
        old, new = _edges(self._background[..., 0]), _edges(picture[..., 0])
        (x, y), _ = cv2.phaseCorrelate(old, new, _window(old.shape))
        if np.hypot(x, y) < MOVED_PIXELS:
            return False
        height, width = old.shape
        shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
        moved = np.asarray(cv2.warpAffine(self._background, shift, (width, height)), np.float32)
        inner = np.s_[height // 6 : -height // 6, width // 6 : -width // 6]
        before = _distance(self._background, picture)[inner].mean()
        return bool(_distance(moved, picture)[inner].mean() < MOVED_FITS * before)

    def _grow_old(
        self, changed: Mask, still: Mask, hidden: Mask, elapsed: float, now: float
    ) -> None:
        """Static time of each place: grows while it is changed and still, also at the feet of
        who just set it down, and waits while somebody passes in front of it."""
        assert self._age is not None and self._begun is not None
        self._age[changed & still] += elapsed
        self._age[~changed] = np.maximum(0, self._age[~changed] - RECOVER * elapsed)
        self._age[changed & ~still & ~hidden] *= 0.5
        gone = ~changed & (self._age == 0)
        self._begun[gone] = now

    def _learn(
        self, picture: Array, difference: Array, changed: Mask, hidden: Mask, elapsed: float
    ) -> None:
        assert self._background is not None and self._still is not None
        assert self._noise is not None and self._age is not None
        quick = elapsed / (elapsed + STILL_S)
        cv2.accumulateWeighted(picture, self._still, quick)
        slow = elapsed / (elapsed + (STILL_S if self.learning else BACKGROUND_S))
        free = (~hidden if self.learning else ~changed & ~hidden).astype(np.uint8)
        cv2.accumulateWeighted(picture, self._background, slow, free)
        noise = np.minimum(1.25 * difference, MOST_NOISE)
        cv2.accumulateWeighted(noise, self._noise, slow, free)
        furniture = self._age > ABSORB_S
        self._background[furniture] = picture[furniture]
        self._age[furniture] = 0

    def _blobs(self, picture: Array, difference: Array, hidden: Mask) -> list[StaticObject]:
        assert self._age is not None and self._begun is not None and self._background is not None
        old = self._age >= self._settle_s
        if not old.any():
            return []
        shadow = _shadows(picture, self._background)
        static = _without((old & ~hidden).astype(np.uint8), shadow)
        whole = cv2.morphologyEx(static, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        whole = cv2.morphologyEx(whole, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        count, labels, stats, _ = cv2.connectedComponentsWithStats(whole, connectivity=8)
        blobs: list[StaticObject] = []
        for number in range(1, count):
            left, top, width, height, area = (int(value) for value in stats[number])
            if area < self._least_area * static.size:
                continue
            inside = labels[top : top + height, left : left + width] == number
            place = np.s_[top : top + height, left : left + width]
            clear = difference[place][inside]
            if (clear > CLEAR_DIFFERENCE).mean() < CLEAR_SHARE:
                continue
            if _is_shadow(picture[place], self._background[place], inside):
                continue
            if _is_ghost(picture[..., 0], self._background[..., 0], labels == number):
                continue
            clarity = min(1.0, float(clear.mean()) / CLEAR_DIFFERENCE)
            confidence = (area / (width * height)) ** 0.5 * clarity
            since = float(np.median(self._begun[place][inside]))
            if since - self._started_at < LEARN_S:
                continue  # what was there before is not known
            box = Box(left, top, left + width, top + height)
            blobs.append(StaticObject(box, since, round(confidence, 3)))
        return blobs


def _opponent(image: npt.NDArray[np.uint8]) -> Array:
    """Brightness and two colour differences, slightly smoothed, as floats."""
    smooth = cv2.GaussianBlur(image, (3, 3), 0)
    return np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2YCrCb), np.float32)


def _distance(one: Array, other: Array) -> Array:
    """(H, W) difference in grey levels; colour counts twice, it is not moved by light."""
    apart = np.abs(one - other)
    chroma = np.maximum(apart[..., 1], apart[..., 2])  # far faster than .max(axis=2)
    weighted = np.maximum(apart[..., 0], CHROMA_WEIGHT * chroma)
    return np.asarray(weighted, np.float32)


def _covered(boxes: list[Box], shape: tuple[int, ...]) -> Mask:
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


def _shadows(picture: Array, background: Array) -> Mask:
    """Where only the light on the ground is another: (H, W).

    On textured ground the texture is still seen, which a thing would hide: by local correlation
    (Jacques et al.: Background subtraction and shadow detection in grayscale video, 2005). On a
    smooth floor or wall that says nothing; there, what is still as smooth, of the same colour,
    and only a little darker or brighter, is light.
    """
    size = (TEXTURE_WINDOW, TEXTURE_WINDOW)
    luma, under = picture[..., 0], background[..., 0]
    new, old = cv2.blur(luma, size), cv2.blur(under, size)
    new_power = np.maximum(cv2.blur(luma * luma, size) - new * new, 0)
    old_power = np.maximum(cv2.blur(under * under, size) - old * old, 0)
    both = cv2.blur(luma * under, size) - new * old
    alike = both > LOCAL_TEXTURE * np.sqrt(new_power * old_power)
    textured = (old_power > LEAST_TEXTURE**2) & (new_power > (LEAST_TEXTURE / 2) ** 2)
    ratio = new / np.maximum(old, 1)
    on_texture = alike & textured & (ratio > 0.4) & (ratio < 1.6)
    smooth = (old_power <= LEAST_TEXTURE**2) & (new_power <= LEAST_TEXTURE**2)
    apart = np.abs(picture - background)
    colour = np.maximum(apart[..., 1], apart[..., 2])
    on_smooth = smooth & (ratio > 0.75) & (ratio < 1.3) & (cv2.blur(colour, size) < SAME_COLOUR)
    return np.asarray(on_texture | on_smooth, np.bool_)


def _without(static: npt.NDArray[np.uint8], shadow: Mask) -> npt.NDArray[np.uint8]:
    """What is static without its shadows, (H, W) of 0 and 1.

    At a shadow's rim the window that tells it sees both sides, so the rim is cut off with it;
    what that cost the thing itself grows back from what is left of it.
    """
    window = np.ones((TEXTURE_WINDOW, TEXTURE_WINDOW), np.uint8)
    rim = np.asarray(cv2.dilate(shadow.astype(np.uint8), window), np.uint8)
    core = cv2.morphologyEx(static & (1 - rim), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return static & np.asarray(cv2.dilate(core, window), np.uint8)


def _is_shadow(picture: Array, background: Array, inside: Mask) -> bool:
    """The same colours and texture, only darker or brighter: light, and no thing."""
    new, old = picture[..., 0][inside], background[..., 0][inside]
    if len(new) < 16 or np.abs(picture - background)[..., 1:][inside].mean() > 4:
        return False
    if old.std() < 3:  # a smooth floor has no texture that could stay
        ratio = new / np.maximum(old, 1)
        return bool(0.5 < np.median(ratio) < 0.95 and ratio.std() < 0.06)
    return bool(new.std() > 0 and np.corrcoef(new, old)[0, 1] > SAME_TEXTURE)


def _is_ghost(picture: Array, background: Array, region: Mask) -> bool:
    """More edge along the region's outline in the background than in the picture: it left."""
    ring = cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    ring &= ~cv2.erode(region.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    new, old = float(_edges(picture)[ring].mean()), float(_edges(background)[ring].mean())
    return old > EDGE_GAIN * new
