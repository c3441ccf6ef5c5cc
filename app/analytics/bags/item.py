"""Things that rest somewhere: before anything is said about them, and after."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from app.analytics.bags.geometry import gap
from app.analytics.bags.patches import Patch
from app.types import Box, RuleEvent, Track

THING = "object"  # set down by somebody, and none of the bags that the network knows
PARTS_APART = 0.08  # body heights between the blobs of one thing


class Candidate(NamedTuple):
    """Something that rests somewhere, seen by one witness or by both.

    Attributes:
        box: in pixels of the picture.
        since: when it came to rest.
        detected, static: confidence of the network, and of the static foreground; 0 for none.
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
        box: in pixels of the picture.
        rest_at: when it came to rest.
        body: height of the persons around, in pixels of the picture.
        patch: how its place looks with it, to know that it is still there.
        apart_since: since when its owner is away; None while they are near.
        seen_at: when there was last any evidence of it.
        blended: whether it has become a part of the background, as after a change of light.
        told: the events that were told about it.
    """

    bag_id: int
    label: str
    box: Box
    rest_at: float
    body: float
    owner: int
    owner_confidence: float
    detected: float
    static: float
    patch: Patch
    seen_at: float
    state: ItemState = ItemState.ATTENDED
    apart_since: float | None = None
    blended: bool = False
    told: set[str] = field(default_factory=set)

    @property
    def confidence(self) -> float:
        """That it is a thing at all: two independent witnesses."""
        return round(1 - (1 - self.detected) * (1 - self.static), 3)

    def is_near(self, box: Box) -> bool:
        """Parts of one thing appear as blobs beside each other."""
        return gap(self.box, box) < PARTS_APART * self.body

    def tell(self, kind: str, person_id: int, at: float | None = None) -> RuleEvent:
        """What happened to it, and through whom."""
        self.told.add(kind)
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
