"""What comes to rest in view: static objects of any kind, and bags that stand by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.analytics.bags.geometry import centre_distance, same_place, share_of
from app.analytics.bags.item import OBJECT, Candidate
from app.analytics.bags.presence import PresenceHistory
from app.analytics.bags.tuning import DEFAULT, BagTuning
from app.analytics.static_objects import SceneChange, StaticObject, StaticObjectDetector
from app.types import Box, Track

VEHICLES = ("car", "motorcycle", "bus", "truck")


@dataclass(slots=True)
class _StandingBag:
    """A bag that the network follows, and where it came to rest."""

    box: Box
    since: float


class CandidateFinder:
    """Finds what may have been set down in the view of one camera.

    Args:
        settle_s: an object is static once it has been still for this long.
        presences: tells how tall people are at a place.

    Attributes:
        static: the static objects that nobody hides now, in pixels of the image.
    """

    def __init__(
        self, settle_s: float, presences: PresenceHistory, tuning: BagTuning = DEFAULT
    ) -> None:
        self.static: list[StaticObject] = []
        self._tuning = tuning
        self._presences = presences
        self._detector = StaticObjectDetector(settle_s=settle_s)
        self._shrink = 1.0
        self._uncovered: list[tuple[Box, float]] = []
        self._standing: dict[int, _StandingBag] = {}

    def update(
        self,
        small: npt.NDArray[np.uint8],
        shrink: float,
        people: Sequence[Track],
        now: float,
        *,
        wait_s: float = 0.0,
    ) -> SceneChange | None:
        """Take the next frame; returns why its background has to be learned again, if it has.

        Args:
            small: the frame as (H, W, 3) RGB, small.
            shrink: from pixels of the image to those of the small one.
            people: in pixels of the image.
            wait_s: a static object counts once nobody has hidden it for this long.
        """
        self._shrink = shrink
        boxes = [track.box.scaled(shrink, shrink) for track in people]
        found, change = self._detector.update(small, boxes, now)
        static = [
            StaticObject(one.box.scaled(1 / shrink, 1 / shrink), one.since, one.confidence)
            for one in found
        ]
        self.static = self._uncovered_for(static, people, wait_s, now)
        if change is SceneChange.CAMERA:  # nothing is where it was
            self._standing.clear()
        return change

    def changed_share(self, box: Box) -> float:
        """Share of a box, in pixels of the image, that differs from the background now."""
        return self._detector.changed_share(box.scaled(self._shrink, self._shrink))

    def candidates(
        self, bags: Sequence[Track], tracks: Sequence[Track], now: float
    ) -> list[Candidate]:
        """Everything that rests now, also what was found before.

        Args:
            bags: those that were detected in this frame.
            tracks: of all objects in view.
        """
        return [*self._from_static(bags, tracks), *self._from_bags(bags, tracks, now)]

    def _uncovered_for(
        self, static: Sequence[StaticObject], people: Sequence[Track], wait_s: float, now: float
    ) -> list[StaticObject]:
        """Static objects that nobody has stood in front of for a time: a person who stands still
        is static too, and the network may miss them in a frame or two."""
        hidden = self._tuning.hidden_share
        free = [one for one in static if all(share_of(one.box, p.box) < hidden for p in people)]
        before, self._uncovered = self._uncovered, []
        uncovered: list[StaticObject] = []
        for one in free:
            since = min((at for box, at in before if same_place(box, one.box)), default=now)
            self._uncovered.append((one.box, since))
            if now - since >= wait_s:
                uncovered.append(one)
        return uncovered

    def _from_static(self, bags: Sequence[Track], tracks: Sequence[Track]) -> Iterator[Candidate]:
        vehicles = [track.box for track in tracks if track.label in VEHICLES]
        for one in self.static:
            if any(share_of(one.box, vehicle) > 0.5 for vehicle in vehicles):
                continue
            bag = next((t for t in bags if same_place(one.box, t.box)), None)
            label, detected = (bag.label, bag.confidence) if bag else (OBJECT, 0.0)
            yield Candidate(one.box, one.since, label, detected, one.confidence)

    def _from_bags(
        self, bags: Sequence[Track], tracks: Sequence[Track], now: float
    ) -> Iterator[Candidate]:
        people = [track.box for track in tracks if track.label == "person"]
        for bag in bags:
            since = self._standing_since(bag, people, now)
            if since is not None and not self._detector.learning:
                yield Candidate(bag.box, since, bag.label, bag.confidence, 0.0)
        alive = {track.track_id for track in tracks}
        self._standing = {n: s for n, s in self._standing.items() if n in alive}

    def _standing_since(self, bag: Track, people: Sequence[Box], now: float) -> float | None:
        """When a detected bag came to rest; None while it moves, or somebody holds it."""
        standing = self._standing.get(bag.track_id)
        drift = self._tuning.standing_drift * self._presences.body_height(bag.box)
        if standing is None or centre_distance(standing.box, bag.box) > drift:
            self._standing[bag.track_id] = _StandingBag(bag.box, now)
            return None
        if any(share_of(bag.box, person) > 0.5 for person in people):
            return None
        stood_s = now - standing.since
        return standing.since if stood_s >= self._tuning.standing_s else None
