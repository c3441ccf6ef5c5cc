"""Objects: what appears and leaves, enters zones, stays in them, and crosses lines.

The defaults are those that people know from other recorders: an object is reported after a few
frames, what stands still is reported once, and the foot of an object, the middle of its lower
edge, decides where it is. Zones and lines count all day, also outside the rule's hours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from app.analytics.objects.daily_counts import DailyCounts
from app.analytics.objects.followed import FollowedObject, FollowedObjects
from app.analytics.objects.places import Passage, Places
from app.analytics.rules.base import AnalyzedFrame, RuleEntry, StreamContext
from app.events import RuleEvent
from app.local_time import local_day
from app.places import PlaceCounts
from app.types import LABELS

HELPER = "daily_counts"
Label = Literal[LABELS]  # type: ignore[valid-type]
EVENTS = {
    "object_appeared": "An object was detected in `min_frames` frames.",
    "object_left": "It was out of sight for `gone_s`; `duration_s` says how long it was there.",
    "zone_entered": "An object entered a zone, or appeared in it.",
    "zone_left": "It left the zone, or was out of sight; `duration_s` says how long it stayed.",
    "zone_loitering": "It has been in the zone for `loiter_s`; reported once for each stay.",
    "line_crossed": "An object crossed a line, in the direction that `details` says.",
}
EventType = Literal[
    "object_appeared",
    "object_left",
    "zone_entered",
    "zone_left",
    "zone_loitering",
    "line_crossed",
]


class ObjectRuleSettings(BaseModel):
    """Which objects count, and when. A stream may change each value for itself."""

    model_config = ConfigDict(extra="forbid")

    labels: list[Label] = Field(
        ["person", "car", "motorcycle", "bus", "truck"],
        min_length=1,
        max_length=len(LABELS),
        description=f"Objects to report and count: {', '.join(LABELS)}.",
    )
    min_confidence: float = Field(
        0.5, ge=0, le=1, description="Only detections this certain confirm an object."
    )
    min_area: float = Field(
        0.0, ge=0, le=1, description="Smallest object, as a share of the frame's area."
    )
    min_frames: int = Field(3, ge=1, le=100, description="Analysed frames that confirm an object.")
    loiter_s: float = Field(
        30.0, gt=0, le=86400, description="Seconds in a zone after which it is reported."
    )
    gone_s: float = Field(
        5.0,
        gt=0,
        le=600,
        description="Seconds out of sight after which an object has left. What stood still for "
        "longer is awaited for as long, up to a minute.",
    )
    report: list[EventType] = Field(
        list(get_args(EventType)), description="Types of events to report."
    )


class ObjectRule:
    """Reports objects, and counts them by zone and line.

    Args:
        settings: thresholds.
        stream: its zones and lines.
        clock: the Unix time of a monotonic time.
    """

    crop_labels: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        settings: ObjectRuleSettings,
        stream: StreamContext,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self.labels: frozenset[str] = frozenset(settings.labels)
        helper = stream.helpers.get(HELPER)
        daily = helper if isinstance(helper, DailyCounts) else DailyCounts()
        self._places = Places(
            stream, daily, lambda: local_day(clock(), stream.timezone), settings.loiter_s
        )
        self._objects = FollowedObjects(settings.gone_s)
        self._last: list[RuleEvent] = []

    def update(self, frame: AnalyzedFrame) -> list[RuleEvent]:
        rule_events, self._last = self._last, []
        tracks = [track for track in frame.tracks if track.label in self.labels]
        for one in self._objects.update(tracks, frame.now):
            rule_events += self._observe(one, frame)
        for gone in self._objects.take_gone(frame.now):
            rule_events += self._left(gone)
        self._places.count_inside(one for one in self._objects if one.confirmed)
        return self._reported(rule_events)

    def end(self) -> list[RuleEvent]:
        rule_events = [event for one in self._objects.clear() for event in self._left(one)]
        self._places.count_inside(())
        return self._reported(rule_events)

    def restart(self) -> None:
        """Everything has left: a file that loops begins again. This is reported with the next
        frame."""
        self._last = self.end()

    def place_counts(self) -> PlaceCounts:
        """The counts now, and since midnight; from any thread."""
        return self._places.counts()

    def _reported(self, rule_events: list[RuleEvent]) -> list[RuleEvent]:
        return [event for event in rule_events if event.type in self._settings.report]

    def _observe(self, one: FollowedObject, frame: AnalyzedFrame) -> Iterator[RuleEvent]:
        """The events of an object in a frame in which it was detected."""
        passages = list(self._places.observe(one, frame.now, frame.size))
        if one.confirmed:
            yield from self._happened(one, passages, frame.now)
            return
        one.waiting += passages
        share = one.track.box.area / (frame.size[0] * frame.size[1])
        certain = one.track.confidence >= self._settings.min_confidence
        one.examine(certain and share >= self._settings.min_area, frame.now)
        if one.frames >= self._settings.min_frames:
            one.confirmed = True
            yield self._event(one, Passage("object_appeared", one.first_at), frame.now)
            passages = [*self._places.arrive(one), *one.waiting]
            one.waiting.clear()
            yield from self._happened(one, passages, frame.now)

    def _left(self, one: FollowedObject) -> Iterator[RuleEvent]:
        """The last events of an object that is gone."""
        if one.confirmed:
            yield from self._happened(one, list(self._places.leave(one)), None)
            there_s = round(one.seen_at - one.first_at, 1)
            yield self._event(one, Passage("object_left", one.seen_at, duration_s=there_s), None)

    def _happened(
        self, one: FollowedObject, passages: Sequence[Passage], now: float | None
    ) -> Iterator[RuleEvent]:
        for passage in passages:
            if passage.counted is not None:
                self._places.count(passage.counted, one.label)
            if passage.reported:
                yield self._event(one, passage, now)

    def _event(self, one: FollowedObject, passage: Passage, now: float | None) -> RuleEvent:
        details = {
            "object_id": one.object_id,
            "label": one.label,
            **passage.details,
            "zones": self._places.inside(one),
        }
        return RuleEvent(
            passage.event,
            (one.track,),
            round(one.track.confidence, 3),
            passage.duration_s,
            details,
            at=None if passage.at == now else passage.at,
        )


ENTRY = RuleEntry(
    summary="Objects that appear and leave, enter zones, stay in them, and cross lines.",
    make=ObjectRule,
    settings=ObjectRuleSettings,
    events=EVENTS,
    section="object_rule",
    wants_stream=True,
)
