"""The values that all parts share: boxes, detections, tracks, frames, and streams.

Boxes are in pixels of the frame they belong to. Times named ``*_at`` are ``time.monotonic()``
seconds; times named ``*_ts`` are Unix seconds and only for people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from app.errors import WatchpostError
from app.footage import KeepDays
from app.places import Line as Line
from app.places import PlaceCounts
from app.places import Zone as Zone

if TYPE_CHECKING:
    from av import VideoFrame

BlurStyle = Literal["gaussian", "pixelate", "solid", "off"]
Record = Literal["off", "events", "continuous"]
Transport = Literal["tcp", "udp"]
Rotation = Literal[0, 90, 180, 270]
Analytics = Mapping[str, Mapping[str, Any]]

SQUARE = Fraction(1)
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
BAG_LABELS = ("backpack", "handbag", "suitcase", "bag")  # "bag": a bag of unknown kind
GROUPED_LABELS = {"bag": BAG_LABELS}
"""Kinds of objects with several labels that networks confuse with each other."""


def kind_of(label: str) -> str:
    """The kind of object for a label: ``bag`` for a suitcase, else the label itself."""
    return next((kind for kind, labels in GROUPED_LABELS.items() if label in labels), label)


class StreamState(StrEnum):
    """The state of a stream."""

    STARTING = "starting"
    RUNNING = "running"
    RECONNECTING = "reconnecting"
    STOPPED = "stopped"
    FAILED = "failed"


class Box(NamedTuple):
    """A rectangle; its right and bottom edges are exclusive."""

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
        """The middle of the lower edge: where a person stands."""
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

    def pixels(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in whole pixels, inside an image of this width and height."""
        left, top = max(0, int(self.x1)), max(0, int(self.y1))
        return left, top, min(size[0], int(self.x2) + 1), min(size[1], int(self.y2) + 1)

    def padded(self, pixels: float) -> Box:
        """The box with ``pixels`` added on each side."""
        return Box(self.x1 - pixels, self.y1 - pixels, self.x2 + pixels, self.y2 + pixels)


@dataclass(frozen=True, slots=True)
class Detection:
    """An object that a network found in one frame."""

    label: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class Track:
    """A detection followed through time; ``age_s`` is the time since it was last detected."""

    track_id: int
    label: str
    confidence: float
    box: Box
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CropDetections:
    """The detections in an enlarged part of a frame.

    Attributes:
        part: the part, in the same pixels as the boxes of the detections.
    """

    part: Box
    detections: Sequence[Detection]


@dataclass(frozen=True, slots=True)
class Frame:
    """A raw decoded frame. It never leaves ``pipeline/stream.py``: see ``BlurredFrame``.

    Attributes:
        captured_at: when the camera captured it, as well as that is known.
        number: counts all frames of the source from 1, including those dropped later.
        taken_at: when processing began (for a pushed frame, when decoding began).
        orientation: how the image is stored, as EXIF numbers it; 1 is upright.
        pixel_aspect: width of a stored pixel divided by its height.
        jumped_s: total jumps of the source's clock so far, which ``captured_at`` leaves out.
        arrived: frames of the source since the last one that was handed out, this one included;
            the others were not decoded, because nobody needs them.
        sender_ts: when it was captured on the camera's own clock, if that is known.
        look: the frame of the camera's substream in which objects are to be detected instead.
        stands_in: it is of the camera's substream, and shown instead of one of the first stream.
        restarts: how often a file that loops had begun again before this frame.
    """

    image: VideoFrame
    captured_at: float
    number: int
    taken_at: float = 0.0
    orientation: int = 1
    pixel_aspect: Fraction = SQUARE
    jumped_s: float = 0.0
    arrived: int = 1
    sender_ts: float | None = None
    look: Frame | None = None
    stands_in: bool = False
    restarts: int = 0


@dataclass(frozen=True, slots=True, weakref_slot=True)
class BlurredFrame:
    """A planar YUV 4:2:0 image that may be shown. Only ``pipeline/blur.py`` creates one.

    All sinks share the image, so it must not be modified.
    """

    image: VideoFrame

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.image.width, self.image.height


