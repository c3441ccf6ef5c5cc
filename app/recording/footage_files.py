"""Names and recovery of the files of clips and continuous recordings.

    footage/event/CAMERA/2026-11-28/1764360000123.mp4       clips
    footage/continuous/CAMERA/2026-11-28/1764360000123.mp4  segments

The number is the time of the first frame, Unix milliseconds, so that the files tell everything that
is in their rows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from app.errors import WatchpostError
from app.footage import Footage, FootageKind
from app.recording.probe import examine, trim
from app.recording.segments import FINISHED, GROWING, finished_name
from app.recording.stores import FootageStore

logger = logging.getLogger(__name__)

EVENT: FootageKind = "event"
CONTINUOUS: FootageKind = "continuous"
KINDS = (EVENT, CONTINUOUS)


class FootageFiles:
    """The files below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def new(self, stream_id: str, kind: FootageKind, begin_ts: float) -> Path:
        """A name for a file that nothing has yet, in a folder that exists. Raises OSError."""
        day = datetime.fromtimestamp(begin_ts, UTC).strftime("%Y-%m-%d")
        folder = self.root / kind / quote(stream_id, safe="") / day
        folder.mkdir(parents=True, exist_ok=True)
        number = round(begin_ts * 1000)
        while any((folder / f"{number}{end}").exists() for end in (FINISHED, GROWING)):
            number += 1
        return folder / f"{number}{FINISHED}"

    def footage(self, path: Path, length_s: float, size: int) -> Footage:
        """What the name of a file says. Raises ValueError for a name that is not one of ours."""
        kind, stream, _, name = path.relative_to(self.root).parts
        begin_ts = int(name.removesuffix(GROWING).removesuffix(FINISHED)) / 1000
        known = next((one for one in KINDS if one == kind), None)
        if known is None:
            raise ValueError(kind)
        relative = finished_name(path).relative_to(self.root).as_posix()
        return Footage(unquote(stream), known, begin_ts, begin_ts + length_s, relative, size)

    def recover(self, store: FootageStore, idle_s: float = 0.0) -> int:
        """Give rows to files without one, as a kill or a failed database leaves them. Blocks.

        Called before anything is recorded. Raises StoreError.

        Args:
            idle_s: leave files that were written to within this time: they may still grow.

        Returns:
            How many files were recovered.
        """
        known, count = store.paths(), 0
        for path in self._found(time.time() - idle_s):
            if path.relative_to(self.root).as_posix() in known:
                continue
            footage = self._usable(path)
            if footage is None:
                continue
            path.rename(self.root / footage.path)
            store.add(footage, ())
            count += 1
        if count:
            logger.info("%d files of recordings were recovered", count)
        return count

    def _found(self, before_ts: float) -> Iterator[Path]:
        """Files that were last written to before a time; unfinished clips are deleted."""
        for path in sorted(self.root.glob("*/*/*/*")):
            if path.stat().st_mtime > before_ts:
                continue
            if path.name.endswith(".part"):  # a clip that was being written
                path.unlink(missing_ok=True)
            elif path.name.endswith(FINISHED):
                yield path

    def _usable(self, path: Path) -> Footage | None:
        """A file as far as it can be played; None if it cannot."""
        try:
            if path.name.endswith(GROWING):
                trim(path)
            facts = examine(path)
            footage = self.footage(path, facts.seconds, facts.bytes)
            return replace(footage, ended="killed") if path.name.endswith(GROWING) else footage
        except (WatchpostError, OSError, ValueError) as error:
            logger.warning("a recording that was cut off cannot be used: %s", error)
            if path.name.endswith(GROWING):
                path.unlink(missing_ok=True)
            return None
