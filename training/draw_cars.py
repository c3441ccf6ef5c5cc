"""Synthetic training images with drawn plates for the detector.

    WATCHPOST_DATA=... python -m training.draw_cars WORK [--seed 1]

A few hundred photos with plates are too few to generalise: a network trained on them alone found
all of their plates and none on a drawing. There are three kinds of images:

- a photo of the training split in which a drawn plate replaces the real one;
- a drawing of a street, with or without a car, with or without a plate;
- a cigarette image with text that is not a plate: a recorder's timestamp, a poster.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from training import draw_plates
from training.boxes import CIGARETTE, FACE, NO_BOXES, PLATE, Boxes, intersection
from training.draw_plates import Floats, Image, Rng
from training.evaluate import read_boxes
from training.images import SourceImage, read_image
from training.letters import CAP
from training.prepare import Labels, Manifest, Row, write_image, write_index

REPLACED = 2
"""Number of versions of each photo with a plate."""
DRAWINGS, WRITINGS = 450, 200
EMPTY = 0.3
"""Share of drawings without a plate."""


def plate(rng: Rng, fonts: list[Path]) -> Image:
    """Draw a whole plate from the front, (H, W, 3): letters, margins, an edge, often a frame."""
    seen = (_plain(rng) if rng.random() < 0.35 else _rich(rng, fonts)).astype(np.uint8)
    height, width = seen.shape[:2]
    if rng.random() < 0.7:
        shade = float(rng.uniform(0, 90))
        thick = max(1, round(height * rng.uniform(0.015, 0.05)))
        cv2.rectangle(seen, (0, 0), (width - 1, height - 1), [shade] * 3, thick)
    if rng.random() < 0.35:  # a dealer's frame
        above, below, left, right = (
            max(1, round(height * share)) for share in rng.uniform(0.02, 0.16, 4)
        )
        tint = [float(v) for v in rng.uniform(0, 70, 3) + rng.choice([0, 0, 150])]
        framed = cv2.copyMakeBorder(
            seen, above, below, left, right, cv2.BORDER_CONSTANT, value=tint
        )
        seen = np.asarray(framed, np.uint8)
    return seen


def _rich(rng: Rng, fonts: list[Path]) -> Floats:
    """Draw a plate as for the recogniser, with varying margins, sometimes in two lines."""
    lines = [_line(rng, fonts)]
    if rng.random() < 0.12:
        second = _line(rng, fonts)
        lines.append(np.asarray(cv2.resize(second, lines[0].shape[1::-1]), np.float32))
    return np.concatenate(lines)


def _line(rng: Rng, fonts: list[Path]) -> Floats:
    text = draw_plates.random_text(rng)
    if rng.random() < 0.6 or not fonts:
        letters = draw_plates.stroke_letters(rng, text)
    else:
        letters = draw_plates.font_letters(rng, text, fonts[rng.integers(len(fonts))])
    seen = draw_plates.painted_plate(rng, letters)
    cut = round(CAP * rng.uniform(0.0, 0.4))
    return np.ascontiguousarray(seen[cut : len(seen) - cut])


def _plain(rng: Rng) -> Image:
    """Draw a simple plate: a light background, a stroke font, perhaps a blue band."""
    text = draw_plates.random_text(rng)
    if len(text) > 4 and rng.random() < 0.6:
        for gap in sorted({int(g) for g in rng.integers(1, len(text), 2)}, reverse=True):
            text = f"{text[:gap]}{rng.choice([' ', ' ', '-'])}{text[gap:]}"
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX]))
    scale, thick = CAP / 22, int(rng.integers(3, 12))
    (wide, tall), _ = cv2.getTextSize(text, font, scale, thick)
    margins = rng.uniform(0.1, 0.8, 4) * CAP
    band = CAP * rng.uniform(0.4, 0.9) if rng.random() < 0.5 else 0.0
    across = round(wide + margins[0] + margins[1] + band)
    light = rng.uniform(190, 255, 3)
    if rng.random() < 0.25:
        light = np.array([rng.uniform(220, 255), rng.uniform(180, 230), rng.uniform(0, 90)])
    ground = np.empty((round(tall + (margins[2] + margins[3]) * 0.6), across, 3), np.uint8)
    ground[:] = light
    ground[:, : round(band)] = rng.uniform((0, 30, 100), (60, 90, 220))
    dark = [float(v) for v in rng.uniform(0, 60, 3)]
    base = round(tall + margins[2] * 0.6)
    start = round(margins[0] + band)
    cv2.putText(ground, text, (start, base), font, scale, dark, thick, cv2.LINE_AA)
    return ground


def paste(rng: Rng, image: Image, middle: tuple[float, float], width: float, plate: Image) -> Boxes:
    """Paste a plate of this width into an (H, W, 3) image, slightly rotated and sheared.

    Returns its box.
    """
    height = width * plate.shape[0] / plate.shape[1]
    across = np.array([1.0, rng.normal(0, 0.04)]) * width / 2  # rotated
    down = np.array([rng.normal(0, 0.08), 1.0]) * height / 2  # sheared
    nearer = 1 + rng.normal(0, 0.04)  # perspective: one end is closer to the camera
    corners = np.array(middle) + np.array(
        [-across - down, across - down * nearer, across + down * nearer, -across + down]
    )
    soft = cv2.GaussianBlur(plate, (0, 0), max(0.3, 0.4 * plate.shape[1] / width))
    h, w = plate.shape[:2]
    flat = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    matrix = cv2.getPerspectiveTransform(flat, corners.astype(np.float32))
    size = image.shape[1], image.shape[0]
    seen = cv2.warpPerspective(soft, matrix, size, flags=cv2.INTER_AREA)
    there = cv2.warpPerspective(np.ones((h, w), np.float32), matrix, size)[..., None]
    image[:] = np.clip(image * (1 - there) + seen * there, 0, 255).astype(np.uint8)
    x1, y1 = corners.min(axis=0)
    x2, y2 = corners.max(axis=0)
    return Boxes.of([[x1, y1, x2, y2]], PLATE)


def with_another_plate(
    rng: Rng, source_image: SourceImage, labels: Labels, fonts: list[Path]
) -> tuple[SourceImage, Labels]:
    """Cover the plates in a photo with drawn ones of similar brightness."""
    image = source_image.image.copy()
    others = labels.sure[labels.sure.labels != PLATE]
    drawn = []
    for x1, y1, x2, y2 in labels.sure.only(PLATE).xyxy:
        new = _of_shape(rng, fonts, (x2 - x1) / max(y2 - y1, 1))
        place = image[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1].reshape(-1, 3)
        tint, lit = place.mean(axis=0), new.reshape(-1, 3).mean(axis=0)
        gain = np.clip((tint / np.maximum(lit, 1)) ** rng.uniform(0.6, 1.0), 0.15, 1.6)
        shown = np.clip(new * gain, 0, 255).astype(np.uint8)
        width = max((x2 - x1) * rng.uniform(1.0, 1.2), 8.0)
        drawn.append(paste(rng, image, ((x1 + x2) / 2, (y1 + y2) / 2), width, shown))
    if rng.random() < 0.5:
        image = _compressed(rng, image)
    sure = _inside(Boxes.join(others, *drawn), image)
    return replace(source_image, image=image), Labels(sure, labels.unsure)


def _of_shape(rng: Rng, fonts: list[Path], shape: float) -> Image:
    """Draw some plates and return the one with the closest aspect ratio, to cover the old one."""
    some = [plate(rng, fonts) for _ in range(4)]
    return min(some, key=lambda p: abs(np.log(p.shape[1] / p.shape[0] / shape)))


def drawing(rng: Rng, name: str, fonts: list[Path]) -> tuple[SourceImage, Labels]:
    """Draw a street, usually with a car; three in ten drawings have no plate."""
    height, width = (int(v) for v in rng.choice([(360, 640), (480, 640), (540, 540), (640, 480)]))
    image = _street(rng, height, width)
    sure = NO_BOXES
    middle, size = (width * rng.uniform(0.2, 0.8), height * rng.uniform(0.3, 0.8)), width * 0.3
    if rng.random() < 0.75:
        middle, size = _car(rng, image)
    else:
        size *= rng.uniform(0.5, 1.5)
    if rng.random() >= EMPTY:
        across = float(np.clip(size * rng.uniform(0.22, 0.6), 24, 0.8 * width))
        sure = paste(rng, image, middle, across, plate(rng, fonts))
    elif rng.random() < 0.5:
        _writing(rng, image)
    return SourceImage(name, "drawn", _compressed(rng, image), sure), Labels(
        _inside(sure, image), NO_BOXES
    )


def _street(rng: Rng, height: int, width: int) -> Image:
    """Draw a street, (H, W, 3): two areas with a brightness gradient, some boxes, noise."""
    image = np.empty((height, width, 3), np.float32)
    horizon = round(height * rng.uniform(0.2, 0.8))
    image[:horizon] = rng.uniform(40, 220) + rng.normal(0, 20, 3)
    image[horizon:] = rng.uniform(30, 160) + rng.normal(0, 10, 3)
    for _ in range(int(rng.integers(0, 8))):  # houses, windows, kerbs
        x, y = rng.uniform(-0.1, 1, 2) * (width, height)
        w, h = rng.uniform(0.03, 0.5, 2) * (width, height)
        tint = [float(v) for v in rng.uniform(20, 235) + rng.normal(0, 25, 3)]
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), tint, cv2.FILLED)
    left, right = rng.normal(0, 20, 2)
    image += np.linspace(left, right, width)[None, :, None]
    return np.clip(image + rng.normal(0, rng.uniform(0, 8), image.shape), 0, 255).astype(np.uint8)


def _car(rng: Rng, image: Image) -> tuple[tuple[float, float], float]:
    """Draw the front or rear of a car; return the position of its plate, and the car's width."""
    height, width = image.shape[:2]
    wide = width * rng.uniform(0.2, 0.75)
    tall = wide * rng.uniform(0.35, 0.75)
    x = rng.uniform(-0.1, 1.1 - wide / width) * width
    y = np.clip(height * rng.uniform(0.1, 0.9) - tall / 2, 0, max(1.0, height - tall))

    def box(l: float, t: float, r: float, b: float, tint: object) -> None:  # noqa: E741
        """Fill a rectangle, in shares of the car's size."""
        a = int(x + l * wide), int(y + t * tall)
        z = int(x + r * wide), int(y + b * tall)
        cv2.rectangle(image, a, z, [float(v) for v in np.array(tint)], cv2.FILLED)

    body = rng.uniform(10, 240, 3) if rng.random() < 0.6 else [rng.uniform(10, 240)] * 3
    glass = rng.uniform(20, 90, 3)
    lamp = rng.uniform((150, 0, 0), (255, 60, 60)) if rng.random() < 0.6 else (240, 240, 220)
    waist = rng.uniform(0.25, 0.5)
    slope = rng.uniform(0.05, 0.2)
    roof = np.array([[slope, 0], [1 - slope, 0], [1, waist], [0, waist]]) * (wide, tall) + (x, y)
    cv2.fillPoly(image, [roof.astype(np.int32)], [float(v) for v in body])
    box(0, waist, 1, rng.uniform(0.85, 0.95), body)
    inner = slope + 0.05
    panes = np.array([[inner, 0.05], [1 - inner, 0.05], [0.93, waist], [0.07, waist]])
    corners = (panes * (wide, tall) + (x, y)).astype(np.int32)
    cv2.fillPoly(image, [corners], [float(v) for v in glass])
    top, deep = waist + rng.uniform(0.03, 0.1), rng.uniform(0.07, 0.16)
    side = rng.uniform(0.08, 0.22)
    box(0.03, top, 0.03 + side, top + deep, lamp)
    box(0.97 - side, top, 0.97, top + deep, lamp)
    if rng.random() < 0.5:  # a bumper, or a grille
        box(0, rng.uniform(0.7, 0.8), 1, 0.92, rng.uniform(10, 120, 3))
    for left in (0.05, 0.8):
        box(left, 0.88, left + 0.15, 1, (20, 20, 20))
    spot = x + wide * rng.normal(0.5, 0.04), y + tall * rng.uniform(waist + 0.15, 0.88)
    return spot, wide


