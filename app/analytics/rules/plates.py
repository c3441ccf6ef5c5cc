"""Plates that pass a camera: the reads of each plate vote, and it is reported once.

A plate is decided as soon as its reads leave no doubt, so that the vehicle is still in the
snapshot of the event. Otherwise it is decided when there were enough reads, when it has become too
small to read, or when it has left and its last crops are read.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from app import plate_text
from app.analytics.rules.base import AnalyzedFrame, RuleEntry
from app.analytics.rules.plate_repeats import PlateRepeats
from app.analytics.rules.plate_track import (
    DEFAULT,
    CropReader,
    PlateCrop,
    PlateTrack,
    PlateTuning,
)
from app.events import RuleEvent
from app.models.crop_refiner import CropWindow
from app.models.plates.voting import Decision, Votes, passage_confidence
from app.plates import WatchEntry
from app.types import Box, Track

LABEL = "plate"


class PlateRuleSettings(BaseModel):
    """When a plate is read and reported. A stream may change each value for itself."""

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
    """Reports plates that pass, and whether they are on the watch-list.

    Args:
        settings: thresholds.
        read_queue: reads crops for all streams.
        tuning: thresholds that only benchmarks vary.
    """

    crop_labels: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self, settings: PlateRuleSettings, read_queue: CropReader, tuning: PlateTuning = DEFAULT
    ) -> None:
        self._settings = settings
        self._tuning = tuning
        self._read_queue = read_queue
        read_queue.prepare()
        self._plates: dict[int, PlateTrack] = {}
        self._repeats = PlateRepeats(settings.again_s, tuning.remembered)
        self._undecided: list[PlateTrack] = []
        self._frame_at: float | None = None  # of the frame of ``update``

    def update(self, frame: AnalyzedFrame) -> list[RuleEvent]:
        self._frame_at = frame.now
        for track in frame.labelled(LABEL):
            if track.age_s == 0:
                self._observe(track, frame)
        rule_events: list[RuleEvent] = []
        for track_id, plate in list(self._plates.items()):
            unseen_s = frame.now - plate.seen_at - self._settings.gap_s
            if unseen_s > self._tuning.late_s:
                plate.waiting.clear()
                plate.reading = None
            rule_events += self._advance(track_id, frame.now, left=unseen_s > 0)
        return rule_events

    @property
    def held_frames(self) -> list[float]:
        """When the frames were captured of which some will be the snapshots of events."""
        return [at for plate in self._plates.values() for at in plate.frames]

    def skipped_frame(self, frame: AnalyzedFrame) -> None:
        """Keep crops of where plates are expected, if few others wait to be read: where inferences
        are rare, a vehicle may be in only one or two of them."""
        for track in frame.labelled(LABEL):
            plate = self._plates.get(track.track_id)
            recent = track.age_s <= self._tuning.skipped_s
            if plate and recent and len(plate.waiting) < self._tuning.few_crops:
                around = track.box.padded(self._tuning.skipped_margin * track.box.width)
                self._keep(plate, track.box, around, frame)

    def end(self) -> list[RuleEvent]:
        self._frame_at = None
        rule_events: list[RuleEvent] = []
        deadline = time.monotonic() + self._tuning.last_reads_s
        for track_id, plate in list(self._plates.items()):
            now = plate.seen_at
            while track_id in self._plates and (wait_s := deadline - time.monotonic()) > 0:
                rule_events += self._advance(track_id, now, left=True, wait_s=wait_s)
            if track_id in self._plates and not plate.decided:
                rule_events += self._decide(self._plates.pop(track_id), now, last=True)
        self._plates.clear()
        return rule_events

    def restart(self) -> None:
        """The next plates pass for the first time: a file that loops begins again."""
        self._repeats = PlateRepeats(self._settings.again_s, self._tuning.remembered)
        self._undecided.clear()

    def _observe(self, track: Track, frame: AnalyzedFrame) -> None:
        """Take the plate of a track that was detected in this frame."""
        plate = self._plates.setdefault(
            track.track_id, PlateTrack(track, frame.now, self._repeats, tuning=self._tuning)
        )
        plate.track, plate.seen_at = track, frame.now
        self._keep(plate, track.box, track.box.grown(self._tuning.crop_margin), frame)

    def _keep(self, plate: PlateTrack, box: Box, around: Box, frame: AnalyzedFrame) -> None:
        """Keep a crop to be read, unless the plate is small, cut off, or was read often enough."""
        scale = frame.pixels.size[0] / frame.size[0]
        width = box.width * scale
        enough = plate.reads >= self._settings.max_reads
        small = width < self._settings.min_width
        if plate.decided or enough or small or _is_cut_off(box, frame.size, self._tuning.edge):
            return
        window = CropWindow(*around.scaled(scale, scale).pixels(frame.pixels.size))
        image = frame.pixels.crop(window)
        if min(image.shape[:2]) >= 8:
            plate.keep(PlateCrop(image, width, box, frame.now))

    def _advance(
        self, track_id: int, now: float, *, left: bool, wait_s: float = 0.0
    ) -> list[RuleEvent]:
        """Take finished reads, start the next one, and decide. A plate that has left and has no
        more crops to read is dropped."""
        rule_events: list[RuleEvent] = []
        plate = self._plates[track_id]
        votes = plate.collect(self._tuning.number_width * self._settings.min_width, wait_s)
        if votes and self._is_another(plate, votes):
            rule_events += self._decide(plate, now, last=True)
            plate = self._plates[track_id] = plate.successor()
        if votes:
            plate.votes.append(votes)
        busy = plate.read_next(self._read_queue, now)
        if left and not busy:
            busy = self._starts_second_read(plate, now)
        if not plate.decided:
            rule_events += self._decide(plate, now, last=left and not busy)
        if left and not busy:
            del self._plates[track_id]
        return rule_events

    def _starts_second_read(self, plate: PlateTrack, now: float) -> bool:
        """Whether the best crop is read again, for a plate that has left with too few reads."""
        few = 0 < len(plate.votes) < self._settings.min_reads
        if plate.decided or plate.read_twice or not few:
            return False
        self._merge_parts(plate, now)
        short = len(plate.votes) < self._settings.min_reads
        return short and plate.read_again(self._read_queue, now)

    def _is_another(self, plate: PlateTrack, votes: tuple[Votes, float]) -> bool:
        """Whether a read is of another plate than the reads before: where inferences are rare, a
        vehicle may take the place of the one before it, and its track."""
        new, old = (self._read_queue.combine(each) for each in ([votes], plate.votes))
        clear = min(new.strength, old.strength) >= self._tuning.clear
        similarity = difflib.SequenceMatcher(None, new.text, old.text).ratio()
        return clear and similarity < self._tuning.different

    def _decide(self, plate: PlateTrack, now: float, *, last: bool) -> list[RuleEvent]:
        """Report a number once it is certain, or at the end if it is certain enough."""
        reads = len(plate.votes)
        if reads < self._settings.min_reads or plate.best is None:
            return []
        decision = self._read_queue.combine(plate.votes)
        sure = passage_confidence(decision)
        least = self._tuning.lone if plate.read_twice else self._settings.min_confidence
        resting = plate.reading is None and not plate.waiting
        enough = resting and plate.reads >= self._settings.max_reads
        idle = resting and now - plate.read_at > self._tuning.idle_s and sure >= least
        if not decision.text or not (last or enough or idle or sure >= self._tuning.certain):
            return []
        plate.decided = True
        if sure < least:
            return []
        entries = self._read_queue.watch_entries(decision.text)
        alarms = plate.repeats.new_alarms(decision.text, entries, now)
        if plate.repeats.is_repeat(decision.text, now) and not alarms:
            return []
        return self._events(plate, decision, sure, alarms)

    def _merge_parts(self, plate: PlateTrack, now: float) -> None:
        """Add the reads of earlier tracks of the same number: the track of a fast plate breaks
        between two inferences, and each part has too few reads."""
        text = plate_text.shape(self._read_queue.combine(plate.votes).text)
        for earlier in self._undecided:
            before = plate_text.shape(self._read_queue.combine(earlier.votes).text)
            recent = now - earlier.seen_at <= self._tuning.merge_s
            if text and recent and (text == before or plate_text.one_edit_apart(text, before)):
                plate.votes = [*earlier.votes, *plate.votes]
        self._undecided = [*self._undecided, plate][-self._tuning.max_parts :]

    def _events(
        self, plate: PlateTrack, decision: Decision, sure: float, alarms: Sequence[WatchEntry]
    ) -> list[RuleEvent]:
        others = [text for text, _ in decision.ranked[1:4]]
        details: dict[str, Any] = {
            "plate_number": decision.text,
            "alternatives": others,
            "votes": {text: round(share, 4) for text, share in decision.ranked[:8]},
            "reads": len(plate.votes),
        }
        own, best = plate.track, plate.best
        assert best is not None and plate.shown is not None
        frame_at = None
        if plate.seen_at != self._frame_at:  # where it was last detected, it is no longer
            own, frame_at = Track(own.track_id, own.label, own.confidence, best.box), best.at
        crop = self._read_queue.jpeg(plate.shown)
        seen = RuleEvent(
            "plate_seen", (own,), round(sure, 4), details=details, crop=crop, frame_at=frame_at
        )
        matches = [
            replace(seen, type="plate_match", details=entry.match(decision.text), crop=None)
            for entry in alarms
        ]
        return [seen, *matches]


def _is_cut_off(box: Box, size: tuple[int, int], edge: float) -> bool:
    """Whether a plate reaches an edge of the image, so that a part may be outside."""
    width, height = size
    return box.x1 < edge or box.y1 < edge or box.x2 > width - edge or box.y2 > height - edge


ENTRY = RuleEntry(
    summary="Number plates that pass the camera, each reported once.",
    make=PlateRule,
    settings=PlateRuleSettings,
    events={
        "plate_seen": "A plate passed, and its number is certain enough.",
        "plate_match": "Its number is on the watch-list; also for an uploaded image.",
    },
    section="plate_rule",
    needs="plates",
    reads_details=True,
    labels=frozenset({LABEL}),
    match_margins={LABEL: 1.0},
)
