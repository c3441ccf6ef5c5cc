"""Where people were recently: gives owners, who took an item, and how tall people are."""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from app.analytics.bags.geometry import gap, share_of, within_arms
from app.analytics.bags.tuning import DEFAULT, BagTuning
from app.analytics.reidentification import KnownPerson
from app.types import Box


@dataclass(slots=True)
class _Presence:
    """A person at a place.

    Attributes:
        speed: in body heights per second; None if it is not known yet.
    """

    at: float
    person_id: int
    box: Box
    speed: float | None


class PresenceHistory:
    """Remembers where the people of one camera were in the last half minute."""

    def __init__(self, tuning: BagTuning = DEFAULT) -> None:
        self._tuning = tuning
        self._history: deque[_Presence] = deque()
        self._heights: deque[float] = deque(maxlen=tuning.heights)

    def __len__(self) -> int:
        return len(self._history)

    def remember(self, people: Sequence[KnownPerson], size: tuple[int, int], now: float) -> None:
        """Note where people are, except those cut off by the upper edge: without the head, a box
        does not show the height, and may be only an arm."""
        for person in people:
            if person.box.y1 < self._tuning.edge_share * max(size):
                continue
            self._history.append(_Presence(now, person.person_id, person.box, None))
            self._measure_speed(person, now)
            self._heights.append(person.box.height)
        while self._history and now - self._history[0].at > self._tuning.history_s:
            self._history.popleft()

    def _measure_speed(self, person: KnownPerson, now: float) -> None:
        """Measure the speed of the newest presence, and of the one before if that has none.

        A person in a single frame has no speed: at low frame rates that is a passer-by, not a
        person who stood there.
        """
        newest = self._history[-1]
        for before in itertools.islice(reversed(self._history), 1, None):
            if now - before.at > self._tuning.speed_s:
                return
            if before.person_id == person.person_id and now > before.at:
                height = max(person.box.height, 1.0)
                distance = math.dist(before.box.foot, person.box.foot) / height
                newest.speed = distance / (now - before.at)
                before.speed = newest.speed if before.speed is None else before.speed
                return

    def owner(
        self,
        box: Box,
        rest_at: float,
        carriers: Collection[int] = (),
        *,
        walking: bool = True,
    ) -> tuple[int | None, float]:
        """Who was at a place when an object came to rest there, and how certain that is.

        Args:
            carriers: the people who were detected with a bag before.
            walking: whether a person may have let go of it without slowing down.
        """
        tuning = self._tuning
        weights: defaultdict[int, float] = defaultdict(float)
        for presence in self._history:
            if not -tuning.before_s <= presence.at - rest_at <= tuning.after_s:
                continue
            speed = tuning.walk_speed if presence.speed is None else presence.speed
            if speed > tuning.walk_speed and not walking:
                continue
            arms = within_arms(presence.box, tuning.arm_share)
            if arms.intersection(box) > 0 and presence.box.y2 >= box.y1:
                nearness = math.exp(-abs(presence.at - rest_at) / 2)
                weight = tuning.carrier_weight if presence.person_id in carriers else 1.0
                weight /= 1 + speed / tuning.stop_speed  # a passer-by sets nothing down
                weights[presence.person_id] += weight * nearness * share_of(box, arms)
        if not weights:
            return None, 0.0
        touched: defaultdict[int, float] = defaultdict(float)
        known_as = self._known_as()
        for person_id, weight in weights.items():
            touched[known_as[person_id]] += weight
        owner = max(touched, key=touched.__getitem__)
        return owner, round(touched[owner] / sum(touched.values()), 3)

    def _known_as(self) -> dict[int, int]:
        """Map each id to the newest id of the same person.

        A person who crosses another may take over their track, above all at low frame rates. One
        person then has two ids, each with half of the weight, which is too little for an owner. Two
        ids are of the same person if one began at the place of the other, and the other was not
        detected in the meantime.
        """
        times: defaultdict[int, list[float]] = defaultdict(list)
        begun: dict[int, _Presence] = {}
        for presence in self._history:
            times[presence.person_id].append(presence.at)
            begun.setdefault(presence.person_id, presence)
        first_id = {person_id: person_id for person_id in times}
        for new, start in begun.items():  # in the order in which they began
            for old, seen_at in times.items():
                before = bisect.bisect_left(seen_at, start.at)
                later = bisect.bisect_right(seen_at, start.at)
                if not before or start.at - seen_at[before - 1] > self._tuning.broken_s:
                    continue
                meanwhile = later < len(seen_at) and seen_at[later] <= times[new][-1]
                if not meanwhile and self._was_at(old, start):
                    first_id[new] = first_id[old]
        newest: dict[int, int] = {}
        for person_id in sorted(times, key=lambda one: times[one][-1]):
            newest[first_id[person_id]] = person_id
        return {person_id: newest[first] for person_id, first in first_id.items()}

    def _was_at(self, person_id: int, other: _Presence) -> bool:
        """Whether a person was at the place of a presence shortly before it."""
        return any(
            0 < other.at - presence.at <= self._tuning.broken_s
            and presence.person_id == person_id
            and presence.box.iou(other.box) >= self._tuning.broken_iou
            for presence in reversed(self._history)
        )

    def last_touch(self, box: Box, since: float) -> int | None:
        """The person who was most often at a place since then; None when nobody was."""
        touched = Counter(
            presence.person_id
            for presence in self._history
            if presence.at >= since
            and within_arms(presence.box, self._tuning.arm_share).intersection(box) > 0
        )
        return touched.most_common(1)[0][0] if touched else None

    def body_height(self, box: Box) -> float:
        """Height of a person at this place: of the people who were near it, else of all."""
        near = [
            presence.box.height
            for presence in self._history
            if gap(presence.box, box) < self._tuning.near * presence.box.height
        ]
        heights = near or list(self._heights)
        return float(np.median(heights)) if heights else max(box.width, box.height)
