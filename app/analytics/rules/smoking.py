"""Smoking: cigarettes near a person's head or hand, confirmed over several inferences.

A single detection proves nothing: pens, straws and fingers look like cigarettes. A person counts
as smoking once a cigarette was detected with them in ``confirm`` of the last ``window``
inferences, and still does while the hand is down or turned away: only ``gap_s`` without any
cigarette ends it. So each cigarette smoked gives one pair of events.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.analytics.rules.base import AnalyzedFrame, RuleEntry
from app.events import RuleEvent
from app.types import Box, Detection, Track

HAND_ASIDE, HAND_ABOVE = 0.25, 0.1  # how far a hand may leave the person's box, in its sides
HEAD_TO_BODY = 0.22  # of a person's height, where no face is detected
SAME_PERSON_IOU = 0.3
SAME_PERSON_SHARE, SAME_PERSON_HEIGHT = 0.8, 0.75
NEAR_HEIGHTS, HEIGHTS_PER_S = 0.2, 0.8  # how far a person may have walked, in body heights
MAX_WALK_S = 1.5


class SmokingSettings(BaseModel):
    """When somebody counts as smoking. A stream may change each value for itself."""

    model_config = ConfigDict(extra="forbid")

    min_confidence: float = Field(
        0.35, gt=0, lt=1, description="A cigarette this certain helps to confirm."
    )
    keep_confidence: float = Field(
        0.25, gt=0, lt=1, description="A cigarette this certain shows that it has not ended."
    )
    confirm: int = Field(
        3, ge=1, le=100, description="Inferences with a cigarette that start it..."
    )
    window: int = Field(8, ge=1, le=100, description="...out of this many of the person.")
    gap_s: float = Field(
        30.0, gt=0, le=3600, description="Seconds without a cigarette that end it."
    )
    max_length: float = Field(
        1.2,
        gt=0,
        le=5,
        description="Longest cigarette, in head sizes; larger objects do not count.",
    )
    reach_down: float = Field(
        0.75, gt=0, le=1.5, description="Lowest place of a hand, as a share of the person's height."
    )

    @model_validator(mode="after")
    def _possible(self) -> SmokingSettings:
        if self.confirm > self.window:
            raise ValueError("confirm cannot be above window")
        return self


@dataclass(slots=True)
class _Watch:
    """The last inferences of one person, and the cigarette they are smoking.

    Attributes:
        recent: confidence of the cigarette in each of the last inferences, 0 for none.
        detected: the confidences of the current cigarette; empty while there is none.
        person_id: under which it was reported; the person's track may have another id since.
    """

    person: Track
    recent: deque[float]
    seen_at: float
    first_at: float = 0.0
    last_at: float = -math.inf
    smoking: bool = False
    detected: list[float] = field(default_factory=list)
    person_id: int = 0

    @property
    def confidence(self) -> float:
        """Mean of the better half of ``detected``."""
        best = sorted(self.detected, reverse=True)[: max(1, (len(self.detected) + 1) // 2)]
        return round(sum(best) / len(best), 3)


class SmokingRule:
    """Reports who starts and who stops smoking.

    Args:
        settings: thresholds.
    """

    crop_labels: ClassVar[frozenset[str]] = frozenset({"cigarette", "face"})

    def __init__(self, settings: SmokingSettings) -> None:
        self._settings = settings
        self._watches: dict[int, _Watch] = {}

    def update(self, frame: AnalyzedFrame) -> list[RuleEvent]:
        tracks = frame.labelled("person")
        self._hand_over(tracks, frame.now)
        people = self._each_once(tracks)
        faces = frame.labelled("face")
        heads = {person.track_id: _head(person, faces) for person in people}
        held = self._held(people, heads, frame.detections)
        rule_events: list[RuleEvent] = []
        for person in people:
            if person.age_s > 0:  # not detected in this frame: it shows nothing either way
                continue
            watch = self._watches.get(person.track_id)
            if watch is None:
                recent: deque[float] = deque(maxlen=self._settings.window)
                watch = self._watches[person.track_id] = _Watch(person, recent, frame.now)
            watch.person, watch.seen_at = person, frame.now
            cigarette = held.get(person.track_id)
            if cigarette or _is_examined(heads[person.track_id], frame):
                rule_events += self._observe(watch, cigarette, frame.now)
        return rule_events + self._forget(frame.now)

    def end(self) -> list[RuleEvent]:
        return [_ended(watch) for watch in self._watches.values() if watch.smoking]

    def _observe(self, watch: _Watch, cigarette: Detection | None, now: float) -> list[RuleEvent]:
        """Note whether a person has a cigarette now; report when they start to smoke."""
        watch.recent.append(cigarette.confidence if cigarette else 0.0)
        if cigarette is None:
            return []
        if not watch.detected or now - watch.last_at > self._settings.gap_s:
            watch.detected, watch.first_at = [], now
        watch.detected.append(cigarette.confidence)
        watch.last_at = now
        sure = sum(confidence >= self._settings.min_confidence for confidence in watch.recent)
        if watch.smoking or sure < self._settings.confirm:
            return []
        watch.smoking, watch.person_id = True, watch.person.track_id
        shown = Track(0, "cigarette", cigarette.confidence, cigarette.box)
        return [RuleEvent("smoking_started", (watch.person, shown), watch.confidence)]

    def _held(
        self, people: list[Track], heads: dict[int, Box], detections: Sequence[Detection]
    ) -> dict[int, Detection]:
        """The most certain cigarette of each person, by track id; each goes to the nearest."""
        held: dict[int, Detection] = {}
        for detection in detections:
            if (
                detection.label != "cigarette"
                or detection.confidence < self._settings.keep_confidence
            ):
                continue
            distances = {
                person.track_id: distance
                for person in people
                if (distance := self._distance(detection.box, person, heads[person.track_id]))
                is not None
            }
            if distances:
                nearest = min(distances, key=distances.__getitem__)
                if nearest not in held or held[nearest].confidence < detection.confidence:
                    held[nearest] = detection
        return held

    def _distance(self, cigarette: Box, person: Track, head: Box) -> float | None:
        """From the head, in heads; None when this person cannot be holding it."""
        body, size = person.box, max(head.width, head.height)
        if max(cigarette.width, cigarette.height) > self._settings.max_length * size:
            return None
        x, y = cigarette.centre
        aside, above = HAND_ASIDE * body.width, HAND_ABOVE * body.height
        lowest = body.y1 + self._settings.reach_down * body.height
        if not (body.x1 - aside <= x <= body.x2 + aside and body.y1 - above <= y <= lowest):
            return None
        return math.dist((x, y), head.centre) / max(size, 1.0)

    def _each_once(self, people: list[Track]) -> list[Track]:
        """Leave out second boxes of one person, which would count as a second smoker; the box that
        was watched before stays."""
        kept: list[Track] = []
        for person in sorted(people, key=self._rank, reverse=True):
            if not any(_is_same(person.box, other.box) for other in kept if other.age_s == 0):
                kept.append(person)
        return kept

    def _rank(self, person: Track) -> tuple[bool, bool, int, int]:
        watch = self._watches.get(person.track_id)
        detected = len(watch.detected) if watch else 0
        smoking = watch is not None and watch.smoking
        return person.age_s == 0, smoking, detected, -person.track_id

    def _hand_over(self, people: list[Track], now: float) -> None:
        """Go on under the new id of a person whose track broke: one cigarette, one event.

        At low frame rates, a person who moves has a new id while their old track is still
        predicted nearby: a track without a detection in this frame may be the one that broke.
        """
        seen = {person.track_id for person in people if person.age_s == 0}
        for person in people:
            mine = self._watches.get(person.track_id)
            if person.age_s > 0 or (mine is not None and mine.smoking):
                continue
            lost = [
                (watch.smoking, -distance, track_id)
                for track_id, watch in self._watches.items()
                if track_id not in seen
                and (distance := _distance_walked(watch, person.box, now)) is not None
                and (mine is None or (watch.smoking and _is_same(watch.person.box, person.box)))
            ]
            if lost:
                watch = self._watches.pop(max(lost)[2])
                watch.person = person
                self._watches[person.track_id] = watch

    def _forget(self, now: float) -> list[RuleEvent]:
        """End cigarettes that were not detected for ``gap_s``, and drop people who left."""
        rule_events: list[RuleEvent] = []
        for track_id, watch in list(self._watches.items()):
            if watch.smoking and now - watch.last_at > self._settings.gap_s:
                rule_events.append(_ended(watch))
                watch.smoking = False
                watch.detected.clear()
                watch.recent.clear()
            if not watch.smoking and now - watch.seen_at > self._settings.gap_s:
                del self._watches[track_id]
        return rule_events


def _ended(watch: _Watch) -> RuleEvent:
    duration = round(watch.last_at - watch.first_at, 1)
    details = {"person_id": watch.person_id}  # that of the beginning, so that both can be paired
    return RuleEvent("smoking_ended", (watch.person,), watch.confidence, duration, details)


def _is_same(one: Box, other: Box) -> bool:
    """Whether two boxes are of one person: of similar height, and one inside the other."""
    smaller = max(1.0, min(one.area, other.area))
    heights = sorted((one.height, other.height))
    return (
        one.intersection(other) >= SAME_PERSON_SHARE * smaller
        and heights[0] >= SAME_PERSON_HEIGHT * heights[1]
    )


def _distance_walked(watch: _Watch, box: Box, now: float) -> float | None:
    """From a person's last box to this one, in body heights; None if that is too far to walk."""
    height = max(watch.person.box.height, box.height, 1.0)
    distance = math.dist(watch.person.box.centre, box.centre) / height
    reach = NEAR_HEIGHTS + HEIGHTS_PER_S * min(now - watch.seen_at, MAX_WALK_S)
    is_there = distance <= reach or watch.person.box.iou(box) >= SAME_PERSON_IOU
    return distance if is_there else None


