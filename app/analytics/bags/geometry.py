"""How boxes are placed relative to each other. All are in pixels of one image."""

from __future__ import annotations

import math

from app.analytics.bags.tuning import DEFAULT
from app.types import Box


def share_of(box: Box, cover: Box) -> float:
    """Share of ``box`` that is inside ``cover``."""
    return box.intersection(cover) / max(box.area, 1e-6)


def same_place(one: Box, other: Box) -> bool:
    """Whether two boxes are of one object: most of the smaller one is inside the other."""
    smaller = min(one.area, other.area)
    return one.intersection(other) > 0.5 * max(smaller, 1e-6)


def gap(one: Box, other: Box) -> float:
    """Distance between two boxes, 0 where they touch."""
    dx = max(one.x1 - other.x2, other.x1 - one.x2, 0.0)
    dy = max(one.y1 - other.y2, other.y1 - one.y2, 0.0)
    return math.hypot(dx, dy)


def centre_distance(one: Box, other: Box) -> float:
    """Distance between the centres of two boxes."""
    return math.dist(one.centre, other.centre)


def square_around(box: Box, side: float) -> Box:
    """The square around a box's centre with sides of this length."""
    x, y = box.centre
    return Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def within_arms(person: Box, share: float = DEFAULT.arm_share) -> Box:
    """A person's box and the reach of the arms: this share of the height, both sides together."""
    aside = share * person.height / 2
    return Box(person.x1 - aside, person.y1, person.x2 + aside, person.y2 + 0.1 * person.height)


def is_in_hand(box: Box, person: Box, heights: float = DEFAULT.in_hand) -> bool:
    """Whether a person may hold an object beside them: it ends above their feet."""
    spare = heights * person.height
    return gap(person, box) < spare and box.y2 < person.y2 - spare


def at_the_edge(box: Box, size: tuple[int, int], share: float = DEFAULT.edge_share) -> bool:
    """Whether a box reaches the edge of the image, so that the object may be cut off."""
    spare = share * max(size)
    return box.x1 < spare or box.y1 < spare or box.x2 > size[0] - spare or box.y2 > size[1] - spare
