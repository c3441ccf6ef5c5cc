"""Reports uploaded plates that are on the watch-list, as cameras report those that pass."""

from __future__ import annotations

from collections.abc import Callable

from app.anpr.service import UPLOAD
from app.events import RuleEvent
from app.pipeline.event_log import EventLog
from app.plates import StoredSession, WatchEntry

MATCH = "plate_match"


class UploadAlarms:
    """Reports the matches of uploads; each upload by itself.

    Args:
        watch_entries: the entries of the watch-list that match a number.
    """

    def __init__(self, log: EventLog, watch_entries: Callable[[str], list[WatchEntry]]) -> None:
        self._log = log
        self._watch_entries = watch_entries

    def check(self, session: StoredSession) -> None:
        """Report the plates of a stored upload that match; from any thread."""
        for plate in session.plates:
            for entry in self._watch_entries(plate.plate_number) if plate.plate_number else ():
                details = {**entry.match(plate.plate_number), "plate_id": plate.plate_id}
                event = RuleEvent(MATCH, confidence=round(plate.confidence, 4), details=details)
                self._log.report(UPLOAD, event, plate.at.timestamp(), None)
