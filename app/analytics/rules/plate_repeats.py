"""Which plates and alarms were reported recently, so that none is reported twice and none is lost.

A number one edit away from a recent one may be a misread of it, so it is not reported again. An
alarm of the watch-list is not left out for that reason: the number on the list may follow another
that is almost the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app import plate_text
from app.plates import WatchEntry


@dataclass(slots=True)
class _Alarm:
    """An alarm: the entry, the shape that was read, and when that was last seen."""

    watch_id: int
    shape: str
    seen_at: float

    def is_of(self, shape: str, *, exact: bool) -> bool:
        """Whether it was for this reading, or for one that an inexact reading may be misread of."""
        return self.shape == shape or (not exact and plate_text.one_edit_apart(self.shape, shape))


class PlateRepeats:
    """The plates and alarms of one stream, in one round of a file that loops.

    Args:
        again_s: they are reported again once they were not seen for this long.
        remembered: how many of each are remembered.
    """

    def __init__(self, again_s: float, remembered: int) -> None:
        self._again_s = again_s
        self._remembered = remembered
        self._reported: dict[str, float] = {}
        self._alarms: list[_Alarm] = []

    def is_repeat(self, text: str, now: float) -> bool:
        """Whether this number, or one that it may be misread from, was reported recently; if not,
        it counts as reported now."""
        shape = plate_text.shape(text)
        recent = {s: at for s, at in self._reported.items() if now - at <= self._again_s}
        self._reported = dict(list(recent.items())[-self._remembered :])
        for before in self._reported:
            if before == shape or plate_text.one_edit_apart(before, shape):
                self._reported[before] = now
                return True
        self._reported[shape] = now
        return False

    def new_alarms(self, text: str, entries: Sequence[WatchEntry], now: float) -> list[WatchEntry]:
        """The entries that match a number and were not reported for it recently.

        A number that differs from an entry by one edit may be a misread of the last one that was
        reported for the entry; one that matches exactly is always reported.
        """
        shape = plate_text.shape(text)
        self._alarms = [one for one in self._alarms if now - one.seen_at <= self._again_s]
        found = []
        for entry in entries:
            exact = plate_text.is_match(entry.number, text)
            same = [
                one
                for one in self._alarms
                if one.watch_id == entry.watch_id and one.is_of(shape, exact=exact)
            ]
            for one in same:
                one.seen_at = now
            if not same:
                found.append(entry)
                self._alarms.append(_Alarm(entry.watch_id, shape, now))
        self._alarms = self._alarms[-self._remembered :]
        return found
