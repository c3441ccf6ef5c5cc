"""Who was where, lately: whose a thing is, who took it, and how tall people are there."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from app.analytics.bags.geometry import EDGE, arm_reach, foot, gap, overlap, share_of
from app.analytics.reidentification import KnownPerson
from app.types import Box

HISTORY_S = 30.0
BEFORE_S, AFTER_S = 5.0, 2.0  # around the moment of rest: when an owner must have been there
CARRIER_WEIGHT = 2.0  # who was seen with a bag rather sets one down than who was not
SPEED_S = 1.0
STOPS, WALKS = 0.3, 0.6  # body heights a second: slower is standing, faster is walking
NEAR_HEIGHTS = 0.5
BODIES = 200


@dataclass(frozen=True, slots=True)
class _Presence:
    at: float
    person_id: int
    box: Box
    speed: float  # body heights a second


class PresenceHistory:
    """Where the people of one camera were in the last half minute."""

    def __init__(self) -> None:
        self._history: deque[_Presence] = deque()
        self._bodies: deque[float] = deque(maxlen=BODIES)

    def __len__(self) -> int:
        return len(self._history)

    def remember(self, people: Sequence[KnownPerson], size: tuple[int, int], now: float) -> None:
        """Without their heads people are no measure, and may be but an arm: those are left out."""
        for person in people:
            if person.box.y1 < EDGE * max(size):
                continue
            speed = self._speed(person, now)
            self._history.append(_Presence(now, person.person_id, person.box, speed))
            self._bodies.append(person.box.height)
        while self._history and now - self._history[0].at > HISTORY_S:
            self._history.popleft()

    def _speed(self, person: KnownPerson, now: float) -> float:
        for before in reversed(self._history):
            if now - before.at > SPEED_S:
                break
            if before.person_id == person.person_id and now > before.at:
                height = max(person.box.height, 1.0)
                return math.dist(foot(before.box), foot(person.box)) / height / (now - before.at)
        return 0.0

    def owner(
        self,
        box: Box,
        rest_at: float,
        carriers: Collection[int] = (),
        *,
        walking: bool = True,
    ) -> tuple[int | None, float]:
        """Who was at the place when something came to rest there, and how sure that is.

        Args:
            carriers: who was seen with a bag before.
            walking: whether somebody may have let go of it without slowing down.
        """
        touched: defaultdict[int, float] = defaultdict(float)
        for presence in self._history:
            if not -BEFORE_S <= presence.at - rest_at <= AFTER_S:
                continue
            if presence.speed > WALKS and not walking:
                continue
            arms = arm_reach(presence.box)
            if overlap(arms, box) > 0 and presence.box.y2 >= box.y1:
                nearness = math.exp(-abs(presence.at - rest_at) / 2)
                weight = CARRIER_WEIGHT if presence.person_id in carriers else 1.0
                weight /= 1 + presence.speed / STOPS  # who passes sets nothing down
                touched[presence.person_id] += weight * nearness * share_of(box, arms)
        if not touched:
            return None, 0.0
        owner = max(touched, key=touched.__getitem__)
        return owner, round(touched[owner] / sum(touched.values()), 3)

    def last_touch(self, box: Box, since: float) -> int | None:
        """Who was most at a place from then on; None when nobody was."""
        touched = Counter(
            presence.person_id
            for presence in self._history
            if presence.at >= since and overlap(arm_reach(presence.box), box) > 0
        )
        return touched.most_common(1)[0][0] if touched else None

    def body(self, box: Box) -> float:
        """Height of a person at that place: of those who were near it, else of anybody."""
        near = [
            presence.box.height
            for presence in self._history
            if gap(presence.box, box) < NEAR_HEIGHTS * presence.box.height
        ]
        heights = near or list(self._bodies)
        return float(np.median(heights)) if heights else max(box.width, box.height)
