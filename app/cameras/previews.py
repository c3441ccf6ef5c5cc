"""Previews of a camera: on a port of this machine, and in a window."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING

from app.cameras.window import CameraWindow, no_display
from app.errors import CameraFailed
from app.pipeline.manager import StreamManager

if TYPE_CHECKING:
    from app.cameras.mjpeg_server import MjpegServer

logger = logging.getLogger(__name__)


async def open_preview(camera_id: str, port: int, manager: StreamManager) -> MjpegServer:
    """Serve the frames of a camera at a port. Raises CameraFailed if that cannot be used."""
    from app.cameras.mjpeg_server import MjpegServer  # imports uvicorn, which few scripts need

    server = MjpegServer(lambda: manager.stream(camera_id).jpegs())
    try:
        await server.open(port)
    except (OSError, OverflowError) as error:
        reason = f"preview_port {port} cannot be used: {error}"
        raise CameraFailed(camera_id=camera_id, reason=reason) from None
    return server


def open_window(camera_id: str, manager: StreamManager) -> asyncio.Task[None] | None:
    """Show the frames of a camera in a window; None where there is no display."""
    if reason := no_display():
        logger.warning("camera %s: no window: %s", camera_id, reason)
        return None
    return asyncio.create_task(_show(camera_id, manager))


async def _show(camera_id: str, manager: StreamManager) -> None:
    window = await asyncio.to_thread(CameraWindow, camera_id)
    try:
        async with aclosing(manager.stream(camera_id).jpegs()) as frames:
            async for frame in frames:
                if not await asyncio.to_thread(window.show, frame.jpeg):
                    break
    finally:
        reason = window.close() or "no error"
        logger.warning("camera %s: the window is closed: %s", camera_id, reason)
