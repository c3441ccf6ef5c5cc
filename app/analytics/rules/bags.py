"""Bags: who carries one, who sets one down, and which one is left behind.

Two kinds of evidence are combined. The network detects bags, best while they are carried; the
static object detector detects anything that stays where nothing was. Either may fail: the network
misses a dark bag in front of a dark wall, and a bag that stood there from the start is part of the
background.

The life of an item::

    carried → placed → attended ⇄ unattended → abandoned
                          └───────────┴────────────┴──→ reclaimed (by its owner) or taken

Distances are in body heights of the people around, so no camera needs calibration. The owner is
the person who was at the place while the item came to rest there, not the one nearest now. Before
anything counts as placed, inference runs on an enlarged crop around it: it may be a person who
stands still.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from app.analytics.bags.candidates import CandidateFinder
from app.analytics.bags.carried import CarriedBags
from app.analytics.bags.crop_checks import CHECKED_LABELS, CropChecks
from app.analytics.bags.geometry import (
    at_the_edge,
    gap,
    is_in_hand,
    same_place,
    share_of,
)
from app.analytics.bags.item import OBJECT, Candidate, Item, ItemState
from app.analytics.bags.patches import PatchView, patch_similarity
from app.analytics.bags.presence import PresenceHistory
from app.analytics.bags.tuning import DEFAULT, BagTuning
from app.analytics.reidentification import KnownPerson, PersonReidentifier
from app.analytics.rules.base import AnalyzedFrame, RuleEntry
from app.analytics.static_objects import SceneChange
from app.analytics.zones import Zones
from app.events import RuleEvent
from app.types import Box, Track

BAGS = ("backpack", "handbag", "suitcase")

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


class BagRule:
    """Reports bags that are set down, left behind, and taken.

    Args:
        settings: distances and times.
        tuning: thresholds that only benchmarks vary.

    Attributes:
        counts: every ``bag`` in view now, and every ``owned_bag``: one that a person carries or
            stays near.
    """

    crop_labels: ClassVar[frozenset[str]] = frozenset(BAGS)
    requested_labels: ClassVar[frozenset[str]] = CHECKED_LABELS

    def __init__(self, settings: BagSettings, tuning: BagTuning = DEFAULT) -> None:
        self._settings = settings
        self._tuning = tuning
        self._zones = Zones(settings.watch, settings.ignore)
        self._people = PersonReidentifier()
        self._ids = itertools.count(1)
        self.restart()

    def restart(self) -> None:
        """Begin with an empty place, as at first; people and bags keep their numbers."""
        self._presences = PresenceHistory(self._tuning)
        self._finder = CandidateFinder(self._settings.settle_s, self._presences, self._tuning)
        self._carried = CarriedBags(self._tuning)
        self._checks = CropChecks(self._tuning)
        self._items: list[Item] = []
        self.counts = {"bag": 0, "owned_bag": 0}

    @property
    def crop_requests(self) -> Sequence[Box]:
        """The parts of the next frame to enlarge."""
        return self._checks.requests

    def update(self, frame: AnalyzedFrame) -> list[RuleEvent]:
        small = frame.pixels.resized(self._tuning.small_width)
        shrink = small.shape[1] / frame.size[0]
        scale = frame.pixels.size[0] / frame.size[0]
        tracks = _each_once(frame.labelled("person"))
        people = self._people.update(tracks, frame.pixels.crop, frame.pixels.size, scale, frame.now)
        self._presences.remember(people, frame.size, frame.now)
        self._checks.begin(frame.crops or (), frame.now)
        rule_events: list[RuleEvent] = []
        wait_s = self._tuning.uncovered_s if frame.crops is None else 0.0
        change = self._finder.update(small, shrink, tracks, frame.now, wait_s=wait_s)
        if change is SceneChange.CAMERA:
            rule_events.append(RuleEvent("camera_moved"))
            self._items.clear()  # nothing is where it was
        bags = [track for track in frame.tracks if track.label in BAGS and track.age_s == 0]
        view = PatchView(small, shrink)
        self._confirm(bags, people, view, frame.now)
        rule_events += self._lost(frame.now)
        rule_events += self._placed(bags, frame, view)
        rule_events += self._unattended(people, frame.now)
        self._count(bags, people, frame.now)
        return rule_events

    def end(self) -> list[RuleEvent]:
        """No events: a bag that was left stays left."""
        return []

    # ── evidence ─────────────────────────────────────────────────────────────────────────

    def _confirm(
        self,
        bags: Sequence[Track],
        people: Sequence[KnownPerson],
        view: PatchView,
        now: float,
    ) -> None:
        """Note which items are still there; one that a person hides counts as being there.

        An item that nobody touched cannot be gone. If it no longer differs from the background, it
        has become a part of it, and is recognised by its appearance alone.
        """
        tuning = self._tuning
        for item in self._items:
            hidden = any(share_of(item.box, p.box) > tuning.hidden_share for p in people)
            same = next((s for s in self._finder.static if same_place(item.box, s.box)), None)
            bag = next((t for t in bags if same_place(item.box, t.box)), None)
            if same is not None:
                item.static = max(item.static, same.confidence)
                nearest = tuning.clear_gap * item.body_height
                if not any(gap(person.box, same.box) < nearest for person in people):
                    item.box = same.box  # until now, somebody's legs hid a part of it
                    item.patch = view.patch(item.box)
            if bag is not None:
                item.detected = max(item.detected, bag.confidence)
                if item.label == OBJECT:
                    item.label = bag.label
            differs = self._finder.changed_share(item.box) >= tuning.changed_share
            touched_since = now - tuning.touched_s
            if not differs and self._presences.last_touch(item.box, touched_since) is None:
                item.absorbed = True
            is_there = (differs or item.absorbed) and (
                patch_similarity(item.patch, view.patch(item.box)) >= tuning.same_patch
            )
            if hidden or is_there or same is not None or bag is not None:
                item.seen_at = now

    # ── the life of an item ──────────────────────────────────────────────────────────────

    def _placed(
        self, bags: Sequence[Track], frame: AnalyzedFrame, view: PatchView
    ) -> list[RuleEvent]:
        """The events of new items."""
        rule_events: list[RuleEvent] = []
        for candidate in self._finder.candidates(bags, frame.tracks, frame.now):
            item = self._item(candidate, frame, view)
            if item is not None:
                self._items.append(item)
                self._carried.put_down(item.owner)
                rule_events.append(item.event("bag_placed", item.owner, candidate.since))
        return rule_events

    def _item(self, candidate: Candidate, frame: AnalyzedFrame, view: PatchView) -> Item | None:
        """The item that a candidate is, if it may be a bag and somebody set it down."""
        box, since, label, detected, static = candidate
        body_height = self._presences.body_height(box)
        if not self._may_be_item(candidate, body_height, frame):
            return None
        carriers = self._carried.carriers()
        owner, certainty = self._presences.owner(box, since, carriers, walking=detected > 0)
        if owner is None or (not detected and certainty < self._tuning.min_owner_confidence):
            return None
        if frame.crops is not None:
            checked = self._checks.passed(box, body_height, frame.now)
            if checked is None:
                return None
            if checked[0] > detected:
                detected, label = checked
        patch, bag_id = view.patch(box), next(self._ids)
        return Item(
            bag_id,
            label,
            box,
            since,
            body_height,
            owner,
            certainty,
            detected,
            static,
            patch,
            frame.now,
        )

    def _may_be_item(self, candidate: Candidate, body_height: float, frame: AnalyzedFrame) -> bool:
        """Whether a candidate is new, in a zone, as large as a bag, and in nobody's hand."""
        box, detected, tuning = candidate.box, candidate.detected > 0, self._tuning
        if not self._zones.watched(box, frame.size):
            return False
        if any(
            same_place(item.box, box) or item.is_near(box, tuning.parts_apart)
            for item in self._items
        ):
            return False
        smallest = tuning.smallest if detected else tuning.smallest_unknown
        size = max(box.width, box.height)
        if not smallest * body_height <= size <= tuning.largest * body_height:
            return False
        if not detected and at_the_edge(box, frame.size, tuning.edge_share):
            return False
        people = [person.box for person in _each_once(frame.labelled("person"))]
        return not any(is_in_hand(box, person, tuning.in_hand) for person in people)

    def _unattended(self, people: Sequence[KnownPerson], now: float) -> list[RuleEvent]:
        """The events of items whose owners are away."""
        rule_events: list[RuleEvent] = []
        visible = {person.person_id: person for person in people}
        for item in self._items:
            owner = visible.get(item.owner)
            if owner is not None and gap(owner.box, item.box) <= (
                self._settings.distance * (item.body_height + owner.box.height) / 2
            ):
                item.apart_since, item.state = None, ItemState.ATTENDED
                continue
            if item.apart_since is None:
                item.apart_since = now
            rule_events += self._left(item, now - item.apart_since)
        return rule_events

    def _left(self, item: Item, apart_s: float) -> Iterator[RuleEvent]:
        """The events of one item whose owner has been away for this long, each of them once."""
        unattended_s = self._settings.unattended_s
        if apart_s >= unattended_s and item.state is ItemState.ATTENDED:
            item.state = ItemState.UNATTENDED
            if "bag_unattended" not in item.reported:
                yield item.event("bag_unattended", item.owner)
        abandoned_s = unattended_s + self._settings.abandoned_s
        if apart_s >= abandoned_s and item.state is ItemState.UNATTENDED:
            item.state = ItemState.ABANDONED
            if "bag_abandoned" not in item.reported:
                yield item.event("bag_abandoned", item.owner)

    def _lost(self, now: float) -> list[RuleEvent]:
        """The events of items that are gone; the person who was most at their place took them."""
        rule_events: list[RuleEvent] = []
        for item in list(self._items):
            if now - item.seen_at < self._tuning.gone_s:
                continue
            self._items.remove(item)
            since = now - self._tuning.touched_s - self._tuning.gone_s
            person_id = self._presences.last_touch(item.box, since)
            if person_id is not None:
                kind = "bag_reclaimed" if person_id == item.owner else "bag_taken"
                rule_events.append(item.event(kind, person_id))
        return rule_events

    def _count(self, bags: Sequence[Track], people: Sequence[KnownPerson], now: float) -> None:
        """Update ``counts``."""
        moving = [bag for bag in bags if not any(same_place(i.box, bag.box) for i in self._items)]
        loose = self._carried.update(moving, people, now)
        carried = self._carried.count(now)
        attended = sum(item.state is ItemState.ATTENDED for item in self._items)
        visible = len(loose) + carried + len(self._items)
        self.counts = {"bag": visible, "owned_bag": carried + attended}


def _each_once(people: Sequence[Track]) -> list[Track]:
    """Without lost tracks that overlap a person in view: those are the same person."""
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
    labels=frozenset({"person", *BAGS}),
)