def with_writing(rng: Rng, source_image: SourceImage, labels: Labels) -> tuple[SourceImage, Labels]:
    """Add text that is not a plate to an image, outside of labelled faces and cigarettes."""
    image = source_image.image.copy()
    _writing(rng, image, labels.sure.only(FACE, CIGARETTE).xyxy)
    return replace(source_image, image=image), labels


def _writing(rng: Rng, image: Image, keep: Floats | None = None) -> None:
    """Write a recorder's timestamp onto the image, or a poster with several lines of text."""
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        numbers = rng.integers(10, 60, 6)
        clock = "20{}-{}-{} {}:{}:{}".format(*numbers)
        text = rng.choice([clock, f"CAM {numbers[0]}", f"{clock} CAM{numbers[1]}"])
        y = int(rng.choice([0.07, 0.95]) * height)
        tint = [float(rng.choice([0, 255, 255]))] * 3
        scale = width / 640 * rng.uniform(0.5, 1.2)
        at = int(rng.uniform(0.01, 0.4) * width), y
        cv2.putText(image, str(text), at, cv2.FONT_HERSHEY_SIMPLEX, scale, tint, 2, cv2.LINE_AA)
        return
    wide, lines = width * rng.uniform(0.12, 0.4), int(rng.integers(3, 7))
    tall = wide * rng.uniform(0.6, 1.6)
    x, y = rng.uniform(0, width - wide), rng.uniform(0, max(1.0, height - tall))
    sheet = np.array([[x, y, x + wide, y + tall]], np.float32)
    if keep is not None and len(keep) and intersection(sheet, keep).sum() > 0:
        return
    ground = [float(v) for v in rng.uniform(150, 255) + rng.normal(0, 20, 3)]
    cv2.rectangle(image, (int(x), int(y)), (int(x + wide), int(y + tall)), ground, cv2.FILLED)
    signs = np.array(list("abcdefghijklmnopqrstuvwxyz      ABCDEFG0123"))
    for row in range(lines):
        words = "".join(rng.choice(signs, int(rng.integers(6, 16))))
        step = tall / (lines + 0.5)
        at = int(x + 0.05 * wide), int(y + (row + 0.9) * step)
        scale = min(step / 35, wide / (len(words) * 19.0))
        cv2.putText(image, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (20, 20, 20), 1, cv2.LINE_AA)


