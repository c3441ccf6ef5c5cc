"""The running cameras of a service, on the event loop's thread, and the parts they share."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cameras.config import CameraConfig
from app.cameras.devices import usable_device
from app.cameras.window import CameraWindow, no_display
from app.config import Settings
from app.errors import CameraFailed, StreamNotFound, WatchpostError
from app.events import EventRow
from app.pipeline.camera_policy import put_camera
from app.pipeline.channel import Channel
from app.pipeline.event_log import EventLog
from app.pipeline.manager import StreamManager
from app.pipeline.sources.named import source_url
from app.runtime import SNAPSHOTS, Networks, open_engine, open_events, open_manager, open_networks
from app.types import StoredStream
from app.urls import normalised

if TYPE_CHECKING:
    from app.cameras.mjpeg_server import MjpegServer

logger = logging.getLogger(__name__)

SESSION_S = 2.0


class NullStreamStore:
    """A ``StreamStore`` that stores nothing: the script decides what to run next time."""

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

    log: EventLog
    manager: StreamManager


@dataclass(slots=True)
class _Camera:
    group: _Group
    server: MjpegServer | None = None
    window: asyncio.Task[None] | None = None


class CameraRuntime:
    """The running cameras of a service and the parts they share; belongs to its event loop.

    Args:
        events: receives each event, as a callback gets it, with the id of its camera.
        callback_thread: the thread that passes events to the callback.
    """

    def __init__(
        self,
        settings: Settings,
        events: Channel[tuple[str, dict[str, Any]]],
        callback_thread: threading.Thread,
    ) -> None:
        self.callback_thread = callback_thread
        self._settings = settings
        self._events = events
        self._changing = asyncio.Lock()
        self._shared = AsyncExitStack()
        self._networks: dict[str, Networks] = {}
        self._groups: dict[tuple[Path, str], _Group] = {}
        self._cameras: dict[str, _Camera] = {}

    # ── cameras ──────────────────────────────────────────────────────────────────────────

    async def start(self, cfg: CameraConfig) -> None:
        url = await asyncio.to_thread(source_url, cfg.source)
        device = usable_device(cfg.device)
        async with self._changing:
            if cfg.camera_id in self._cameras and self._is_alive(cfg.camera_id):
                raise CameraFailed(
                    camera_id=cfg.camera_id, reason="it is already running; stop it first"
                )
            await self._end(cfg.camera_id)
            group = await self._group(Path(cfg.db_path), device)
            camera = self._cameras[cfg.camera_id] = _Camera(group)
            try:
                if cfg.preview_port is not None:
                    camera.server = await self._serve(cfg, group)
                spec = cfg.to_spec(url, has_objects=group.manager.has_analytics)
                await put_camera(group.manager, spec, replace=False)
            except BaseException:
                await self._end(cfg.camera_id)
                raise
            if cfg.render_enabled:
                camera.window = self._render(cfg.camera_id, group)
        await self._wait_for_session(cfg.camera_id)

    async def stop(self, camera_id: str) -> None:
        async with self._changing:
            await self._end(camera_id)

    async def close(self) -> None:
        async with self._changing:
            await asyncio.gather(*(self._end(camera_id) for camera_id in list(self._cameras)))
            await self._shared.aclose()

    async def jpeg(self, camera_id: str) -> bytes | None:
        camera = self._cameras.get(camera_id)
        try:
            if camera is None:
                return None
            return await camera.group.manager.stream(camera_id).snapshot()
        except WatchpostError:
            return None

    async def stats(self, camera_id: str) -> dict[str, Any] | None:
        camera = self._cameras.get(camera_id)
        if camera is None:
            return None
        try:
            stats = camera.group.manager.stream(camera_id).status.stats
        except StreamNotFound:  # the camera is still starting
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
            state = self._cameras[camera_id].group.manager.stream(camera_id).status.state
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
        await camera.group.manager.disconnect(camera_id)

    async def _wait_for_session(self, camera_id: str) -> None:
        """Wait briefly for the session's id, so that the first statistics have it."""
        for _ in range(int(SESSION_S / 0.02)):
            stats = await self.stats(camera_id)
            if stats is None or stats["session_id"] is not None:
                return
            await asyncio.sleep(0.02)

    # ── shared parts ─────────────────────────────────────────────────────────────────────

    async def _group(self, db_path: Path, device: str) -> _Group:
        key = (await asyncio.to_thread(db_path.absolute().resolve), device)
        if key not in self._groups:
            networks = await self._shared_networks(device)
            self._groups[key] = await self._open_group(key[0], networks)
        return self._groups[key]

    async def _shared_networks(self, device: str) -> Networks:
        if device not in self._networks:
            opening = open_networks(self._settings, device)
            self._networks[device] = await self._shared.enter_async_context(opening)
        return self._networks[device]

    async def _open_group(self, db_path: Path, networks: Networks) -> _Group:
        """Open the shared parts of a group; a failed step undoes the earlier ones."""
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(open_engine(f"sqlite:///{db_path}"))
            opening = open_events(engine, db_path.parent / SNAPSHOTS, self._on_event)
            events = await stack.enter_async_context(opening)
            manager = await stack.enter_async_context(
                open_manager(self._settings, networks, NullStreamStore(), events.log, engine)
            )
            self._shared.push_async_callback(stack.pop_all().aclose)
        return _Group(events.log, manager)

    def _on_event(self, event: EventRow, snapshot: Path | None) -> None:
        path = None if snapshot is None else str(snapshot)
        self._events.put((event.stream_id, as_dict(event, path)))

    # ── previews and windows ─────────────────────────────────────────────────────────────────────

    async def _serve(self, cfg: CameraConfig, group: _Group) -> MjpegServer:
        from app.cameras.mjpeg_server import MjpegServer  # imports uvicorn, which few scripts need

        assert cfg.preview_port is not None
        server = MjpegServer(lambda: group.manager.stream(cfg.camera_id).jpegs())
        try:
            await server.open(cfg.preview_port)
        except (OSError, OverflowError) as error:
            reason = f"preview_port {cfg.preview_port} cannot be used: {error}"
            raise CameraFailed(camera_id=cfg.camera_id, reason=reason) from None
        return server

    def _render(self, camera_id: str, group: _Group) -> asyncio.Task[None] | None:
        if reason := no_display():
            logger.warning("camera %s: no window: %s", camera_id, reason)
            return None
        return asyncio.create_task(self._show(camera_id, group))

    async def _show(self, camera_id: str, group: _Group) -> None:
        window = await asyncio.to_thread(CameraWindow, camera_id)
        try:
            async with aclosing(group.manager.stream(camera_id).jpegs()) as frames:
                async for frame in frames:
                    if not await asyncio.to_thread(window.show, frame.jpeg):
                        break
        finally:
            reason = window.close() or "no error"
            logger.warning("camera %s: the window is closed: %s", camera_id, reason)


def as_dict(event: EventRow, snapshot: str | None) -> dict[str, Any]:
    """An event as callbacks get it, with the rule's details beside the common fields.

    Args:
        snapshot: path of its blurred snapshot, if there is one.
    """
    return {
        **event.details,
        "type": event.type,
        "camera_id": event.stream_id,
        "session_id": event.session_id,
        "event_id": event.event_id,
        "ts": event.ts,
        "time": datetime.fromtimestamp(event.ts, UTC).isoformat(),
        "track_id": event.track_id,
        "person_id": event.person_id,
        "bag_id": event.bag_id,
        "box": None if event.box is None else list(event.box),
        "confidence": event.confidence,
        "duration_s": event.duration_s,
        "snapshot": snapshot,
    }
