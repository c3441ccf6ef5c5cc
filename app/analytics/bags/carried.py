"""Who carries a bag: remembered, because a network sees a carried bag only now and then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.analytics.bags.geometry import arm_reach, middle, same_place, share_of
from app.analytics.reidentification import KnownPerson
from app.types import Track

HELD_SHARE = 0.5  # of a bag's box is within its carrier's reach
SURE = 0.45  # one sighting is enough; else it takes two
FORGET_S = 20.0  # carried and never seen again: it was something else, or set down
GONE_S = 2.0  # a carrier who was not seen for so long is not in view


@dataclass(slots=True)
class _Carrier:
    person_id: int
    looks: int = 0
    best: float = 0.0
    number: int = 0  # of bags seen at once
    bag_at: float = 0.0
    seen_at: float = 0.0

    @property
    def is_sure(self) -> bool:
        return self.best >= SURE or self.looks >= 2


class CarriedBags:
    """The bags that the people of one camera carry."""

    def __init__(self) -> None:
        self._carriers: dict[int, _Carrier] = {}

    def update(
        self, bags: Sequence[Track], people: Sequence[KnownPerson], now: float
    ) -> list[Track]:
        """Give each bag to who holds it.

        Args:
            bags: those that do not rest somewhere.
            people: those who are seen now.

        Returns:
            Bags that nobody holds.
        """
        self._forget(now)
        held: dict[int, list[Track]] = {}
        loose: list[Track] = []
        for bag in _once(bags):
            person = _holder(bag, people)
            if person is None:
                loose.append(bag)
            else:
                held.setdefault(person.person_id, []).append(bag)
        for person_id, theirs in held.items():
            carrier = self._carriers.setdefault(person_id, _Carrier(person_id))
            carrier.looks += 1
            carrier.best = max(carrier.best, *(bag.confidence for bag in theirs))
            carrier.number = max(carrier.number, len(theirs))
            carrier.bag_at = now
        for person in people:
            if person.person_id in self._carriers:
                self._carriers[person.person_id].seen_at = now
        return loose

    def carriers(self) -> set[int]:
        """Ids of the persons who were seen with a bag lately."""
        return {c.person_id for c in self._carriers.values() if c.is_sure}

    def put_down(self, person_id: int) -> None:
        """One of a person's bags rests somewhere now."""
        carrier = self._carriers.get(person_id)
        if carrier is not None:
            carrier.number -= 1
            if carrier.number <= 0:
                del self._carriers[person_id]

    def count(self, now: float) -> int:
        """Bags that people who are in view carry."""
        return sum(
            c.number for c in self._carriers.values() if c.is_sure and now - c.seen_at <= GONE_S
        )

    def _forget(self, now: float) -> None:
        self._carriers = {
            person_id: carrier
            for person_id, carrier in self._carriers.items()
            if now - carrier.bag_at <= FORGET_S
        }


def _once(bags: Sequence[Track]) -> list[Track]:
    """Each bag once: one thing may be seen as a handbag and as a backpack."""
    kept: list[Track] = []
    for bag in sorted(bags, key=lambda bag: -bag.confidence):
        if not any(same_place(bag.box, other.box) for other in kept):
            kept.append(bag)
    return kept


def _holder(bag: Track, people: Sequence[KnownPerson]) -> KnownPerson | None:
    """Who has most of a bag within reach; of several, whose middle is nearest."""
    best: tuple[float, float, KnownPerson] | None = None
    for person in people:
        share = share_of(bag.box, arm_reach(person.box))
        if share < HELD_SHARE:
            continue
        aside = abs(middle(bag.box)[0] - middle(person.box)[0]) / max(person.box.height, 1.0)
        if best is None or (-round(share, 1), aside) < best[:2]:
            best = (-round(share, 1), aside, person)
    return best and best[2]
