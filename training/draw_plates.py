"""Synthetic lines of number plates, on which the recogniser's last layers are trained.

There are two kinds of letters: fonts from Debian's packages, and strokes of constant width with
round ends, as dies emboss them into metal (the 4 open at the top, the W as narrow as the N, the D
almost an O), which no font there has. Then come the disturbances of real plates: emblems between
the letters, small print above and below, bolts, dirt, a rotated camera, low resolution, noise,
JPEG.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from app.models.plates import formats
from training.dies import DIES
from training.draw_regions import letters_with_region
from training.letters import CAP, Letters

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Rng = np.random.Generator

HEIGHT = 48
MAX_WIDTH = 448
FONTS = (
    "DejaVuSansCondensed-Bold.ttf", "DejaVuSans-Bold.ttf", "LiberationSansNarrow-Bold.ttf",
    "LiberationSans-Bold.ttf", "LiberationSans-Regular.ttf", "RobotoCondensed-Bold.ttf",
    "RobotoCondensed-Regular.ttf", "Roboto-Medium.ttf", "OSP-DIN.ttf", "osifont.ttf",
    "BebasNeue-Regular.otf", "BebasNeue-Bold.otf", "NationalPark-Regular.otf", "Dosis-Medium.otf",
    "Dosis-Bold.otf", "Jura-Bold.otf", "Play-Bold.ttf", "OpenSans-CondBold.ttf", "Cabin-Bold.otf",
    "B612-Bold.otf", "FreeSansBold.ttf", "OCRBE.otf", "Inconsolata.otf", "Lato-Bold.ttf",
)  # fmt: skip


class Drawn(NamedTuple):
    """An input strip of the recogniser, and its text."""

    strip: Image
    text: str


def fonts(folders: list[Path]) -> list[Path]:
    """Return the files of the ``FONTS`` that are installed."""
    found = {path.name: path for folder in folders for path in folder.rglob("*.[to]tf")}
    return [found[name] for name in FONTS if name in found]


def draw(rng: Rng, faces: list[Path]) -> Drawn:
    """Draw one line of a plate as a camera sees it, cropped and stretched as by the reader."""
    text = random_text(rng)
    stroked = rng.random() < 0.6 or not faces
    face = None if stroked else faces[rng.integers(len(faces))]

    def letters_of(part: str) -> Letters:
        return stroke_letters(rng, part) if face is None else font_letters(rng, part, face)

    letters = letters_with_region(rng, text, letters_of)
    return Drawn(_photographed(rng, painted_plate(rng, letters)), text)


def random_text(rng: Rng) -> str:
    """Return a random text: in a country's format, letters only, or any 5 to 7 characters."""
    kind = rng.random()
    if kind < 0.45:
        return _of_format(rng, "US")
    if kind < 0.7:
        return _of_format(rng, str(rng.choice(sorted(formats.PATTERNS))))
    letters = np.array(list(string.ascii_uppercase))
    if kind < 0.8:
        return "".join(rng.choice(letters, rng.integers(4, 8)))
    signs = np.array(list(string.ascii_uppercase + string.digits * 2))
    return "".join(rng.choice(signs, rng.integers(5, 8)))


def _of_format(rng: Rng, country: str) -> str:
    pattern = str(rng.choice(formats.PATTERNS[country]))
    places = [sorted(formats.SETS.get(c, frozenset(c))) for c in pattern]
    return "".join(str(rng.choice(allowed)) for allowed in places)


def stroke_letters(rng: Rng, text: str) -> Letters:
    """Draw letters of constant stroke width."""
    width = CAP * rng.uniform(0.3, 0.5)
    thick = CAP * rng.uniform(0.1, 0.17)
    gap = CAP * rng.uniform(0.04, 0.2) + thick
    chosen = {c: DIES[c][rng.integers(len(DIES[c]))] for c in set(text)}
    breaks = _breaks(rng, text)
    across = int(len(text) * (width + gap) + sum(breaks.values()) + 2 * CAP)
    mask = np.zeros((2 * CAP, across), np.uint8)
    x, gaps = float(CAP), []
    for place, character in enumerate(text):
        glyph = chosen[character]
        wide = width
        if character in "1I":
            wide = width * (0.45 if len(glyph.lines) == 1 else 0.7)
        size = np.array([wide, CAP - thick], np.float32)
        for line in glyph.lines:
            points = np.array(line, np.float32)
            if glyph.round and len(line) > 2:
                points = _cut_corners(points, 3, rng.uniform(0.2, 0.3))
            points = points * size + (x, CAP / 2 + thick / 2)
            corners = [np.round(points * 8).astype(np.int32)]
            cv2.polylines(mask, corners, False, 255, round(thick), cv2.LINE_AA, 3)
        x += wide + gap
        if place in breaks:
            gaps.append(x + (breaks[place] - gap) / 2)
            x += breaks[place]
    return _trimmed(rng, mask, gaps)


