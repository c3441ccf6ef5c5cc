"""Plates that pass a camera: the reads of one vehicle's plate vote, and it is told once.

Each look at a plate is read aside, by one thread that all streams share; what it found counts at
the next look. A passage is decided as soon as its readings leave no doubt, so that the vehicle is
still in the picture that is kept with it; else when there were enough of them, when it has become
too small to be read, or when it is gone.
"""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from app import numbers
from app.config import PlateRuleSettings
from app.errors import DetectorError
from app.models.plates.read import Decision, Votes, confidence
from app.models.runner import Image
from app.models.second_look import Window
from app.pipeline.rules.base import Scene
from app.plates import WatchEntry
from app.types import Box, Finding, Track

LABEL = "plate"
CUT_MARGIN = 0.5
CERTAIN = 0.95
EDGE = 2.0
LAST_READS_S = 2.0
PARTS_S, MOST_PARTS = 10.0, 15
IDLE_S = 1.0
"""A plate that is followed but too small to be read for so long is decided: it drives away."""
REMEMBERED = 256


class Attendant(Protocol):
    """Who reads crops, and knows which numbers are waited for."""

    def prepare(self) -> None:
        """Make ready for the first crop; returns at once."""
        ...

    def read(self, crop: Image) -> Future[Votes] | None:
        """Begin to read a crop; None while too many others wait."""
        ...

    def settle(self, votes: list[tuple[Votes, float]]) -> Decision:
        """What several votes come to, each with its weight."""
        ...

    def waited_for(self, number: str) -> list[WatchEntry]:
        """Entries of the watch-list that a number may be."""
        ...

    def jpeg(self, crop: Image) -> bytes:
        """A crop as JPEG."""
        ...


@dataclass(slots=True)
class _Passage:
    """One plate on its way through the picture.

    Attributes:
        votes: of each look, with its weight: the plate's width in pixels.
        best: the widest crop, and where in the picture it was.
        read_at: when the last look began.
    """

    track: Track
    seen_at: float
    votes: list[tuple[Votes, float]] = field(default_factory=list)
    looks: int = 0
    reading: Future[Votes] | None = None
    weight: float = 0.0
    best: Image | None = None
    best_width: float = 0.0
    best_box: Box | None = None
    read_at: float = 0.0
    told: bool = False


