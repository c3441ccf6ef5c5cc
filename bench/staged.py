"""Staged clips: real people and a real bag, cut out of recordings and put before real backgrounds.

What happens, when, and who does it is known exactly. Everything is made in memory from
``$WATCHPOST_DATA/videos`` each time; nothing of it is kept.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import numpy.typing as npt

from app.types import Box
from bench.truth import Truth

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.float32]

PEOPLE, PLACE = "indoor_people_one_by_one.mp4", "left_bag_outdoor.avi"
WIDTH, HEIGHT, FPS = 720, 480, 5
TALL = 170  # pixels
NOISE = 2.0
LEARNING_S = 4.0
DIFFERENT = 34  # grey levels between somebody and what is behind them

# When each person of the recording stands in it, whole, and where.
CAST = {
    "grey dress": (12.0, 385, 130),
    "black jacket": (30.0, 380, 163),
    "shirt": (130.0, 345, 182),
}
BAG_AT, BAG_BOX = 24.0, (455, 362, 497, 411)


class Cutout(NamedTuple):
    """A picture (H, W, 3) RGB, and how much of each of its pixels is there (H, W), 0 to 1."""

    rgb: Picture
    there: Mask

    def high(self, height: float) -> Cutout:
        """The same at another height in pixels."""
        scale = height / self.rgb.shape[0]
        size = max(1, round(self.rgb.shape[1] * scale)), max(1, round(height))
        return Cutout(
            np.asarray(cv2.resize(self.rgb, size, interpolation=cv2.INTER_AREA), np.uint8),
            np.asarray(cv2.resize(self.there, size, interpolation=cv2.INTER_AREA), np.float32),
        )


@dataclass
class Actor:
    """Somebody who walks in straight lines from one (second, x, y of the feet) to the next."""

    name: str
    look: str
    way: Sequence[tuple[float, float, float]]

    def feet(self, at: float) -> tuple[float, float] | None:
        times = [step[0] for step in self.way]
        if not times[0] <= at <= times[-1]:
            return None
        x, y = (float(np.interp(at, times, [step[n] for step in self.way])) for n in (1, 2))
        return x, y


@dataclass
class Bag:
    """A bag: who has it from when to when; in between it stands where it was let go."""

    held: Sequence[tuple[float, float, str]]
    height: float = 52.0


@dataclass
class Play:
    """What happens in one staged clip.

    Attributes:
        light: factors of brightness, each from a second on.
    """

    name: str
    actors: Sequence[Actor]
    bags: Sequence[Bag]
    truths: Sequence[Truth]
    seconds: float
    light: Mapping[float, float] = field(default_factory=dict)


class Shot(NamedTuple):
    """One picture of a play, and where in it everybody is."""

    at: float
    rgb: Picture
    people: Mapping[str, Box]


def missing() -> str | None:
    """Why nothing can be staged here; None where it can."""
    data = os.environ.get("WATCHPOST_DATA")
    if not data:
        return "WATCHPOST_DATA is not set"
    lost = [name for name in (PEOPLE, PLACE) if not (Path(data) / "videos" / name).exists()]
    return f"{', '.join(lost)} is not in WATCHPOST_DATA/videos" if lost else None


def shots(play: Play) -> Iterator[Shot]:
    """The pictures of a play, as a camera with a noisy sensor takes them."""
    ground, bag, people = _material()
    noise = np.random.default_rng(5)
    for number in range(round(play.seconds * FPS)):
        at = number / FPS
        picture = ground.astype(np.float32)
        boxes = _paint(picture, play, at, bag, people)
        since = max((second for second in play.light if second <= at), default=None)
        picture *= 1.0 if since is None else play.light[since]
        picture += noise.normal(0, NOISE, picture.shape)
        yield Shot(at, np.clip(picture, 0, 255).astype(np.uint8), boxes)


def _paint(
    picture: npt.NDArray[np.float32],
    play: Play,
    at: float,
    bag: Cutout,
    people: Mapping[str, Cutout],
) -> dict[str, Box]:
    """Put everybody and everything into the picture, the farthest first."""
    layers: list[tuple[float, Cutout, float]] = []
    boxes: dict[str, Box] = {}
    for actor in play.actors:
        feet = actor.feet(at)
        if feet is None:
            continue
        look = people[actor.look]
        step = 2.0 * np.sin(at * 9) if actor.feet(at + 0.1) != feet else 0.0  # a walk bobs
        layers.append((feet[1] + step, look, feet[0]))
        half = look.rgb.shape[1] / 2
        boxes[actor.name] = Box(feet[0] - half, feet[1] - TALL, feet[0] + half, feet[1])
    for item in play.bags:
        place = _bag_feet(item, play, at)
        if place is not None:
            layers.append((place[1], bag.high(item.height), place[0]))
    for y, cutout, x in sorted(layers, key=lambda layer: layer[0]):
        _put(picture, cutout, x, y)
    return boxes


def _bag_feet(bag: Bag, play: Play, at: float) -> tuple[float, float] | None:
    """Where the bottom of a bag is: in somebody's hand, on the ground, or nowhere."""
    actors = {actor.name: actor for actor in play.actors}
    place = None
    for begin, end, who in bag.held:
        if at < begin:
            break
        feet = actors[who].feet(min(at, end))
        if feet is None:
            return None
        place = feet[0] + 46, feet[1] + (2 if at >= end else -22)
    return place


