"""What a node stores: films and snapshots, and the calls with which the front has them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from app.cluster.node_store import NewFilm, NodeStore, Orders
from app.config import RecordingSettings, SpaceSettings
from app.errors import NoFootage, NotReady, StoreError
from app.events import Event
from app.footage import FILMS, PICTURES, RECORDINGS, Footage, Period
from app.pipeline import draw
from app.pipeline.event_log import EventLog
from app.pipeline.node_load import NodeLoad
from app.process import background
from app.recording.footage_opening import FootageParts, open_footage
from app.recording.retention import DiskSpace

logger = logging.getLogger(__name__)

RECOVERED_S = 5.0
CALLS = frozenset(
    (
        "recover",
        "picture",
        "size",
        "piece",
        "export",
        "exact",
        "preview",
        "growing",
        "problem",
        "release",
        "forget_events",
    )
)
"""What the front may call by name."""


class Pictures(Protocol):
    """A folder of snapshots. Raises StoreError."""

    def save(self, event_id: int, ts: float, jpeg: bytes) -> str: ...

    def read(self, name: str) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class FilesReport:
    """What happened to a node's files.

    Attributes:
        films: those without rows.
        removed: files that were deleted to free space, each with its place.
        pending: when clips will be there, by the front's numbers of their events.
        erased: which erasures are done.
        free, size: bytes of the node's disk.
        used: bytes of what it has stored, at its last sweep.
        load: of the whole node.
    """

    films: Sequence[NewFilm]
    removed: Sequence[tuple[int, str]]
    pending: dict[int, float]
    erased: Collection[int]
    free: int
    size: int
    used: int
    load: NodeLoad | None = None


class NodeFiles:
    """The films and snapshots of one node; all that blocks runs in threads.

    Args:
        name: of the node in rows; it stays the same when the node starts again.
        space: of its disk.
    """

    def __init__(
        self, name: str, store: NodeStore, pictures: Pictures, parts: FootageParts, space: DiskSpace
    ) -> None:
        self.name = name
        self.service = parts.service
        self._store = store
        self._pictures = pictures
        self._parts = parts
        self.space = space
        self._recovering: asyncio.Task[None] | None = None
        self._ordered, self._recovered = asyncio.Event(), asyncio.Event()

    # ── what happens here ────────────────────────────────────────────────────────────────

    async def keep(self, event: Event) -> Event:
        """Save the snapshot of an event; returns it without its frame."""
        name = None
        if event.frame is not None:
            name = await asyncio.to_thread(self._save, event)
        return replace(
            event, frame=None, snapshot_file=name, has_snapshot=name is not None, node=self.name
        )

    def _save(self, event: Event) -> str | None:
        try:
            return self._pictures.save(event.event_id, event.ts, draw.snapshot(event))
        except StoreError as error:
            logger.error("an event of %s has no snapshot: %s", event.stream_id, error)
        except Exception:  # whatever is wrong with the picture, the event is reported
            logger.exception("an event of %s has no snapshot", event.stream_id)
        return None

    async def sweep(self) -> None:
        """Free space at regular intervals, once a front has said what is deleted last."""
        await self._ordered.wait()
        await self.space.run()

    # ── calls of the front ───────────────────────────────────────────────────────────────

    async def recover(self, known: set[str]) -> None:
        """Find what a killed process has left, once. Called before anything is recorded.

        Args:
            known: the films that have rows.
        """
        if self._recovering is None:
            self._store.known = known
            self._recovering = asyncio.create_task(self.service.recover())
        await asyncio.shield(self._recovering)
        self._recovered.set()

    async def may_free(self) -> None:
        """Wait until a front has said what is deleted last. Raises NotReady if that takes long."""
        try:
            async with asyncio.timeout(RECOVERED_S):
                await self._ordered.wait()
        except TimeoutError:
            raise NotReady(reason=f"Node {self.name} waits for the front.") from None

    async def recovered(self) -> None:
        """Wait for ``recover``. Raises NotReady if that takes long."""
        try:
            async with asyncio.timeout(RECOVERED_S):
                await self._recovered.wait()
        except TimeoutError:
            raise NotReady(reason=f"Node {self.name} still reads what it has recorded.") from None

    async def exchange(self, orders: Orders, waiting_from: int) -> FilesReport:
        """Do what a front says, and tell what is new.

        Args:
            waiting_from: the node's own number of the oldest event without one of the front.
        """
        self._store.follow(orders)
        erased = await self._erase(orders) if orders.erase else ()
        if orders.flagged is not None:
            self._ordered.set()
        disk = await asyncio.to_thread(self.space.disk)
        return FilesReport(
            self._store.films(waiting_from),
            self._store.removed(),
            self._store.pending(self.service.clips.pending()),
            erased,
            disk.free,
            disk.size,
            self.space.used_bytes,
        )

    async def _erase(self, orders: Orders) -> Collection[int]:
        """Delete for good; what cannot be deleted is tried again."""

        def erase() -> list[int]:
            self._parts.exporter.clear()  # copies of them
            self._parts.frames.forget()
            done = []
            for number, name in orders.erase.items():
                try:
                    self._store.erase([name])
                except (OSError, StoreError) as error:
                    logger.error("a file cannot be erased: %s", error)
                    continue
                done.append(number)
            return done

        return await asyncio.to_thread(erase)

    async def picture(self, name: str) -> bytes | None:
        """A snapshot; None if it was removed. Raises StoreError."""
        self._store.path(f"{PICTURES}{name}")
        return await asyncio.to_thread(self._pictures.read, name)

    async def size(self, path: str) -> int:
        """The bytes of a film, or of a file of a job. Raises NoFootage."""
        try:
            return (await asyncio.to_thread(self._film(path).stat)).st_size
        except OSError:
            raise NoFootage from None

    async def piece(self, path: str, begin: int, size: int) -> bytes:
        """A part of it. Raises NoFootage."""

        def read() -> bytes:
            with self._film(path).open("rb") as file:
                file.seek(begin)
                return file.read(size)

        try:
            return await asyncio.to_thread(read)
        except OSError:
            raise NoFootage from None

    def _film(self, path: str) -> Path:
        if not path.startswith((FILMS, RECORDINGS)):
            raise NoFootage
        return self._store.path(path)

    async def export(self, footage: Sequence[Footage], wanted: Period) -> str:
        """Join films to one file; returns its path. Raises as ``FootageExporter.export``."""
        path = await asyncio.to_thread(self._parts.exporter.export, footage, wanted)
        return path.relative_to(self._store.folder).as_posix()

    async def exact(self, footage: Sequence[Footage], ts: float, width: int | None) -> bytes:
        """The frame of films that was shown at a time, as JPEG. Raises NoFootage."""
        return await asyncio.to_thread(self._parts.frames.exact, footage, ts, width)

    async def preview(self, footage: Sequence[Footage], ts: float, width: int | None) -> bytes:
        """A keyframe near a time, as JPEG. Raises NoFootage."""
        return await asyncio.to_thread(self._parts.frames.preview, footage, ts, width)

    async def growing(self, stream_id: str, period: Period) -> list[Footage]:
        """The segment that is being recorded of a stream, if it is of a period."""
        found = await asyncio.to_thread(self.service.of_stream, stream_id, period)
        return [replace(one, node=self.name) for one in found]

    async def problem(self, stream_id: str) -> str | None:
        """Why a stream that should be recorded is not."""
        return await asyncio.to_thread(self.service.problem, stream_id)

    async def release(self, stream_id: str, period: Period) -> None:
        """Let go of what is being recorded in a period."""
        await self.service.release(stream_id, period)

    async def forget_events(self, event_ids: Collection[int]) -> None:
        """Drop the clips of events, by the front's numbers, that are not on disk yet."""
        await self.service.clips.forget_events(self._store.own_ids(event_ids))


@asynccontextmanager
async def open_files(
    folder: Path,
    name: str,
    pictures: Callable[[Path], Pictures],
    log: EventLog,
    recording: RecordingSettings,
    space_settings: SpaceSettings,
) -> AsyncIterator[NodeFiles]:
    """Open what a node stores; on leaving, its files are closed.

    Args:
        folder: which no other process uses.
        pictures: opens the folder of snapshots.
    """
    store = NodeStore(folder)
    space = DiskSpace(folder, space_settings)
    space.register(store.pictures())
    space.register(store.recordings())
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(
            open_footage(folder / FILMS, recording, store, log, space, store.keep_days, idle_s=None)
        )
        files = NodeFiles(name, store, pictures(folder / PICTURES), parts, space)
        await stack.enter_async_context(background(files.sweep(), "retention"))
        yield files
