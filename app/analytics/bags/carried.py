"""Remembers who carries a bag, because the network detects a carried bag only occasionally."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.analytics.bags.geometry import same_place, share_of, within_arms
from app.analytics.bags.tuning import DEFAULT, BagTuning
from app.analytics.reidentification import KnownPerson
from app.types import Track


@dataclass(slots=True)
class _Carrier:
    person_id: int
    sightings: int = 0
    best: float = 0.0
    bags: int = 0  # at once
    bag_at: float = 0.0
    seen_at: float = 0.0

    def is_sure(self, confidence: float) -> bool:
        """Whether they really carry a bag: detected once with this confidence, or twice."""
        return self.best >= confidence or self.sightings >= 2


class CarriedBags:
    """The bags that the people of one camera carry."""

    def __init__(self, tuning: BagTuning = DEFAULT) -> None:
        self._tuning = tuning
        self._carriers: dict[int, _Carrier] = {}

    def update(
        self, bags: Sequence[Track], people: Sequence[KnownPerson], now: float
    ) -> list[Track]:
        """Give each bag to the person who holds it.

        Args:
            bags: those that are not at rest.
            people: everybody in view now.

        Returns:
            The bags that nobody holds.
        """
        self._forget(now)
        held: dict[int, list[Track]] = {}
        loose: list[Track] = []
        for bag in _once(bags):
            person = self._holder(bag, people)
            if person is None:
                loose.append(bag)
            else:
                held.setdefault(person.person_id, []).append(bag)
        for person_id, theirs in held.items():
            carrier = self._carriers.setdefault(person_id, _Carrier(person_id))
            carrier.sightings += 1
            carrier.best = max(carrier.best, *(bag.confidence for bag in theirs))
            carrier.bags = max(carrier.bags, len(theirs))
            carrier.bag_at = now
        for person in people:
            if person.person_id in self._carriers:
                self._carriers[person.person_id].seen_at = now
        return loose

    def carriers(self) -> set[int]:
        """Ids of the people who were recently detected with a bag."""
        return {carrier.person_id for carrier in self._sure()}

    def put_down(self, person_id: int) -> None:
        """Note that a person set one of their bags down."""
        carrier = self._carriers.get(person_id)
        if carrier is not None:
            carrier.bags -= 1
            if carrier.bags <= 0:
                del self._carriers[person_id]

    def count(self, now: float) -> int:
        """How many bags the people in view carry."""
        gone_s = self._tuning.carrier_gone_s
        return sum(carrier.bags for carrier in self._sure() if now - carrier.seen_at <= gone_s)

    def _sure(self) -> list[_Carrier]:
        confidence = self._tuning.sure_confidence
        return [carrier for carrier in self._carriers.values() if carrier.is_sure(confidence)]

    def _forget(self, now: float) -> None:
        self._carriers = {
            person_id: carrier
            for person_id, carrier in self._carriers.items()
            if now - carrier.bag_at <= self._tuning.carried_forget_s
        }

    def _holder(self, bag: Track, people: Sequence[KnownPerson]) -> KnownPerson | None:
        """The person whose arms enclose most of a bag; of several, the nearest."""
        best: tuple[float, float, KnownPerson] | None = None
        for person in people:
            share = share_of(bag.box, within_arms(person.box, self._tuning.arm_share))
            if share < self._tuning.held_share:
                continue
            aside = abs(bag.box.centre[0] - person.box.centre[0]) / max(person.box.height, 1.0)
            if best is None or (-round(share, 1), aside) < best[:2]:
                best = (-round(share, 1), aside, person)
        return best and best[2]


def _once(bags: Sequence[Track]) -> list[Track]:
    """Each bag once: the network may detect it as a handbag and as a backpack."""
    kept: list[Track] = []
    for bag in sorted(bags, key=lambda bag: -bag.confidence):
        if not any(same_place(bag.box, other.box) for other in kept):
            kept.append(bag)
    return kept
