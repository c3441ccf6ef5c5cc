"""One plate on its way through the picture: its crops, and what was read in them.

Crops are read aside, by one thread that all streams share. Where that is slower than crops come,
the widest wait, also when the vehicle has left.
"""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from app.errors import DetectorError
from app.models.batching import Image
from app.models.plates.reader import CropRead
from app.models.plates.voting import Decision, Votes
from app.plates import WatchEntry
from app.types import Box, Track

MOST_CROPS = 6
SHOWN_MARGIN = 0.25
"""What is shown of a plate around its number, in widths of that."""


class CropReader(Protocol):
    """Who reads crops, and knows which numbers are waited for."""

    def prepare(self) -> None:
        """Make ready for the first crop; returns at once."""
        ...

    def read(self, crop: Image, *, again: bool = False) -> Future[CropRead] | None:
        """Begin to read a crop, or to read it again by other means; None while too many wait."""
        ...

    def combine(self, votes: list[tuple[Votes, float]]) -> Decision:
        """What several votes come to, each with its weight."""
        ...

    def waited_for(self, number: str) -> list[WatchEntry]:
        """Entries of the watch-list that a number may be."""
        ...

    def jpeg(self, crop: Image) -> bytes:
        """A crop as JPEG."""
        ...


class PlateCrop(NamedTuple):
    """A plate with its surroundings, its width in pixels, and where in the picture it was."""

    image: Image
    width: float
    box: Box


class _Reading(NamedTuple):
    read: Future[CropRead]
    crop: PlateCrop


@dataclass(slots=True)
class PlateTrack:
    """Attributes:
    waiting: crops that nobody has read yet, the widest last.
    votes: of each read, with its weight: pixels, as it is their number that makes letters clear.
    looks: reads that were begun.
    best: the crop with the widest number.
    shown: of that crop the plate and little more: it is kept clear, unlike the picture around it.
    read_at: when the last one began.
    doubted: the best crop was read twice, for want of another.
    """

    track: Track
    seen_at: float
    waiting: list[PlateCrop] = field(default_factory=list)
    votes: list[tuple[Votes, float]] = field(default_factory=list)
    looks: int = 0
    best: PlateCrop | None = None
    best_width: float = 0.0
    shown: Image | None = None
    read_at: float = 0.0
    doubted: bool = False
    told: bool = False
    reading: _Reading | None = None

    def keep(self, crop: PlateCrop) -> None:
        """Keep a crop to be read, in the place of a narrower one if there are many."""
        crops = sorted([*self.waiting, crop], key=lambda one: one.width)
        self.waiting = crops[-MOST_CROPS:]

    def collect(self, least_width: float, wait_s: float) -> tuple[Votes, float] | None:
        """The votes of the read that was going on and their weight, if they are there and the
        number is at least so wide."""
        if self.reading is None or not (wait_s or self.reading.read.done()):
            return None
        (answer, crop), self.reading = self.reading, None
        try:
            read = answer.result(wait_s)
        except (DetectorError, FutureTimeout):
            return None
        if read.width < least_width:
            return None
        if self.best is None or read.width > self.best_width:
            self.best, self.best_width = crop, read.width
            self.shown = _part(crop.image, read.where.padded(SHOWN_MARGIN * read.width))
        return read.votes, read.width**2

    def read_on(self, read_queue: CropReader, now: float) -> bool:
        """Have the widest crop read that waits, unless one is being read. Whether that is so."""
        if self.told:
            self.waiting.clear()
        if self.reading is None and self.waiting and self._begin(read_queue, self.waiting[-1], now):
            del self.waiting[-1]
        return self.reading is not None or bool(self.waiting)

    def read_again(self, read_queue: CropReader, now: float) -> bool:
        """Have the best crop read a second time, by other means. Whether there is one."""
        if self.best is not None:
            self.doubted = self._begin(read_queue, self.best, now, again=True)
        return self.best is not None

    def successor(self) -> PlateTrack:
        """The passage of the next plate, where a track went over from one to another."""
        return PlateTrack(self.track, self.seen_at, waiting=self.waiting)

    def _begin(
        self, read_queue: CropReader, crop: PlateCrop, now: float, *, again: bool = False
    ) -> bool:
        answer = read_queue.read(crop.image, again=again)
        if answer is None:
            return False
        self.reading = _Reading(answer, crop)
        self.looks += 1
        self.read_at = now
        return True


def _part(image: Image, box: Box) -> Image:
    x1, y1 = (max(0, int(side)) for side in box[:2])
    return image[y1 : int(box.y2) + 1, x1 : int(box.x2) + 1]
