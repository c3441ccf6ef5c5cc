"""Staged clips: real people and a real bag, cut out of recordings and pasted on real backgrounds.

The ground truth is known exactly: what happens, when, and who does it. Clips are composed in
memory from ``$WATCHPOST_DATA/videos`` each time; nothing is stored.
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

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.float32]

PEOPLE, PLACE = "indoor_people_one_by_one.mp4", "left_bag_outdoor.avi"
WIDTH, HEIGHT, FPS = 720, 480, 5
HEIGHT_PIXELS = 170
"""Height of a person."""
NOISE = 2.0
LEARNING_S = 4.0
DIFFERENT = 34  # grey levels between a person and the background

# For each person of the recording: a time at which all of them is visible, left edge and width.
CAST = {
    "grey dress": (12.0, 385, 130),
    "black jacket": (30.0, 380, 163),
    "shirt": (130.0, 345, 182),
}
BAG_AT, BAG_BOX = 24.0, (455, 362, 497, 411)


class Cutout(NamedTuple):
    """An (H, W, 3) RGB image with its opacity (H, W), 0 to 1."""

    rgb: Image
    alpha: Mask

    def resized(self, height: float) -> Cutout:
        """Return the cut-out at another height in pixels."""
        scale = height / self.rgb.shape[0]
        size = max(1, round(self.rgb.shape[1] * scale)), max(1, round(height))
        return Cutout(
            np.asarray(cv2.resize(self.rgb, size, interpolation=cv2.INTER_AREA), np.uint8),
            np.asarray(cv2.resize(self.alpha, size, interpolation=cv2.INTER_AREA), np.float32),
        )


@dataclass
class Actor:
    """A person who walks in straight lines from one (second, x, y of the feet) to the next.

    Attributes:
        appearance: the person of ``CAST`` who plays them.
    """

    name: str
    appearance: str
    path: Sequence[tuple[float, float, float]]

    def feet(self, at: float) -> tuple[float, float] | None:
        """Return the position of the feet at a time; None while not in the scene."""
        times = [step[0] for step in self.path]
        if not times[0] <= at <= times[-1]:
            return None
        x, y = (float(np.interp(at, times, [step[n] for step in self.path])) for n in (1, 2))
        return x, y


@dataclass
class Bag:
    """A bag: who carries it from when to when; otherwise it stands where it was put down."""

    held: Sequence[tuple[float, float, str]]
    height: float = 52.0


@dataclass
class Scenario:
    """The script of one staged clip.

    Attributes:
        light: brightness factors by the second from which they apply.
    """

    name: str
    actors: Sequence[Actor]
    bags: Sequence[Bag]
    truths: Sequence[Truth]
    seconds: float
    light: Mapping[float, float] = field(default_factory=dict)


class StagedFrame(NamedTuple):
    """One frame of a scenario, and the boxes of the people in it."""

    at: float
    rgb: Image
    people: Mapping[str, Box]


def missing() -> str | None:
    """Return why clips cannot be composed here; None if they can."""
    data = os.environ.get("WATCHPOST_DATA")
    if not data:
        return "WATCHPOST_DATA is not set"
    lost = [name for name in (PEOPLE, PLACE) if not (Path(data) / "videos" / name).exists()]
    return f"{', '.join(lost)} not found in WATCHPOST_DATA/videos" if lost else None


def frames(scenario: Scenario) -> Iterator[StagedFrame]:
    """Yield the frames of a scenario, as a camera with a noisy sensor records them."""
    background, bag, people = _material()
    noise = np.random.default_rng(5)
    for number in range(round(scenario.seconds * FPS)):
        at = number / FPS
        image = background.astype(np.float32)
        boxes = _compose(image, scenario, at, bag, people)
        since = max((second for second in scenario.light if second <= at), default=None)
        image *= 1.0 if since is None else scenario.light[since]
        image += noise.normal(0, NOISE, image.shape)
        yield StagedFrame(at, np.clip(image, 0, 255).astype(np.uint8), boxes)


def _compose(
    image: npt.NDArray[np.float32],
    scenario: Scenario,
    at: float,
    bag: Cutout,
    people: Mapping[str, Cutout],
) -> dict[str, Box]:
    """Paste all people and bags into the image, the farthest first; return people's boxes."""
    layers: list[tuple[float, Cutout, float]] = []
    boxes: dict[str, Box] = {}
    for actor in scenario.actors:
        feet = actor.feet(at)
        if feet is None:
            continue
        cutout = people[actor.appearance]
        bob = 2.0 * np.sin(at * 9) if actor.feet(at + 0.1) != feet else 0.0  # while walking
        layers.append((feet[1] + bob, cutout, feet[0]))
        half = cutout.rgb.shape[1] / 2
        boxes[actor.name] = Box(feet[0] - half, feet[1] - HEIGHT_PIXELS, feet[0] + half, feet[1])
    for item in scenario.bags:
        place = _bag_position(item, scenario, at)
        if place is not None:
            layers.append((place[1], bag.resized(item.height), place[0]))
    for y, cutout, x in sorted(layers, key=lambda layer: layer[0]):
        _paste(image, cutout, x, y)
    return boxes


def _bag_position(bag: Bag, scenario: Scenario, at: float) -> tuple[float, float] | None:
    """Return where the bottom of a bag is: in a hand or on the ground; None if out of view."""
    actors = {actor.name: actor for actor in scenario.actors}
    place = None
    for begin, end, who in bag.held:
        if at < begin:
            break
        feet = actors[who].feet(min(at, end))
        if feet is None:
            return None
        place = feet[0] + 46, feet[1] + (2 if at >= end else -22)
    return place


