"""Objects at rest: candidates, and items that were reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from app.analytics.bags.geometry import gap
from app.analytics.bags.patches import Patch
from app.events import RuleEvent
from app.types import Box, Track

OBJECT = "object"  # was set down, but the network does not know it as a bag


class Candidate(NamedTuple):
    """An object at rest, detected by the network, as a static object, or both.

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
    """Whether the owner of an item is near."""

    ATTENDED = "attended"
    UNATTENDED = "unattended"
    ABANDONED = "abandoned"


@dataclass(slots=True)
class Item:
    """An object that somebody set down.

    Attributes:
        box: in pixels of the image.
        rest_at: when it came to rest.
        body_height: of the people around, in pixels of the image.
        patch: the appearance of its place, to know that it is still there.
        apart_since: when its owner went away; None while they are near.
        seen_at: when there was last any evidence of it.
        absorbed: it has become a part of the background, for instance after a change of light.
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
        """That it is an object at all, from two independent kinds of evidence."""
        return round(1 - (1 - self.detected) * (1 - self.static), 3)

    def is_near(self, box: Box, heights: float) -> bool:
        """Whether a box is within this distance, in body heights, as parts of one object are."""
        return gap(self.box, box) < heights * self.body_height

    def event(self, kind: str, person_id: int, at: float | None = None) -> RuleEvent:
        """The event of what a person did with it."""
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
