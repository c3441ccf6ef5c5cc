"""The analytics of one stream: from inference to detections, to tracks, to events.

Only streams that ask for analytics have a ``StreamAnalyzer``. Inference runs on a few frames a
second; on the frames in between, tracks move on at their last speed. Where a rule needs objects
that are too small in the whole frame, inference runs again on enlarged crops of a few people.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel

from app.analytics.object_scanner import ObjectScanner
from app.analytics.object_tracker import MAX_GAP_S, ObjectTracker
from app.analytics.rule_set import RuleSet
from app.analytics.rules import (
    AnalyzedFrame,
    FramePixels,
    Rule,
    RuleScope,
    StreamContext,
    counted_kinds,
    labels_of,
    make_rules,
    match_margin,
)
from app.analytics.scene_memory import PendingObjects
from app.analytics.zones import ZoneFilter
from app.budget import Level, StreamBudget
from app.config import ObjectSettings
from app.errors import NoAnalytics
from app.events import RuleEvent
from app.models.batching import Image
from app.models.nms import merged
from app.models.objects import ObjectDetector
from app.pace import RateLimit
from app.places import PlaceCounts, Zone
from app.types import (
    GROUPED_LABELS,
    LABELS,
    Box,
    Detection,
    StreamSpec,
    Track,
    kind_of,
)

FACE = "face"
FILE_TIMEOUT_S = 600.0


class AnalyzerFactory:
    """Creates the analyzers of all streams, on one shared network.

    Args:
        rule_settings: the server's settings of each rule, by its name.
        objects: None on a server without the network.
        helpers: what the rules of all streams share, by name.
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

    def create(self, spec: StreamSpec, budget: StreamBudget | None = None) -> StreamAnalyzer | None:
        """The analyzer for the analytics that a stream asked for; None for none.

        Args:
            budget: the stream's share; None for a file, which waits.

        Raises:
            InvalidRequest: an unknown rule or setting.
            NoAnalytics: the network or a rule's helper is missing.
        """
        if not spec.analytics:
            return None
        stream = StreamContext(spec.stream_id, spec.zones, spec.lines)
        rules = make_rules(spec.analytics, self._rule_settings, self._helpers, stream)
        if self._objects is None:
            raise NoAnalytics
        settings = self._settings
        if spec.waits:  # a slow machine must not skip frames of a file
            settings = settings.model_copy(update={"timeout_s": FILE_TIMEOUT_S, "max_wait": 1.0})
        labels = set(labels_of(spec.analytics, rules))
        if spec.blur != "off":  # faces are known already
            labels.discard(FACE)
        scopes = [RuleScope.of(name, own, spec.zones) for name, own in spec.analytics.items()]
        return StreamAnalyzer(
            settings, rules, self._objects, spec.zones, budget, labels=labels, scopes=scopes
        )


