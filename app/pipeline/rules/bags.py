"""Bags: who carries one, who set one down, and which was left behind.

Two kinds of evidence are joined. The network sees bags, best while they are carried; the static
foreground sees that something stays where nothing was, whatever it is. Either may fail: a dark
bag before a dark wall is lost to the network, and a bag that stood there from the start is none
to the foreground.

The life of an item::

    carried → placed → attended ⇄ unattended → abandoned
                          └───────────┴────────────┴──→ reclaimed (by its owner) or taken

Distances are in body heights of the persons around, so no camera needs calibration. The owner is
who touched the place while the item came to rest there, not who is nearest now.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from app.config import BagSettings
from app.pipeline.foreground import Blob, StaticForeground, Upset
from app.pipeline.people import People, Person
from app.pipeline.rules.base import Scene
from app.pipeline.zones import Zones
from app.types import Box, Finding, Track

BAGS = ("backpack", "handbag", "suitcase")
VEHICLES = ("car", "motorcycle", "bus", "truck")
THING = "object"  # set down by somebody, and none of the bags that the network knows

SMALL_WIDTH = 320
HISTORY_S = 30.0
BEFORE_S, AFTER_S = 5.0, 2.0  # around the moment of rest: when an owner must have been there
TOUCH = 0.25  # a person's box grown by so much of its width touches what it reaches
STANDING_S = 2.0  # a bag that the network sees standing still for so long was set down
STANDING_HEIGHTS = 0.12
LARGEST, SMALLEST = 0.75, 0.06  # body heights; larger static things are no bags
SMALLEST_THING = 0.18  # without a bag seen there: papers and cups are no luggage
GONE_S = 1.2
FREE_S = 0.7
NARROW = 0.1
LEAST_OWNER = 0.6  # who set a thing down that no network knows: in a crowd, anybody
EDGE = 0.005  # of the picture
TOUCHED_S = 4.0
SAME_PLACE = 0.3
PRESENT_LIKENESS = 0.6
HIDDEN = 0.4
PATCH = (24, 24)

Patch = npt.NDArray[np.float32]


class State(StrEnum):
    ATTENDED = "attended"
    UNATTENDED = "unattended"
    ABANDONED = "abandoned"


@dataclass(slots=True)
class _Item:
    """Something that was set down.

    Attributes:
        box: in pixels of the picture.
        rest_at: when it came to rest.
        body: height of the persons around, in pixels of the picture.
        patch: how its place looks with it, to know that it is still there.
        apart_since: since when its owner is away; None while they are near.
        seen_at: when there was last any evidence of it.
    """

    bag_id: int
    label: str
    box: Box
    rest_at: float
    body: float
    owner: int | None
    owner_confidence: float
    detected: float
    static: float
    patch: Patch
    seen_at: float
    state: State = State.ATTENDED
    apart_since: float | None = None
    told: set[str] = field(default_factory=set)

    @property
    def confidence(self) -> float:
        """That it is a thing at all: two independent witnesses."""
        return round(1 - (1 - self.detected) * (1 - self.static), 3)


@dataclass(slots=True)
class _Standing:
    """A bag that the network follows: where it came to rest."""

    box: Box
    since: float


@dataclass(frozen=True, slots=True)
class _Presence:
    """Where a person was."""

    at: float
    person_id: int
    box: Box


class Bags:
    """Args:
    settings: distances and times; see ``BagSettings``.
    """

    close_up: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, settings: BagSettings) -> None:
        self._settings = settings
        self._zones = Zones(settings.watch, settings.ignore)
        self._foreground = StaticForeground(settle_s=settings.settle_s)
        self._people = People()
        self._history: deque[_Presence] = deque()
        self._standing: dict[int, _Standing] = {}
        self._items: list[_Item] = []
        self._free: list[tuple[Box, float]] = []
        self._ids = itertools.count(1)
        self._body: deque[float] = deque(maxlen=200)
        self.counts: Counter[str] = Counter()

    def update(self, scene: Scene) -> list[Finding]:
        small = scene.seen.see(SMALL_WIDTH)
        shrink = small.shape[1] / scene.size[0]
        scale = scene.seen.size[0] / scene.size[0]
        tracks = [track for track in scene.tracks if track.label == "person"]
        people = self._people.update(tracks, scene.seen.cut, scene.seen.size, scale, scene.now)
        self._remember(people, scene.size, scene.now)
        busy = [track.box.scaled(shrink, shrink) for track in tracks]
        blobs, upset = self._foreground.update(small, busy, scene.now)
        static = [
            Blob(blob.box.scaled(1 / shrink, 1 / shrink), blob.since, blob.confidence)
            for blob in blobs
        ]
        static = self._uncovered(static, tracks, scene.now)
        bags = [track for track in scene.tracks if track.label in BAGS and track.age_s == 0]
        findings = [Finding("camera_moved")] if upset is Upset.CAMERA else []
        if upset is Upset.CAMERA:  # nothing is where it was
            self._items.clear()
            self._standing.clear()
        view = _View(np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8), shrink)
        self._confirm(static, bags, people, view, scene.now)
        findings += self._lost(scene.now)
        findings += self._placed(static, bags, scene, view)
        findings += self._attention(people, scene.now)
        self._count(bags)
        return findings

    def end(self) -> list[Finding]:
        """What was left stays left."""
        return []

    # ── evidence ─────────────────────────────────────────────────────────────────────────

    def _remember(self, people: Sequence[Person], size: tuple[int, int], now: float) -> None:
        """Where people were. Without their heads they are no measure, and may be but an arm."""
        for person in people:
            if person.box.y1 < EDGE * max(size):
                continue
            self._history.append(_Presence(now, person.person_id, person.box))
            self._body.append(person.box.height)
        while self._history and now - self._history[0].at > HISTORY_S:
            self._history.popleft()

    def _uncovered(self, static: Sequence[Blob], people: Sequence[Track], now: float) -> list[Blob]:
        """Blobs that nobody stands in front of, for a moment: somebody who stands still is
        static too, and the network may miss them in a picture or two."""
        free = [blob for blob in static if all(_share_of(blob.box, p.box) < HIDDEN for p in people)]
        before, self._free = self._free, []
        seen: list[Blob] = []
        for blob in free:
            since = min((at for box, at in before if _same_place(box, blob.box)), default=now)
            self._free.append((blob.box, since))
            if now - since >= FREE_S:
                seen.append(blob)
        return seen

    def _confirm(
        self,
        static: Sequence[Blob],
        bags: Sequence[Track],
        people: Sequence[Person],
        view: _View,
        now: float,
    ) -> None:
        """Note which items are still there; one behind somebody is given the benefit."""
        for item in self._items:
            hidden = any(_share_of(item.box, person.box) > HIDDEN for person in people)
            blob = next((b for b in static if _same_place(item.box, b.box)), None)
            bag = next((t for t in bags if _same_place(item.box, t.box)), None)
            if blob is not None:
                item.static = max(item.static, blob.confidence)
                if not any(_gap(person.box, blob.box) < NARROW * item.body for person in people):
                    item.box = blob.box  # before, somebody's legs hid a part of it
                    item.patch = view.patch(item.box)
            if bag is not None:
                item.detected = max(item.detected, bag.confidence)
                if item.label == THING:
                    item.label = bag.label
            alike = _alike(item.patch, view.patch(item.box))
            if hidden or blob is not None or bag is not None or alike >= PRESENT_LIKENESS:
                item.seen_at = now

    # ── the life of an item ──────────────────────────────────────────────────────────────

    def _placed(
        self, static: Sequence[Blob], bags: Sequence[Track], scene: Scene, view: _View
    ) -> list[Finding]:
        """New items: static things that somebody brought, and bags that stand by themselves."""
        findings: list[Finding] = []
        vehicles = [track.box for track in scene.tracks if track.label in VEHICLES]
        for blob in static:
            bag = next((t for t in bags if _same_place(blob.box, t.box)), None)
            if any(_share_of(blob.box, vehicle) > 0.5 for vehicle in vehicles):
                continue
            detected = bag.confidence if bag else 0.0
            label = bag.label if bag else THING
            findings += self._place(
                blob.box, blob.since, label, detected, blob.confidence, scene, view
            )
        for bag in bags:
            standing = self._standing_since(bag, scene)
            if standing is not None and not self._foreground.learning:
                findings += self._place(
                    bag.box, standing, bag.label, bag.confidence, 0.0, scene, view
                )
        alive = {track.track_id for track in scene.tracks}
        self._standing = {n: s for n, s in self._standing.items() if n in alive}
        return findings

    def _standing_since(self, bag: Track, scene: Scene) -> float | None:
        """When a detected bag came to rest, once it stands free of everybody."""
        standing = self._standing.get(bag.track_id)
        body = self._typical_body(bag.box)
        if standing is None or _way(standing.box, bag.box) > STANDING_HEIGHTS * body:
            self._standing[bag.track_id] = _Standing(bag.box, scene.now)
            return None
        held = any(_share_of(bag.box, person.box) > 0.5 for person in scene.labelled("person"))
        if held:
            return None
        return standing.since if scene.now - standing.since >= STANDING_S else None

    def _place(
        self,
        box: Box,
        since: float,
        label: str,
        detected: float,
        static: float,
        scene: Scene,
        view: _View,
    ) -> list[Finding]:
        """Make an item of what rests somewhere, if somebody set it down there."""
        if not self._zones.watched(box, scene.size):
            return []
        if any(_same_place(item.box, box) or _near(item, box) for item in self._items):
            return []
        body = self._typical_body(box)
        smallest = SMALLEST if detected else SMALLEST_THING
        if not smallest * body <= max(box.width, box.height) <= LARGEST * body:
            return []
        if not detected and _at_the_edge(box, scene.size):
            return []
        owner, sure = self._owner(box, since)
        if owner is None or (not detected and sure < LEAST_OWNER):
            return []
        item = _Item(
            next(self._ids),
            label,
            box,
            since,
            body,
            owner,
            sure,
            detected,
            static,
            view.patch(box),
            scene.now,
        )
        self._items.append(item)
        return [self._tell(item, "bag_placed", owner, since)]

    def _owner(self, box: Box, rest_at: float) -> tuple[int | None, float]:
        """Who was at the place when something came to rest there, and how sure that is."""
        touched: defaultdict[int, float] = defaultdict(float)
        for presence in self._history:
            if not -BEFORE_S <= presence.at - rest_at <= AFTER_S:
                continue
            reach = _reach(presence.box)
            if _overlap(reach, box) > 0 and presence.box.y2 >= box.y1:
                nearness = math.exp(-abs(presence.at - rest_at) / 2)
                touched[presence.person_id] += nearness * _share_of(box, reach)
        if not touched:
            return None, 0.0
        owner = max(touched, key=touched.__getitem__)
        return owner, round(touched[owner] / sum(touched.values()), 3)

    def _attention(self, people: Sequence[Person], now: float) -> list[Finding]:
        """How far owners are from what is theirs, and for how long."""
        findings: list[Finding] = []
        here = {person.person_id: person for person in people}
        for item in self._items:
            owner = here.get(item.owner or 0)
            if owner is not None and _gap(owner.box, item.box) <= (
                self._settings.distance * (item.body + owner.box.height) / 2
            ):
                item.apart_since, item.state = None, State.ATTENDED
                continue
            if item.apart_since is None:
                item.apart_since = now
            apart = now - item.apart_since
            if apart >= self._settings.unattended_s and item.state is State.ATTENDED:
                item.state = State.UNATTENDED
                findings += self._tell_once(item, "bag_unattended", item.owner)
            if (
                apart >= self._settings.unattended_s + self._settings.abandoned_s
                and item.state is State.UNATTENDED
            ):
                item.state = State.ABANDONED
                findings += self._tell_once(item, "bag_abandoned", item.owner)
        return findings

    def _lost(self, now: float) -> list[Finding]:
        """Items that are no longer there: whoever touched them last has them."""
        findings: list[Finding] = []
        for item in list(self._items):
            if now - item.seen_at < GONE_S:
                continue
            self._items.remove(item)
            who = self._last_touch(item, now)
            if who is not None:
                kind = "bag_reclaimed" if who == item.owner else "bag_taken"
                findings.append(self._tell(item, kind, who))
        return findings

    def _last_touch(self, item: _Item, now: float) -> int | None:
        touched: Counter[int] = Counter()
        for presence in self._history:
            if (
                now - presence.at <= TOUCHED_S + GONE_S
                and _overlap(_reach(presence.box), item.box) > 0
            ):
                touched[presence.person_id] += 1
        return touched.most_common(1)[0][0] if touched else None

    # ── words ────────────────────────────────────────────────────────────────────────────

    def _tell_once(self, item: _Item, kind: str, person_id: int | None) -> list[Finding]:
        return [] if kind in item.told else [self._tell(item, kind, person_id)]

    def _tell(
        self, item: _Item, kind: str, person_id: int | None, at: float | None = None
    ) -> Finding:
        item.told.add(kind)
        shown = Track(item.bag_id, item.label, item.confidence, item.box)
        details = {
            "bag_id": item.bag_id,
            "person_id": person_id,
            "owner_id": item.owner,
            "owner_confidence": item.owner_confidence,
            "label": item.label,
            "box": [round(side, 1) for side in item.box],
            "detected": round(item.detected, 3),
            "static": round(item.static, 3),
        }
        return Finding(kind, (shown,), item.confidence, details=details, at=at)

    def _count(self, bags: Sequence[Track]) -> None:
        """Bags in view now, and those among them that somebody carries or keeps an eye on."""
        loose = [bag for bag in bags if not any(_same_place(i.box, bag.box) for i in self._items)]
        people = [p.box for p in self._history if p.at == self._history[-1].at]
        carried = sum(any(_share_of(bag.box, box) > 0.3 for box in people) for bag in loose)
        kept = sum(item.state is State.ATTENDED for item in self._items)
        self.counts = Counter(bags=len(loose) + len(self._items), owned=carried + kept)

    def _typical_body(self, box: Box) -> float:
        """Height of a person at that place: of those who were near it, else of anybody."""
        near = [p.box.height for p in self._history if _gap(p.box, box) < 0.5 * p.box.height]
        heights = near or list(self._body)
        return float(np.median(heights)) if heights else max(box.width, box.height)


class _View:
    """The small grey picture, asked in pixels of the large one."""

    def __init__(self, grey: npt.NDArray[np.uint8], shrink: float) -> None:
        self._grey = grey
        self._shrink = shrink

    def patch(self, box: Box) -> Patch:
        """A box and its surroundings, (24, 24), as edges."""
        grown = box.grown(0.25).scaled(self._shrink, self._shrink)
        height, width = self._grey.shape
        left, top = max(0, int(grown.x1)), max(0, int(grown.y1))
        right, bottom = min(width, int(grown.x2) + 1), min(height, int(grown.y2) + 1)
        if right - left < 3 or bottom - top < 3:
            return np.zeros(PATCH, np.float32)
        part = cv2.resize(
            self._grey[top:bottom, left:right], PATCH, interpolation=cv2.INTER_AREA
        ).astype(np.float32)
        return np.hypot(cv2.Sobel(part, cv2.CV_32F, 1, 0), cv2.Sobel(part, cv2.CV_32F, 0, 1))


def _alike(one: Patch, other: Patch) -> float:
    """Correlation of two patches, -1 to 1; 0 where one of them shows nothing."""
    a, b = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 1e-6 else 0.0


def _reach(person: Box) -> Box:
    """A person's box and as far as the arms go."""
    aside = TOUCH * person.height / 2
    return Box(person.x1 - aside, person.y1, person.x2 + aside, person.y2 + 0.1 * person.height)


