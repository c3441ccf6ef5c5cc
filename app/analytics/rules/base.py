"""What a rule is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from app.models.batching import Image
from app.models.crop_refiner import Cut
from app.types import Box, CropDetections, Detection, RuleEvent, Track


class FramePixels(NamedTuple):
    """The pixels of one frame, as analyses and rules may see them: without the frame.

    Attributes:
        size: width and height.
        cut: gives a part of it at full resolution, (H, W, 3) RGB.
        see: gives the whole of it with its longer side at most so many pixels, RGB.
    """

    size: tuple[int, int]
    crop: Cut
    resized: Callable[[int], Image]
    captured_at: float


@dataclass(frozen=True, slots=True)
class AnalyzedFrame:
    """One analysed frame, as rules see it.

    Attributes:
        tracks: everything that is followed now, faces included.
        detections: what was seen in this very frame, before any track was made of it.
        now: when the frame was captured.
        size: width and height of the picture that the boxes belong to.
        seen: the frame's pixels, whose size may be another; they are gone after ``update``.
        close_ups: what rules had doubts about; None where nothing can be enlarged.
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
    """Watches the scenes of one stream, used by one thread.

    Attributes:
        close_up: labels that are too small for the whole frame: persons are looked at again,
            enlarged, for their sake.
    """

    crop_labels: ClassVar[frozenset[str]]

    def update(self, frame: AnalyzedFrame) -> list[RuleEvent]:
        """What happened by this scene."""
        ...

    def end(self) -> list[RuleEvent]:
        """What ends because the stream does."""
        ...


@runtime_checkable
class RequestsCrops(Protocol):
    """A rule that wants to see parts of the next frame enlarged before it says something.

    Attributes:
        doubts: the parts, in pixels of the picture of its last scene.
    """

    crop_requests: Sequence[Box]


@runtime_checkable
class SeesSkippedFrames(Protocol):
    """A rule that has a use for the frames between two looks."""

    def skipped_frame(self, frame: AnalyzedFrame) -> None:
        """Take note of a frame that was not looked at: its tracks are where they should be."""
        ...
