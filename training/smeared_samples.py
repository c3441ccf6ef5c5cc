"""Samples for the network that finds smeared plates: photos of cars, made worse in many ways.

Plates of photos are also replaced by other real plates, and painted over; then the photo has none.
Every sample is squeezed to about half of its width, as the search does it
(``app/models/plates/smeared_search.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from app.models.plates.light import brightened
from app.types import Box
from bench.plate_scores import OTHER_PLATES
from training.boxes import PLATE
from training.images import TRAIN_CLIPS, clip_frames, labelled_folder
from training.plate_ageing import Floats, Image, Rng, compressed, dark, dirty, smeared
from training.plate_lines import Photo, image_of, photos

CANVAS = (320, 256)
"""Height and width of a sample; multiples of 32."""
LONGEST = 720
SIDES, SQUEEZES = (250.0, 540.0), (0.48, 0.75)
PHOTOS, DASH_CAM = 0.68, 0.16
"""Shares of the samples; all others have no car."""
OTHER_EVERY = 5
GREY = 114
NO_BOXES: Floats = np.zeros((0, 4), np.float32)


class Picture(NamedTuple):
    """An image (H, W, 3) RGB, and the boxes (N, 4) of its plates as x1, y1, x2, y2."""

    image: Image
    boxes: Floats


class Sample(NamedTuple):
    """An input (H, W, 3) RGB of size ``CANVAS``, and the boxes (N, 4) of the plates in it."""

    image: Image
    boxes: Floats


class SampleSource:
    """Draws samples without end.

    Args:
        left_out: folds of photos that are not used (``training.plate_lines``).
    """

    def __init__(self, data: Path, left_out: Sequence[int], seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        labelled = [photo for photo in photos(data) if photo.fold not in left_out]
        self.plates = [_smaller(_picture(p), 240).image for p in labelled if p.box is None]
        self.photos = [_smaller(_picture(p)) for p in labelled if p.box is not None]
        self.dash_cam = [
            _smaller(Picture(_rgb(each.image), each.given.xyxy.astype(np.float32)))
            for each in labelled_folder(data / "plate_boxes", "plate_boxes", PLATE)
        ]
        files = sorted((data / "cigarettes" / "images").iterdir())[::OTHER_EVERY]
        self.others = [_smaller(Picture(image_of(file), NO_BOXES)) for file in files]
        for clip, every in TRAIN_CLIPS.items():
            frames = clip_frames(data / "videos" / clip, every)
            self.others += [_smaller(Picture(_rgb(frame.image), NO_BOXES)) for frame in frames]

    def draw(self) -> Sample:
        """Return a new sample."""
        rng, kind = self.rng, self.rng.random()
        if kind >= PHOTOS + DASH_CAM:
            return placed(rng, aged(rng, self._any(self.others)))
        picture = self._any(self.photos if kind < PHOTOS else self.dash_cam)
        chance = rng.random()
        if chance < 0.15:
            picture = painted_over(picture)
        elif chance < 0.5:
            picture = with_plate(rng, picture, self.plates[int(rng.integers(len(self.plates)))])
        return placed(rng, aged(rng, picture))

    def _any(self, pictures: Sequence[Picture]) -> Picture:
        return pictures[int(self.rng.integers(len(pictures)))]


def painted_over(picture: Picture) -> Picture:
    """Return a picture whose plates are filled with what is around them."""
    height, width = picture.image.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    for x1, y1, x2, y2 in picture.boxes:
        grown = Box(float(x1), float(y1), float(x2), float(y2)).grown(0.25)
        left, top, right, bottom = grown.pixels((width, height))
        mask[top:bottom, left:right] = 255
    filled = np.asarray(cv2.inpaint(picture.image, mask, 3, cv2.INPAINT_TELEA), np.uint8)
    return Picture(filled, picture.boxes[:0])


def placed(rng: Rng, picture: Picture) -> Sample:
    """Squeeze a picture, scale it, and put a part of it onto a canvas."""
    image, boxes = picture
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
        boxes = boxes[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (image.shape[1], 0, image.shape[1], 0)
    height, width = image.shape[:2]
    down = float(np.exp(rng.uniform(*np.log(SIDES)))) / max(height, width)
    across = down * rng.uniform(*SQUEEZES)
    angle = np.radians(rng.normal(0, 5) if rng.random() < 0.4 else 0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.diag((across, down)) @ turn
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ matrix.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    room = np.array(CANVAS[::-1]) - (high - low)
    shift = rng.uniform(np.minimum(room, 0), np.maximum(room, 0)) - low
    # Averaged before, as ``warpAffine`` looks at four pixels only.
    cell = max(1, int(1 / across)), max(1, int(1 / down))
    soft = cv2.blur(image, cell) if max(cell) > 1 else image
    seen = cv2.warpAffine(
        soft,
        np.concatenate([matrix, shift[:, None]], axis=1),
        CANVAS[::-1],
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(GREY,) * 3,
    )
    return Sample(np.asarray(seen, np.uint8), _moved(boxes, matrix, shift))


def _moved(boxes: Floats, matrix: Floats, shift: Floats) -> Floats:
    """Return the boxes of which most is on the canvas, where they are then."""
    kept = []
    for x1, y1, x2, y2 in boxes:
        corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]) @ matrix.T + shift
        low, high = corners.min(axis=0), corners.max(axis=0)
        inner = np.concatenate([np.maximum(low, 0), np.minimum(high, CANVAS[::-1])])
        sides = np.maximum(inner[2:] - inner[:2], 0)
        if sides.prod() > 0.6 * (high - low).prod():
            kept.append(inner)
    return np.array(kept, np.float32).reshape(-1, 4)


def aged(rng: Rng, picture: Picture) -> Picture:
    """Smear, blur or soil plates, what is around them, or all of a picture; sometimes at night."""
    image, kind = picture.image, rng.random()
    width = float(np.median(np.diff(picture.boxes[:, ::2]))) if len(picture.boxes) else 0.0
    width = width or image.shape[1] * rng.uniform(0.05, 0.35)
    length = max(3, round(width * rng.uniform(0.05, 0.2)))
    angle = float(rng.normal(0, 8))
    if kind < 0.4:
        margin = rng.uniform(0.05, 0.4) if rng.random() < 0.6 else rng.uniform(0.4, 3)
        for box in picture.boxes:
            image = _blended(rng, image, box, margin, smeared(image, length, angle))
    elif kind < 0.65:
        image = smeared(image, length, angle)
    elif kind < 0.75:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), width * rng.uniform(0.01, 0.05)))
    elif kind < 0.87:
        for box in picture.boxes:
            soiled = image.copy()
            left, top, right, bottom = box.astype(int)
            part = image[top:bottom, left:right]
            soiled[top:bottom, left:right] = dirty(rng, part, rng.uniform(0.25, 0.7))
            image = _blended(rng, image, box, 0.02, soiled)
    image = _tinted(rng, image)
    if rng.random() < 0.2:
        image = brightened(dark(rng, image, float(np.exp(rng.uniform(np.log(0.04), np.log(0.5))))))
    if rng.random() < 0.5:
        image = compressed(image, int(rng.integers(35, 95)))
    return Picture(image, picture.boxes)


def _blended(rng: Rng, image: Image, box: Floats, margin: float, changed: Image) -> Image:
    """Return an image that is changed around a box, with a soft edge."""
    grown = Box(*map(float, box)).grown(margin)
    left, top, right, bottom = grown.pixels((image.shape[1], image.shape[0]))
    soft = np.zeros(image.shape[:2], np.float32)
    soft[top:bottom, left:right] = 1
    edge = max(1.0, (box[3] - box[1]) * rng.uniform(0.03, 0.3))
    soft = np.asarray(cv2.GaussianBlur(soft, (0, 0), edge), np.float32)[..., None]
    return np.asarray(image * (1 - soft) + changed * soft, np.uint8)


def with_plate(rng: Rng, picture: Picture, plate: Image) -> Picture:
    """Replace a picture's plates by another one of similar brightness."""
    image = picture.image.copy()
    for x1, y1, x2, y2 in picture.boxes:
        left, top, right, bottom = round(x1), round(y1), round(x2), round(y2)
        place = image[top:bottom, left:right]
        if min(place.shape[:2]) < 4:
            continue
        new = np.asarray(
            cv2.resize(plate, place.shape[1::-1], interpolation=cv2.INTER_AREA), np.float32
        )
        gain = (place.mean() + 1) / (new.mean() + 1)
        new *= np.clip(gain ** rng.uniform(0.5, 1.0), 0.15, 1.6)
        place[:] = np.clip(new, 0, 255).astype(np.uint8)
    return Picture(image, picture.boxes)