def _at_the_edge(box: Box, size: tuple[int, int]) -> bool:
    """Whether only a part of it is in the picture: it may be anything."""
    spare = EDGE * max(size)
    return box.x1 < spare or box.y1 < spare or box.x2 > size[0] - spare or box.y2 > size[1] - spare


def _near(item: _Item, box: Box) -> bool:
    """Parts of one thing appear as blobs beside each other."""
    return _gap(item.box, box) < 0.08 * item.body


def _overlap(one: Box, other: Box) -> float:
    width = min(one.x2, other.x2) - max(one.x1, other.x1)
    height = min(one.y2, other.y2) - max(one.y1, other.y1)
    return width * height if width > 0 and height > 0 else 0.0


def _share_of(box: Box, cover: Box) -> float:
    """How much of ``box`` is inside ``cover``."""
    return _overlap(box, cover) / max(box.width * box.height, 1e-6)


def _same_place(one: Box, other: Box) -> bool:
    """Two views of one thing: they cover each other, or the smaller one lies in the larger."""
    inner = _overlap(one, other)
    smaller = min(one.width * one.height, other.width * other.height)
    return inner > 0.5 * max(smaller, 1e-6)


def _gap(one: Box, other: Box) -> float:
    """Distance between two boxes, 0 where they touch."""
    dx = max(one.x1 - other.x2, other.x1 - one.x2, 0.0)
    dy = max(one.y1 - other.y2, other.y1 - one.y2, 0.0)
    return math.hypot(dx, dy)


def _way(one: Box, other: Box) -> float:
    return math.dist(
        ((one.x1 + one.x2) / 2, (one.y1 + one.y2) / 2),
        ((other.x1 + other.x2) / 2, (other.y1 + other.y2) / 2),
    )
