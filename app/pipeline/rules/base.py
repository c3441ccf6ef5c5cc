"""What a rule is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from app.types import Detection, Finding, Track


@dataclass(frozen=True, slots=True)
class Scene:
    """One analysed frame, as rules see it.

    Attributes:
        tracks: everything that is followed now, faces included.
        detections: what was seen in this very frame, before any track was made of it.
        now: when the frame was captured.
    """

    tracks: Sequence[Track]
    detections: Sequence[Detection]
    now: float

    def labelled(self, label: str) -> list[Track]:
        return [track for track in self.tracks if track.label == label]


class Rule(Protocol):
    """Watches the scenes of one stream, used by one thread.

    Attributes:
        close_up: labels that are too small for the whole frame: persons are looked at again,
            enlarged, for their sake.
    """

    close_up: ClassVar[frozenset[str]]

    def update(self, scene: Scene) -> list[Finding]:
        """What happened by this scene."""
        ...

    def end(self) -> list[Finding]:
        """What ends because the stream does."""
        ...
