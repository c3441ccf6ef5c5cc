"""The words of the project, as values. No behaviour beyond what a value knows about itself.

Boxes are in pixels of the frame they belong to. Times named ``*_at`` are ``time.monotonic()``
seconds; times named ``*_ts`` are Unix seconds and only for people.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from app.errors import WatchpostError

if TYPE_CHECKING:
    from av import VideoFrame

BlurStyle = Literal["gaussian", "pixelate", "solid", "off"]
Transport = Literal["tcp", "udp"]
Analytics = Mapping[str, Mapping[str, Any]]

LABELS = (
    "person",
    "backpack",
    "handbag",
    "suitcase",
    "car",
    "motorcycle",
    "bus",
    "truck",
    "face",
    "plate",
    "cigarette",
)
BAG_LABELS = ("backpack", "handbag", "suitcase", "bag")  # "bag" is one of unknown kind
GROUPED_LABELS = {"bag": BAG_LABELS}
"""Kinds of objects that networks know under several labels, which they mix up."""


def kind_of(label: str) -> str:
    """The kind of object that a label names: ``bag`` for a suitcase, else the label itself."""
    return next((kind for kind, labels in GROUPED_LABELS.items() if label in labels), label)


class StreamState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    RECONNECTING = "reconnecting"
    STOPPED = "stopped"
    FAILED = "failed"


class Box(NamedTuple):
    """A rectangle, right and bottom edge exclusive."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        return self.width * self.height

    @property
    def centre(self) -> tuple[float, float]:
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    @property
    def foot(self) -> tuple[float, float]:
        """Where it stands: the middle of its lower edge."""
        return (self.x1 + self.x2) / 2, self.y2

    def intersection(self, other: Box) -> float:
        """The area that both boxes cover, in square pixels."""
        width = min(self.x2, other.x2) - max(self.x1, other.x1)
        height = min(self.y2, other.y2) - max(self.y1, other.y1)
        return width * height if width > 0 and height > 0 else 0.0

    def iou(self, other: Box) -> float:
        """Intersection over union."""
        shared = self.intersection(other)
        union = self.area + other.area - shared
        return shared / union if union > 0 else 0.0

    def scaled(self, x: float, y: float) -> Box:
        return Box(self.x1 * x, self.y1 * y, self.x2 * x, self.y2 * y)

    def moved(self, dx: float, dy: float) -> Box:
        return Box(self.x1 + dx, self.y1 + dy, self.x2 + dx, self.y2 + dy)

    def grown(self, share: float) -> Box:
        """The box with ``share`` of its width and height added on each side."""
        dx, dy = self.width * share, self.height * share
        return Box(self.x1 - dx, self.y1 - dy, self.x2 + dx, self.y2 + dy)

    def padded(self, pixels: float) -> Box:
        """The box with ``pixels`` added on each side."""
        return Box(self.x1 - pixels, self.y1 - pixels, self.x2 + pixels, self.y2 + pixels)


@dataclass(frozen=True, slots=True)
class Detection:
    """What a network saw in one frame."""

    label: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class Track:
    """A detection followed through time. ``age_s`` is the time since it was last really seen."""

    track_id: int
    label: str
    confidence: float
    box: Box
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CropDetections:
    """What a network saw in a part of a frame that was enlarged for it.

    Attributes:
        part: which part, in the same pixels as the boxes of the detections.
    """

    part: Box
    detections: Sequence[Detection]


@dataclass(frozen=True, slots=True)
class Frame:
    """A raw decoded picture. It never leaves ``pipeline/stream.py``: see ``BlurredFrame``.

    Attributes:
        captured_at: when the camera saw it, as well as that is known.
        number: counts up from 1 for each frame that the source gave, also those dropped later.
        taken_at: when the source began with it (decoding, for a pushed one).
    """

    image: VideoFrame
    captured_at: float
    number: int
    taken_at: float = 0.0


@dataclass(frozen=True, slots=True, weakref_slot=True)
class BlurredFrame:
    """A planar YUV 4:2:0 picture that may be shown. Only ``pipeline/blur.py`` makes one.

    The image is shared by all sinks and must not be written to.
    """

    image: VideoFrame

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.image.width, self.image.height


