"""Erasure and export of what is kept: of a camera in a period, of a plate, of one event."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from app.anpr.files import PlateFiles
from app.api.events import EventMessage
from app.api.plate_schemas import PlateDetails
from app.db.event_pruner import EventPruner
from app.db.events import EventRepository
from app.db.plate_eraser import PlateEraser, PlateRows
from app.db.recordings import RecordingRepository
from app.errors import EventNotFound, ImageGone, NoSnapshot, StoreError
from app.footage import Period
from app.recording.footage_export import FootageExporter
from app.recording.footage_frames import FootageFrames
from app.recording.stores import FootageStore

IN_MEMORY = 8 << 20


@dataclass(frozen=True, slots=True)
class ErasedCounts:
    """How much was erased."""

    events: int = 0
    plates: int = 0
    images: int = 0
    recordings: int = 0
    watch_entries: int = 0


@dataclass(frozen=True)
class Eraser:
    """Erases files first and rows last, so that a failure leaves rows that name what is left.

    Blocking; raises StoreError.

    Attributes:
        recordings_folder: where the paths of recordings begin.
        fingerprint: a keyed hash, which stands for a plate in the audit log.
        footage: clips and continuous recordings; events are erased with their clips.
        exporter: has copies of them.
        frames: has single frames of them.
    """

    events: EventRepository
    pruner: EventPruner
    plates: PlateEraser
    files: PlateFiles
    recordings: RecordingRepository
    recordings_folder: Path
    fingerprint: Callable[[str], str]
    footage: FootageStore
    exporter: FootageExporter
    frames: FootageFrames

    def erase_event(self, event_id: int) -> ErasedCounts:
        """Erase an event and its snapshot. Raises EventNotFound."""
        self._forget_copies()
        if not self.pruner.delete_one(event_id):
            raise EventNotFound(event_id=event_id)
        return ErasedCounts(events=1)

    def erase_plate(self, number: str) -> ErasedCounts:
        """Erase all readings of a number, their images, their events, and the watch-list's entry.

        An image that shows other plates as well is erased, too; their rows stay.
        """
        self._forget_copies()
        rows = self.plates.of_number(number)
        images = self._erase_plates(rows)
        events = self.pruner.delete_of_plate(number)
        return ErasedCounts(events, len(rows.plates), images, 0, len(rows.watch_ids))

    def erase_camera(self, camera: str, since: float, until: float) -> ErasedCounts:
        """Erase all of a camera from a period: events, snapshots, plates, clips and recordings.

        A recording that lies in the period only partly is erased as a whole.
        """
        self._forget_copies()
        recordings = self.footage.remove(self.footage.of_stream(camera, Period(since, until)))
        for recording in self.recordings.all():
            begin, end = recording.started_ts, recording.started_ts + recording.facts.seconds
            if recording.source == camera and begin < until and end > since:
                if recording.node is None:
                    _unlink(self.recordings_folder / recording.path)
                self.recordings.erase(recording)
                recordings += 1
        rows = self.plates.of_source(camera, since, until)
        images = self._erase_plates(rows)
        events = self.pruner.delete_of_camera(camera, since, until)
        return ErasedCounts(events, len(rows.plates), images, recordings)

    def events_of_plate(self, number: str) -> set[int]:
        """The ids of all events that contain a number."""
        return {event.event_id for event in self.events.of_plate(number)}

    def _forget_copies(self) -> None:
        self.exporter.clear()
        self.frames.forget()

    def _erase_plates(self, rows: PlateRows) -> int:
        paths = rows.paths
        self.files.erase(paths)
        self.plates.erase(rows)
        return len(paths)

    def export_plate(self, number: str) -> IO[bytes]:
        """All that is kept of a number, as a ZIP file: readings, events, and images."""
        rows, events = self.plates.of_number(number), self.events.of_plate(number)
        kept: dict[str, Any] = {
            "plate_number": number,
            "readings": [_reading(PlateDetails.of(plate)) for plate in rows.plates],
            "events": [EventMessage.of(event).model_dump(mode="json") for event in events],
            "watch_list": list(rows.watch_ids),
        }
        file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 (the caller's)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data.json", json.dumps(kept, ensure_ascii=False, indent=2))
            for path in rows.paths:
                try:
                    archive.write(self.files.path(path), path)
                except ImageGone:
                    continue  # removed to free space
            for event in events:
                try:
                    jpeg = self.events.snapshot(event.event_id)
                except NoSnapshot:
                    continue
                archive.writestr(f"events/{event.event_id}.jpg", jpeg)
        file.seek(0)
        return file


def _reading(details: PlateDetails) -> dict[str, Any]:
    return details.model_dump(mode="json")


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(reason=f"a recording could not be deleted: {error.strerror}") from None