def _cut_corners(points: Floats, times: int, share: float) -> Floats:
    """Round a polyline with Chaikin's corner-cutting algorithm."""
    for _ in range(times):
        ahead, behind = points[:-1], points[1:]
        pairs = np.stack([ahead + (behind - ahead) * share, behind - (behind - ahead) * share], 1)
        points = np.concatenate([points[:1], pairs.reshape(-1, 2), points[-1:]]).astype(np.float32)
    return points


def font_letters(rng: Rng, text: str, face: Path) -> Letters:
    """Draw letters of a font."""
    font = ImageFont.truetype(str(face), 100)
    top, bottom = font.getbbox("H0")[1::2]
    font = ImageFont.truetype(str(face), round(100 * CAP / max(bottom - top, 1)))
    breaks, space = _breaks(rng, text), CAP * rng.uniform(0.0, 0.16)
    across = int(sum(font.getlength(c) + space for c in text) + sum(breaks.values()) + 2 * CAP)
    image = Pillow.new("L", (across, 2 * CAP))
    pen = ImageDraw.Draw(image)
    x, base, gaps = float(CAP), CAP / 2 + CAP, []
    for place, character in enumerate(text):
        pen.text((x, base), character, 255, font, anchor="ls")
        x += font.getlength(character) + space
        if place in breaks:
            gaps.append(x + breaks[place] / 2)
            x += breaks[place]
    mask = np.asarray(image)
    squeeze = rng.uniform(0.6, 1.05)
    size = max(8, round(mask.shape[1] * squeeze)), mask.shape[0]
    gaps = [x * size[0] / mask.shape[1] for x in gaps]
    resized = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8)
    return _trimmed(rng, resized, gaps)


def _breaks(rng: Rng, text: str) -> dict[int, float]:
    """Choose after which characters there is room for an emblem or a dash, and how much."""
    if rng.random() < 0.3:
        return {}
    places = {int(rng.integers(1, len(text) - 1))} if len(text) > 3 else set()
    if len(text) > 5 and rng.random() < 0.25:
        places.add(int(rng.integers(0, len(text) - 1)))
    return {place: CAP * float(rng.uniform(0.1, 0.7)) for place in places}


def _trimmed(rng: Rng, mask: npt.NDArray[np.uint8], gaps: list[float]) -> Letters:
    """Trim to a small margin at both ends; sometimes make the strokes bolder or thinner."""
    if rng.random() < 0.3:
        side = int(rng.integers(2, 6))
        change = cv2.dilate if rng.random() < 0.5 else cv2.erode
        mask = np.asarray(change(mask, np.ones((side, side), np.uint8)), np.uint8)
    columns = np.flatnonzero(mask.any(axis=0))
    left, right = max(0, int(columns[0]) - CAP // 2), int(columns[-1]) + CAP // 2
    own = (mask[:, left:right] / 255).astype(np.float32)
    return Letters(own, [x - left for x in gaps])


def painted_plate(rng: Rng, letters: Letters) -> Floats:
    """Paint letters on a background with blots, small print and shadows; (H, W, 3), 0 to 255."""
    mask, gaps = letters
    height, width = mask.shape
    light, dark = rng.uniform(130, 245, 3), rng.uniform(5, 95, 3)
    light = light.mean() + (light - light.mean()) * rng.uniform(0, 0.7)
    if rng.random() < 0.08:
        light, dark = dark, light
    across = np.linspace(0, 1, height)[:, None, None]
    other = np.clip(light + rng.normal(0, 22, 3), 0, 255)
    ground = light * (1 - across) + other * across
    ground = np.ascontiguousarray(np.broadcast_to(ground, (height, width, 3)), np.float32)
    for _ in range(int(rng.integers(0, 4))):  # a faint background motif, as on US plates
        centre = rng.uniform(0, width), rng.uniform(0, height)
        spread = CAP * rng.uniform(0.15, 0.6)
        corners = centre + rng.normal(0, spread, (int(rng.integers(3, 8)), 2))
        tint = light + (rng.uniform(30, 230, 3) - light) * rng.uniform(0.1, 0.6)
        cv2.fillPoly(ground, [corners.astype(np.int32)], [float(t) for t in tint])
    painted = np.asarray(
        cv2.GaussianBlur(ground, (0, 0), CAP * rng.uniform(0.005, 0.05)), np.float32
    )
    for left in (True, False):
        if rng.random() < 0.22:
            _band(rng, painted, left=left)
    for x in (*gaps, rng.uniform(0, 0.2) * CAP, width - rng.uniform(0, 0.2) * CAP):
        if rng.random() < (0.65 if x in gaps else 0.2):
            _emblem(rng, painted, x)
    for edge in (0.1, 0.9):
        if rng.random() < 0.6:
            _small_print(rng, painted, edge, dark)
    paint = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 3))[..., None]
    seen = painted * (1 - paint) + dark * paint
    shine = np.roll(mask, int(rng.integers(2, 5)), axis=0)[..., None] * (1 - paint)
    seen += shine * rng.uniform(-25, 25)
    if rng.random() < 0.25:  # a shadow's edge
        x = int(rng.uniform(0, width))
        seen[:, :x] *= rng.uniform(0.45, 0.9)
    return np.clip(seen, 0, 255).astype(np.float32)


