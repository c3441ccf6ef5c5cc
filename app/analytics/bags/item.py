"""Objects that rest somewhere: before anything is reported about them, and after."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from app.analytics.bags.geometry import gap
from app.analytics.bags.patches import Patch
from app.events import RuleEvent
from app.types import Box, Track

OBJECT = "object"  # set down by somebody, and none of the bags that the network knows


class Candidate(NamedTuple):
    """Something that rests somewhere, seen by the network, as a static object, or both.

    Attributes:
        box: in pixels of the image.
        since: when it came to rest.
        detected, static: confidence as a detection and as a static object; 0 for none.
    """

    box: Box
    since: float
    label: str
    detected: float
    static: float


class ItemState(StrEnum):
    ATTENDED = "attended"
    UNATTENDED = "unattended"
    ABANDONED = "abandoned"


@dataclass(slots=True)
class Item:
    """Something that was set down by somebody.

    Attributes:
        box: in pixels of the image.
        rest_at: when it came to rest.
        body_height: of the people around, in pixels of the image.
        patch: how its place looks with it, to know that it is still there.
        apart_since: when its owner went away; None while they are near.
        seen_at: when there was last any evidence of it.
        absorbed: it has become a part of the background, as after a change of light.
        reported: the types of events that were reported about it.
    """

    bag_id: int
    label: str
    box: Box
    rest_at: float
    body_height: float
    owner: int
    owner_confidence: float
    detected: float
    static: float
    patch: Patch
    seen_at: float
    state: ItemState = ItemState.ATTENDED
    apart_since: float | None = None
    absorbed: bool = False
    reported: set[str] = field(default_factory=set)

    @property
    def confidence(self) -> float:
        """That it is an object at all: two independent witnesses."""
        return round(1 - (1 - self.detected) * (1 - self.static), 3)

    def is_near(self, box: Box, heights: float) -> bool:
        """Whether a box lies within a distance in body heights: parts of one object do."""
        return gap(self.box, box) < heights * self.body_height

    def event(self, kind: str, person_id: int, at: float | None = None) -> RuleEvent:
        """The report of what happened to it, and through whom."""
        self.reported.add(kind)
        shown = Track(self.bag_id, self.label, self.confidence, self.box)
        details: dict[str, Any] = {
            "bag_id": self.bag_id,
            "person_id": person_id,
            "owner_id": self.owner,
            "owner_confidence": self.owner_confidence,
            "label": self.label,
            "box": [round(side, 1) for side in self.box],
            "detected": round(self.detected, 3),
            "static": round(self.static, 3),
        }
        return RuleEvent(kind, (shown,), self.confidence, details=details, at=at)