def _paste(image: npt.NDArray[np.float32], cutout: Cutout, x: float, y: float) -> None:
    """Paste a cut-out into an image with the middle of its lower edge at (x, y)."""
    height, width = cutout.alpha.shape
    left, top = round(x - width / 2), round(y - height)
    x1, y1, x2, y2 = max(0, left), max(0, top), min(WIDTH, left + width), min(HEIGHT, top + height)
    if x1 >= x2 or y1 >= y2:
        return
    inner = np.s_[y1 - top : y2 - top, x1 - left : x2 - left]
    alpha = cutout.alpha[inner][..., None]
    behind = image[y1:y2, x1:x2]
    image[y1:y2, x1:x2] = behind * (1 - alpha) + cutout.rgb[inner] * alpha


# ── material ─────────────────────────────────────────────────────────────────────────────────


@functools.cache
def _material() -> tuple[Image, Cutout, dict[str, Cutout]]:
    """Return the background, a bag, and the people at their final height."""
    empty, with_bag = _frames(PLACE, [5.0, BAG_AT])
    room, *standing = _frames(PEOPLE, [2.0, *(at for at, _, _ in CAST.values())])
    left, top, right, bottom = BAG_BOX
    bag = _cut(with_bag[top:bottom, left:right], empty[top:bottom, left:right], different=14)
    people = {}
    for (name, (_, x, width)), frame in zip(CAST.items(), standing, strict=True):
        part = np.s_[0:400, max(0, x - 15) : x + width + 15]
        people[name] = _cut(frame[part], room[part]).resized(HEIGHT_PIXELS)
    return empty, bag, people


def _frames(clip: str, times: Sequence[float]) -> list[Image]:
    """Return the frames of a clip at these times in seconds, which must be sorted."""
    found: list[Image] = []
    with av.open(str(Path(os.environ["WATCHPOST_DATA"]) / "videos" / clip)) as container:
        for image in container.decode(video=0):
            if (image.time or 0.0) >= times[len(found)]:
                found.append(np.asarray(image.to_ndarray(format="rgb24"), np.uint8))
                if len(found) == len(times):
                    break
    return found


def _cut(image: Image, background: Image, *, different: int = DIFFERENT) -> Cutout:
    """Cut out the largest object that differs from the background."""
    difference = np.abs(image.astype(int) - background.astype(int)).max(axis=2)
    mask = (difference > different).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, width, height = (int(value) for value in stats[largest, :4])
    alone = (labels[y : y + height, x : x + width] == largest).astype(np.float32)
    soft = np.asarray(cv2.GaussianBlur(alone, (3, 3), 0), np.float32)
    return Cutout(np.ascontiguousarray(image[y : y + height, x : x + width]), soft)


# ── scenarios ────────────────────────────────────────────────────────────────────────────────


def _leaves(name: str, appearance: str, x: float, begin: float, y: float = 400) -> Actor:
    """An actor who enters from the left, stands at x from ``begin`` + 4 to + 7 s, and leaves."""
    path = [(begin, -40, y), (begin + 4, x, y), (begin + 7, x, y), (begin + 11, -60, y)]
    return Actor(name, appearance, path)


def _left(owner: str, placed: float) -> list[Truth]:
    """The events of a bag that an actor of ``_leaves`` puts down at this time."""
    return [
        Truth("bag_placed", placed, placed + 6, owner),
        Truth("bag_unattended", placed + 4, placed + 11, owner),
        Truth("bag_abandoned", placed + 8, placed + 15, owner),
    ]


ANNA, BEN, CARL = "grey dress", "black jacket", "shirt"

SCENARIOS = [
    Scenario(
        "the owner leaves and returns",
        [
            Actor(
                "owner",
                CARL,
                [
                    *_leaves("", "", 330, 4).path,
                    *((20, -60, 400), (24, 330, 400), (26, 330, 400), (30, -60, 400)),
                ],
            )
        ],
        [Bag([(4, 8.5, "owner"), (25, 40, "owner")])],
        [*_left("owner", 8.5), Truth("bag_reclaimed", 25, 31, "owner")],
        32,
    ),
    Scenario(
        "another person takes it",
        [
            _leaves("owner", CARL, 330, 4),
            Actor("thief", BEN, [(20, 770, 400), (24, 350, 400), (26, 350, 400), (30, 790, 400)]),
        ],
        [Bag([(4, 8.5, "owner"), (25, 40, "thief")])],
        [*_left("owner", 8.5), Truth("bag_taken", 25, 31, "thief")],
        32,
    ),
    Scenario(
        "two bags, two owners",
        [_leaves("first", CARL, 200, 4), _leaves("second", ANNA, 480, 9)],
        [Bag([(4, 8.5, "first")]), Bag([(9, 13.5, "second")], 44)],
        [*_left("first", 8.5), *_left("second", 13.5)],
        28,
    ),
    Scenario(
        "somebody passes in front while it is put down",
        [
            _leaves("owner", CARL, 330, 4),
            Actor("passer", BEN, [(6, 770, 425), (8.5, 360, 425), (12, -60, 425)]),
        ],
        [Bag([(4, 8.5, "owner")])],
        _left("owner", 8.5),
        24,
    ),
    Scenario(
        "the light is switched off and on",
        [_leaves("owner", CARL, 330, 4)],
        [Bag([(4, 8.5, "owner")])],
        _left("owner", 8.5),
        32,
        {24: 0.55, 28: 1.0},
    ),
    Scenario(
        "somebody waits with their bag in hand",
        [Actor("somebody", CARL, [(4, -40, 400), (8, 330, 400), (20, 330, 400), (24, -60, 400)])],
        [Bag([(4, 40, "somebody")])],
        [],
        26,
    ),
]

CROSSING = Scenario(
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