class StreamAnalyzer:
    """The trackers and rules of one stream.

    One thread calls ``submit``. ``process`` may be called for a frame without inference while
    another thread waits in it for the detections in an earlier frame.

    Args:
        zones: those without rules of their own decide what is tracked at all.
        labels: what the rules look for in whole frames.
        scopes: when and where each rule counts; by default all do, always and everywhere.

    Attributes:
        counts: how many objects of each kind are tracked now.
        numbers: where track ids come from, for all trackers of the stream.
    """

    def __init__(
        self,
        settings: ObjectSettings,
        rules: Sequence[Rule],
        objects: ObjectDetector,
        zones: Sequence[Zone] = (),
        budget: StreamBudget | None = None,
        *,
        labels: Iterable[str] = LABELS,
        scopes: Sequence[RuleScope] | None = None,
    ) -> None:
        self._zones = ZoneFilter([zone for zone in zones if not zone.rules])
        self._settings = settings
        self._rules = RuleSet(rules, scopes)
        self._budget = budget
        self._scanner = ObjectScanner(
            settings, objects, labels, self._rules.crop_labels, self._rules.requested_labels
        )
        self.counts = self._count(())
        self._limit = RateLimit(settings.max_fps)
        self._paused_until = -math.inf
        self.numbers = itertools.count(1)
        self._object_trackers: dict[str, ObjectTracker] = {}
        self._tracking = threading.Lock()
        self._restarts = 0

    def submit(self, captured_at: float, resized: Callable[[int], Image]) -> PendingObjects | None:
        """Start inference on a frame if it is time for one.

        Args:
            resized: gives the frame as (H, W, 3) RGB, its longer side at most this many pixels.
        """
        self._limit.change(self.max_fps)
        if not self._limit.take(captured_at) or captured_at < self._paused_until:
            return None
        return self._scanner.submit(resized, captured_at)

    def process(
        self,
        pending: PendingObjects | None,
        faces: Sequence[Track] | None,
        pixels: FramePixels,
        size: tuple[int, int],
    ) -> tuple[tuple[Track, ...], list[RuleEvent]]:
        """The tracks of a frame, in pixels of an image of this size, and the events of the rules.

        Args:
            pending: None for a frame without inference.
            faces: the faces that the stream blurs; None when it blurs none, and then those that
                the network detects are tracked like other objects.
            size: width and height.

        Raises:
            DetectorError: when inference failed or is too late. Tracks stay as they were.
        """
        if pending is None:
            with self._tracking:
                if not self._in_current_round(pixels):
                    return (), []
                tracks = self._coast(pixels.captured_at)
                frame = AnalyzedFrame(tracks, [], pixels.captured_at, size, pixels)
                self._rules.skipped_frame(frame)
            return tracks, []
        with self._pausing_after(pixels.captured_at):
            enlarged = self._scanner.enlarge(self._rules.crop_requests, pixels, size)
            scanned = self._scanner.objects(pending, pixels, enlarge=self._level.crops)
            crops = [each() for each in enlarged]
        x, y = size[0] / pixels.size[0], size[1] / pixels.size[1]
        detections = [
            Detection(d.label, d.confidence, d.box.scaled(x, y))
            for d in scanned.found
            if self._zones.takes(d.label, d.box, pixels.size) and (faces is None or d.label != FACE)
        ]
        examined = None
        if scanned.examined is not None:
            examined = [Box(*part).scaled(x, y) for part in scanned.examined]
        with self._tracking:
            if not self._in_current_round(pixels):
                return (), []
            tracks = self._track(detections, pixels.captured_at)
            seen = (*(faces or ()), *tracks)
            frame = AnalyzedFrame(
                seen, detections, pixels.captured_at, size, pixels, crops, examined
            )
            rule_events = self._rules.update(frame)
            self.counts = self._count(tracks)
        return tracks, rule_events

    def _in_current_round(self, pixels: FramePixels) -> bool:
        """Whether a frame is not of a round that is over, of a file that loops.

        With the first frame of a new round, everything that was tracked is forgotten.
        """
        if pixels.restarts > self._restarts:
            self._restarts = pixels.restarts
            self._object_trackers.clear()
            self._rules.restart()
        return pixels.restarts == self._restarts

    @contextmanager
    def _pausing_after(self, captured_at: float) -> Iterator[None]:
        """Put off the next inference so that frames wait during ``max_wait`` of the time at most;
        by ``MAX_GAP_S`` at most, after which tracks would be dropped."""
        began = time.monotonic()
        try:
            yield
        finally:
            if self._settings.max_wait < 1:
                pause_s = (time.monotonic() - began) / self._settings.max_wait
                self._paused_until = captured_at + min(pause_s, MAX_GAP_S)

    @property
    def _level(self) -> Level:
        return Level() if self._budget is None else self._budget.level

    @property
    def configured_fps(self) -> float:
        """The most frames a second that are analyzed if the machine can."""
        return self._settings.max_fps

    @property
    def lacks_crops(self) -> bool:
        """Whether a rule needs people to be examined enlarged, and they are not now."""
        return self._scanner.enlarges_people and not self._level.crops

    @property
    def max_fps(self) -> float:
        """The most frames a second that are analyzed now."""
        return min(self._settings.max_fps, self._level.object_fps)

    def end(self) -> list[RuleEvent]:
        """The last events, when the stream ends."""
        return self._rules.end()

    @property
    def held_frames(self) -> set[float]:
        """When the frames were captured that rules need for later events."""
        return self._rules.held_frames

    @property
    def place_counts(self) -> PlaceCounts | None:
        """The counts of zones and lines; None if no rule counts them."""
        return self._rules.place_counts

    def _count(self, tracks: Sequence[Track]) -> dict[str, int]:
        """How many objects there are of each counted kind that is looked for: the rules' counts,
        else the tracks."""
        found = Counter(kind_of(track.label) for track in tracks)
        seen = {kind_of(label) for label in self._scanner.whole.labels}
        counts = {kind: found[kind] for kind in counted_kinds() if kind in seen}
        return {**counts, **self._rules.counts}

    def _track(self, detections: Sequence[Detection], now: float) -> tuple[Track, ...]:
        """Update the tracks with new detections. Labels of one kind share a tracker: a suitcase
        seen from behind looks like a backpack, and is the same object."""
        by_kind: defaultdict[str, list[Detection]] = defaultdict(list)
        for detection in detections:
            by_kind[kind_of(detection.label)].append(detection)
        for kind in GROUPED_LABELS:
            by_kind[kind] = merged(by_kind[kind])
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
                match_margin=match_margin(kind),
            )
        return self._object_trackers[kind]

    def _coast(self, now: float) -> tuple[Track, ...]:
        return tuple(
            track
            for kind in sorted(self._object_trackers)
            for track in self._object_trackers[kind].coast(now)
        )
