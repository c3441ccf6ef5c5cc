"""Reads the plates of all streams one after the other, and matches them with the watch-list."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from app import plate_text
from app.errors import DetectorError, StoreError
from app.models.batching import Image
from app.models.plates.photo import to_jpeg
from app.models.plates.reader import CropRead, PlateReader
from app.models.plates.voting import Decision, Votes
from app.plates import WatchEntry

logger = logging.getLogger(__name__)

MAX_WAITING = 8
LIST_AGE_S = 2.0


class WatchlistStore(Protocol):
    """Where the watch-list is stored. Blocking; raises StoreError."""

    def entries(self) -> list[WatchEntry]: ...


class PlateReadQueue:
    """Reads plate crops in one thread, and matches numbers with the watch-list.

    Args:
        reader: reads crops; used by one thread here.
        watchlist: read again after two seconds.

    Attributes:
        waiting: number of crops that wait or are being read.
        skipped: number of crops that were not read because too many waited.
    """

    def __init__(self, reader: PlateReader, watchlist: WatchlistStore) -> None:
        self._reader = reader
        self._watchlist = watchlist
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="plates")
        self._lock = threading.Lock()
        self.waiting = 0
        self.skipped = 0
        self._entries: list[WatchEntry] = []
        self._listed_at = float("-inf")
        self._ready = False

    def prepare(self) -> None:
        """Start to warm up the networks before the first plate; returns at once."""
        if not self._ready:
            self._ready = True
            for warm_up in self._reader.warm_ups():
                self._thread.submit(self._warm_up, warm_up)

    def _warm_up(self, run: Callable[[], object]) -> None:
        try:
            run()
        except DetectorError as error:  # the first plate will report it
            logger.warning("the networks for plates are not ready: %s", error)

    def read(self, crop: Image, *, again: bool = False) -> Future[CropRead] | None:
        """Start to read a crop, or to read it again by other means; None if too many wait."""
        with self._lock:
            if self.waiting >= MAX_WAITING:
                self.skipped += 1
                return None
            self.waiting += 1
        reading = self._thread.submit(self._reader.read_crop, crop, again=again)
        reading.add_done_callback(self._done)
        return reading

    def combine(self, votes: Sequence[tuple[Votes, float]]) -> Decision:
        """Combine several votes, each with its weight."""
        return self._reader.combine(votes)

    def watch_entries(self, number: str) -> list[WatchEntry]:
        """Entries that match a number; look-alikes and one edit count as the same."""
        return [entry for entry in self._listed() if matches(entry.number, number)]

    def jpeg(self, crop: Image) -> bytes:
        return to_jpeg(crop)

    def close(self) -> None:
        """Drop the waiting crops, and finish the one being read."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _done(self, _: Future[CropRead]) -> None:
        with self._lock:
            self.waiting -= 1

    def _listed(self) -> list[WatchEntry]:
        if time.monotonic() - self._listed_at > LIST_AGE_S:
            try:
                self._entries = self._watchlist.entries()
                self._listed_at = time.monotonic()
            except StoreError as error:  # the previous list is better than none
                logger.warning("the watch-list cannot be read: %s", error)
        return self._entries


def matches(wanted: str, number: str) -> bool:
    """Whether a reading matches an entry of the watch-list.

    Numbers may differ by look-alikes and one edit; patterns (``*`` any characters, ``?`` one) only
    by look-alikes.
    """
    if plate_text.is_match(wanted, number):
        return True
    read, shape = plate_text.shape(number), plate_text.shape(wanted)
    return not set("*?") & set(shape) and plate_text.one_edit_apart(read, shape)


__all__ = ["PlateReadQueue", "matches"]
