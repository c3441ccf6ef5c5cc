"""Finds and reads the plates of photos, in this process or on the nodes of a cluster."""

from __future__ import annotations

import asyncio
import math
from typing import Protocol

from app.errors import TooManyUploads
from app.models.plates.photo import pixels
from app.models.plates.reader import PlateReader, ReadPlate


class PhotosElsewhere(Protocol):
    """Reads photos on the nodes of a cluster."""

    def at_once(self) -> int:
        """How many can be read at the same time; 0 while no node can."""
        ...

    async def read(self, photo: bytes) -> list[ReadPlate] | None:
        """Find and read the plates of a photo; None if this process has to.

        Raises BadUpload, NotAnImage, UploadTooLarge.
        """
        ...


class PhotoReader:
    """Reads photos in this process; belongs to the event loop's thread.

    Args:
        reader: used by several threads at the same time.
        max_pixels: of a photo.
        at_once: how many are read at the same time: decoding 50 megapixels takes 150 MB.

    Attributes:
        read_photos: how many it has read.
    """

    def __init__(self, reader: PlateReader, max_pixels: int, at_once: int) -> None:
        self._reader = reader
        self._max_pixels = max_pixels
        self._turns = asyncio.Semaphore(at_once)
        self.at_once = at_once
        self.read_photos = 0

    async def read(self, photo: bytes, max_wait_s: float) -> list[ReadPlate]:
        """Find and read the plates of a photo.

        Args:
            max_wait_s: for its turn, while others are read.

        Raises:
            BadUpload, NotAnImage, UploadTooLarge: not an image within the limits.
            TooManyUploads: its turn did not come in time.
            DetectorError: a network failed.
        """
        try:
            async with asyncio.timeout(max_wait_s):
                await self._turns.acquire()
        except TimeoutError:
            raise TooManyUploads(retry_after_s=max(1, math.ceil(max_wait_s))) from None
        try:
            plates = await asyncio.to_thread(self._read, photo)
        finally:
            self._turns.release()
        self.read_photos += 1
        return plates

    def _read(self, photo: bytes) -> list[ReadPlate]:
        return self._reader.read(pixels(photo, self._max_pixels))
