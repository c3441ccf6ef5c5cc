"""The cameras of one service, on the event loop's thread, and what they share."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.analytics.analyzer import AnalyzerFactory
from app.analytics.rules import read_rule_settings
from app.cameras.config import CameraConfig
from app.cameras.devices import usable_device
from app.cameras.mjpeg_server import MjpegServer
from app.cameras.window import CameraWindow, no_display
from app.config import Settings
from app.db.engine import open_database
from app.db.events import EventRepository, StreamSessionRepository
from app.db.snapshots import SnapshotFolder
from app.db.writer import EventWriter
from app.errors import CameraFailed, StreamNotFound, WatchpostError
from app.models import weights_file
from app.models.batching import BatchingRunner
from app.models.faces import FaceDetector, load_faces
from app.models.objects import ObjectDetector, load_objects
from app.pipeline import draw
from app.pipeline.channel import Channel
from app.pipeline.event_log import EventLog
from app.pipeline.manager import StreamManager
from app.pipeline.sources.named import source_url
from app.types import EventRow, StoredStream
from app.urls import normalised

if TYPE_CHECKING:
    from sqlalchemy import Engine

logger = logging.getLogger(__name__)

WRITE_REST_S = 3.0
SESSION_S = 2.0


@dataclass(frozen=True, slots=True)
class _Networks:
    """What all cameras on one device share."""

    face_runner: BatchingRunner
    faces: FaceDetector
    objects: ObjectDetector | None

    def close(self) -> None:
        self.face_runner.close()
        if self.objects is not None:
            self.objects.close()


class NullStreamStore:
    """A ``StreamStore`` that keeps nothing: a script says itself what runs the next time."""

    def fingerprint(self, source: str) -> str:
        return normalised(source)

    def save(self, stored: StoredStream) -> None:
        pass

    def delete(self, stream_id: str) -> None:
        pass

    def load(self) -> list[StoredStream]:
        return []


@dataclass(frozen=True, slots=True)
class _Group:
    """The streams that share one database and one device."""

    engine: Engine
    log: EventLog
    manager: StreamManager
    writer: EventWriter
    stack: ExitStack

    async def close(self) -> None:
        await self.manager.close()
        self.log.close()
        await self.writer.close(WRITE_REST_S)
        self.stack.close()
        self.engine.dispose()


@dataclass(slots=True)
class _Camera:
    room: _Group
    server: MjpegServer | None = None
    window: asyncio.Task[None] | None = None


class CameraRuntime:
    """Everything that lives on the event loop's thread."""

    def __init__(
        self,
        settings: Settings,
        happened: Channel[tuple[str, dict[str, Any]]],
        teller: threading.Thread,
    ) -> None:
        self.teller = teller
        self._settings = settings
        self._happened = happened
        self._changing = asyncio.Lock()
        self._networks: dict[str, _Networks] = {}
        self._rooms: dict[tuple[Path, str], _Group] = {}
        self._cameras: dict[str, _Camera] = {}

    # ── cameras ──────────────────────────────────────────────────────────────────────────

    async def start(self, cfg: CameraConfig) -> None:
        url = await asyncio.to_thread(source_url, cfg.source)
        device = usable_device(cfg.device)
        async with self._changing:
            if cfg.camera_id in self._cameras and self._is_alive(cfg.camera_id):
                raise CameraFailed(camera_id=cfg.camera_id, reason="it runs already; stop it first")
            await self._end(cfg.camera_id)
            room = await self._room(Path(cfg.db_path), device)
            camera = self._cameras[cfg.camera_id] = _Camera(room)
            try:
                if cfg.preview_port is not None:
                    camera.server = await self._serve(cfg, room)
                spec = cfg.to_spec(url, has_objects=room.manager.has_analytics)
                await room.manager.keep(spec, known=False)
            except BaseException:
                await self._end(cfg.camera_id)
                raise
            if cfg.render_enabled:
                camera.window = self._render(cfg.camera_id, room)
        await self._numbered(cfg.camera_id)

    async def stop(self, camera_id: str) -> None:
        async with self._changing:
            await self._end(camera_id)

    async def close(self) -> None:
        async with self._changing:
            await asyncio.gather(*(self._end(camera_id) for camera_id in list(self._cameras)))
            for room in self._rooms.values():
                await room.close()
            for networks in self._networks.values():
                await asyncio.to_thread(networks.close)

    async def jpeg(self, camera_id: str) -> bytes | None:
        camera = self._cameras.get(camera_id)
        try:
            return None if camera is None else await camera.room.manager.snapshot(camera_id)
        except WatchpostError:
            return None

    async def stats(self, camera_id: str) -> dict[str, Any] | None:
        camera = self._cameras.get(camera_id)
        if camera is None:
            return None
        try:
            stats = camera.room.manager.get(camera_id).stats
        except StreamNotFound:  # it is just starting
            return None
        return {
            "camera_id": camera_id,
            "faces": stats.faces,
            "ids": stats.followed.get("person", 0),
            "bags": stats.followed.get("bag", 0),
            "owned": stats.followed.get("owned_bag", 0),
            "session_id": stats.session_id,
        }

    def _is_alive(self, camera_id: str) -> bool:
        try:
            state = self._cameras[camera_id].room.manager.get(camera_id).state
        except StreamNotFound:
            return False
        return state in ("starting", "running", "reconnecting")

    async def _end(self, camera_id: str) -> None:
        camera = self._cameras.pop(camera_id, None)
        if camera is None:
            return
        if camera.window is not None:
            camera.window.cancel()
        if camera.server is not None:
            await camera.server.close()
        await camera.room.manager.disconnect(camera_id)

    async def _numbered(self, camera_id: str) -> None:
        """Wait a moment for the session's number, so that the first statistics have it."""
        for _ in range(int(SESSION_S / 0.02)):
            stats = await self.stats(camera_id)
            if stats is None or stats["session_id"] is not None:
                return
            await asyncio.sleep(0.02)

    # ── what cameras share ───────────────────────────────────────────────────────────────

    async def _room(self, db_path: Path, device: str) -> _Group:
        key = (await asyncio.to_thread(db_path.absolute().resolve), device)
        if key not in self._rooms:
            networks = await self._shared_networks(device)
            self._rooms[key] = await self._open_room(key[0], networks)
        return self._rooms[key]

    async def _shared_networks(self, device: str) -> _Networks:
        if device not in self._networks:
            self._networks[device] = await asyncio.to_thread(_load, self._settings, device)
        return self._networks[device]

    async def _open_room(self, db_path: Path, networks: _Networks) -> _Group:
        settings = self._settings
        engine = await asyncio.to_thread(open_database, f"sqlite:///{db_path}")
        folder = db_path.parent / "snapshots"
        snapshots = SnapshotFolder(folder)
        repository = EventRepository(engine, snapshots)
        first_id = await asyncio.to_thread(repository.next_id)
        log = EventLog(asyncio.get_running_loop(), first_id)
        manager = StreamManager(
            settings.streams,
            settings.faces,
            networks.faces,
            NullStreamStore(),
            AnalyzerFactory(settings.objects, read_rule_settings(), networks.objects),
            log,
            StreamSessionRepository(engine).next_today,
        )
        stack = ExitStack()
        arriving = stack.enter_context(log.pictured())
        tell = functools.partial(self._tell, folder)
        writer = EventWriter(arriving, repository, snapshots, draw.snapshot, tell)
        writer.start()
        return _Group(engine, log, manager, writer, stack)

    def _tell(self, folder: Path, row: EventRow) -> None:
        path = None if row.snapshot_file is None else str(folder / row.snapshot_file)
        self._happened.put((row.stream_id, as_dict(row, path)))

    # ── ways to look ─────────────────────────────────────────────────────────────────────

    async def _serve(self, cfg: CameraConfig, room: _Group) -> MjpegServer:
        assert cfg.preview_port is not None
        server = MjpegServer(functools.partial(room.manager.pictures, cfg.camera_id))
        try:
            await server.open(cfg.preview_port)
        except (OSError, OverflowError) as error:
            reason = f"preview_port {cfg.preview_port} cannot be used: {error}"
            raise CameraFailed(camera_id=cfg.camera_id, reason=reason) from None
        return server

    def _render(self, camera_id: str, room: _Group) -> asyncio.Task[None] | None:
        if reason := no_display():
            logger.warning("camera %s: no window is shown: %s", camera_id, reason)
            return None
        return asyncio.create_task(self._show(camera_id, room))

    async def _show(self, camera_id: str, room: _Group) -> None:
        window = await asyncio.to_thread(CameraWindow, camera_id)
        try:
            async with aclosing(room.manager.pictures(camera_id)) as pictures:
                async for shown in pictures:
                    if not await asyncio.to_thread(window.show, shown.jpeg):
                        break
        finally:
            said = window.close()
            logger.warning("camera %s: its window is gone: %s", camera_id, said or "closed")


def as_dict(record: EventRow, snapshot: str | None) -> dict[str, Any]:
    """An event as callbacks get it; a rule's details stand beside the rest.

    Args:
        snapshot: path of its picture, faces covered, if there is one.
    """
    return {
        **record.details,
        "type": record.type,
        "camera_id": record.stream_id,
        "session_id": record.session_id,
        "event_id": record.event_id,
        "ts": record.ts,
        "time": datetime.fromtimestamp(record.ts, UTC).isoformat(),
        "track_id": record.track_id,
        "person_id": record.person_id,
        "bag_id": record.bag_id,
        "box": None if record.box is None else list(record.box),
        "confidence": record.confidence,
        "duration_s": record.duration_s,
        "snapshot": snapshot,
    }


def _load(settings: Settings, device: str) -> _Networks:
    runner = load_faces("auto" if device == "cuda" else device)
    objects = None
    if settings.objects.weights is not None or weights_file.SHIPPED.exists():
        objects = load_objects(settings.objects, device)
    else:
        logger.warning("no analytics: %s is missing", weights_file.SHIPPED)
    faces = FaceDetector(runner, min_confidence=settings.faces.keep_confidence)
    return _Networks(runner, faces, objects)
