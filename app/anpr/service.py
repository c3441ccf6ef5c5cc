"""Reads, reviews and stores the number plates of uploads and cameras."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from app.anpr.files import PlateFiles
from app.anpr.photos import PhotoReader, PhotosElsewhere
from app.config import PlateSettings
from app.metric_types import Counter, counter
from app.models.plates.photo import to_jpeg
from app.models.plates.reader import ReadPlate, SecondReader
from app.plates import NewPlate, NewSession, PlateRead, StoredSession

logger = logging.getLogger(__name__)

UPLOAD, CAMERA = "upload", "camera"
OUTCOMES = ("read", "read_by_claude", "unreadable")


class SessionStore(Protocol):
    """Where sessions are stored. Blocking; raises StoreError."""

    def add(self, new: NewSession) -> StoredSession: ...


def plate_counter() -> Counter:
    """Stored plates, by source and outcome."""
    about = "Stored plates."
    return counter("plates", about, source=(UPLOAD, CAMERA), outcome=OUTCOMES)


class PlateService:
    """Reads the plates of uploads, and stores them and those that cameras see.

    Args:
        photos: reads uploads in this process.
        second: Claude as second reader; None without a key.
        on_upload: called with each stored upload.

    Attributes:
        elsewhere: reads uploads on the nodes of a cluster; None without one.
        outcomes: stored plates, by their source and one of ``OUTCOMES``.
    """

    def __init__(
        self,
        settings: PlateSettings,
        photos: PhotoReader,
        second: SecondReader | None,
        store: SessionStore,
        files: PlateFiles,
        on_upload: Callable[[StoredSession], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self.files = files
        self.elsewhere: PhotosElsewhere | None = None
        self._photos = photos
        self._second = second
        self._store = store
        self._on_upload = on_upload
        self.outcomes = plate_counter()

    def at_once(self) -> int:
        """How many uploads can be read at the same time."""
        elsewhere = 0 if self.elsewhere is None else self.elsewhere.at_once()
        return elsewhere or self._photos.at_once

    async def upload(self, name: str, data: bytes) -> StoredSession:
        """Read and store the plates of an image.

        Raises:
            BadUpload, NotAnImage, UploadTooLarge: not an image within the limits.
            TooManyUploads: nodes that read failed, and this process reads too many others.
            DetectorError, StoreError: the server failed; nothing is stored.
        """
        begun = time.monotonic()
        plates = None if self.elsewhere is None else await self.elsewhere.read(data)
        if plates is None:
            plates = await self._photos.read(data, self.settings.max_wait_s)
        return await asyncio.to_thread(self._store_upload, name, data, plates, begun)

    def _store_upload(
        self, name: str, data: bytes, plates: list[ReadPlate], begun: float
    ) -> StoredSession:
        plates = self._reviewed(plates)
        took_ms = round((time.monotonic() - begun) * 1000, 1)
        with self.files.batch() as batch:
            source = batch.source(name, data)
            kept = [
                NewPlate(plate.read, batch.crop(number, to_jpeg(plate.crop)))
                for number, plate in enumerate(plates)
            ]
            new = NewSession(name.replace("\0", "")[:255], UPLOAD, source, took_ms, kept)
            session = self._store.add(new)
        for plate in plates:
            self.outcomes.labels(UPLOAD, _outcome(plate.read)).inc()
        self._name_plates(plates, session)
        self._on_upload(session)
        return session

    def store_from_camera(
        self, stream_id: str, read: PlateRead, crop_jpeg: bytes, frame_jpeg: bytes, at: datetime
    ) -> StoredSession:
        """Store a plate that passed a camera, with its clear crop and the blurred frame."""
        with self.files.batch() as batch:
            source = batch.source(f"{stream_id}.jpg", frame_jpeg) if frame_jpeg else ""
            kept = NewPlate(read, batch.crop(0, crop_jpeg))
            session = self._store.add(
                NewSession(
                    stream_id, stream_id, source, processing_time_ms=0.0, plates=[kept], at=at
                )
            )
        self.outcomes.labels(CAMERA, _outcome(read)).inc()
        return session

    def _reviewed(self, plates: list[ReadPlate]) -> list[ReadPlate]:
        """The plates; Claude reviews uncertain ones, those with the lowest confidence first."""
        if self._second is None:
            return plates
        deadline = time.monotonic() + self.settings.claude_timeout_s
        better = {}
        for plate in sorted(plates, key=lambda plate: plate.read.confidence):
            if plate.read.confidence < self.settings.claude_below:
                better[id(plate)] = self._second.review(plate, deadline)
        return [better.get(id(plate), plate) for plate in plates]

    def _name_plates(self, plates: list[ReadPlate], session: StoredSession) -> None:
        if self._second is None:
            return
        for plate, stored in zip(plates, session.plates, strict=True):
            self._second.assign_plate(plate, stored.plate_id)


def _outcome(read: PlateRead) -> str:
    if not read.text:
        return "unreadable"
    return "read_by_claude" if read.processed_by == "claude" else "read"
