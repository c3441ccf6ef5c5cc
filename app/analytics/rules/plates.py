"""Plates that pass a camera: the reads of one vehicle's plate vote, and it is told once.

A passage is decided as soon as its readings leave no doubt, so that the vehicle is still in the
picture that is kept with it; else when there were enough of them, when it has become too small to
be read, or when it is gone and all that is left of it is read.
"""

from __future__ import annotations

import difflib
import time
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from app import plate_text
from app.analytics.rules.base import AnalyzedFrame, RuleEntry
from app.analytics.rules.plate_track import CropReader, PlateCrop, PlateTrack
from app.models.crop_refiner import CropWindow
from app.models.plates.voting import Decision, Votes, confidence
from app.plates import WatchEntry
from app.types import Box, RuleEvent, Track

LABEL = "plate"
CUT_MARGIN, GLIMPSE_MARGIN = 0.5, 0.8
GLIMPSE_S, FEW_CROPS = 0.7, 3
LINE_WIDTH = 0.8
"""How wide a number is at least, as a share of its plate."""
CERTAIN = 0.95
LONE = 0.9
"""How sure the reads must be of a plate that was in too few looks, its best crop read twice."""
CLEAR, ALIKE = 4.0, 0.5
"""Two readings so strong and less alike than that are of two plates."""
EDGE = 2.0
LATE_S = 10.0
"""A plate that left so long ago is decided though there are crops of it that nobody has read."""
LAST_READS_S = 3.0
PARTS_S, MOST_PARTS = 10.0, 15
IDLE_S = 1.0
"""A plate that is followed but too small to be read for so long is decided: it drives away."""
REMEMBERED = 256


class PlateRuleSettings(BaseModel):
    """Plates in front of a camera. A stream may change each value for itself."""

    model_config = ConfigDict(extra="forbid")

    min_width: int = Field(
        50, ge=20, le=2000, description="Narrower plates, in pixels, are not read."
    )
    max_reads: int = Field(
        12, ge=1, le=200, description="Reads of one plate after which it is decided."
    )
    min_reads: int = Field(2, ge=1, le=50, description="A plate with fewer reads is not reported.")
    min_confidence: float = Field(
        0.6, ge=0, le=1, description="A less certain number is not reported."
    )
    gap_s: float = Field(
        3.0, gt=0, le=600, description="Seconds unseen after which a plate has passed."
    )
    again_s: float = Field(
        60.0, ge=0, le=86400, description="Seconds before the same plate is reported again."
    )


