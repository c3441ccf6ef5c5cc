"""Removes clips and continuous recordings by their age, and for space."""

from __future__ import annotations

from collections.abc import Iterable

from app.config import RecordingSettings
from app.footage import Footage
from app.recording.footage_files import EVENT
from app.recording.retention import Prunable, StoredItem
from app.recording.stores import FootageStore


class PrunableFootage(Prunable):
    """Clips and segments, each with the limit in days of its kind; flagged ones go last."""

    def __init__(self, store: FootageStore, settings: RecordingSettings) -> None:
        self._store = store
        self._settings = settings
        self._listed: dict[str, Footage] = {}

    def items(self) -> Iterable[StoredItem]:
        self._listed = {str(one.footage_id): one for one in self._store.all()}
        for key, one in self._listed.items():
            yield StoredItem(key, one.bytes, one.begin_ts, one.flagged, self._max_days(one))

    def remove(self, item: StoredItem) -> None:
        self._store.remove([self._listed.pop(item.key)])

    def _max_days(self, one: Footage) -> float | None:
        if one.flagged:
            return self._settings.flagged_days
        settings = self._settings
        return settings.event_days if one.kind == EVENT else settings.continuous_days
