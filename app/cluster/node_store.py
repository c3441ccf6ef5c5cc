"""The films of a node as a ``FootageStore``: the rows are the front's, and wait here for it."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from app.errors import StoreError
from app.footage import FILMS, PICTURES, RECORDINGS, Footage, KeepDays, Period
from app.plates import WatchEntry
from app.recording.footage_files import FootageFiles
from app.recording.retention import Prunable, PrunableFolder, StoredItem, StoredKind
from app.recording.segments import FINISHED, GROWING

MAX_WAITING = 100_000
"""Rows that wait for a front; the oldest are dropped, and the next start of the node finds them."""
MAX_NUMBERED = 20_000
SENT_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class NewFilm:
    """A film that the front adds to the database.

    Attributes:
        place: counts up, to be confirmed.
        event_ids: as the front numbered them.
    """

    place: int
    footage: Footage
    event_ids: Sequence[int]


@dataclass(slots=True)
class _Waiting:
    place: int
    footage: Footage
    own_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class Orders:
    """What a front tells a node about its files.

    Attributes:
        taken: the place of the last film, and of the last removed file, that it has noted.
        numbers: its numbers of new events, by the node's own.
        erase: files to delete for good, by numbers to confirm.
        flagged: what is deleted last; None: as before.
        keep_days: limits of streams that have some of their own; None: as before.
        watched: the watch-list of number plates; None: as before.
    """

    taken: tuple[int, int] = (0, 0)
    numbers: Mapping[int, int] = field(default_factory=dict)
    erase: Mapping[int, str] = field(default_factory=dict)
    flagged: frozenset[str] | None = None
    keep_days: Mapping[str, KeepDays] | None = None
    watched: Sequence[WatchEntry] | None = None


class NodeWatchlist:
    """The watch-list of number plates as the front last sent it."""

    def __init__(self) -> None:
        self._entries: list[WatchEntry] = []

    def entries(self) -> list[WatchEntry]:
        """All entries; none before the first front."""
        return self._entries

    def follow(self, orders: Orders) -> None:
        """Take note of what a front says."""
        if orders.watched is not None:
            self._entries = list(orders.watched)


class NodeStore:
    """A ``FootageStore`` whose rows the front takes. Safe to use from any thread.

    Args:
        folder: has the films and the snapshots.

    Attributes:
        known: the films that have rows, for the recovery of others.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: set[str] = set()
        self._files = FootageFiles(folder / FILMS)
        self._lock = threading.Lock()
        self._films: deque[_Waiting] = deque(maxlen=MAX_WAITING)
        self._removed: deque[tuple[int, str]] = deque(maxlen=MAX_WAITING)
        self._places = [0, 0]
        self._numbers: OrderedDict[int, int] = OrderedDict()
        self._flagged: frozenset[str] = frozenset()
        self._keep_days: Mapping[str, KeepDays] = {}

    # ── for the front ────────────────────────────────────────────────────────────────────

    def follow(self, orders: Orders) -> None:
        """Take note of what a front says; it erases nothing yet."""
        with self._lock:
            while self._films and self._films[0].place <= orders.taken[0]:
                self._films.popleft()
            while self._removed and self._removed[0][0] <= orders.taken[1]:
                self._removed.popleft()
            self._numbers.update(orders.numbers)
            while len(self._numbers) > MAX_NUMBERED:
                self._numbers.popitem(last=False)
            if orders.flagged is not None:
                self._flagged = orders.flagged
            if orders.keep_days is not None:
                self._keep_days = orders.keep_days

    def films(self, waiting_from: int) -> list[NewFilm]:
        """Films that no front has taken; those of events wait until these have numbers.

        Args:
            waiting_from: the node's own number of the oldest event that may still get one.
        """
        found: list[NewFilm] = []
        with self._lock:
            for one in self._films:
                numbers = [self._numbers[own] for own in one.own_ids if own in self._numbers]
                waits = any(own >= waiting_from for own in one.own_ids) and not numbers
                if len(found) == SENT_AT_ONCE or waits:
                    break  # in order, since one place confirms all before it
                found.append(NewFilm(one.place, one.footage, numbers))
        return found

    def removed(self) -> list[tuple[int, str]]:
        """Files that were deleted to free space, and that no front has noted."""
        with self._lock:
            return list(self._removed)[:SENT_AT_ONCE]

    def pending(self, ready: Mapping[int, float]) -> dict[int, float]:
        """When clips will be there, by the front's numbers of their events.

        Args:
            ready: the same by the node's own numbers, of those that are being recorded.
        """
        with self._lock:
            own = {own: 0.0 for one in self._films for own in one.own_ids} | dict(ready)
            return {
                self._numbers[number]: ts for number, ts in own.items() if number in self._numbers
            }

    def own_ids(self, event_ids: Iterable[int]) -> set[int]:
        """The node's own numbers of events."""
        wanted = set(event_ids)
        with self._lock:
            return {own for own, number in self._numbers.items() if number in wanted}

    def path(self, name: str) -> Path:
        """A file by the name that the front has of it. Raises StoreError for one outside."""
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise StoreError(reason="no file of this node")
        return path

    def erase(self, names: Iterable[str]) -> None:
        """Delete files for good. Raises OSError."""
        for name in names:
            path = self.path(name)
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not empty
                path.parent.rmdir()

    # ── a FootageStore ───────────────────────────────────────────────────────────────────

    def add(self, footage: Footage, event_ids: Sequence[int]) -> None:
        """A film is on disk."""
        with self._lock:
            self._places[0] += 1
            self._films.append(_Waiting(self._places[0], footage, tuple(event_ids)))

    def flag(self, stream_id: str, period: Period, *, flagged: bool) -> int:  # noqa: ARG002
        """Nothing: flags are in the rows, which ``follow`` tells of."""
        return 0

    def of_stream(self, stream_id: str, period: Period) -> list[Footage]:  # noqa: ARG002
        """Nothing: the rows are the front's."""
        return []

    def last_segment(self, stream_id: str, before_ts: float) -> Footage | None:  # noqa: ARG002
        """Nothing: the rows are the front's."""
        return None

    def days(
        self,
        stream_id: str,  # noqa: ARG002
        period: Period,  # noqa: ARG002
        zone: ZoneInfo,  # noqa: ARG002
    ) -> Mapping[date, int]:
        """Nothing: the rows are the front's."""
        return {}

    def clip_of(self, event_id: int) -> Footage | None:  # noqa: ARG002
        """Nothing: the rows are the front's."""
        return None

    def paths(self) -> set[str]:
        """The films that have rows, or will have."""
        with self._lock:
            return self.known | {one.footage.path for one in self._films}

    def all(self) -> list[Footage]:
        """Every finished film, as its name says; its end is not known."""
        return list(self._on_disk())

    def _on_disk(self) -> Iterator[Footage]:
        flagged, number = self._flagged, 0
        for path in self._files.root.glob(f"*/*/*/*{FINISHED}"):
            if path.name.endswith(GROWING):
                continue
            try:
                one = self._files.footage(path, 0.0, path.stat().st_size)
            except (OSError, ValueError):  # removed in the meantime, or not ours
                continue
            number += 1
            yield Footage(
                one.stream_id,
                one.kind,
                one.begin_ts,
                one.end_ts,
                one.path,
                one.bytes,
                f"{FILMS}{one.path}" in flagged,
                footage_id=number,
            )

    def remove(self, footage: Iterable[Footage]) -> int:
        """Delete films to free space. Raises StoreError."""
        return sum(self.free(f"{FILMS}{one.path}") for one in footage)

    # ── retention ────────────────────────────────────────────────────────────────────────

    def free(self, name: str) -> int:
        """Delete a file to free space; the front learns of it. Raises StoreError."""
        try:
            self.erase([name])
        except OSError as error:
            raise StoreError(reason=f"{error.strerror}") from None
        with self._lock:
            self._places[1] += 1
            self._removed.append((self._places[1], name))
        return 1

    def keep_days(self) -> Mapping[str, KeepDays]:
        """How long the films of streams are kept that have limits of their own."""
        return self._keep_days

    def pictures(self) -> Prunable:
        """The snapshots of events, to be removed for space and by their age."""
        return _FolderOfNode(self, lambda: self._flagged, PICTURES, "*/*.jpg", "event")

    def recordings(self) -> Prunable:
        """The files of jobs, to be removed for space and by their age: those with a number last in
        their name, as the ones that are being written have not."""
        return _FolderOfNode(self, lambda: self._flagged, RECORDINGS, f"*/*[0-9]{FINISHED}", "job")


class _FolderOfNode(PrunableFolder):
    """Files whose removal is reported to the front."""

    def __init__(
        self,
        store: NodeStore,
        flagged: Callable[[], frozenset[str]],
        name: str,
        pattern: str,
        kind: StoredKind,
    ) -> None:
        def protected() -> set[Path]:
            return {store.folder / path for path in flagged() if path.startswith(name)}

        super().__init__(store.folder / name, pattern, protected, kind)
        self._store = store

    def remove(self, item: StoredItem) -> None:
        """Remove a file."""
        self._store.free(Path(item.key).relative_to(self._store.folder).as_posix())