class PlateRule:
    """Args:
    settings: thresholds; see ``PlateRuleSettings``.
    attendant: shared by all streams.
    """

    crop_labels: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, settings: PlateRuleSettings, read_queue: CropReader) -> None:
        self._settings = settings
        self._read_queue = read_queue
        read_queue.prepare()
        self._passages: dict[int, PlateTrack] = {}
        self._passed: dict[str, float] = {}
        self._parts: list[PlateTrack] = []

    def update(self, frame: AnalyzedFrame) -> list[RuleEvent]:
        for track in frame.labelled(LABEL):
            if track.age_s == 0:
                self._look(track, frame)
        rule_events: list[RuleEvent] = []
        for number, passage in list(self._passages.items()):
            unseen_s = frame.now - passage.seen_at - self._settings.gap_s
            if unseen_s > LATE_S:
                passage.waiting.clear()
                passage.reading = None
            rule_events += self._advance(number, frame.now, left=unseen_s > 0)
        return rule_events

    def skipped_frame(self, frame: AnalyzedFrame) -> None:
        """Keep crops of frames between two looks, about where the plates should be, if there is
        little else to read: where looks are rare, a vehicle may be in one or two of them."""
        for track in frame.labelled(LABEL):
            passage = self._passages.get(track.track_id)
            if passage and track.age_s <= GLIMPSE_S and len(passage.waiting) < FEW_CROPS:
                around = track.box.padded(GLIMPSE_MARGIN * track.box.width)
                self._keep(passage, track.box, around, frame)

    def end(self) -> list[RuleEvent]:
        rule_events: list[RuleEvent] = []
        deadline = time.monotonic() + LAST_READS_S
        for number, passage in list(self._passages.items()):
            now = passage.seen_at
            while number in self._passages and (wait_s := deadline - time.monotonic()) > 0:
                rule_events += self._advance(number, now, left=True, wait_s=wait_s)
            if number in self._passages and not passage.told:
                rule_events += self._decide(self._passages.pop(number), now, last=True)
        self._passages.clear()
        return rule_events

    def _look(self, track: Track, frame: AnalyzedFrame) -> None:
        """Keep a crop of the plate to be read, unless it is small or has been read enough."""
        passage = self._passages.setdefault(track.track_id, PlateTrack(track, frame.now))
        passage.track, passage.seen_at = track, frame.now
        self._keep(passage, track.box, track.box.grown(CUT_MARGIN), frame)

    def _keep(self, passage: PlateTrack, box: Box, around: Box, frame: AnalyzedFrame) -> None:
        """Keep a crop to be read, unless it is small, cut off, or has been read enough."""
        scale = frame.pixels.size[0] / frame.size[0]
        width = box.width * scale
        enough = passage.looks >= self._settings.max_reads
        small = width < self._settings.min_width
        if passage.told or enough or small or _is_cut(box, frame.size):
            return
        image = frame.pixels.crop(_window(around.scaled(scale, scale), frame.pixels.size))
        if min(image.shape[:2]) >= 8:
            passage.keep(PlateCrop(image, width, box))

    def _advance(
        self, number: int, now: float, *, left: bool, wait_s: float = 0.0
    ) -> list[RuleEvent]:
        """Take what was read, begin to read what is there, decide; who left and has nothing more
        to be read has passed."""
        rule_events: list[RuleEvent] = []
        passage = self._passages[number]
        votes = passage.collect(LINE_WIDTH * self._settings.min_width, wait_s)
        if votes and self._is_another(passage, votes):
            rule_events += self._decide(passage, now, last=True)
            passage = self._passages[number] = passage.successor()
        if votes:
            passage.votes.append(votes)
        busy = passage.read_on(self._read_queue, now)
        if left and not busy:
            busy = self._has_second_thoughts(passage, now)
        if not passage.told:
            rule_events += self._decide(passage, now, last=left and not busy)
        if left and not busy:
            del self._passages[number]
        return rule_events

    def _has_second_thoughts(self, passage: PlateTrack, now: float) -> bool:
        """Whether a plate with too few reads is being read once more, now that no more come."""
        few = 0 < len(passage.votes) < self._settings.min_reads
        if passage.told or passage.doubted or not few:
            return False
        self._join(passage, now)
        short = len(passage.votes) < self._settings.min_reads
        return short and passage.read_again(self._read_queue, now)

    def _is_another(self, passage: PlateTrack, votes: tuple[Votes, float]) -> bool:
        """Whether a read is of another plate than those before: where looks are rare, one vehicle
        may be where the one before it was."""
        new, old = (self._read_queue.settle(each) for each in ([votes], passage.votes))
        clear = min(new.strength, old.strength) >= CLEAR
        alike = difflib.SequenceMatcher(None, new.text, old.text).ratio()
        return clear and alike < ALIKE

    def _decide(self, passage: PlateTrack, now: float, *, last: bool) -> list[RuleEvent]:
        """Tell who passed once that is certain, or at last as well as it is known."""
        reads = len(passage.votes)
        if reads < self._settings.min_reads or passage.best is None:
            return []
        decision = self._read_queue.settle(passage.votes)
        sure = confidence(decision)
        least = LONE if passage.doubted else self._settings.min_confidence
        resting = passage.reading is None and not passage.waiting
        enough = resting and passage.looks >= self._settings.max_reads
        idle = resting and now - passage.read_at > IDLE_S and sure >= least
        if not decision.text or not (last or enough or idle or sure >= CERTAIN):
            return []
        passage.told = True
        if sure < least or self._was_here(decision.text, now):
            return []
        return self._tell(passage, decision, sure, reads)

    def _join(self, passage: PlateTrack, now: float) -> None:
        """Give a passage the reads of an earlier one of the same number: a fast plate's track
        breaks between two looks, and each part has too few."""
        text = plate_text.shape(self._read_queue.settle(passage.votes).text)
        for other in self._parts:
            before = plate_text.shape(self._read_queue.settle(other.votes).text)
            recent = now - other.seen_at <= PARTS_S
            if text and recent and (text == before or plate_text.one_edit_apart(text, before)):
                passage.votes = [*other.votes, *passage.votes]
        self._parts = [*self._parts[-MOST_PARTS:], passage]

    def _tell(
        self, passage: PlateTrack, decision: Decision, sure: float, reads: int
    ) -> list[RuleEvent]:
        others = [text for text, _ in decision.ranked[1:4]]
        details: dict[str, Any] = {
            "plate_number": decision.text,
            "alternatives": others,
            "votes": {text: round(share, 4) for text, share in decision.ranked[:8]},
            "reads": reads,
        }
        own, best = passage.track, passage.best
        assert best is not None and passage.shown is not None
        if own.age_s > 0:  # out of the picture that is kept with it
            own = Track(own.track_id, own.label, own.confidence, best.box)
        tracks = (own,)
        crop = self._read_queue.jpeg(passage.shown)
        seen = RuleEvent("plate_seen", tracks, round(sure, 4), details=details, crop=crop)
        matches = [
            RuleEvent("plate_match", tracks, round(sure, 4), details=_match(decision.text, entry))
            for entry in self._read_queue.waited_for(decision.text)
        ]
        return [seen, *matches]

    def _was_here(self, text: str, now: float) -> bool:
        """Whether this number, or one that it may be misread from, was told a moment ago."""
        shape = plate_text.shape(text)
        recent = {s: at for s, at in self._passed.items() if now - at <= self._settings.again_s}
        self._passed = dict(list(recent.items())[-REMEMBERED:])
        for before in self._passed:
            if before == shape or plate_text.one_edit_apart(before, shape):
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


def _window(around: Box, size: tuple[int, int]) -> CropWindow:
    width, height = size
    return CropWindow(
        max(0, int(around.x1)),
        max(0, int(around.y1)),
        min(width, int(around.x2) + 1),
        min(height, int(around.y2) + 1),
    )


ENTRY = RuleEntry(
    summary="Number plates that pass the camera, each reported once.",
    make=PlateRule,
    settings=PlateRuleSettings,
    events={
        "plate_seen": "A plate passed, and its number is certain enough.",
        "plate_match": "Its number is on the watch-list.",
    },
    section="plate_rule",
    needs="plates",
    match_margins={LABEL: 1.0},
)
