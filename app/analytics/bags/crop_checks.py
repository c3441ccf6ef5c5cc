"""A check before an alarm: is it an object, or a person whom the network missed?

A person who stands still is as static as a bag, and in a group or a crowd the network misses some
people. So inference runs again on an enlarged crop around each object that seems to be at rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.analytics.bags.geometry import same_place, share_of, square_around
from app.analytics.bags.tuning import DEFAULT, BagTuning
from app.types import BAG_LABELS, Box, CropDetections

CHECKED_LABELS = frozenset({"person", *BAG_LABELS})
"""What the crops are searched for."""


@dataclass(slots=True)
class _PendingCheck:
    box: Box
    body_height: float
    wanted_at: float
    request_at: float
    clean: int = 0
    bag: float = 0.0
    label: str = ""


class CropChecks:
    """Checks in enlarged crops that an object is not a person.

    Attributes:
        requests: the parts of the next frame to enlarge, in pixels of the image.
    """

    def __init__(self, tuning: BagTuning = DEFAULT) -> None:
        self.requests: list[Box] = []
        self._tuning = tuning
        self._checks: list[_PendingCheck] = []

    def begin(self, crops: Iterable[CropDetections], now: float) -> None:
        """Take the detections in the crops that were requested."""
        self.requests = []
        forget_s = self._tuning.crop_forget_s
        self._checks = [check for check in self._checks if now - check.wanted_at <= forget_s]
        for crop in crops:
            for check in self._checks:
                if share_of(check.box, crop.part) > 0.9:
                    self._update(check, crop, now)

    def passed(self, box: Box, body_height: float, now: float) -> tuple[float, str] | None:
        """Confidence and label of the bag that the crops showed (0 for none); None while it is not
        known whether a person is there, and then a crop is requested.

        Args:
            body_height: of people there, in pixels of the image.
        """
        check = next((c for c in self._checks if same_place(c.box, box)), None)
        if check is None:
            check = _PendingCheck(box, body_height, now, now)
            self._checks.append(check)
        check.box, check.wanted_at = box, now
        if check.clean >= self._tuning.clean_crops:
            return check.bag, check.label
        if now >= check.request_at:
            self.requests.append(square_around(box, self._tuning.crop_heights * body_height))
        return None

    def _update(self, check: _PendingCheck, crop: CropDetections, now: float) -> None:
        if self._shows_person(check, crop):
            check.clean, check.request_at = 0, now + self._tuning.crop_again_s
            return
        check.clean += 1
        for seen in crop.detections:
            if (
                seen.label in BAG_LABELS
                and seen.confidence > check.bag
                and same_place(check.box, seen.box)
            ):
                check.bag, check.label = seen.confidence, seen.label

    def _shows_person(self, check: _PendingCheck, crop: CropDetections) -> bool:
        people = [
            seen.box
            for seen in crop.detections
            if seen.label == "person"
            and seen.confidence >= self._tuning.person_confidence
            and seen.box.height >= self._tuning.person_height * check.body_height
        ]
        return any(share_of(check.box, person) > self._tuning.covered_share for person in people)
