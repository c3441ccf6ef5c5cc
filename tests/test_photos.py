"""Uploaded photos: who reads them, and that each is stored once; the networks are scripted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from support.plates import photo_jpeg

from app.anpr.files import PlateFiles
from app.anpr.photos import PhotoReader
from app.anpr.service import PlateService
from app.config import PlateSettings
from app.errors import DetectorError, NotAnImage, StoreError, TooManyUploads
from app.models.batching import Image
from app.models.plates.reader import PlateReader, ReadPlate
from app.plates import NewSession, PlateRead, StoredSession
from app.types import Box

pytestmark = pytest.mark.anyio

PHOTO = photo_jpeg("PJY5472")


def plate(text: str) -> ReadPlate:
    return ReadPlate(PlateRead(text, 0.9, Box(1, 2, 3, 4)), np.zeros((8, 16, 3), np.uint8))


class Reader:
    """Stands in for the networks: takes some time, and counts how many read at once."""

    def __init__(self, text: str, takes_s: float = 0.0) -> None:
        self._text = text
        self._takes_s = takes_s
        self._lock = threading.Lock()
        self._reading = 0
        self.most = self.read_photos = 0

    def read(self, _: Image) -> list[ReadPlate]:
        with self._lock:
            self._reading += 1
            self.most = max(self.most, self._reading)
        time.sleep(self._takes_s)
        with self._lock:
            self._reading -= 1
            self.read_photos += 1
        return [plate(self._text)]

    def photos(self, at_once: int = 2) -> PhotoReader:
        return PhotoReader(cast(PlateReader, self), 50_000_000, at_once)


class Sessions:
    """Rows in memory."""

    def __init__(self, failure: StoreError | None = None) -> None:
        self.rows: list[NewSession] = []
        self._failure = failure

    def add(self, new: NewSession) -> StoredSession:
        if self._failure is not None:
            raise self._failure
        self.rows.append(new)
        number, count, now = len(self.rows), len(new.plates), datetime.now(UTC)
        return StoredSession(number, new.filename, now, 0.0, count, "upload", "", ())

    def numbers(self) -> list[str]:
        return [one.read.text for row in self.rows for one in row.plates]


class Elsewhere:
    """Stands in for the nodes of a cluster."""

    def __init__(self, answer: Callable[[], list[ReadPlate] | None], places: int = 7) -> None:
        self._answer = answer
        self._places = places
        self.asked: list[bytes] = []

    def at_once(self) -> int:
        return self._places

    async def read(self, photo: bytes) -> list[ReadPlate] | None:
        self.asked.append(photo)
        return self._answer()


def service(
    folder: Path, reader: Reader, rows: Sessions, settings: PlateSettings | None = None
) -> PlateService:
    return PlateService(
        settings or PlateSettings(), reader.photos(), None, rows, PlateFiles(folder)
    )


def files(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.rglob("*") if path.is_file())


async def test_what_a_node_has_read_is_stored_by_the_front(tmp_path: Path) -> None:
    own, rows = Reader("OWN1"), Sessions()
    plates = service(tmp_path, own, rows)
    plates.elsewhere = nodes = Elsewhere(lambda: [plate("NODE1"), plate("NODE2")])
    assert (await plates.upload("car.jpg", PHOTO)).total_plates == 2
    assert rows.numbers() == ["NODE1", "NODE2"]
    assert nodes.asked == [PHOTO]  # as it was uploaded
    assert own.read_photos == 0
    assert files(tmp_path) == ["detected_plates", "detected_plates", "uploads"]
    assert plates.at_once() == 7


async def test_the_front_reads_what_no_node_does(tmp_path: Path) -> None:
    own, rows = Reader("OWN1"), Sessions()
    plates = service(tmp_path, own, rows)
    plates.elsewhere = nodes = Elsewhere(lambda: None, places=0)
    await plates.upload("car.jpg", PHOTO)
    assert len(nodes.asked) == 1
    assert rows.numbers() == ["OWN1"]
    assert plates.at_once() == 2


async def test_without_a_cluster_the_server_reads(tmp_path: Path) -> None:
    own, rows = Reader("OWN1"), Sessions()
    plates = service(tmp_path, own, rows)
    await plates.upload("car.jpg", PHOTO)
    assert (rows.numbers(), own.read_photos, plates.at_once()) == (["OWN1"], 1, 2)


async def test_an_image_that_a_node_cannot_use_is_not_read_again(tmp_path: Path) -> None:
    def refuse() -> None:
        raise NotAnImage

    own, rows = Reader("OWN1"), Sessions()
    plates = service(tmp_path, own, rows)
    plates.elsewhere = Elsewhere(refuse)
    with pytest.raises(NotAnImage):
        await plates.upload("car.heic", PHOTO)
    assert (rows.rows, own.read_photos, files(tmp_path)) == ([], 0, [])


async def test_what_cannot_be_stored_leaves_no_file(tmp_path: Path) -> None:
    plates = service(tmp_path, Reader("OWN1"), Sessions(StoreError(reason="away")))
    plates.elsewhere = Elsewhere(lambda: [plate("NODE1")])
    with pytest.raises(StoreError):
        await plates.upload("car.jpg", PHOTO)
    assert files(tmp_path) == []


async def test_when_all_nodes_are_lost_the_front_reads_only_some_at_a_time(tmp_path: Path) -> None:
    own, rows = Reader("OWN1", takes_s=0.05), Sessions()
    plates = service(tmp_path, own, rows)
    plates.elsewhere = Elsewhere(lambda: None, places=50)
    await asyncio.gather(*(plates.upload(f"{n}.jpg", PHOTO) for n in range(10)))
    assert (own.most, len(rows.rows)) == (2, 10)


async def test_what_waits_too_long_for_the_front_is_refused(tmp_path: Path) -> None:
    own, rows = Reader("OWN1", takes_s=0.5), Sessions()
    plates = service(tmp_path, own, rows, PlateSettings(max_wait_s=0.1))
    plates.elsewhere = Elsewhere(lambda: None, places=50)
    uploads = (plates.upload(f"{n}.jpg", PHOTO) for n in range(3))
    outcomes = await asyncio.gather(*uploads, return_exceptions=True)
    (refused,) = [one for one in outcomes if isinstance(one, BaseException)]
    assert isinstance(refused, TooManyUploads)
    assert refused.details == {"retry_after_s": 1}
    assert len(rows.rows) == 2


async def test_a_photo_that_no_longer_waits_keeps_no_turn() -> None:
    class Failing(Reader):
        def read(self, _: Image) -> list[ReadPlate]:
            raise DetectorError(network="text_lines", reason="invalid output")

    photos = Failing("").photos(at_once=1)
    for _ in range(3):
        with pytest.raises(DetectorError):
            await photos.read(PHOTO, 0.0)
        with pytest.raises(NotAnImage):
            await photos.read(b"no image", 0.0)
    assert photos.read_photos == 0
