"""One plate on its way through the view: its crops, and what was read in them.

Crops are read in the background, by one thread that all streams share. Where reading is slower
than crops arrive, the widest ones wait, even after the vehicle has left.
"""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from app.analytics.rules.plate_repeats import PlateRepeats
from app.errors import DetectorError
from app.models.batching import Image
from app.models.plates.reader import CropRead
from app.models.plates.voting import Decision, Votes
from app.plates import WatchEntry
from app.types import Box, Track


@dataclass(frozen=True, slots=True)
class PlateTuning:
    """The thresholds of the plate rule that benchmarks may vary, but streams cannot set.

    Attributes:
        crop_margin: how much of its surroundings a crop shows, in sides of the plate.
        skipped_margin: the same on a frame without inference, in widths: the plate is only
            expected there.
        skipped_s: such a frame is used for this long after the last detection of a plate.
        few_crops: such frames are used only while fewer crops wait.
        max_crops: crops of one plate that wait to be read.
        shown_margin: margin around the number in the crop that is kept, in widths of the number.
        number_width: smallest width of a number, as a share of its plate.
        certain: confidence that decides at once.
        lone: confidence that a plate with too few reads needs after its second read.
        clear: two reads this strong...
        different: ...and less similar than this are of two plates.
        edge: pixels from the edge of the image within which a plate may be cut off.
        late_s: a plate that left this long ago is decided, although some crops were not read.
        last_reads_s: how long the end of a stream waits for reads.
        merge_s: tracks with too few reads that ended this recently may be parts of one plate...
        max_parts: ...of which this many are remembered.
        idle_s: a plate without a new read for this long is decided: it drives away.
        remembered: how many numbers are remembered, so that they are not reported again.
    """

    crop_margin: float = 0.5
    skipped_margin: float = 0.8
    skipped_s: float = 0.7
    few_crops: int = 3
    max_crops: int = 6
    shown_margin: float = 0.25
    number_width: float = 0.8
    certain: float = 0.95
    lone: float = 0.9
    clear: float = 4.0
    different: float = 0.5
    edge: float = 2.0
    late_s: float = 10.0
    last_reads_s: float = 3.0
    merge_s: float = 10.0
    max_parts: int = 16
    idle_s: float = 1.0
    remembered: int = 256


DEFAULT = PlateTuning()


class CropReader(Protocol):
    """Reads crops, and knows the numbers on the watch-list."""

    def prepare(self) -> None:
        """Get ready for the first crop, in the background."""
        ...

    def read(self, crop: Image, *, again: bool = False) -> Future[CropRead] | None:
        """Start to read a crop, or to read it again in another way; None while too many wait."""
        ...

    def combine(self, votes: list[tuple[Votes, float]]) -> Decision:
        """The decision that several votes lead to, each with its weight."""
        ...

    def watch_entries(self, number: str) -> list[WatchEntry]:
        """Entries of the watch-list that match a number."""
        ...

    def jpeg(self, crop: Image) -> bytes:
        """A crop as JPEG."""
        ...


class PlateCrop(NamedTuple):
    """A plate with its surroundings, its width in pixels, and its box in the image.

    Attributes:
        at: when the frame was captured.
    """

    image: Image
    width: float
    box: Box
    at: float


class _Reading(NamedTuple):
    """A read in progress, and its crop."""

    read: Future[CropRead]
    crop: PlateCrop


@dataclass(slots=True)
class PlateTrack:
    """One plate that is followed: its crops and its reads.

    Attributes:
        waiting: crops that have not been read yet, the widest last.
        votes: of each read, with its weight, which grows with the size of the number.
        reads: how many were started.
        best: the crop with the widest number.
        shown: that crop, cut to the plate and a margin: it is kept without blur.
        read_at: when the last read started.
        read_twice: the best crop was read a second time, because there was no other.
        decided: it was reported, or never will be.
        repeats: what was reported in the round of the file in which it was seen.
    """

    track: Track
    seen_at: float
    repeats: PlateRepeats
    waiting: list[PlateCrop] = field(default_factory=list)
    votes: list[tuple[Votes, float]] = field(default_factory=list)
    reads: int = 0
    best: PlateCrop | None = None
    best_width: float = 0.0
    shown: Image | None = None
    read_at: float = 0.0
    read_twice: bool = False
    decided: bool = False
    reading: _Reading | None = None
    tuning: PlateTuning = DEFAULT

    def keep(self, crop: PlateCrop) -> None:
        """Keep a crop to be read; the narrowest one is dropped if there are too many."""
        crops = sorted([*self.waiting, crop], key=lambda one: one.width)
        self.waiting = crops[-self.tuning.max_crops :]

    def collect(self, min_width: float, wait_s: float) -> tuple[Votes, float] | None:
        """The votes of a finished read and their weight, if the number is at least ``min_width``
        pixels wide; None without one."""
        if self.reading is None or not (wait_s or self.reading.read.done()):
            return None
        (answer, crop), self.reading = self.reading, None
        try:
            read = answer.result(wait_s)
        except (DetectorError, FutureTimeout):
            return None
        if read.width < min_width:
            return None
        if self.best is None or read.width > self.best_width:
            self.best, self.best_width = crop, read.width
            self.shown = _part(crop.image, read.where.padded(self.tuning.shown_margin * read.width))
        return read.votes, read.width**2

    @property
    def frames(self) -> list[float]:
        """When the frames were captured of which one will show it in its event."""
        if self.decided:
            return []
        crops = [*self.waiting, *([self.reading.crop] if self.reading else ())]
        return [crop.at for crop in (*crops, *([self.best] if self.best else ()))]

    def read_next(self, read_queue: CropReader, now: float) -> bool:
        """Start to read the widest crop, unless one is being read. Returns whether any is left."""
        if self.decided:
            self.waiting.clear()
        if self.reading is None and self.waiting and self._start(read_queue, self.waiting[-1], now):
            del self.waiting[-1]
        return self.reading is not None or bool(self.waiting)

    def read_again(self, read_queue: CropReader, now: float) -> bool:
        """Start to read the best crop again, in another way. Returns whether there is one."""
        if self.best is not None:
            self.read_twice = self._start(read_queue, self.best, now, again=True)
        return self.best is not None

    def successor(self) -> PlateTrack:
        """A new one for the next plate, where a track went over to another vehicle."""
        return PlateTrack(
            self.track, self.seen_at, self.repeats, waiting=self.waiting, tuning=self.tuning
        )

    def _start(
        self, read_queue: CropReader, crop: PlateCrop, now: float, *, again: bool = False
    ) -> bool:
        answer = read_queue.read(crop.image, again=again)
        if answer is None:
            return False
        self.reading = _Reading(answer, crop)
        self.reads += 1
        self.read_at = now
        return True


def _part(image: Image, box: Box) -> Image:
    x1, y1 = (max(0, int(side)) for side in box[:2])
    return image[y1 : int(box.y2) + 1, x1 : int(box.x2) + 1]
