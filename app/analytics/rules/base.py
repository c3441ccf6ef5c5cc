"""The interface of rules, and the entry by which each describes itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from app.events import RuleEvent
from app.models.batching import Image
from app.models.crop_refiner import Cut
from app.places import Line, PlaceCounts, Zone
from app.types import LABELS, Box, CropDetections, Detection, Track


class FramePixels(NamedTuple):
    """Access to the pixels of one frame, for analyzers and rules, which never get the frame.

    Attributes:
        size: width and height.
        crop: gives a part of the frame at full resolution, (H, W, 3) RGB.
        resized: gives the whole frame as (H, W, 3) RGB, its longer side at most this long.
        restarts: how often a file that loops had begun again before this frame.
    """

    size: tuple[int, int]
    crop: Cut
    resized: Callable[[int], Image]
    captured_at: float
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class AnalyzedFrame:
    """One analyzed frame, as rules see it.

    Attributes:
        tracks: of all objects that are followed now, faces included.
        detections: in this frame itself, before they become tracks.
        now: when the frame was captured.
        size: width and height of the image that the boxes belong to.
        pixels: of the frame, which may have another size; not available after ``update``.
        crops: the detections in the crops that rules requested; None where nothing is enlarged.
        examined: where cigarettes were looked for in this frame; None for everywhere.
    """

    tracks: Sequence[Track]
    detections: Sequence[Detection]
    now: float
    size: tuple[int, int]
    pixels: FramePixels
    crops: Sequence[CropDetections] | None = None
    examined: Sequence[Box] | None = None

    def labelled(self, label: str) -> list[Track]:
        """The tracks with this label."""
        return [track for track in self.tracks if track.label == label]


class Rule(Protocol):
    """Turns the analyzed frames of one stream into events; used by one thread.

    Attributes:
        crop_labels: labels of objects that are too small in the whole frame, and for which
            inference runs again on enlarged crops of people.
    """

    crop_labels: ClassVar[frozenset[str]]

    def update(self, frame: AnalyzedFrame) -> list[RuleEvent]:
        """The events of this frame."""
        ...

    def end(self) -> list[RuleEvent]:
        """The last events, when the stream ends."""
        ...


@runtime_checkable
class RequestsCrops(Protocol):
    """A rule that needs parts of the next frame enlarged before it reports an event.

    Attributes:
        crop_requests: the parts, in pixels of its last frame's boxes.
        requested_labels: what they are searched for. Only the part of the network that detects
            these is computed; other labels may or may not be among the detections.
    """

    crop_requests: Sequence[Box]
    requested_labels: ClassVar[frozenset[str]]


@runtime_checkable
class SeesSkippedFrames(Protocol):
    """A rule that also uses the frames without inference."""

    def skipped_frame(self, frame: AnalyzedFrame) -> None:
        """Take a frame without inference; its tracks are where they are expected."""
        ...


@runtime_checkable
class SeesRestarts(Protocol):
    """A rule that remembers where objects are."""

    def restart(self) -> None:
        """Forget them: a file that loops begins again, and nothing is where it was."""
        ...


@runtime_checkable
class HoldsFrames(Protocol):
    """A rule whose events are about frames that are over.

    Attributes:
        held_frames: when the frames were captured that are to be held for ``frame_at``. Only some
            of the newest are.
    """

    held_frames: Collection[float]


@runtime_checkable
class CountsObjects(Protocol):
    """A rule that follows some kinds of objects beyond the life of their tracks.

    Attributes:
        counts: how many there are now, by the kinds in its entry's ``counts``.
    """

    counts: Mapping[str, int]


@runtime_checkable
class ChoosesLabels(Protocol):
    """A rule whose settings decide what it looks for in whole frames.

    Attributes:
        labels: these, instead of the ``labels`` of its entry.
    """

    labels: frozenset[str]


@runtime_checkable
class CountsPlaces(Protocol):
    """A rule that counts the objects in zones and those that cross lines."""

    def place_counts(self) -> PlaceCounts:
        """The counts now; from any thread."""
        ...


@dataclass(frozen=True, slots=True)
class StreamContext:
    """What a rule may know of its stream.

    Attributes:
        zones: those that count for the rule.
        timezone: of the rule's days; None for that of the process.
        helpers: what the rules of all streams share, by name.
    """

    stream_id: str = ""
    zones: Sequence[Zone] = ()
    lines: Sequence[Line] = ()
    timezone: ZoneInfo | None = None
    helpers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """An entry of ``RULES``: how to create a rule, and what others need to know about it.

    Attributes:
        summary: one sentence about what it reports.
        make: takes the settings, then the helper if it ``needs`` one.
        settings: set by the server for all streams; a stream may change them for itself.
        events: every type of event that it reports, each with a sentence.
        section: the name of its settings in the environment; by default that of the rule.
        needs: name of the helper that all streams share.
        wants_zones: its settings have ``watch`` and ``ignore``, which a stream's zones fill.
        wants_stream: ``make`` takes the settings and the ``StreamContext``.
        counts: kinds of objects that it counts.
        reads_details: it needs the camera's full resolution, even while nobody watches.
        labels: what it looks for in whole frames, apart from the rule's ``crop_labels``. Only the
            parts of the network that a stream's rules need are computed.
        match_margins: by label, for objects that move farther between two inferences than they are
            long: how much boxes are enlarged to compare them, in lengths.
    """

    summary: str
    make: Callable[..., Rule]
    settings: type[BaseModel]
    events: Mapping[str, str]
    section: str | None = None
    needs: str | None = None
    wants_zones: bool = False
    wants_stream: bool = False
    counts: tuple[str, ...] = ()
    reads_details: bool = False
    labels: frozenset[str] = frozenset(LABELS)
    match_margins: Mapping[str, float] = field(default_factory=dict)