@dataclass(frozen=True, slots=True)
class ProcessedFrame:
    """All that sinks, previews and viewers ever get of a frame.

    Attributes:
        tracks: what is in the picture, in its pixels: the faces that are covered, and what the
            stream's analytics follow.
        finished_at: when everything about the frame was known.
        fps: how many frames a second came out lately.
    """

    picture: BlurredFrame
    tracks: tuple[Track, ...]
    captured_at: float
    number: int
    taken_at: float = 0.0
    finished_at: float = 0.0
    fps: float = 0.0

    def report(self) -> FrameMetadata:
        """All but the picture."""
        return FrameMetadata(
            self.number,
            self.picture.size,
            self.tracks,
            self.captured_at,
            self.taken_at,
            self.finished_at,
            self.fps,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FrameMetadata:
    """What is known about a frame that became a result, for who needs no picture.

    It is small, so it may wait in queues, where pictures must not. Attributes are as in
    ``ProcessedFrame``; ``size`` is its width and height. Two are equal when they are one object.
    """

    number: int
    size: tuple[int, int]
    tracks: tuple[Track, ...]
    captured_at: float
    taken_at: float
    finished_at: float
    fps: float


@dataclass(frozen=True, slots=True)
class WithheldFrame:
    """A frame that did not become a result.

    Attributes:
        error: it cannot be used, or its faces are not known; None for one that a newer one
            replaced.
    """

    number: int
    error: WatchpostError | None = None


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """A result as viewers get it: with its picture as JPEG."""

    report: FrameMetadata
    jpeg: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RuleEvent:
    """What a rule saw happen: an event before it has a stream, a number and a picture.

    Attributes:
        type: such as ``smoking_started``.
        tracks: who and what it is about, the most important first.
        at: when it happened (monotonic), where that was before it could be known.
        details: what else a person would want to know, as JSON-ready values.
        crop: JPEG of a number plate, clear, for whoever keeps it; clients get none.
    """

    type: str
    tracks: tuple[Track, ...] = ()
    confidence: float | None = None
    duration_s: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    at: float | None = None
    crop: bytes | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person would want to be told.

    Attributes:
        event_id: counts up over all streams, also over restarts.
        ts: when it happened, Unix seconds.
        picture: the blurred picture at that moment, for whoever keeps it. Nobody else gets it:
            what waits for a slow client must be small.
        pictured: there is a picture of it, which will be kept.
        session_id: the run of the stream in which it happened.
    """

    event_id: int
    stream_id: str
    ts: float
    rule_event: RuleEvent
    picture: BlurredFrame | None = field(default=None, repr=False)
    pictured: bool = False
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it is kept and told, one field a column.

    Attributes:
        track_id: who or what it is about most.
        person_id, bag_id: track ids, where persons and bags take part.
        box: of what it is about most, in pixels of the snapshot.
        snapshot: whether there is a picture of it.
        snapshot_file: name of the picture's file, once it is written.
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
            snapshot=event.pictured,
            session_id=event.session_id,
        )


def _subject(rule_event: RuleEvent, kind: str) -> int | None:
    """The identity that a rule names, or else the first track of that kind."""
    if (name := f"{kind}_id") in rule_event.details:
        named: int | None = rule_event.details[name]
        return named
    tracks = rule_event.tracks
    return next((track.track_id for track in tracks if kind_of(track.label) == kind), None)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events somebody wants; None wants all. ``since`` and ``until`` are Unix seconds."""

    stream_id: str | None = None
    type: str | None = None
    since: float = -math.inf
    until: float = math.inf

    def takes(self, event: Event) -> bool:
        return self._takes(event.stream_id, event.rule_event.type, event.ts)

    def takes_record(self, record: EventRow) -> bool:
        return self._takes(record.stream_id, record.type, record.ts)

    def _takes(self, stream_id: str, kind: str, ts: float) -> bool:
        return (
            self.stream_id in (None, stream_id)
            and self.type in (None, kind)
            and self.since <= ts < self.until
        )


class Zone(NamedTuple):
    """A part of the picture that is watched or ignored.

    ``points`` are its corners, x and y as shares of the picture's width and height.
    """

    kind: Literal["watch", "ignore"]
    points: tuple[tuple[float, float], ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What a caller asked for. URLs are complete, with credentials: never show one as it is.

    Attributes:
        source: URL of the input; its scheme picks the entry of ``SOURCES``.
        output: RTSP URL to publish to, or None for a stream that is only previewed.
        max_fps: ceiling of the output rate, frames a second.
        downscale: factor on width and height of what comes out, 0.1 to 1.
        blur_margin: share of a face's size that is covered beyond its box on each side.
        name: what people call it; the id where it has none.
        analytics: the rules to run (entries of ``RULES``), each with what it changes in its
            settings.
        loop: a file begins anew at its end.
        paced: a file is played at its own speed, as a camera would show it, not as fast as it
            can be read.
        zones: where the analytics look and where they do not.
        encoder: FFmpeg name of an H.264 encoder, or ``auto``.
        bitrate: bits a second, or None to derive it from size and rate.
        stall_timeout_s: without a frame for this long it counts as lost; None for the server's
            limit, longer for a camera that is slow.
        start_timeout_s: how long the source may take for its first frame; None for the server's.
        interval: seconds between two requests, where a URL has a single image; None for 1, or
            fewer requests where ``max_fps`` is lower.
    """

    stream_id: str
    source: str = field(repr=False)
    output: str | None = field(default=None, repr=False)
    max_fps: float = 15.0
    downscale: float = 1.0
    blur: BlurStyle = "gaussian"
    blur_margin: float = 0.25
    encoder: str = "auto"
    bitrate: int | None = None
    transport: Transport = "tcp"
    name: str | None = None
    analytics: Analytics = field(default_factory=dict)
    loop: bool = False
    paced: bool = False
    zones: Sequence[Zone] = ()
    stall_timeout_s: float | None = None
    start_timeout_s: float | None = None
    interval: float | None = None


@dataclass(frozen=True, slots=True)
class StreamStats:
    """Counters and rates of a stream since it was last started.

    Attributes:
        followed: how many objects of each kind are followed now, as the analytics count them:
            persons, and what the rules add. Empty for a stream without analytics.
        session_id: which run of the stream this is, such as ``S_2026_02_03_0001``.
    """

    input_fps: float = 0.0
    output_fps: float = 0.0
    frames_in: int = 0
    frames_dropped: int = 0
    frames_published: int = 0
    frames_withheld: int = 0
    faces: int = 0
    followed: Mapping[str, int] = field(default_factory=dict)
    session_id: str | None = None
    last_frame_ts: float | None = None
    error_count: int = 0
    reconnects: int = 0
    last_error: str | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    uptime_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StreamStatus:
    spec: StreamSpec
    state: StreamState
    stats: StreamStats


class StreamHealth(NamedTuple):
    """How a stream is right now: the little that is cheap to ask for, again and again.

    Attributes:
        trouble: why it is not running, where that is known.
    """

    state: StreamState
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class StoredStream:
    """A stream as the database keeps it over a restart.

    Attributes:
        wanted: running, stopped or failed: what it should be again.
        readable: False when the key for its credentials is lost; its URLs lack them then.
    """

    spec: StreamSpec
    wanted: StreamState
    last_error: str | None = None
    readable: bool = True
