"""What one stream understands: looks to detections, detections to tracks, tracks to findings.

Only streams that ask for analytics have a ``StreamAnalyzer``. It looks at a few frames a second;
on those between, its tracks move on by themselves. Where a rule asks for what is too small for the
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
from app.analytics.object_tracker import MOST_GAP_S, ObjectTracker
from app.analytics.rules import (
    AnalyzedFrame,
    FramePixels,
    RequestsCrops,
    Rule,
    SeesSkippedFrames,
    make_rules,
)
from app.analytics.zones import Polygon, Zones
from app.config import ObjectSettings
from app.errors import NoAnalytics
from app.models.batching import Image
from app.models.crop_refiner import CropRefiner, CropWindow, around
from app.models.detections import PendingDetections
from app.models.nms import merged
from app.models.objects import ObjectDetector
from app.pace import RateLimit
from app.types import (
    BAG_LABELS,
    Analytics,
    Box,
    CropDetections,
    Detection,
    RuleEvent,
    StreamSpec,
    Track,
    Zone,
)

FACE, PERSON = "face", "person"
ZONED = ("bags",)
MOST_DOUBTS = 2  # of a rule in one frame
REACH = {"plate": 1.0}
"""Of things that move farther between two looks than they are long, in lengths."""


class ObjectCounts(NamedTuple):
    """What a stream follows now: persons, bags, and bags whose owner is known."""

    ids: int = 0
    bags: int = 0
    owned: int = 0


@runtime_checkable
class CountsBags(Protocol):
    """A rule that follows bags longer than their tracks live.

    Attributes:
        counts: ``bags`` there are, and how many of them are ``owned``.
    """

    counts: Counter[str]


class AnalyzerFactory:
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

    def create(self, spec: StreamSpec) -> StreamAnalyzer | None:
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
        return StreamAnalyzer(self._settings, rules, self._objects, spec.zones)


class StreamAnalyzer:
    """One stream's trackers and rules. ``ask`` belongs to one thread, the rest to another."""

    def __init__(
        self,
        settings: ObjectSettings,
        rules: Sequence[Rule],
        objects: ObjectDetector,
        zones: Sequence[Zone] = (),
    ) -> None:
        self.counts = ObjectCounts()
        self._zones = Zones(*_polygons(zones))
        self._settings = settings
        self._rules = rules
        self._objects = objects
        self._limit = RateLimit(settings.max_fps)
        self._rest_until = -math.inf
        wanted = [label for rule in rules for label in rule.crop_labels]
        again = CropRefiner(objects, most=settings.max_crops, labels=wanted)
        self._again = again if wanted else None
        self.numbers = itertools.count(1)
        self._object_trackers: dict[str, ObjectTracker] = {}

    def submit(
        self, captured_at: float, resized: Callable[[int], Image]
    ) -> PendingDetections | None:
        """Have the network look at a frame when it is time for one.

        Args:
            see: makes the (H, W, 3) RGB picture of a frame for a longest side in pixels.
        """
        if not self._limit.take(captured_at) or captured_at < self._rest_until:
            return None
        return self._objects.submit(resized(self._objects.longest))

    def process(
        self,
        look: PendingDetections | None,
        faces: Sequence[Track] | None,
        pixels: FramePixels,
        size: tuple[int, int],
    ) -> tuple[tuple[Track, ...], list[RuleEvent]]:
        """Tracks of the things in a frame, in pixels of a picture of this size, and what happened.

        Args:
            look: None for a frame that was not looked at.
            faces: the faces that the stream covers; None when it covers none, then those
                that the network sees are followed like other things.

        Raises:
            DetectorError: when the network failed or is too late. Tracks are as they were.
        """
        if look is None:
            tracks = self._between(pixels.captured_at)
            self._glimpse(AnalyzedFrame(tracks, [], pixels.captured_at, size, pixels))
            return tracks, []
        with self._resting_after(pixels.captured_at):
            crop_requests = self._submit_crops(pixels, size)
            detections = [
                scaled
                for scaled in self._objects_in(look, pixels, size)
                if faces is None or scaled.label != FACE
            ]
            crops = [
                self._crop_detections(part, closer, pixels, size) for part, closer in crop_requests
            ]
        tracks = self._follow(detections, pixels.captured_at)
        frame = AnalyzedFrame(
            (*(faces or ()), *tracks), detections, pixels.captured_at, size, pixels, crops
        )
        rule_events = [rule_event for rule in self._rules for rule_event in rule.update(frame)]
        self.counts = self._count(tracks)
        return tracks, rule_events

    def _glimpse(self, frame: AnalyzedFrame) -> None:
        for rule in self._rules:
            if isinstance(rule, SeesSkippedFrames):
                rule.skipped_frame(frame)

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

    def end(self) -> list[RuleEvent]:
        """What ends because the stream does."""
        return [rule_event for rule in self._rules for rule_event in rule.end()]

    def _objects_in(
        self, look: PendingDetections, pixels: FramePixels, size: tuple[int, int]
    ) -> list[Detection]:
        """What both looks saw, scaled from the frame to the picture."""
        found = look.detections(self._settings.timeout_s, pixels.size)
        if self._again is not None:
            found = self._again.submit(found, pixels.size, pixels.crop).detections(
                self._settings.timeout_s
            )
        x, y = size[0] / pixels.size[0], size[1] / pixels.size[1]
        return [
            Detection(d.label, d.confidence, d.box.scaled(x, y))
            for d in found
            if self._zones.watched(d.box, pixels.size)
        ]

    def _submit_crops(
        self, pixels: FramePixels, size: tuple[int, int]
    ) -> list[tuple[CropWindow, PendingDetections]]:
        """Have the network look at the parts that rules have doubts about, enlarged."""
        x, y = pixels.size[0] / size[0], pixels.size[1] / size[1]
        crop_requests = [
            _square(box.scaled(x, y), pixels.size)
            for rule in self._rules
            if isinstance(rule, RequestsCrops)
            for box in rule.crop_requests[:MOST_DOUBTS]
        ]
        return [
            (part, self._objects.submit_crop(pixels.crop(part)))
            for part in crop_requests
            if min(part.size) > 0
        ]

    def _crop_detections(
        self, part: CropWindow, look: PendingDetections, pixels: FramePixels, size: tuple[int, int]
    ) -> CropDetections:
        x, y = size[0] / pixels.size[0], size[1] / pixels.size[1]
        found = look.detections(self._settings.timeout_s, part.size)
        return CropDetections(
            Box(*part).scaled(x, y),
            [
                Detection(d.label, d.confidence, d.box.moved(part.x1, part.y1).scaled(x, y))
                for d in found
            ],
        )

    def _count(self, tracks: Sequence[Track]) -> ObjectCounts:
        bags, owned = sum(track.label in BAG_LABELS for track in tracks), 0
        for rule in self._rules:
            if isinstance(rule, CountsBags):
                bags, owned = rule.counts["bags"], rule.counts["owned"]
        return ObjectCounts(sum(track.label == PERSON for track in tracks), bags, owned)

    def _follow(self, detections: Sequence[Detection], now: float) -> tuple[Track, ...]:
        """Tracks with what a look saw. All bags are of one kind: from behind a suitcase looks
        like a backpack, and is the same thing."""
        by_kind: defaultdict[str, list[Detection]] = defaultdict(list)
        for detection in detections:
            by_kind["bag" if detection.label in BAG_LABELS else detection.label].append(detection)
        by_kind["bag"] = merged(by_kind["bag"])
        return tuple(
            track
            for kind in sorted(self._object_trackers.keys() | {k for k, v in by_kind.items() if v})
            for track in self._object_tracker(kind).update(by_kind[kind], now)
        )

    def _object_tracker(self, kind: str) -> ObjectTracker:
        if kind not in self._object_trackers:
            self._object_trackers[kind] = ObjectTracker(
                start_confidence=self._settings.start_confidence,
                hold_s=self._settings.hold_s,
                numbers=self.numbers,
                fps=self._settings.max_fps,
                reach=REACH.get(kind, 0.0),
            )
        return self._object_trackers[kind]

    def _between(self, now: float) -> tuple[Track, ...]:
        return tuple(
            track
            for kind in sorted(self._object_trackers)
            for track in self._object_trackers[kind].between(now)
        )


def _square(box: Box, size: tuple[int, int]) -> CropWindow:
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
