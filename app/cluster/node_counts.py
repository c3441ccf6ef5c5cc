"""What streams count in their zones and lines since midnight, wherever they ran on that day.

The front has the totals, and stores them. A node adds what it counts to what the front last said,
and tells it what is new. So a stream that moves, and one whose node starts again, counts on.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.analytics.objects.daily_counts import DailyCounts
from app.places import CountKey, DayCounts

Counts = Mapping[CountKey, int]


@dataclass(frozen=True, slots=True)
class NewCounts:
    """What a node has counted that the front has not confirmed.

    Attributes:
        place: to confirm it with.
    """

    place: int
    counts: Sequence[DayCounts]


class NodeCounts:
    """The counts of the streams on a node.

    Attributes:
        daily: the totals, as the streams show them.
    """

    def __init__(self) -> None:
        self.daily = DailyCounts()
        self._reported: dict[
            str, DayCounts
        ] = {}  # what the front knows: its own, and what it confirmed
        self._sent: list[DayCounts] = []
        self._place = secrets.randbelow(2**31)  # not one that the last process had
        self._changed: set[str] = set()

    def exchange(self, confirmed: int, totals: Sequence[DayCounts]) -> NewCounts:
        """Take note of the front's totals; returns what is new.

        Args:
            confirmed: the place of the last counts that the front has added to its totals.
        """
        if confirmed == self._place:
            for sent in self._sent:
                known = self._known(sent)
                self._reported[sent.stream_id] = DayCounts(
                    sent.stream_id, sent.day, plus(known, sent)
                )
        for front in totals:
            missing = minus(front.counts, self._known(front))
            self.daily.merge(DayCounts(front.stream_id, front.day, missing))
            self._reported[front.stream_id] = front
        self._changed |= {one.stream_id for one in self.daily.take_changed()}
        self._sent = [new for stream_id in sorted(self._changed) if (new := self._new(stream_id))]
        self._changed = {one.stream_id for one in self._sent}
        self._place += 1
        return NewCounts(self._place, self._sent)

    def _known(self, counts: DayCounts) -> Counts:
        reported = self._reported.get(counts.stream_id)
        return {} if reported is None or reported.day != counts.day else reported.counts

    def _new(self, stream_id: str) -> DayCounts | None:
        own = self.daily.newest(stream_id)
        if own is None:
            return None
        new = minus(own.counts, self._known(own))
        return DayCounts(stream_id, own.day, new) if new else None


def plus(first: Counts, second: DayCounts) -> dict[CountKey, int]:
    """The sums of counts."""
    keys = {*first, *second.counts}
    return {key: first.get(key, 0) + second.counts.get(key, 0) for key in keys}


def minus(counts: Counts, known: Counts) -> dict[CountKey, int]:
    """What counts have more than what is known; nothing where that is none."""
    more = {key: count - known.get(key, 0) for key, count in counts.items()}
    return {key: count for key, count in more.items() if count > 0}