def _put(picture: npt.NDArray[np.float32], cutout: Cutout, x: float, y: float) -> None:
    """Lay a cut-out over a picture with the middle of its lower edge at (x, y)."""
    height, width = cutout.there.shape
    left, top = round(x - width / 2), round(y - height)
    x1, y1, x2, y2 = max(0, left), max(0, top), min(WIDTH, left + width), min(HEIGHT, top + height)
    if x1 >= x2 or y1 >= y2:
        return
    inner = np.s_[y1 - top : y2 - top, x1 - left : x2 - left]
    share = cutout.there[inner][..., None]
    below = picture[y1:y2, x1:x2]
    picture[y1:y2, x1:x2] = below * (1 - share) + cutout.rgb[inner] * share


# ── what it is made of ───────────────────────────────────────────────────────────────────────


@functools.cache
def _material() -> tuple[Picture, Cutout, dict[str, Cutout]]:
    """The ground, a bag, and people, all as tall as they shall be."""
    empty, with_bag = _frames(PLACE, [5.0, BAG_AT])
    room, *standing = _frames(PEOPLE, [2.0, *(at for at, _, _ in CAST.values())])
    left, top, right, bottom = BAG_BOX
    bag = _cut(with_bag[top:bottom, left:right], empty[top:bottom, left:right], different=14)
    people = {}
    for (name, (_, x, width)), frame in zip(CAST.items(), standing, strict=True):
        part = np.s_[0:400, max(0, x - 15) : x + width + 15]
        people[name] = _cut(frame[part], room[part]).high(TALL)
    return empty, bag, people


def _frames(clip: str, times: Sequence[float]) -> list[Picture]:
    """The pictures of a clip at these seconds, in order of time."""
    found: list[Picture] = []
    with av.open(str(Path(os.environ["WATCHPOST_DATA"]) / "videos" / clip)) as container:
        for image in container.decode(video=0):
            if (image.time or 0.0) >= times[len(found)]:
                found.append(np.asarray(image.to_ndarray(format="rgb24"), np.uint8))
                if len(found) == len(times):
                    break
    return found