def _compressed(rng: Rng, image: Image) -> Image:
    """Degrade an image like a camera: less light, blur, noise and JPEG."""
    seen = image.astype(np.float32) * rng.uniform(0.5, 1.1) + rng.normal(0, 8)
    if rng.random() < 0.6:
        seen[:] = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.3, 1.3))
    seen += rng.normal(0, rng.uniform(0, 6), seen.shape)
    low = np.clip(seen, 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", low, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _inside(boxes: Boxes, image: npt.NDArray[np.uint8]) -> Boxes:
    """Clip boxes to the image; drop those that are mostly outside."""
    height, width = image.shape[:2]
    cut = boxes.xyxy.copy()
    cut[:, 0::2] = np.clip(cut[:, 0::2], 0, width)
    cut[:, 1::2] = np.clip(cut[:, 1::2], 0, height)
    sides = (cut[:, 2:] - cut[:, :2]) / np.maximum(boxes.xyxy[:, 2:] - boxes.xyxy[:, :2], 1e-3)
    kept = (sides > 0.5).all(axis=1)
    return Boxes(cut[kept], boxes.labels[kept], boxes.scores[kept])


def read(work: Path, row: Row) -> tuple[SourceImage, Labels]:
    """Read an image of the training split and its labels; colours in RGB."""
    image = cv2.cvtColor(read_image(work / "images/train" / row.file), cv2.COLOR_BGR2RGB)
    height, width = image.shape[:2]
    stem = Path(row.file).stem
    sure, unsure = (
        read_boxes(work / kind / "train" / f"{stem}.txt", width, height)
        for kind in ("labels", "unsure")
    )
    return SourceImage(stem, row.source, np.asarray(image, np.uint8), sure), Labels(sure, unsure)


def draw_cars(work: Path, font_folders: list[Path], seed: int) -> None:
    """Add the images to the data set; existing ones are overwritten."""
    rng, fonts = np.random.default_rng(seed), draw_plates.fonts(font_folders)
    manifest = Manifest(work / "manifest.csv")
    old = [r for r in manifest.rows if r.split == "train" and r.source != "drawn"]
    photos = [r for r in old if r.source.startswith("plate")]
    smokers = [r for r in old if r.source == "cigarettes"]
    known = manifest.names

    def add(name: str, source_image: SourceImage, labels: Labels) -> None:
        bgr = np.asarray(cv2.cvtColor(source_image.image, cv2.COLOR_RGB2BGR), np.uint8)
        write_image(work, "train", replace(source_image, name=name, image=bgr), labels)
        if name not in known:
            manifest.add([Row(f"{name}.jpg", "drawn", "train", -1, 1)])

    for row in tqdm(photos, unit="photo"):
        for version in range(REPLACED):
            source_image, labels = with_another_plate(rng, *read(work, row), fonts)
            add(f"drawn_{source_image.name}_{version}", source_image, labels)
    for i in tqdm(range(DRAWINGS), unit="drawing"):
        add(f"drawn_car_{i:03}", *drawing(rng, f"drawn_car_{i:03}", fonts))
    for i in rng.choice(len(smokers), min(WRITINGS, len(smokers)), replace=False):
        source_image, labels = with_writing(rng, *read(work, smokers[i]))
        add(f"drawn_{source_image.name}_writing", source_image, labels)
    write_index(work, manifest.rows)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="the folder that training.prepare filled")
    parser.add_argument("--fonts", type=Path, nargs="*", default=[Path("/usr/share/fonts")])
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    draw_cars(chosen.work, chosen.fonts, chosen.seed)


if __name__ == "__main__":
    main()
