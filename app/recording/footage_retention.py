"""Removes clips and continuous recordings by their age, and for space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from app.config import RecordingSettings
from app.footage import Footage, KeepDays
from app.recording.footage_files import CONTINUOUS, EVENT
from app.recording.retention import Prunable, StoredItem, StoredKind
from app.recording.stores import FootageStore

KINDS: Mapping[str, StoredKind] = {CONTINUOUS: "continuous", EVENT: "clip"}
NO_OWN = KeepDays()


class PrunableFootage(Prunable):
    """Clips and segments, each with the limit in days of its kind; flagged ones go last.

    Args:
        keep_days: returns the limits of streams that have some of their own.
    """

    def __init__(
        self,
        store: FootageStore,
        settings: RecordingSettings,
        keep_days: Callable[[], Mapping[str, KeepDays]] = dict,
    ) -> None:
        self._store = store
        self._default = KeepDays(
            settings.continuous_days, settings.event_days, settings.flagged_days
        )
        self._keep_days = keep_days
        self._listed: dict[str, Footage] = {}

    def items(self) -> Iterable[StoredItem]:
        own = self._keep_days()
        self._listed = {str(one.footage_id): one for one in self._store.all()}
        for key, one in self._listed.items():
            yield StoredItem(
                key,
                one.bytes,
                one.begin_ts,
                one.flagged,
                self._max_days(one, own.get(one.stream_id, NO_OWN)),
                kind=KINDS[one.kind],
                stream_id=one.stream_id,
            )

    def remove(self, item: StoredItem) -> None:
        self._store.remove([self._listed.pop(item.key)])

    def _max_days(self, one: Footage, own: KeepDays) -> float | None:
        kind = "continuous_days" if one.kind == CONTINUOUS else "event_days"
        name = "flagged_days" if one.flagged else kind
        days: float | None = getattr(own, name)
        return getattr(self._default, name) if days is None else days