def _band(rng: Rng, ground: Floats, *, left: bool) -> None:
    """Draw the end of a plate.

    It is a coloured band with a country code, small letters in a column, or the edge of the plate
    with what is behind it.
    """
    height, width = ground.shape[:2]
    wide = CAP * rng.uniform(0.15, 0.42)
    x1, x2 = (0, int(wide)) if left else (int(width - wide), width)
    kind = rng.random()
    if kind < 0.7:
        blue = rng.uniform((10, 20, 90), (60, 90, 220))
        tint = blue if rng.random() < 0.7 else rng.uniform(10, 200, 3)
        ground[:, x1:x2] = tint
    if kind > 0.85:
        return
    letters = np.array(list(string.ascii_uppercase))
    scale = CAP / 96 * rng.uniform(0.4, 0.9)
    pale = [float(rng.uniform(170, 250))] * 3 if kind < 0.7 else [float(rng.uniform(0, 120))] * 3
    for row in range(1 if kind < 0.7 else int(rng.integers(2, 4))):
        word = "".join(rng.choice(letters, int(rng.integers(1, 4) if kind < 0.7 else 1)))
        y = int(height / 2 + CAP * ((rng.uniform(0.1, 0.45)) if kind < 0.7 else 0.35 * row - 0.1))
        written = np.zeros((height, width), np.uint8)
        at = int(x1 + wide * rng.uniform(0.05, 0.35)), y
        cv2.putText(written, word, at, cv2.FONT_HERSHEY_DUPLEX, scale, 255, 1, cv2.LINE_AA)
        written[:, : max(0, x1)] = 0
        written[:, x2:] = 0
        share = (written / 255).astype(np.float32)[..., None]
        ground += share * (np.array(pale, np.float32) - ground)


def _emblem(rng: Rng, ground: Floats, x: float) -> None:
    """Draw what must not be read as a letter: a seal, coat of arms, sticker, dash or dot."""
    tall = CAP * rng.uniform(0.15, 0.75)
    wide = tall * rng.uniform(0.5, 1.1)
    middle = ground.shape[0] / 2 + CAP * rng.uniform(-0.25, 0.25)
    tint = [float(t) for t in rng.uniform(10, 240, 3)]
    kind = rng.random()
    if kind < 0.15:  # a dash or a dot
        length = CAP * rng.uniform(0.06, 0.3)
        ends = (int(x - length / 2), int(middle)), (int(x + length / 2), int(middle))
        dark = [float(rng.uniform(0, 90))] * 3
        cv2.line(ground, *ends, dark, int(CAP * rng.uniform(0.06, 0.14)), cv2.LINE_AA)
        return
    if kind < 0.6:
        axes = (int(wide / 2), int(tall / 2))
        cv2.ellipse(ground, (int(x), int(middle)), axes, 0, 0, 360, tint, -1, cv2.LINE_AA)
    else:
        shield = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.1), (0, 0.5), (-0.5, 0.1)]
        points = np.array(shield if kind < 0.8 else rng.uniform(-0.5, 0.5, (7, 2)))
        corners = points * (wide, tall) + (x, middle)
        cv2.fillPoly(ground, [corners.astype(np.int32)], tint, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 4))):  # its details
        spots = (x, middle) + rng.uniform(-0.35, 0.35, (4, 2)) * (wide, tall)
        other = [float(t) for t in rng.uniform(10, 240, 3)]
        cv2.fillPoly(ground, [spots.astype(np.int32)], other, cv2.LINE_AA)
    if rng.random() < 0.3:
        ring = [float(t) for t in rng.uniform(0, 120, 3)]
        axes = (int(wide / 2), int(tall / 2))
        cv2.ellipse(ground, (int(x), int(middle)), axes, 0, 0, 360, ring, 2, cv2.LINE_AA)


