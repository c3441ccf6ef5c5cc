"""The image files of plates: safe names, no file overwritten, all of a session or none."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import ImageGone, StoreError

CROPS, UPLOADS = "detected_plates", "uploads"
MAX_NAME = 80
SUFFIXES = ("jpg", "jpeg", "png", "webp", "bmp")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class PlateFiles:
    """The image files of plates, below the data folder.

    Args:
        data_dir: paths in rows are relative to it.
    """

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir.resolve()

    @contextmanager
    def batch(self) -> Iterator[SessionFiles]:
        """Write the files of a session; if the block fails, all of them are removed."""
        batch = SessionFiles(self._root)
        complete = False
        try:
            yield batch
            complete = True
        finally:
            if not complete:
                self.erase(batch.paths)

    def path(self, relative: str) -> Path:
        """The file of a row's image. Raises ImageGone if it does not exist."""
        found = (self._root / relative).resolve()
        inside = any(found.is_relative_to(self._root / folder) for folder in (CROPS, UPLOADS))
        if not relative or not inside or not found.is_file():
            raise ImageGone
        return found

    def erase(self, paths: list[str]) -> None:
        """Remove files; missing ones are no error."""
        for relative in paths:
            try:
                self.path(relative).unlink(missing_ok=True)
            except ImageGone:
                continue
            except OSError as error:
                raise StoreError(
                    reason=f"an image could not be deleted: {error.strerror}"
                ) from None


class SessionFiles:
    """The files of one session; its time is in their names."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._moment = int(time.time())
        self.paths: list[str] = []

    def source(self, name: str, data: bytes) -> str:
        """Write the whole image and return its path, such as ``uploads/1621234567_car.jpg``."""
        return self._write(UPLOADS, f"{self._moment}_{safe_name(name)}", data)

    def crop(self, number: int, jpeg: bytes) -> str:
        """Write a crop and return its path, such as ``detected_plates/plate_1621234567_0.jpg``."""
        return self._write(CROPS, f"plate_{self._moment}_{number}.jpg", jpeg)

    def _write(self, folder: str, name: str, data: bytes) -> str:
        stem, dot, suffix = name.rpartition(".")
        for attempt in range(10_000):
            free = name if attempt == 0 else f"{stem}-{attempt}{dot}{suffix}"
            try:
                (self._root / folder).mkdir(parents=True, exist_ok=True)
                with (self._root / folder / free).open("xb") as file:
                    self.paths.append(f"{folder}/{free}")
                    file.write(data)
            except FileExistsError:
                continue
            except OSError as error:
                raise StoreError(reason=f"an image could not be saved: {error.strerror}") from None
            return f"{folder}/{free}"
        raise StoreError(reason="too many images with the same name")


def safe_name(name: str) -> str:
    """A safe ASCII file name, without folders."""
    last = re.split(r"[/\\]", name)[-1]
    plain = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode()
    stem, _, suffix = _UNSAFE.sub("_", plain).rpartition(".")
    if suffix.lower() not in SUFFIXES:
        stem, suffix = f"{stem}_{suffix}", "jpg"
    return f"{stem.strip('._-')[:MAX_NAME] or 'image'}.{suffix.lower()}"