def _cut(picture: Picture, behind: Picture, *, different: int = DIFFERENT) -> Cutout:
    """The largest thing that differs from what is behind it, without its surroundings."""
    apart = np.abs(picture.astype(int) - behind.astype(int)).max(axis=2)
    mask = (apart > different).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, width, height = (int(value) for value in stats[largest, :4])
    alone = (labels[y : y + height, x : x + width] == largest).astype(np.float32)
    soft = np.asarray(cv2.GaussianBlur(alone, (3, 3), 0), np.float32)
    return Cutout(np.ascontiguousarray(picture[y : y + height, x : x + width]), soft)


# ── the plays ────────────────────────────────────────────────────────────────────────────────


def _leaves(name: str, look: str, x: float, begin: float, y: float = 400) -> Actor:
    """Walks in from the left, stands at x from ``begin`` + 4 to + 7 s, and goes out again."""
    way = [(begin, -40, y), (begin + 4, x, y), (begin + 7, x, y), (begin + 11, -60, y)]
    return Actor(name, look, way)


def _left(owner: str, placed: float) -> list[Truth]:
    """A bag that ``_leaves`` sets down is left behind like this."""
    return [
        Truth("bag_placed", placed, placed + 6, owner),
        Truth("bag_unattended", placed + 4, placed + 11, owner),
        Truth("bag_abandoned", placed + 8, placed + 15, owner),
    ]


ANNA, BEN, CARL = "grey dress", "black jacket", "shirt"

PLAYS = [
    Play(
        "the owner leaves and returns",
        [
            Actor(
                "owner",
                CARL,
                [
                    *_leaves("", "", 330, 4).way,
                    *((20, -60, 400), (24, 330, 400), (26, 330, 400), (30, -60, 400)),
                ],
            )
        ],
        [Bag([(4, 8.5, "owner"), (25, 40, "owner")])],
        [*_left("owner", 8.5), Truth("bag_reclaimed", 25, 31, "owner")],
        32,
    ),
    Play(
        "another person takes it",
        [
            _leaves("owner", CARL, 330, 4),
            Actor("thief", BEN, [(20, 770, 400), (24, 350, 400), (26, 350, 400), (30, 790, 400)]),
        ],
        [Bag([(4, 8.5, "owner"), (25, 40, "thief")])],
        [*_left("owner", 8.5), Truth("bag_taken", 25, 31, "thief")],
        32,
    ),
    Play(
        "two bags, two owners",
        [_leaves("first", CARL, 200, 4), _leaves("second", ANNA, 480, 9)],
        [Bag([(4, 8.5, "first")]), Bag([(9, 13.5, "second")], 44)],
        [*_left("first", 8.5), *_left("second", 13.5)],
        28,
    ),
    Play(
        "somebody passes in front while it is set down",
        [
            _leaves("owner", CARL, 330, 4),
            Actor("passer", BEN, [(6, 770, 425), (8.5, 360, 425), (12, -60, 425)]),
        ],
        [Bag([(4, 8.5, "owner")])],
        _left("owner", 8.5),
        24,
    ),
    Play(
        "the light is switched, twice",
        [_leaves("owner", CARL, 330, 4)],
        [Bag([(4, 8.5, "owner")])],
        _left("owner", 8.5),
        32,
        {24: 0.55, 28: 1.0},
    ),
    Play(
        "somebody waits with their bag in hand",
        [Actor("somebody", CARL, [(4, -40, 400), (8, 330, 400), (20, 330, 400), (24, -60, 400)])],
        [Bag([(4, 40, "somebody")])],
        [],
        26,
    ),
]

CROSSING = Play(
    "ten people cross each other",
    [
        Actor(
            f"walker {n}",
            (ANNA, BEN, CARL)[n % 3],
            [
                (1 + 1.3 * n, -50 if n % 2 else WIDTH + 50, y),
                (8 + 1.3 * n + n % 4, WIDTH + 50 if n % 2 else -50, y + 37 * n % 60 - 30),
            ],
        )
        for n, y in enumerate((300, 330, 360, 390, 420, 450, 345, 375, 405, 435))
    ],
    [],
    [],
    24,
)
