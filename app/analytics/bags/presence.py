"""Where people were recently: gives owners, who took an item, and how tall people are."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from app.analytics.bags.geometry import gap, share_of, within_arms
from app.analytics.bags.tuning import DEFAULT, BagTuning
from app.analytics.reidentification import KnownPerson
from app.types import Box


@dataclass(frozen=True, slots=True)
class _Presence:
    at: float
    person_id: int
    box: Box
    speed: float  # body heights a second


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
            speed = self._speed(person, now)
            self._history.append(_Presence(now, person.person_id, person.box, speed))
            self._heights.append(person.box.height)
        while self._history and now - self._history[0].at > self._tuning.history_s:
            self._history.popleft()

    def _speed(self, person: KnownPerson, now: float) -> float:
        for before in reversed(self._history):
            if now - before.at > self._tuning.speed_s:
                break
            if before.person_id == person.person_id and now > before.at:
                height = max(person.box.height, 1.0)
                return math.dist(before.box.foot, person.box.foot) / height / (now - before.at)
        return 0.0

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
        touched: defaultdict[int, float] = defaultdict(float)
        for presence in self._history:
            if not -tuning.before_s <= presence.at - rest_at <= tuning.after_s:
                continue
            if presence.speed > tuning.walk_speed and not walking:
                continue
            arms = within_arms(presence.box, tuning.arm_share)
            if arms.intersection(box) > 0 and presence.box.y2 >= box.y1:
                nearness = math.exp(-abs(presence.at - rest_at) / 2)
                weight = tuning.carrier_weight if presence.person_id in carriers else 1.0
                weight /= 1 + presence.speed / tuning.stop_speed  # a passer-by sets nothing down
                touched[presence.person_id] += weight * nearness * share_of(box, arms)
        if not touched:
            return None, 0.0
        owner = max(touched, key=touched.__getitem__)
        return owner, round(touched[owner] / sum(touched.values()), 3)

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