@dataclass(frozen=True, slots=True)
class ProcessedFrame:
    """A frame as sinks, previews and viewers get it.

    Attributes:
        frame: the blurred image, in the size of the output.
        tracks: the covered faces and the objects that the stream's analytics track, in pixels of
            the image.
        finished_at: when the frame was processed.
        fps: current frame rate of the output.
        jumped_s: total jumps of the source's clock so far.
        covered: its faces were searched and covered; False during a clear view.
    """

    frame: BlurredFrame
    tracks: tuple[Track, ...]
    captured_at: float
    number: int
    taken_at: float = 0.0
    finished_at: float = 0.0
    fps: float = 0.0
    jumped_s: float = 0.0
    covered: bool = False

    def metadata(self) -> FrameMetadata:
        """Everything but the image."""
        return FrameMetadata(
            self.number,
            self.frame.size,
            self.tracks,
            self.captured_at,
            self.taken_at,
            self.finished_at,
            self.fps,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FrameMetadata:
    """A processed frame without its image, for clients that need none.

    It is small, so it may wait in queues; images must not. The attributes are those of
    ``ProcessedFrame``; ``size`` is width and height. Instances are equal only if identical.
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
    """A frame that was not shown.

    Attributes:
        error: why it cannot be used or its faces are not known; None if a newer frame replaced it.
    """

    number: int
    error: WatchpostError | None = None


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """A processed frame as viewers get it, with its image as JPEG."""

    metadata: FrameMetadata
    jpeg: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """The configuration of a stream. Its URLs contain credentials: never show them as they are.

    Attributes:
        source: URL of the input; its scheme selects the entry of ``SOURCES``.
        output: RTSP URL to publish to, or None for a stream that is only previewed.
        max_fps: upper limit of the output's frame rate.
        downscale: factor for width and height of the output, 0.1 to 1.
        blur_margin: margin that is covered around a face, as a share of its size.
        name: display name; None for the id.
        analytics: the rules to run (entries of ``RULES``), each with the settings that differ from
            the server's.
        loop: restart a file when it ends.
        paced: play a file at its own speed, as a camera would show it, not as fast as possible.
        begin_s: where to begin in a file, in seconds of its continuous clock.
        zones: parts of the frame that the analytics watch, ignore or count objects in.
        lines: lines in the frame that objects cross.
        encoder: FFmpeg's name of an H.264 encoder, or ``auto``.
        bitrate: bits per second, or None to derive it from size and frame rate.
        stall_timeout_s: seconds without a frame after which the source counts as lost; None for the
            server's limit, or more for a slow camera.
        start_timeout_s: seconds to wait for the first frame; None for the server's limit.
        interval: seconds between two requests to a URL of a single image; None for 1, or more if
            ``max_fps`` is below 1.
        rotate: degrees to turn the frames clockwise, for a camera that is mounted sideways.
        detect_url: RTSP URL of the camera's substream, in which objects are detected.
        clear_until: Unix seconds from which on faces are covered although ``blur`` is off.
        record: what is recorded: nothing, a clip of each event, or everything and the clips.
        clip_before_s, clip_after_s: what a clip shows before and after its event.
        continuous_days, event_days, flagged_days: how long its recordings, its clips, and what is
            flagged of both are kept; None for the server's settings.
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
    begin_s: float = 0.0
    zones: Sequence[Zone] = ()
    lines: Sequence[Line] = ()
    stall_timeout_s: float | None = None
    start_timeout_s: float | None = None
    interval: float | None = None
    rotate: Rotation = 0
    detect_url: str | None = field(default=None, repr=False)
    clear_until: float | None = None
    record: Record = "events"
    clip_before_s: float = 5.0
    clip_after_s: float = 10.0
    continuous_days: float | None = None
    event_days: float | None = None
    flagged_days: float | None = None

    @property
    def keep_days(self) -> KeepDays:
        """How long what is recorded of it is kept."""
        return KeepDays(self.continuous_days, self.event_days, self.flagged_days)

    @property
    def is_recorded(self) -> bool:
        """Whether there is anything to record."""
        has_events = self.record == "events" and bool(self.analytics)
        return self.has_video and (has_events or self.record == "continuous")

    @property
    def has_video(self) -> bool:
        """Whether it may be encoded for recordings and browsers; an uncovered stream never is."""
        covered = self.blur != "off" or self.clear_until is not None
        return covered and not self.waits

    def is_clear(self, now: float) -> bool:
        """Whether faces are not covered at a time, Unix seconds."""
        return self.blur == "off" and (self.clear_until is None or now < self.clear_until)

    @property
    def cover(self) -> BlurStyle:
        """How faces are covered whenever they are: also once a clear view has ended."""
        return "gaussian" if self.blur == "off" else self.blur

    @property
    def waits(self) -> bool:
        """Whether the source waits until its frames are processed: a file that is not paced."""
        return self.source.startswith("file:") and not (self.paced or self.loop)


class SubstreamStats(NamedTuple):
    """What a camera's substream is used for.

    Attributes:
        serves: objects are detected in it (``looks``), or it is also shown, because nobody watches
            (``frames``); None while it does not run.
        width, height: as it is sent; None before its first frame.
        apart_ms: time between a frame and the frame of the substream that was looked at instead.
    """

    serves: Literal["looks", "frames"] | None
    fps: float
    width: int | None
    height: int | None
    apart_ms: float | None


class Rate(NamedTuple):
    """A number of frames a second that is lower than it should be."""

    now: float
    wanted: float


@dataclass(frozen=True, slots=True)
class Reduced:
    """What a stream goes without because the machine cannot do everything.

    Attributes:
        objects: frames on which objects are detected; None if as many as configured.
        no_crops: people are not examined enlarged, although a rule needs that.
        face_gap_s: for how long faces may be predicted before they are detected again.
        frames: frames that are processed of those that the source has; None if all are.
    """

    objects: Rate | None = None
    no_crops: bool = False
    face_gap_s: float = 0.0
    frames: Rate | None = None


@dataclass(frozen=True, slots=True)
class StreamStats:
    """Counters and rates of a stream since it was last started.

    Attributes:
        frames_skipped: those of ``frames_in`` that were not decoded, because nobody needs them.
        followed: number of tracked objects by kind: persons, and the kinds that the rules add.
            Empty for a stream without analytics.
        places: counts of its zones and lines; None where no rule counts them.
        substream: None for a stream without one.
        decoder: what decodes the input: ``cpu``, or a kind of hardware such as ``cuda``.
        encoder: FFmpeg's name of the output's encoder; None without an output.
        session_id: the current run of the stream, such as ``S_2026_02_03_0001``.
        reduced: what it goes without; None for nothing.
    """

    input_fps: float = 0.0
    output_fps: float = 0.0
    frames_in: int = 0
    frames_skipped: int = 0
    frames_dropped: int = 0
    frames_published: int = 0
    frames_withheld: int = 0
    faces: int = 0
    followed: Mapping[str, int] = field(default_factory=dict)
    places: PlaceCounts | None = None
    substream: SubstreamStats | None = None
    session_id: str | None = None
    last_frame_ts: float | None = None
    error_count: int = 0
    reconnects: int = 0
    last_error: str | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    codec: str | None = None
    decoder: str | None = None
    encoder: str | None = None
    width: int | None = None
    height: int | None = None
    uptime_s: float = 0.0
    reduced: Reduced | None = None


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """A stream's configuration, state and statistics."""

    spec: StreamSpec
    state: StreamState
    stats: StreamStats


class StreamHealth(NamedTuple):
    """A stream's state and why it is not running; cheap enough to be polled.

    Attributes:
        error: why it is not running, if that is known.
    """

    state: StreamState
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StoredStream:
    """A stream as the database stores it.

    Attributes:
        wanted: the state to restore after a restart: running, stopped or failed.
        decryptable: False if the key for its URLs is lost; only their hosts are known then.
    """

    spec: StreamSpec
    wanted: StreamState
    last_error: str | None = None
    decryptable: bool = True
