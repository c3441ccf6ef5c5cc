"""Pictures of events as files: one folder a day, each file written completely or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from app.errors import StoreError


class SnapshotFolder:
    """The JPEG files of events; names are relative to ``root``: ``2026-02-03/17-9f3a21.jpg``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def save(self, event_id: int, ts: float, jpeg: bytes) -> str:
        """Write a JPEG and return its name. Raises StoreError and leaves no partial file."""
        day = datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d")
        name = f"{day}/{event_id}-{secrets.token_hex(3)}.jpg"
        target = self._root / name
        part = target.with_name(f".{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(jpeg)
                part.replace(target)
            except OSError:
                part.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StoreError(reason=f"snapshot: {os.strerror(error.errno or 0)}") from None
        return name

    def read(self, name: str) -> bytes | None:
        """The JPEG, or None if the file is missing. Raises StoreError if it cannot be read."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(reason=f"snapshot: {os.strerror(error.errno or 0)}") from None

    def exists(self, name: str) -> bool:
        return Path(self._root / name).exists()

    def delete(self, names: Iterable[str]) -> int:
        """Delete files, and the folders of days that are then empty; returns the bytes freed.

        A file that cannot be deleted is left in place.
        """
        freed = 0
        days: set[Path] = set()
        for name in names:
            path = self._root / name
            with contextlib.suppress(OSError):
                size = path.stat().st_size
                path.unlink()
                freed += size
            days.add(path.parent)
        for day in days - {self._root}:
            with contextlib.suppress(OSError):  # not empty
                day.rmdir()
        return freed