def _is_examined(head: Box, frame: AnalyzedFrame) -> bool:
    """Whether cigarettes were looked for around a head: a person who was left out this time shows
    nothing either way."""
    if frame.examined is None:
        return True
    x, y = head.centre
    return any(part.x1 <= x <= part.x2 and part.y1 <= y <= part.y2 for part in frame.examined)


def _head(person: Track, faces: list[Track]) -> Box:
    """The largest face in the upper part of a person's box, or where a head should be."""
    body = person.box
    inside = [
        face.box
        for face in faces
        if body.x1 <= face.box.centre[0] <= body.x2
        and body.y1 <= face.box.centre[1] <= body.y1 + 0.6 * body.height
    ]
    if inside:
        return max(inside, key=lambda box: box.area)
    size = min(HEAD_TO_BODY * body.height, body.width)
    middle = body.centre[0]
    return Box(middle - size / 2, body.y1, middle + size / 2, body.y1 + size)


ENTRY = RuleEntry(
    summary="Who smokes: cigarettes near a person's head or hand.",
    make=SmokingRule,
    settings=SmokingSettings,
    events={
        "smoking_started": "A person was seen with a cigarette often enough to be smoking.",
        "smoking_ended": "That person, the `person_id` of the beginning, had no cigarette for "
        "`gap_s`; `duration_s` says how long.",
    },
    labels=frozenset({"person"}),
)
