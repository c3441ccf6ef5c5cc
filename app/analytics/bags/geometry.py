"""How boxes lie to each other. All in pixels of one picture."""

from __future__ import annotations

import math

from app.types import Box

TOUCH = 0.25  # a person's box grown by so much of its height touches what it reaches
IN_HAND = 0.07  # body heights
EDGE = 0.005  # of the picture


def overlap(one: Box, other: Box) -> float:
    """The area that both cover, in square pixels."""
    width = min(one.x2, other.x2) - max(one.x1, other.x1)
    height = min(one.y2, other.y2) - max(one.y1, other.y1)
    return width * height if width > 0 and height > 0 else 0.0


def share_of(box: Box, cover: Box) -> float:
    """How much of ``box`` is inside ``cover``."""
    return overlap(box, cover) / max(box.width * box.height, 1e-6)


def same_place(one: Box, other: Box) -> bool:
    """Two views of one thing: they cover each other, or the smaller one lies in the larger."""
    smaller = min(one.width * one.height, other.width * other.height)
    return overlap(one, other) > 0.5 * max(smaller, 1e-6)


def gap(one: Box, other: Box) -> float:
    """Distance between two boxes, 0 where they touch."""
    dx = max(one.x1 - other.x2, other.x1 - one.x2, 0.0)
    dy = max(one.y1 - other.y2, other.y1 - one.y2, 0.0)
    return math.hypot(dx, dy)


def centre_distance(one: Box, other: Box) -> float:
    """Distance between the middles of two boxes."""
    return math.dist(middle(one), middle(other))


def middle(box: Box) -> tuple[float, float]:
    return (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2


def foot(box: Box) -> tuple[float, float]:
    """Where it stands: the middle of its lower edge."""
    return (box.x1 + box.x2) / 2, box.y2


def square_around(box: Box, side: float) -> Box:
    """The square of that side around a box's middle."""
    x, y = middle(box)
    return Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def arm_reach(person: Box) -> Box:
    """A person's box and as far as the arms go."""
    aside = TOUCH * person.height / 2
    return Box(person.x1 - aside, person.y1, person.x2 + aside, person.y2 + 0.1 * person.height)


def is_in_hand(box: Box, person: Box) -> bool:
    """Whether somebody may hold what they stand beside: it ends above their feet."""
    return (
        gap(person, box) < IN_HAND * person.height and box.y2 < person.y2 - IN_HAND * person.height
    )


def at_the_edge(box: Box, size: tuple[int, int]) -> bool:
    """Whether only a part of it is in the picture: it may be anything."""
    spare = EDGE * max(size)
    return box.x1 < spare or box.y1 < spare or box.x2 > size[0] - spare or box.y2 > size[1] - spare