def _tinted(rng: Rng, image: Image) -> Image:
    seen = image.astype(np.float32)
    if rng.random() < 0.1:
        seen = np.repeat(seen.mean(axis=2, keepdims=True), 3, axis=2)
    seen *= rng.uniform(0.85, 1.15, 3).astype(np.float32)
    seen = 128 + (seen - 128) * rng.uniform(0.6, 1.25) + rng.normal(0, 14)
    return np.clip(seen, 0, 255).astype(np.uint8)


def _smaller(picture: Picture, longest: int = LONGEST) -> Picture:
    scale = longest / max(picture.image.shape[:2])
    if scale >= 1:
        return picture
    size = round(picture.image.shape[1] * scale), round(picture.image.shape[0] * scale)
    image = cv2.resize(picture.image, size, interpolation=cv2.INTER_AREA)
    return Picture(np.asarray(image, np.uint8), picture.boxes * np.float32(scale))


def _rgb(image: Image) -> Image:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _picture(photo: Photo) -> Picture:
    """Read a photo and the boxes of its plates, those of other vehicles, too."""
    boxes = [] if photo.box is None else [photo.box, *OTHER_PLATES.get(_name(photo.path), [])]
    return Picture(image_of(photo.path), np.array(boxes, np.float32).reshape(-1, 4))


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
