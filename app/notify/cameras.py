"""The cameras of this server, as targets see and switch them."""

from __future__ import annotations

from collections.abc import Sequence

from app.pipeline.directory import StreamDirectory
from app.types import StreamStatus


class ManagedCameras:
    """The streams of a manager."""

    def __init__(self, manager: StreamDirectory) -> None:
        self._manager = manager

    def statuses(self) -> Sequence[StreamStatus]:
        """The status of every stream."""
        return self._manager.all()

    async def switch(self, camera_id: str, *, on: bool) -> None:
        """Start or stop a camera. Raises WatchpostError."""
        await (self._manager.restart(camera_id) if on else self._manager.stop(camera_id))