class Plates:
    """Args:
    settings: thresholds; see ``PlateRuleSettings``.
    attendant: shared by all streams.
    """

    close_up: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, settings: PlateRuleSettings, attendant: Attendant) -> None:
        self._settings = settings
        self._attendant = attendant
        attendant.prepare()
        self._passages: dict[int, _Passage] = {}
        self._passed: dict[str, float] = {}
        self._parts: list[_Passage] = []

    def update(self, scene: Scene) -> list[Finding]:
        for track in scene.labelled(LABEL):
            if track.age_s == 0:
                self._look(track, scene)
        findings: list[Finding] = []
        for number, passage in list(self._passages.items()):
            self._collect(passage, wait_s=0.0)
            gone = scene.now - passage.seen_at > self._settings.gap_s
            if not passage.told:
                findings += self._decide(passage, scene.now, last=gone)
            if gone:
                del self._passages[number]
        return findings

    def end(self) -> list[Finding]:
        findings: list[Finding] = []
        for passage in self._passages.values():
            self._collect(passage, wait_s=LAST_READS_S)
            if not passage.told:
                findings += self._decide(passage, passage.seen_at, last=True)
        self._passages.clear()
        return findings

    def _look(self, track: Track, scene: Scene) -> None:
        """Have the plate read once more, unless it is small or has been read enough."""
        passage = self._passages.setdefault(track.track_id, _Passage(track, scene.now))
        passage.track, passage.seen_at = track, scene.now
        scale = scene.seen.size[0] / scene.size[0]
        width = track.box.width * scale
        enough = passage.looks >= self._settings.max_reads
        small = width < self._settings.min_width
        if passage.told or passage.reading or enough or small or _is_cut(track.box, scene.size):
            return
        crop = scene.seen.cut(_window(track.box.scaled(scale, scale), scene.seen.size))
        if min(crop.shape[:2]) < 8:
            return
        passage.reading = self._attendant.read(crop)
        if passage.reading is None:
            return
        passage.looks += 1
        passage.read_at = scene.now
        passage.weight = width
        if width > passage.best_width:
            passage.best, passage.best_width, passage.best_box = crop, width, track.box

    def _collect(self, passage: _Passage, *, wait_s: float) -> None:
        """Take the votes of the last look, if they are there."""
        if passage.reading is None or not (wait_s or passage.reading.done()):
            return
        try:
            votes = passage.reading.result(wait_s)
        except (DetectorError, FutureTimeout):
            votes = {}
        passage.reading = None
        if votes:
            passage.votes.append((votes, passage.weight))

    def _decide(self, passage: _Passage, now: float, *, last: bool) -> list[Finding]:
        """Tell who passed once that is certain, or at last as well as it is known."""
        if last and 0 < len(passage.votes) < self._settings.min_reads:
            self._join(passage, now)
        reads = len(passage.votes)
        if reads < self._settings.min_reads or passage.best is None:
            return []
        decision = self._attendant.settle(passage.votes)
        sure = confidence(decision)
        enough = passage.looks >= self._settings.max_reads and passage.reading is None
        idle = passage.reading is None and now - passage.read_at > IDLE_S
        idle = idle and sure >= self._settings.min_confidence
        if not decision.text or not (last or enough or idle or sure >= CERTAIN):
            return []
        passage.told = True
        if sure < self._settings.min_confidence or self._was_here(decision.text, now):
            return []
        return self._tell(passage, decision, sure, reads)

    def _join(self, passage: _Passage, now: float) -> None:
        """Give a passage the reads of an earlier one of the same number: a fast plate's track
        breaks between two looks, and each part has too few."""
        text = numbers.shape(self._attendant.settle(passage.votes).text)
        for other in self._parts:
            before = numbers.shape(self._attendant.settle(other.votes).text)
            recent = now - other.seen_at <= PARTS_S
            if text and recent and (text == before or numbers.one_edit_apart(text, before)):
                passage.votes = [*other.votes, *passage.votes]
        self._parts = [*self._parts[-MOST_PARTS:], passage]

    def _tell(
        self, passage: _Passage, decision: Decision, sure: float, reads: int
    ) -> list[Finding]:
        assert passage.best is not None
        others = [text for text, _ in decision.ranked[1:4]]
        details: dict[str, Any] = {
            "plate_number": decision.text,
            "alternatives": others,
            "votes": {text: round(share, 4) for text, share in decision.ranked[:8]},
            "reads": reads,
        }
        own, box = passage.track, passage.best_box
        if own.age_s > 0 and box is not None:  # out of the picture that is kept with it
            own = Track(own.track_id, own.label, own.confidence, box)
        tracks = (own,)
        crop = self._attendant.jpeg(passage.best)
        seen = Finding("plate_seen", tracks, round(sure, 4), details=details, crop=crop)
        matches = [
            Finding("plate_match", tracks, round(sure, 4), details=_match(decision.text, entry))
            for entry in self._attendant.waited_for(decision.text)
        ]
        return [seen, *matches]

    def _was_here(self, text: str, now: float) -> bool:
        """Whether this number, or one that it may be misread from, was told a moment ago."""
        shape = numbers.shape(text)
        recent = {s: at for s, at in self._passed.items() if now - at <= self._settings.again_s}
        self._passed = dict(list(recent.items())[-REMEMBERED:])
        for before in self._passed:
            if before == shape or numbers.one_edit_apart(before, shape):
                self._passed[before] = now
                return True
        self._passed[shape] = now
        return False


def _match(text: str, entry: WatchEntry) -> dict[str, Any]:
    return {
        "plate_number": text,
        "watch_id": entry.watch_id,
        "watched": entry.number,
        "note": entry.note,
        "action": entry.action,
    }


def _is_cut(box: Box, size: tuple[int, int]) -> bool:
    """Whether a plate reaches an edge of the picture, so that some of it may be outside."""
    width, height = size
    return box.x1 < EDGE or box.y1 < EDGE or box.x2 > width - EDGE or box.y2 > height - EDGE


def _window(box: Box, size: tuple[int, int]) -> Window:
    around = box.grown(CUT_MARGIN)
    width, height = size
    return Window(
        max(0, int(around.x1)),
        max(0, int(around.y1)),
        min(width, int(around.x2) + 1),
        min(height, int(around.y2) + 1),
    )
