"""What one stream understands: looks to detections, detections to tracks, tracks to findings.

Only streams that ask for analytics have an ``Analysis``. It looks at a few frames a second; on
those between, its tracks move on by themselves. Where a rule asks for what is too small for the
whole frame, the upper bodies of a few persons are looked at again, enlarged.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, runtime_checkable

from pydantic import BaseModel

from app.analytics import object_tracker
from app.analytics.object_tracker import MOST_GAP_S, Follower
from app.analytics.rules import Doubts, Glimpses, Rule, Scene, Seen, make_rules
from app.analytics.zones import Polygon, Zones
from app.config import ObjectSettings
from app.errors import NoAnalytics
from app.models.batching import Image
from app.models.crop_refiner import SecondLook, Window, around
from app.models.detections import Look
from app.models.nms import merged
from app.models.objects import ObjectDetector
from app.pace import RateLimit
from app.types import BAGS, Analytics, Box, CloseUp, Detection, Finding, StreamSpec, Track, Zone

FACE, PERSON = "face", "person"
ZONED = ("bags",)
MOST_DOUBTS = 2  # of a rule in one frame
REACH = {"plate": 1.0}
"""Of things that move farther between two looks than they are long, in lengths."""


class Counts(NamedTuple):
    """What a stream follows now: persons, bags, and bags whose owner is known."""

    ids: int = 0
    bags: int = 0
    owned: int = 0


@runtime_checkable
class KnowsBags(Protocol):
    """A rule that follows bags longer than their tracks live.

    Attributes:
        counts: ``bags`` there are, and how many of them are ``owned``.
    """

    counts: Counter[str]


class Analyst:
    """Makes the analyses of all streams, on one shared network.

    Args:
        rule_settings: the server's settings of each rule, by its name.
        objects: None on a server without the network.
        helpers: what rules of several streams share, by name.
    """

    def __init__(
        self,
        settings: ObjectSettings,
        rule_settings: Mapping[str, BaseModel],
        objects: ObjectDetector | None,
        helpers: Mapping[str, Any] | None = None,
    ) -> None:
        self._settings = settings
        self._helpers = helpers
        self._rule_settings = rule_settings
        self._objects = objects

    @property
    def available(self) -> bool:
        """Whether streams may ask for analytics at all."""
        return self._objects is not None

    def analysis(self, spec: StreamSpec) -> Analysis | None:
        """What a stream asked for; None when that is nothing.

        Raises:
            InvalidRequest: an unknown rule or setting; NoAnalytics.
        """
        if not spec.analytics:
            return None
        rules = make_rules(_with_zones(spec), self._rule_settings, self._helpers)
        if self._objects is None:
            raise NoAnalytics
        object_tracker.prepare()
        return Analysis(self._settings, rules, self._objects, spec.zones)


class Analysis:
    """One stream's trackers and rules. ``ask`` belongs to one thread, the rest to another."""

    def __init__(
        self,
        settings: ObjectSettings,
        rules: Sequence[Rule],
        objects: ObjectDetector,
        zones: Sequence[Zone] = (),
    ) -> None:
        self.counts = Counts()
        self._zones = Zones(*_polygons(zones))
        self._settings = settings
        self._rules = rules
        self._objects = objects
        self._limit = RateLimit(settings.max_fps)
        self._rest_until = -math.inf
        wanted = [label for rule in rules for label in rule.close_up]
        again = SecondLook(objects, most=settings.max_crops, labels=wanted)
        self._again = again if wanted else None
        self.numbers = itertools.count(1)
        self._followers: dict[str, Follower] = {}

    def ask(self, captured_at: float, see: Callable[[int], Image]) -> Look | None:
        """Have the network look at a frame when it is time for one.

        Args:
            see: makes the (H, W, 3) RGB picture of a frame for a longest side in pixels.
        """
        if not self._limit.take(captured_at) or captured_at < self._rest_until:
            return None
        return self._objects.look(see(self._objects.longest))

    def understand(
        self, look: Look | None, faces: Sequence[Track] | None, seen: Seen, size: tuple[int, int]
    ) -> tuple[tuple[Track, ...], list[Finding]]:
        """Tracks of the things in a frame, in pixels of a picture of this size, and what happened.

        Args:
            look: None for a frame that was not looked at.
            faces: the faces that the stream covers; None when it covers none, then those
                that the network sees are followed like other things.

        Raises:
            DetectorError: when the network failed or is too late. Tracks are as they were.
        """
        if look is None:
            tracks = self._between(seen.captured_at)
            self._glimpse(Scene(tracks, [], seen.captured_at, size, seen))
            return tracks, []
        with self._resting_after(seen.captured_at):
            doubts = self._ask_closely(seen, size)
            detections = [
                scaled
                for scaled in self._things(look, seen, size)
                if faces is None or scaled.label != FACE
            ]
            close_ups = [self._close_up(part, closer, seen, size) for part, closer in doubts]
        tracks = self._follow(detections, seen.captured_at)
        scene = Scene(
            (*(faces or ()), *tracks), detections, seen.captured_at, size, seen, close_ups
        )
        findings = [finding for rule in self._rules for finding in rule.update(scene)]
        self.counts = self._count(tracks)
        return tracks, findings

    def _glimpse(self, scene: Scene) -> None:
        for rule in self._rules:
            if isinstance(rule, Glimpses):
                rule.glimpse(scene)

    @contextmanager
    def _resting_after(self, captured_at: float) -> Iterator[None]:
        """The longer this frame has to wait for its looks, the later comes the next look, but
        before everybody is forgotten."""
        began = time.monotonic()
        try:
            yield
        finally:
            if self._settings.max_wait < 1:
                rest_s = (time.monotonic() - began) / self._settings.max_wait
                self._rest_until = captured_at + min(rest_s, MOST_GAP_S)

    def end(self) -> list[Finding]:
        """What ends because the stream does."""
        return [finding for rule in self._rules for finding in rule.end()]

    def _things(self, look: Look, seen: Seen, size: tuple[int, int]) -> list[Detection]:
        """What both looks saw, scaled from the frame to the picture."""
        found = look.detections(self._settings.timeout_s, seen.size)
        if self._again is not None:
            found = self._again.look(found, seen.size, seen.cut).detections(
                self._settings.timeout_s
            )
        x, y = size[0] / seen.size[0], size[1] / seen.size[1]
        return [
            Detection(d.label, d.confidence, d.box.scaled(x, y))
            for d in found
            if self._zones.watched(d.box, seen.size)
        ]

    def _ask_closely(self, seen: Seen, size: tuple[int, int]) -> list[tuple[Window, Look]]:
        """Have the network look at the parts that rules have doubts about, enlarged."""
        x, y = seen.size[0] / size[0], seen.size[1] / size[1]
        doubts = [
            _square(box.scaled(x, y), seen.size)
            for rule in self._rules
            if isinstance(rule, Doubts)
            for box in rule.doubts[:MOST_DOUBTS]
        ]
        return [
            (part, self._objects.look_closely(seen.cut(part)))
            for part in doubts
            if min(part.size) > 0
        ]

    def _close_up(self, part: Window, look: Look, seen: Seen, size: tuple[int, int]) -> CloseUp:
        x, y = size[0] / seen.size[0], size[1] / seen.size[1]
        found = look.detections(self._settings.timeout_s, part.size)
        return CloseUp(
            Box(*part).scaled(x, y),
            [
                Detection(d.label, d.confidence, d.box.moved(part.x1, part.y1).scaled(x, y))
                for d in found
            ],
        )

    def _count(self, tracks: Sequence[Track]) -> Counts:
        bags, owned = sum(track.label in BAGS for track in tracks), 0
        for rule in self._rules:
            if isinstance(rule, KnowsBags):
                bags, owned = rule.counts["bags"], rule.counts["owned"]
        return Counts(sum(track.label == PERSON for track in tracks), bags, owned)

    def _follow(self, detections: Sequence[Detection], now: float) -> tuple[Track, ...]:
        """Tracks with what a look saw. All bags are of one kind: from behind a suitcase looks
        like a backpack, and is the same thing."""
        by_kind: defaultdict[str, list[Detection]] = defaultdict(list)
        for detection in detections:
            by_kind["bag" if detection.label in BAGS else detection.label].append(detection)
        by_kind["bag"] = merged(by_kind["bag"])
        return tuple(
            track
            for kind in sorted(self._followers.keys() | {k for k, v in by_kind.items() if v})
            for track in self._follower(kind).update(by_kind[kind], now)
        )

    def _follower(self, kind: str) -> Follower:
        if kind not in self._followers:
            self._followers[kind] = Follower(
                start_confidence=self._settings.start_confidence,
                hold_s=self._settings.hold_s,
                numbers=self.numbers,
                fps=self._settings.max_fps,
                reach=REACH.get(kind, 0.0),
            )
        return self._followers[kind]

    def _between(self, now: float) -> tuple[Track, ...]:
        return tuple(
            track
            for kind in sorted(self._followers)
            for track in self._followers[kind].between(now)
        )


def _square(box: Box, size: tuple[int, int]) -> Window:
    side = max(box.width, box.height)
    return around((box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2, side, size)


def _polygons(zones: Sequence[Zone]) -> tuple[list[Polygon], list[Polygon]]:
    """Those to watch and those to ignore."""
    watch: list[Polygon] = [zone.points for zone in zones if zone.kind == "watch"]
    ignore: list[Polygon] = [zone.points for zone in zones if zone.kind == "ignore"]
    return watch, ignore


def _with_zones(spec: StreamSpec) -> Analytics:
    """What was asked for, with the stream's zones for rules that do not only look at detections."""
    if not spec.zones:
        return spec.analytics
    watch, ignore = _polygons(spec.zones)
    return {
        name: {"watch": watch, "ignore": ignore, **changes} if name in ZONED else changes
        for name, changes in spec.analytics.items()
    }
