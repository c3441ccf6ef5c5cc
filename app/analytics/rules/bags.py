"""Bags: who carries one, who set one down, and which was left behind.

Two kinds of evidence are joined. The network sees bags, best while they are carried; the static
foreground sees that something stays where nothing was, whatever it is. Either may fail: a dark
bag before a dark wall is lost to the network, and a bag that stood there from the start is none
to the foreground.

The life of an item::

    carried → placed → attended ⇄ unattended → abandoned
                          └───────────┴────────────┴──→ reclaimed (by its owner) or taken

Distances are in body heights of the persons around, so no camera needs calibration. The owner is
who touched the place while the item came to rest there, not who is nearest now. Before anything
is called placed, its surroundings are looked at enlarged: it may be somebody who stands still.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from app.analytics.bags.carried import CarriedBags
from app.analytics.bags.crop_checks import CropChecks
from app.analytics.bags.geometry import (
    at_the_edge,
    centre_distance,
    gap,
    is_in_hand,
    same_place,
    share_of,
)
from app.analytics.bags.item import THING, Candidate, Item, ItemState
from app.analytics.bags.patches import PatchView, patch_similarity
from app.analytics.bags.presence import PresenceHistory
from app.analytics.reidentification import KnownPerson, PersonReidentifier
from app.analytics.rules.base import AnalyzedFrame, RuleEntry
from app.analytics.static_objects import SceneChange, StaticObject, StaticObjectDetector
from app.analytics.zones import Zones
from app.types import Box, RuleEvent, Track

BAGS = ("backpack", "handbag", "suitcase")
VEHICLES = ("car", "motorcycle", "bus", "truck")

SMALL_WIDTH = 320
STANDING_S = 2.0  # a bag that the network sees standing still for so long was set down
STANDING_HEIGHTS = 0.12
LARGEST, SMALLEST = 0.75, 0.06  # body heights; larger static things are no bags
SMALLEST_THING = 0.18  # without a bag seen there: papers and cups are no luggage
LEAST_OWNER = 0.6  # who set a thing down that no network knows: in a crowd, anybody
GONE_S = 1.2
FREE_S = 0.7
NARROW = 0.1
TOUCHED_S = 4.0
PRESENT_LIKENESS = 0.6
HIDDEN = 0.4
DIFFERS = 0.2  # of its box


Share = Annotated[float, Field(ge=0, le=1)]
Polygon = Annotated[list[tuple[Share, Share]], Field(min_length=3, max_length=64)]


class BagSettings(BaseModel):
    """When a bag counts as left behind. A stream may change each value for itself."""

    model_config = ConfigDict(extra="forbid")

    distance: float = Field(
        1.5, gt=0, le=50, description="An owner farther away than this, in body heights, is away."
    )
    unattended_s: float = Field(
        2.0, ge=0, le=86400, description="Seconds away after which it is unattended."
    )
    abandoned_s: float = Field(
        4.0, ge=0, le=86400, description="Seconds unattended after which it is abandoned."
    )
    settle_s: float = Field(
        1.5, gt=0, le=60, description="Seconds at rest after which something was set down."
    )
    watch: list[Polygon] = Field(
        [], max_length=32, description="Only these parts of the image count (shares of 1)."
    )
    ignore: list[Polygon] = Field([], max_length=32, description="These parts never count.")


@dataclass(slots=True)
class _Standing:
    """A bag that the network follows: where it came to rest."""

    box: Box
    since: float


class BagRule:
    """Args:
    settings: distances and times; see ``BagSettings``.

    Attributes:
        counts: ``bags`` in view now, and how many of them somebody carries or keeps an eye on.
    """

    crop_labels: ClassVar[frozenset[str]] = frozenset(BAGS)

    def __init__(self, settings: BagSettings) -> None:
        self._settings = settings
        self._zones = Zones(settings.watch, settings.ignore)
        self._foreground = StaticObjectDetector(settle_s=settings.settle_s)
        self._people = PersonReidentifier()
        self._presences = PresenceHistory()
        self._carried = CarriedBags()
        self._checks = CropChecks()
        self._standing: dict[int, _Standing] = {}
        self._items: list[Item] = []
        self._free: list[tuple[Box, float]] = []
        self._ids = itertools.count(1)
        self.counts = {"bag": 0, "owned_bag": 0}

    @property
    def crop_requests(self) -> Sequence[Box]:
        """What the next frame shall show enlarged."""
        return self._checks.asked

    def update(self, frame: AnalyzedFrame) -> list[RuleEvent]:
        small = frame.pixels.resized(SMALL_WIDTH)
        shrink = small.shape[1] / frame.size[0]
        scale = frame.pixels.size[0] / frame.size[0]
        tracks = _each_once(frame.labelled("person"))
        people = self._people.update(tracks, frame.pixels.crop, frame.pixels.size, scale, frame.now)
        self._presences.remember(people, frame.size, frame.now)
        self._checks.begin(frame.crops or (), frame.now)
        busy = [track.box.scaled(shrink, shrink) for track in tracks]
        blobs, upset = self._foreground.update(small, busy, frame.now)
        static = [
            StaticObject(blob.box.scaled(1 / shrink, 1 / shrink), blob.since, blob.confidence)
            for blob in blobs
        ]
        wait_s = FREE_S if frame.crops is None else 0.0
        static = self._uncovered(static, tracks, wait_s, frame.now)
        bags = [track for track in frame.tracks if track.label in BAGS and track.age_s == 0]
        rule_events = [RuleEvent("camera_moved")] if upset is SceneChange.CAMERA else []
        if upset is SceneChange.CAMERA:  # nothing is where it was
            self._items.clear()
            self._standing.clear()
        view = PatchView(small, shrink)
        self._confirm(static, bags, people, view, shrink, frame.now)
        rule_events += self._lost(frame.now)
        rule_events += self._placed(static, bags, frame, view)
        rule_events += self._attention(people, frame.now)
        self._count(bags, people, frame.now)
        return rule_events

    def end(self) -> list[RuleEvent]:
        """What was left stays left."""
        return []

    # ── evidence ─────────────────────────────────────────────────────────────────────────

    def _uncovered(
        self, static: Sequence[StaticObject], people: Sequence[Track], wait_s: float, now: float
    ) -> list[StaticObject]:
        """Blobs that nobody stands in front of, for so long: somebody who stands still is
        static too, and the network may miss them in a picture or two."""
        free = [blob for blob in static if all(share_of(blob.box, p.box) < HIDDEN for p in people)]
        before, self._free = self._free, []
        seen: list[StaticObject] = []
        for blob in free:
            since = min((at for box, at in before if same_place(box, blob.box)), default=now)
            self._free.append((blob.box, since))
            if now - since >= wait_s:
                seen.append(blob)
        return seen

    def _confirm(
        self,
        static: Sequence[StaticObject],
        bags: Sequence[Track],
        people: Sequence[KnownPerson],
        view: PatchView,
        shrink: float,
        now: float,
    ) -> None:
        """Note which items are still there; one behind somebody is given the benefit.

        What nobody touched cannot have gone: where it differs from the background no more, it
        has become a part of it, and only its looks tell."""
        for item in self._items:
            hidden = any(share_of(item.box, person.box) > HIDDEN for person in people)
            blob = next((b for b in static if same_place(item.box, b.box)), None)
            bag = next((t for t in bags if same_place(item.box, t.box)), None)
            if blob is not None:
                item.static = max(item.static, blob.confidence)
                if not any(gap(person.box, blob.box) < NARROW * item.body for person in people):
                    item.box = blob.box  # before, somebody's legs hid a part of it
                    item.patch = view.patch(item.box)
            if bag is not None:
                item.detected = max(item.detected, bag.confidence)
                if item.label == THING:
                    item.label = bag.label
            differs = self._foreground.change(item.box.scaled(shrink, shrink)) >= DIFFERS
            if not differs and self._presences.last_touch(item.box, now - TOUCHED_S) is None:
                item.blended = True
            is_there = (differs or item.blended) and (
                patch_similarity(item.patch, view.patch(item.box)) >= PRESENT_LIKENESS
            )
            if hidden or is_there or blob is not None or bag is not None:
                item.seen_at = now

    # ── the life of an item ──────────────────────────────────────────────────────────────

    def _placed(
        self,
        static: Sequence[StaticObject],
        bags: Sequence[Track],
        frame: AnalyzedFrame,
        view: PatchView,
    ) -> list[RuleEvent]:
        """New items: static things that somebody brought, and bags that stand by themselves."""
        rule_events: list[RuleEvent] = []
        for candidate in (*_from_blobs(static, bags, frame), *self._from_bags(bags, frame)):
            item = self._item(candidate, frame, view)
            if item is not None:
                self._items.append(item)
                self._carried.put_down(item.owner)
                rule_events.append(item.tell("bag_placed", item.owner, candidate.since))
        return rule_events

    def _from_bags(self, bags: Sequence[Track], frame: AnalyzedFrame) -> Iterator[Candidate]:
        for bag in bags:
            standing = self._standing_since(bag, frame)
            if standing is not None and not self._foreground.learning:
                yield Candidate(bag.box, standing, bag.label, bag.confidence, 0.0)
        alive = {track.track_id for track in frame.tracks}
        self._standing = {n: s for n, s in self._standing.items() if n in alive}

    def _standing_since(self, bag: Track, frame: AnalyzedFrame) -> float | None:
        """When a detected bag came to rest, once it stands free of everybody."""
        standing = self._standing.get(bag.track_id)
        body = self._presences.body(bag.box)
        if standing is None or centre_distance(standing.box, bag.box) > STANDING_HEIGHTS * body:
            self._standing[bag.track_id] = _Standing(bag.box, frame.now)
            return None
        held = any(share_of(bag.box, person.box) > 0.5 for person in frame.labelled("person"))
        if held:
            return None
        return standing.since if frame.now - standing.since >= STANDING_S else None

    def _item(self, candidate: Candidate, frame: AnalyzedFrame, view: PatchView) -> Item | None:
        """What rests somewhere, if it may be a bag and somebody set it down there."""
        box, since, label, detected, static = candidate
        if not self._zones.watched(box, frame.size):
            return None
        if any(same_place(item.box, box) or item.is_near(box) for item in self._items):
            return None
        body = self._presences.body(box)
        smallest = SMALLEST if detected else SMALLEST_THING
        if not smallest * body <= max(box.width, box.height) <= LARGEST * body:
            return None
        if not detected and at_the_edge(box, frame.size):
            return None
        people = [person.box for person in _each_once(frame.labelled("person"))]
        if any(is_in_hand(box, person) for person in people):
            return None
        carriers = self._carried.carriers()
        owner, sure = self._presences.owner(box, since, carriers, walking=detected > 0)
        if owner is None or (not detected and sure < LEAST_OWNER):
            return None
        if frame.crops is not None:
            closely = self._checks.passed(box, body, frame.now)
            if closely is None:
                return None
            if closely[0] > detected:
                detected, label = closely
        patch, bag_id = view.patch(box), next(self._ids)
        return Item(
            bag_id, label, box, since, body, owner, sure, detected, static, patch, frame.now
        )

    def _attention(self, people: Sequence[KnownPerson], now: float) -> list[RuleEvent]:
        """How far owners are from what is theirs, and for how long."""
        rule_events: list[RuleEvent] = []
        here = {person.person_id: person for person in people}
        for item in self._items:
            owner = here.get(item.owner)
            if owner is not None and gap(owner.box, item.box) <= (
                self._settings.distance * (item.body + owner.box.height) / 2
            ):
                item.apart_since, item.state = None, ItemState.ATTENDED
                continue
            if item.apart_since is None:
                item.apart_since = now
            rule_events += self._left(item, now - item.apart_since)
        return rule_events

    def _left(self, item: Item, apart_s: float) -> Iterator[RuleEvent]:
        """What is to be told about an item whose owner is away for so long; each thing once."""
        unattended_s = self._settings.unattended_s
        if apart_s >= unattended_s and item.state is ItemState.ATTENDED:
            item.state = ItemState.UNATTENDED
            if "bag_unattended" not in item.told:
                yield item.tell("bag_unattended", item.owner)
        abandoned_s = unattended_s + self._settings.abandoned_s
        if apart_s >= abandoned_s and item.state is ItemState.UNATTENDED:
            item.state = ItemState.ABANDONED
            if "bag_abandoned" not in item.told:
                yield item.tell("bag_abandoned", item.owner)

    def _lost(self, now: float) -> list[RuleEvent]:
        """Items that are no longer there: whoever touched them last has them."""
        rule_events: list[RuleEvent] = []
        for item in list(self._items):
            if now - item.seen_at < GONE_S:
                continue
            self._items.remove(item)
            who = self._presences.last_touch(item.box, now - TOUCHED_S - GONE_S)
            if who is not None:
                kind = "bag_reclaimed" if who == item.owner else "bag_taken"
                rule_events.append(item.tell(kind, who))
        return rule_events

    def _count(self, bags: Sequence[Track], people: Sequence[KnownPerson], now: float) -> None:
        moving = [bag for bag in bags if not any(same_place(i.box, bag.box) for i in self._items)]
        loose = self._carried.update(moving, people, now)
        carried = self._carried.count(now)
        kept = sum(item.state is ItemState.ATTENDED for item in self._items)
        here = len(loose) + carried + len(self._items)
        self.counts = {"bag": here, "owned_bag": carried + kept}


def _from_blobs(
    static: Sequence[StaticObject], bags: Sequence[Track], frame: AnalyzedFrame
) -> Iterator[Candidate]:
    vehicles = [track.box for track in frame.tracks if track.label in VEHICLES]
    for blob in static:
        if any(share_of(blob.box, vehicle) > 0.5 for vehicle in vehicles):
            continue
        bag = next((t for t in bags if same_place(blob.box, t.box)), None)
        label, detected = (bag.label, bag.confidence) if bag else (THING, 0.0)
        yield Candidate(blob.box, blob.since, label, detected, blob.confidence)


def _each_once(people: Sequence[Track]) -> list[Track]:
    """Without lost tracks that lie on somebody who is seen: two boxes of one person."""
    seen = [track for track in people if track.age_s == 0]
    return [
        track
        for track in people
        if track.age_s == 0 or not any(same_place(track.box, other.box) for other in seen)
    ]


ENTRY = RuleEntry(
    summary="Bags and other objects that somebody sets down and leaves behind.",
    make=BagRule,
    settings=BagSettings,
    events={
        "bag_placed": "Somebody set a bag or another object down.",
        "bag_unattended": "Its owner has been away for `unattended_s`.",
        "bag_abandoned": "It has been unattended for `abandoned_s`.",
        "bag_reclaimed": "Its owner took it back.",
        "bag_taken": "Somebody else took it.",
        "camera_moved": "The camera shows another view, which is being learned again.",
    },
    wants_zones=True,
    counts=("bag", "owned_bag"),
)
