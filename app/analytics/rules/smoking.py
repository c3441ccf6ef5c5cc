"""Who smokes: cigarettes near a person's head or hand, confirmed over several looks.

A single look proves nothing: pens, straws and fingers look like cigarettes. A person counts as
smoking once a cigarette was seen with them in ``confirm`` of their last ``window`` looks, and
goes on smoking through the seconds in which the hand is down or turned away: only ``gap_s``
without any cigarette ends it. So one smoke is one pair of events.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from app.analytics.rules.base import AnalyzedFrame
from app.config import SmokingSettings
from app.types import Box, Detection, RuleEvent, Track

REACH_ASIDE, REACH_ABOVE = 0.25, 0.1  # a hand may leave the person's box by so much of its sides
HEAD_TO_BODY = 0.22  # of a person's height, where no face is seen
SAME_PERSON_IOU = 0.3


@dataclass(slots=True)
class _Watch:
    """One person's last looks, and the smoke that is going on.

    Attributes:
        looks: confidence of the cigarette in each of the last looks, 0 where there was none.
        smoke: the confidences that make up the current smoke; empty while there is none.
    """

    person: Track
    looks: deque[float]
    seen_at: float
    first_at: float = 0.0
    last_at: float = -math.inf
    smoking: bool = False
    smoke: list[float] = field(default_factory=list)

    @property
    def confidence(self) -> float:
        """Mean of the better half of the sightings."""
        best = sorted(self.smoke, reverse=True)[: max(1, (len(self.smoke) + 1) // 2)]
        return round(sum(best) / len(best), 3)


class SmokingRule:
    """Args:
    settings: thresholds; see ``SmokingSettings``.
    """

    crop_labels: ClassVar[frozenset[str]] = frozenset({"cigarette"})

    def __init__(self, settings: SmokingSettings) -> None:
        self._settings = settings
        self._watches: dict[int, _Watch] = {}

    def update(self, frame: AnalyzedFrame) -> list[RuleEvent]:
        people = frame.labelled("person")
        faces = frame.labelled("face")
        held = self._held(people, faces, frame.detections)
        self._hand_over(people)
        rule_events: list[RuleEvent] = []
        for person in people:
            if person.age_s > 0:  # not really seen in this look: that says nothing either way
                continue
            watch = self._watches.get(person.track_id)
            if watch is None:
                looks: deque[float] = deque(maxlen=self._settings.window)
                watch = self._watches[person.track_id] = _Watch(person, looks, frame.now)
            watch.person, watch.seen_at = person, frame.now
            rule_events += self._look(watch, held.get(person.track_id), frame.now)
        return rule_events + self._forget(frame.now)

    def end(self) -> list[RuleEvent]:
        return [_ended(watch) for watch in self._watches.values() if watch.smoking]

    def _look(self, watch: _Watch, cigarette: Detection | None, now: float) -> list[RuleEvent]:
        """Take one look at one person; tell when a smoke starts."""
        watch.looks.append(cigarette.confidence if cigarette else 0.0)
        if cigarette is None:
            return []
        if not watch.smoke or now - watch.last_at > self._settings.gap_s:
            watch.smoke, watch.first_at = [], now
        watch.smoke.append(cigarette.confidence)
        watch.last_at = now
        sure = sum(confidence >= self._settings.min_confidence for confidence in watch.looks)
        if watch.smoking or sure < self._settings.confirm:
            return []
        watch.smoking = True
        shown = Track(0, "cigarette", cigarette.confidence, cigarette.box)
        return [RuleEvent("smoking_started", (watch.person, shown), watch.confidence)]

    def _held(
        self, people: list[Track], faces: list[Track], detections: Sequence[Detection]
    ) -> dict[int, Detection]:
        """The surest cigarette of each person, by track id; each goes to the nearest person."""
        held: dict[int, Detection] = {}
        heads = {person.track_id: _head(person, faces) for person in people}
        for detection in detections:
            if (
                detection.label != "cigarette"
                or detection.confidence < self._settings.keep_confidence
            ):
                continue
            reach = {
                person.track_id: distance
                for person in people
                if (distance := self._distance(detection.box, person, heads[person.track_id]))
                is not None
            }
            if reach:
                nearest = min(reach, key=reach.__getitem__)
                if nearest not in held or held[nearest].confidence < detection.confidence:
                    held[nearest] = detection
        return held

    def _distance(self, cigarette: Box, person: Track, head: Box) -> float | None:
        """From the head, in heads; None when this person cannot be holding it."""
        body, size = person.box, max(head.width, head.height)
        if max(cigarette.width, cigarette.height) > self._settings.max_length * size:
            return None
        x, y = _centre(cigarette)
        aside, above = REACH_ASIDE * body.width, REACH_ABOVE * body.height
        lowest = body.y1 + self._settings.reach_down * body.height
        if not (body.x1 - aside <= x <= body.x2 + aside and body.y1 - above <= y <= lowest):
            return None
        head_x, head_y = _centre(head)
        return math.hypot(x - head_x, y - head_y) / max(size, 1.0)

    def _hand_over(self, people: list[Track]) -> None:
        """A person whose track broke goes on under the new number: one smoke, one alarm."""
        visible = {person.track_id for person in people}
        for person in people:
            if person.track_id in self._watches:
                continue
            lost = [
                (overlap, number)
                for number, watch in self._watches.items()
                if number not in visible
                and (overlap := _iou(watch.person.box, person.box)) >= SAME_PERSON_IOU
            ]
            if lost:
                watch = self._watches.pop(max(lost)[1])
                watch.person = person
                self._watches[person.track_id] = watch

    def _forget(self, now: float) -> list[RuleEvent]:
        """End the smokes that were not seen for ``gap_s``, and drop who left."""
        rule_events: list[RuleEvent] = []
        for number, watch in list(self._watches.items()):
            if watch.smoking and now - watch.last_at > self._settings.gap_s:
                rule_events.append(_ended(watch))
                watch.smoking = False
                watch.smoke.clear()
                watch.looks.clear()
            if not watch.smoking and now - watch.seen_at > self._settings.gap_s:
                del self._watches[number]
        return rule_events


def _ended(watch: _Watch) -> RuleEvent:
    duration = round(watch.last_at - watch.first_at, 1)
    return RuleEvent("smoking_ended", (watch.person,), watch.confidence, duration)


def _head(person: Track, faces: list[Track]) -> Box:
    """The face inside the upper half of a person's box, or where a head should be."""
    body = person.box
    inside = [
        face.box
        for face in faces
        if body.x1 <= _centre(face.box)[0] <= body.x2
        and body.y1 <= _centre(face.box)[1] <= body.y1 + 0.6 * body.height
    ]
    if inside:
        return max(inside, key=lambda box: box.width * box.height)
    size = min(HEAD_TO_BODY * body.height, body.width)
    middle = (body.x1 + body.x2) / 2
    return Box(middle - size / 2, body.y1, middle + size / 2, body.y1 + size)


def _centre(box: Box) -> tuple[float, float]:
    return (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2


def _iou(a: Box, b: Box) -> float:
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    if width <= 0 or height <= 0:
        return 0.0
    inner = width * height
    return inner / (a.width * a.height + b.width * b.height - inner)
