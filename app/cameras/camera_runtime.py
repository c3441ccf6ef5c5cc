"""The running cameras of a service, on the event loop's thread."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cameras.config import CameraConfig
from app.cameras.devices import usable_device
from app.cameras.previews import open_preview, open_window
from app.cameras.shared import SharedManagers
from app.config import Settings
from app.errors import CameraFailed, StreamNotFound, WatchpostError
from app.pipeline.camera_policy import put_camera
from app.pipeline.channel import Channel
from app.pipeline.manager import StreamManager
from app.pipeline.sources.named import source_url

if TYPE_CHECKING:
    from app.cameras.mjpeg_server import MjpegServer

SESSION_S = 2.0


@dataclass(slots=True)
class _Camera:
    manager: StreamManager
    server: MjpegServer | None = None
    window: asyncio.Task[None] | None = None


class CameraRuntime:
    """The running cameras of a service; belongs to its event loop.

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
        self._changing = asyncio.Lock()
        self._shared = SharedManagers(settings, events)
        self._cameras: dict[str, _Camera] = {}

    async def start(self, cfg: CameraConfig) -> None:
        """Run a camera; returns once it runs. Raises CameraFailed, or what its source raises."""
        url = await asyncio.to_thread(source_url, cfg.source)
        device = usable_device(cfg.device)
        async with self._changing:
            if cfg.camera_id in self._cameras and self._is_alive(cfg.camera_id):
                raise CameraFailed(
                    camera_id=cfg.camera_id, reason="it is already running; stop it first"
                )
            await self._end(cfg.camera_id)
            manager = await self._shared.get(Path(cfg.db_path), device)
            camera = self._cameras[cfg.camera_id] = _Camera(manager)
            try:
                if cfg.preview_port is not None:
                    camera.server = await open_preview(cfg.camera_id, cfg.preview_port, manager)
                spec = cfg.to_spec(url, has_objects=manager.has_analytics)
                self._shared.keep_days[cfg.camera_id] = spec.keep_days
                await put_camera(manager, spec, replace=False)
            except BaseException:
                await self._end(cfg.camera_id)
                raise
            if cfg.render_enabled:
                camera.window = open_window(cfg.camera_id, manager)
        await self._wait_for_session(cfg.camera_id)

    async def stop(self, camera_id: str) -> None:
        """Stop one camera. It is no error if it does not run."""
        async with self._changing:
            await self._end(camera_id)

    async def close(self) -> None:
        """Stop all cameras and free what they share."""
        async with self._changing:
            await asyncio.gather(*(self._end(camera_id) for camera_id in list(self._cameras)))
            await self._shared.close()

    async def jpeg(self, camera_id: str) -> bytes | None:
        """The newest frame as JPEG; None if there is none."""
        camera = self._cameras.get(camera_id)
        try:
            if camera is None:
                return None
            return await camera.manager.stream(camera_id).snapshot()
        except WatchpostError:
            return None

    async def stats(self, camera_id: str) -> dict[str, Any] | None:
        """What is seen now; None for a camera that does not run."""
        camera = self._cameras.get(camera_id)
        if camera is None:
            return None
        try:
            stats = camera.manager.stream(camera_id).status.stats
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
            state = self._cameras[camera_id].manager.stream(camera_id).status.state
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
        await camera.manager.disconnect(camera_id)

    async def _wait_for_session(self, camera_id: str) -> None:
        """Wait briefly for the session's id, so that the first statistics have it."""
        for _ in range(int(SESSION_S / 0.02)):
            stats = await self.stats(camera_id)
            if stats is None or stats["session_id"] is not None:
                return
            await asyncio.sleep(0.02)
