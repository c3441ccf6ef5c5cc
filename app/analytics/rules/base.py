"""What a rule is, and what it says about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from pydantic import BaseModel

from app.events import RuleEvent
from app.models.batching import Image
from app.models.crop_refiner import Cut
from app.types import Box, CropDetections, Detection, Track


class FramePixels(NamedTuple):
    """The pixels of one frame, as analyzers and rules may see them: without the frame.

    Attributes:
        size: width and height.
        crop: gives a part of it at full resolution, (H, W, 3) RGB.
        resized: gives the whole of it, RGB, with its longer side at most as long as asked.
    """

    size: tuple[int, int]
    crop: Cut
    resized: Callable[[int], Image]
    captured_at: float


@dataclass(frozen=True, slots=True)
class AnalyzedFrame:
    """One analyzed frame, as rules see it.

    Attributes:
        tracks: everything that is followed now, faces included.
        detections: what was seen in this very frame, before any track was made of it.
        now: when the frame was captured.
        size: width and height of the image that the boxes belong to.
        pixels: of the frame, whose size may be another; they are gone after ``update``.
        crops: the crops that rules requested; None where nothing can be enlarged.
    """

    tracks: Sequence[Track]
    detections: Sequence[Detection]
    now: float
    size: tuple[int, int]
    pixels: FramePixels
    crops: Sequence[CropDetections] | None = None

    def labelled(self, label: str) -> list[Track]:
        return [track for track in self.tracks if track.label == label]


class Rule(Protocol):
    """Turns the analyzed frames of one stream into events; used by one thread.

    Attributes:
        crop_labels: labels that are too small to be seen in the whole frame: for their sake,
            people are looked at again, enlarged.
    """

    crop_labels: ClassVar[frozenset[str]]

    def update(self, frame: AnalyzedFrame) -> list[RuleEvent]:
        """What happened by this frame."""
        ...

    def end(self) -> list[RuleEvent]:
        """What ends because the stream does."""
        ...


@runtime_checkable
class RequestsCrops(Protocol):
    """A rule that wants to see parts of the next frame enlarged before it reports something.

    Attributes:
        crop_requests: the parts, in pixels of its last frame's boxes.
    """

    crop_requests: Sequence[Box]


@runtime_checkable
class SeesSkippedFrames(Protocol):
    """A rule that also uses the frames between two inferences."""

    def skipped_frame(self, frame: AnalyzedFrame) -> None:
        """Take note of a frame without inference: its tracks are where they are expected."""
        ...


@runtime_checkable
class CountsObjects(Protocol):
    """A rule that follows some kinds of objects for longer than their tracks live.

    Attributes:
        counts: how many there are now, by the kinds that its entry names in ``counts``.
    """

    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """One line of ``RULES``: how a rule is made, and all that others need to know about it.

    Attributes:
        summary: one sentence about what it reports.
        make: takes the settings, then the helper if it ``needs`` one.
        settings: what the server sets for all streams, and a stream may change for itself.
        events: every type of event that it reports, each with a sentence.
        section: the settings' name in the environment; by default that of the rule.
        needs: name of the helper that it shares with all streams.
        wants_zones: its settings have ``watch`` and ``ignore``, which a stream's zones fill.
        counts: kinds of objects that it counts.
        match_margins: for labels that move farther between two inferences than they are long, how
            much larger boxes are compared, in lengths.
    """

    summary: str
    make: Callable[..., Rule]
    settings: type[BaseModel]
    events: Mapping[str, str]
    section: str | None = None
    needs: str | None = None
    wants_zones: bool = False
    counts: tuple[str, ...] = ()
    match_margins: Mapping[str, float] = field(default_factory=dict)
