"""A closer look before an alarm: is it a thing, or somebody that the first look missed?

Whoever stands still is as static as a bag, and in a group or a crowd the network misses people.
So the surroundings of what seems to rest somewhere are looked at again, enlarged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.analytics.bags.geometry import same_place, share_of, square_around
from app.types import BAG_LABELS, Box, CropDetections

HEIGHTS = 2.5  # of a person: as much of the surroundings is shown
CLEAN_LOOKS = 2  # in a row without anybody there
AGAIN_S = 1.0  # after somebody was there
FORGET_S = 3.0
PERSON = 0.3  # least confidence
COVERS = 0.4  # of the thing
UPRIGHT = 0.5  # body heights: what is smaller is no person, whatever the network says


@dataclass(slots=True)
class _PendingCheck:
    box: Box
    body: float
    wanted_at: float
    ask_at: float
    clean: int = 0
    bag: float = 0.0
    label: str = ""


class CropChecks:
    """The doubts about one camera's things.

    Attributes:
        asked: the parts of the next frame that shall be enlarged, in pixels of the picture.
    """

    def __init__(self) -> None:
        self.asked: list[Box] = []
        self._doubts: list[_PendingCheck] = []

    def begin(self, crops: Iterable[CropDetections], now: float) -> None:
        """Take the answers to what was asked for."""
        self.asked = []
        self._doubts = [doubt for doubt in self._doubts if now - doubt.wanted_at <= FORGET_S]
        for close in crops:
            for doubt in self._doubts:
                if share_of(doubt.box, close.part) > 0.9:
                    _answer(doubt, close, now)

    def passed(self, box: Box, body: float, now: float) -> tuple[float, str] | None:
        """Confidence and label of the bag that was seen there closely (0 for none), or None
        while it is not known that nobody is there; then it is asked for.

        Args:
            body: height of people there, in pixels of the picture.
        """
        doubt = next((d for d in self._doubts if same_place(d.box, box)), None)
        if doubt is None:
            doubt = _PendingCheck(box, body, now, now)
            self._doubts.append(doubt)
        doubt.box, doubt.wanted_at = box, now
        if doubt.clean >= CLEAN_LOOKS:
            return doubt.bag, doubt.label
        if now >= doubt.ask_at:
            self.asked.append(square_around(box, HEIGHTS * body))
        return None


def _answer(doubt: _PendingCheck, close: CropDetections, now: float) -> None:
    if _is_covered(doubt.box, close, doubt.body):
        doubt.clean, doubt.ask_at = 0, now + AGAIN_S
        return
    doubt.clean += 1
    for seen in close.detections:
        if (
            seen.label in BAG_LABELS
            and seen.confidence > doubt.bag
            and same_place(doubt.box, seen.box)
        ):
            doubt.bag, doubt.label = seen.confidence, seen.label


def _is_covered(box: Box, close: CropDetections, body: float) -> bool:
    people = [
        seen.box
        for seen in close.detections
        if seen.label == "person"
        and seen.confidence >= PERSON
        and seen.box.height >= UPRIGHT * body
    ]
    return any(share_of(box, person) > COVERS for person in people)
