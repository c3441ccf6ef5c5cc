"""The rules of one stream, each with the hours and zones for which it counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from app.analytics.rules import (
    AnalyzedFrame,
    CountsObjects,
    CountsPlaces,
    HoldsFrames,
    RequestsCrops,
    Rule,
    RuleScope,
    SeesRestarts,
    SeesSkippedFrames,
)
from app.events import RuleEvent
from app.places import PlaceCounts
from app.types import Box

MAX_CROP_REQUESTS = 2  # of a rule in one frame


class RuleSet:
    """The rules of one stream.

    Args:
        scopes: when and where each of them counts; None for always and everywhere.
    """

    def __init__(self, rules: Sequence[Rule], scopes: Sequence[RuleScope] | None = None) -> None:
        self._rules = rules
        self._scopes = scopes or [RuleScope()] * len(rules)

    @property
    def crop_labels(self) -> list[str]:
        """Labels of objects for which inference runs again on enlarged crops of people."""
        return [label for rule in self._rules for label in rule.crop_labels]

    @property
    def crop_requests(self) -> list[Box]:
        """The parts of the next frame that rules need enlarged."""
        return [
            box
            for rule in self._rules
            if isinstance(rule, RequestsCrops)
            for box in rule.crop_requests[:MAX_CROP_REQUESTS]
        ]

    @property
    def requested_labels(self) -> frozenset[str]:
        """What the parts that rules request are searched for."""
        asking = [rule for rule in self._rules if isinstance(rule, RequestsCrops)]
        return frozenset(label for rule in asking for label in rule.requested_labels)

    @property
    def held_frames(self) -> set[float]:
        """When the frames were captured that rules need for later events."""
        return {
            at for rule in self._rules if isinstance(rule, HoldsFrames) for at in rule.held_frames
        }

    @property
    def counts(self) -> Mapping[str, int]:
        """How many objects of each kind there are, of the kinds that rules count."""
        counts: dict[str, int] = {}
        for rule in self._rules:
            if isinstance(rule, CountsObjects):
                counts.update(rule.counts)
        return counts

    @property
    def place_counts(self) -> PlaceCounts | None:
        """The counts of zones and lines; None if no rule counts them. From any thread."""
        return next((r.place_counts() for r in self._rules if isinstance(r, CountsPlaces)), None)

    def update(self, frame: AnalyzedFrame) -> list[RuleEvent]:
        """The events of a frame."""
        return [
            rule_event
            for rule, scope in self._scoped()
            for rule_event in scope.reported(rule.update(scope.view(frame)), frame.now)
        ]

    def skipped_frame(self, frame: AnalyzedFrame) -> None:
        """Pass on a frame without inference."""
        for rule, scope in self._scoped():
            if isinstance(rule, SeesSkippedFrames):
                rule.skipped_frame(scope.view(frame))

    def restart(self) -> None:
        """A file that loops begins again."""
        for rule in self._rules:
            if isinstance(rule, SeesRestarts):
                rule.restart()

    def end(self) -> list[RuleEvent]:
        """The last events, when the stream ends."""
        return [
            rule_event
            for rule, scope in self._scoped()
            for rule_event in scope.reported(rule.end())
        ]

    def _scoped(self) -> Iterator[tuple[Rule, RuleScope]]:
        return zip(self._rules, self._scopes, strict=True)
