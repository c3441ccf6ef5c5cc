"""The values of events: as rules report them, as clients get them, and as they are stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.local_time import DayHours
from app.plate_text import folded
from app.rights import EVERYTHING, Access
from app.types import BlurredFrame, Box, Track, kind_of


@dataclass(frozen=True, slots=True)
class RuleEvent:
    """An event as a rule reports it, without a stream, an id and a snapshot.

    Attributes:
        type: such as ``smoking_started``.
        tracks: the tracks involved, the main one first.
        at: when it happened (monotonic), if that was earlier than the frame that showed it.
        details: further values, JSON-ready.
        crop: JPEG of a number plate, not blurred, to be stored; clients never get it.
        frame_at: when the frame was captured (monotonic) that shows the tracks, if it is an earlier
            one that the rule had asked to hold.
    """

    type: str
    tracks: tuple[Track, ...] = ()
    confidence: float | None = None
    duration_s: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    at: float | None = None
    crop: bytes | None = field(default=None, repr=False, compare=False)
    frame_at: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a person would want to know.

    Attributes:
        event_id: counts up over all streams and restarts.
        ts: when it happened, Unix seconds.
        frame: the blurred frame, only for code that stores it: events that wait for a slow
            client must be small.
        has_snapshot: whether a snapshot will be stored.
        session_id: the run of the stream in which it happened.
        has_clip: whether a clip will be recorded.
        snapshot_file: name of the snapshot's file, if another process has written it already.
        node: of a cluster, on which the snapshot and the clip are; None: on this machine.
    """

    event_id: int
    stream_id: str
    ts: float
    rule_event: RuleEvent
    frame: BlurredFrame | None = field(default=None, repr=False)
    has_snapshot: bool = False
    session_id: str | None = None
    has_clip: bool = False
    snapshot_file: str | None = None
    node: str | None = None


@dataclass(frozen=True, slots=True)
class EventComment:
    """What a person wrote about an event; ``by`` is the name that the writer had then."""

    text: str
    by: str
    ts: float


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it is stored and sent, with one field for each column.

    Attributes:
        track_id: the main track.
        person_id, bag_id: ids of the person and the bag involved, if any.
        box: of the main track, in pixels of the snapshot.
        snapshot: whether there is a snapshot.
        snapshot_file: name of the snapshot's file, once it is written.
        clip: whether there is a clip, or will be in a moment.
        flagged: a person marked it as important, and so it is kept longer.
        node: of a cluster, on which the snapshot is; None: on this machine.
    """

    event_id: int
    stream_id: str
    type: str
    ts: float
    track_id: int | None = None
    person_id: int | None = None
    bag_id: int | None = None
    box: Box | None = None
    confidence: float | None = None
    duration_s: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    snapshot: bool = False
    session_id: str | None = None
    snapshot_file: str | None = None
    clip: bool = False
    flagged: bool = False
    comment: EventComment | None = None
    node: str | None = None

    @property
    def plate(self) -> str | None:
        """The number of the plate that was seen, if one was."""
        return plate_of(self.details)

    @classmethod
    def of(cls, event: Event) -> EventRow:
        rule_event = event.rule_event
        first = rule_event.tracks[0] if rule_event.tracks else None
        return cls(
            event.event_id,
            event.stream_id,
            rule_event.type,
            event.ts,
            track_id=first.track_id if first else None,
            person_id=_subject(rule_event, "person"),
            bag_id=_subject(rule_event, "bag"),
            box=first.box if first else None,
            confidence=rule_event.confidence,
            duration_s=rule_event.duration_s,
            details=rule_event.details,
            snapshot=event.has_snapshot,
            session_id=event.session_id,
            clip=event.has_clip,
            snapshot_file=event.snapshot_file,
            node=event.node,
        )


def plate_of(details: Mapping[str, Any]) -> str | None:
    """The number of a plate in the details of an event, as a key; None if there is none."""
    number = details.get("plate_number")
    return folded(number) if isinstance(number, str) else None


SAME_FIELDS = ("stream_id", "ts", "track_id", "person_id", "bag_id", "confidence", "duration_s")


def event_fields(row: EventRow) -> dict[str, Any]:
    """An event as every API and every message has it, JSON-ready; see ``docs/reference/events``."""
    return {
        "type": "event",
        "version": 1,
        **{name: getattr(row, name) for name in SAME_FIELDS},
        "id": row.event_id,
        "camera_id": row.stream_id,
        "time": datetime.fromtimestamp(row.ts, UTC).isoformat(),
        "event": row.type,
        "box": list(row.box) if row.box else None,
        "session_id": row.session_id,
        "snapshot": f"/api/events/{row.event_id}/snapshot.jpg" if row.snapshot else None,
        "clip": f"/api/events/{row.event_id}/clip.mp4" if row.clip else None,
        "details": dict(row.details),
    }


def _subject(rule_event: RuleEvent, kind: str) -> int | None:
    """The id that a rule gives in its details, else that of the first track of that kind."""
    if (name := f"{kind}_id") in rule_event.details:
        named: int | None = rule_event.details[name]
        return named
    tracks = rule_event.tracks
    return next((track.track_id for track in tracks if kind_of(track.label) == kind), None)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Selects events; None selects all. ``since`` and ``until`` are Unix seconds.

    Attributes:
        label, zone, line: as the event's ``details`` have them.
        access: of the caller, who gets only the events that it allows to see.
        plate: key of a plate's number, or of its beginning.
        hours: of the day.
        flagged: only events that are flagged, or only those that are not.
    """

    stream_id: str | None = None
    type: str | None = None
    since: float = -math.inf
    until: float = math.inf
    access: Access = EVERYTHING
    label: str | None = None
    zone: str | None = None
    line: str | None = None
    plate: str | None = None
    hours: DayHours | None = None
    flagged: bool | None = None

    @property
    def details(self) -> dict[str, str]:
        """The wanted values of ``details``, by name."""
        wanted = {"label": self.label, "zone": self.zone, "line": self.line}
        return {name: value for name, value in wanted.items() if value is not None}

    def takes(self, event: Event) -> bool:
        rule_event = event.rule_event
        return self.flagged is not True and self._takes(
            event.stream_id, rule_event.type, event.ts, rule_event.details
        )

    def takes_record(self, record: EventRow) -> bool:
        return self.flagged in (None, record.flagged) and self._takes(
            record.stream_id, record.type, record.ts, record.details
        )

    def _takes(self, stream_id: str, kind: str, ts: float, details: Mapping[str, Any]) -> bool:
        if any(details.get(name) != value for name, value in self.details.items()):
            return False
        if self.plate is not None:
            number = plate_of(details)
            if number is None or not number.startswith(self.plate):
                return False
        return (
            self.stream_id in (None, stream_id)
            and self.type in (None, kind)
            and self.since <= ts < self.until
            and (self.hours is None or self.hours.include(ts))
            and self.access.sees_event(stream_id, kind)
        )
