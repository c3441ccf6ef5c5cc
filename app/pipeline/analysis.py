"""What one stream understands: looks to detections, detections to tracks, tracks to findings.

Only streams that ask for analytics have an ``Analysis``. It looks at a few frames a second; on
those between, its tracks move on by themselves.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pydantic import BaseModel

from app.config import AnalysisSettings
from app.errors import NoAnalytics
from app.models.runner import Image
from app.pipeline.pace import RateLimit
from app.pipeline.rules import Rule, Scene, make_rules
from app.pipeline.tracker import Tracker
from app.types import Box, Detection, Finding, StreamSpec, Track

Crop = Callable[[Box], Image]


class Look(Protocol):
    """Things that were asked for; the network may still be at it."""

    def detections(self, timeout_s: float, size: tuple[int, int]) -> list[Detection]: ...


class Objects(Protocol):
    """The network that all streams share, as ``app.models.objects.ObjectDetector`` is it."""

    def look(self, image: Image) -> Look: ...


class Analyst:
    """Makes the analyses of all streams, on one shared network.

    Args:
        rule_settings: the server's settings of each rule, by its name.
        objects: None on a server without the network.
    """

    def __init__(
        self,
        settings: AnalysisSettings,
        rule_settings: Mapping[str, BaseModel],
        objects: Objects | None,
    ) -> None:
        self._settings = settings
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
        rules = make_rules(spec.analytics, self._rule_settings)
        if self._objects is None:
            raise NoAnalytics
        return Analysis(self._settings, rules, self._objects)


class Analysis:
    """One stream's trackers and rules. ``ask`` belongs to one thread, the rest to another."""

    def __init__(self, settings: AnalysisSettings, rules: Sequence[Rule], objects: Objects) -> None:
        self._settings = settings
        self._rules = rules
        self._objects = objects
        self._limit = RateLimit(settings.max_fps)
        numbers = itertools.count(1)
        self.numbers = numbers
        self._trackers: defaultdict[str, Tracker] = defaultdict(
            lambda: Tracker(
                start_confidence=settings.start_confidence,
                hold_s=settings.hold_s,
                numbers=numbers,
                growth_per_s=0.0,
            )
        )

    def ask(self, captured_at: float, see: Callable[[int], Image]) -> Look | None:
        """Have the network look at a frame when it is time for one.

        Args:
            see: makes the (H, W, 3) RGB picture of a frame for a longest side in pixels.
        """
        if not self._limit.take(captured_at):
            return None
        return self._objects.look(see(self._settings.width))

    def understand(
        self, look: Look | None, faces: Sequence[Track] | None, size: tuple[int, int], now: float
    ) -> tuple[tuple[Track, ...], list[Finding]]:
        """Tracks of things at ``now``, in pixels of a picture of this size, and what happened.

        Args:
            look: None for a frame that was not looked at.
            faces: the faces that the stream covers; None when it covers none, then those
                that the network sees are followed like other things.

        Raises:
            DetectorError: when the network failed or is too late. Tracks are as they were.
        """
        if look is None:
            return self._follow([], now), []
        detections = look.detections(self._settings.timeout_s, size)
        if faces is not None:
            detections = [seen for seen in detections if seen.label != "face"]
        tracks = self._follow(detections, now)
        scene = Scene((*(faces or ()), *tracks), detections, now)
        findings = [finding for rule in self._rules for finding in rule.update(scene)]
        return tracks, findings

    def end(self) -> list[Finding]:
        """What ends because the stream does."""
        return [finding for rule in self._rules for finding in rule.end()]

    def _follow(self, detections: Sequence[Detection], now: float) -> tuple[Track, ...]:
        by_label: defaultdict[str, list[Detection]] = defaultdict(list)
        for detection in detections:
            by_label[detection.label].append(detection)
        for label in by_label:
            self._trackers[label]  # make one for every label that ever appears
        return tuple(
            track
            for label, tracker in self._trackers.items()
            for track in tracker.update(by_label[label], now)
        )