def _small_print(rng: Rng, ground: Floats, edge: float, dark: npt.NDArray[np.float64]) -> None:
    """Draw text or the edge of a frame at the top or bottom, half cut off."""
    height, width = ground.shape[:2]
    tint = [float(t) for t in np.clip(dark + rng.uniform(0, 90, 3), 0, 255)]
    y = int(height * (edge + (0.1 if edge < 0.5 else -0.1) * rng.uniform(-0.6, 0.6)))
    if rng.random() < 0.4:
        to = (0, y) if edge < 0.5 else (0, height)
        cv2.rectangle(ground, (0, y), (width, 0 if edge < 0.5 else to[1]), tint, -1)
        return
    letters = np.array(list(string.ascii_letters + "   "))
    words = "".join(rng.choice(letters, int(rng.integers(5, 20))))
    where = int(rng.uniform(-0.1, 0.5) * width), y
    scale = CAP / 96 * rng.uniform(0.5, 1.1)
    written = np.zeros((height, width), np.uint8)
    cv2.putText(written, words, where, cv2.FONT_HERSHEY_DUPLEX, scale, 255, 2, cv2.LINE_AA)
    share = (written / 255).astype(np.float32)[..., None]
    ground += share * (np.array(tint, np.float32) - ground)


def _photographed(rng: Rng, image: Floats) -> Image:
    """Rotate, scale down, add noise and compress; then enlarge to the strip."""
    height, width = image.shape[:2]
    cap = float(np.exp(rng.uniform(np.log(7.5), np.log(32))))  # pixels of a letter's height
    scale = cap / CAP
    turn, lean = rng.normal(0, 0.02), rng.normal(0, 0.08)
    centre = np.array([width / 2, height / 2])
    matrix = np.array([[1, lean], [turn, 1]]) * scale
    small = max(8, round(width * scale)), max(8, round(height * scale))
    shift = np.array([small[0] / 2, small[1] / 2]) - matrix @ centre
    blur = rng.uniform(0.25, 0.75) / scale
    soft = cv2.GaussianBlur(image, (0, 0), blur)
    affine = np.column_stack([matrix, shift])
    seen = cv2.warpAffine(
        soft, affine, small, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    if rng.random() < 0.15:  # the camera or the car moved
        size = int(rng.integers(2, 4))
        seen = cv2.blur(seen, (size, 1))
    seen = 128 + (seen - 128) * rng.uniform(0.3, 1.0) + rng.normal(0, 18)
    seen = seen + rng.normal(0, rng.uniform(0, 7), seen.shape)
    low = np.clip(seen, 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        quality = int(rng.integers(35, 95))
        _, data = cv2.imencode(".jpg", low, [cv2.IMWRITE_JPEG_QUALITY, quality])
        low = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    middle, half = low.shape[0] / 2, cap * rng.uniform(0.5, 0.72)
    top, bottom = middle - half + rng.normal(0, 0.04) * cap, middle + half
    left = cap * rng.uniform(0.05, 0.45)
    right = low.shape[1] - cap * rng.uniform(0.05, 0.45)
    stretch = rng.uniform(1.0, 1.8)
    across = int(np.clip((right - left) / (bottom - top) * HEIGHT * stretch, 32, MAX_WIDTH))
    corners = np.array([[left, top], [right, top], [left, bottom]], np.float32)
    target = np.array([[0, 0], [across, 0], [0, HEIGHT]], np.float32)
    strip = cv2.warpAffine(
        low, cv2.getAffineTransform(corners, target), (across, HEIGHT),
        flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    if rng.random() < 0.3:
        strip = cv2.GaussianBlur(strip, (0, 0), 1.2)
    return np.asarray(strip, np.uint8)
