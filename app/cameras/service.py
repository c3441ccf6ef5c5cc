"""The service that scripts hold: calls from any thread, events to a thread of their own."""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - its hook must be there before ours, see _at_exit
import logging
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from app.cameras.camera_runtime import CameraRuntime
from app.cameras.config import CameraConfig
from app.config import Settings
from app.errors import CameraFailed, WatchpostError
from app.pipeline.channel import Channel, Closed
from app.pipeline.hub import LoopThread
from app.urls import scrub

logger = logging.getLogger(__name__)

EventCallback = Callable[[str, list[dict[str, Any]]], object]
CALLBACK_BACKLOG = 1000
CALLBACK_END_S = 1.0


class MultiCameraService:
    """Runs cameras in the background.

    Args:
        settings: limits and thresholds; default: the environment's, as for the server.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._callback: EventCallback | None = None
        self._happened: Channel[tuple[str, dict[str, Any]]] = Channel(CALLBACK_BACKLOG, live=True)
        self._lock = threading.Lock()
        self._studio: CameraRuntime | None = None
        self._thread: LoopThread | None = None

    def start_camera(self, cfg: CameraConfig) -> None:
        """Run a camera in the background; returns once it runs.

        One in the network that cannot be reached is tried again and again, and said in the log.

        Raises:
            CameraFailed: it cannot run as asked, or its id is taken; the message names it.
        """
        cfg.check()
        studio, thread = self._running()
        try:
            thread.call(studio.start(cfg))
        except CameraFailed:
            raise
        except WatchpostError as error:
            raise CameraFailed(camera_id=cfg.camera_id, reason=scrub(str(error))) from None

    def stop_camera(self, camera_id: str) -> None:
        """End one camera. One that does not run is no error."""
        studio, thread = self._running()
        thread.call(studio.stop(camera_id))

    def stop_all(self) -> None:
        """End all cameras, write what they found, and free everything.

        The service may be used again afterwards.
        """
        with self._lock:
            studio, thread = self._studio, self._thread
            happened, self._happened = self._happened, Channel(CALLBACK_BACKLOG, live=True)
            self._studio = self._thread = None
        if studio is not None and thread is not None:
            thread.call(studio.close())
            thread.close()
            happened.close()
            if studio.teller is not threading.current_thread():
                studio.teller.join(CALLBACK_END_S)  # a callback that hangs is left behind

    def get_latest_jpeg(self, camera_id: str) -> bytes | None:
        """The newest picture, faces covered; None before the first and after the end."""
        studio, thread = self._running()
        return thread.call(studio.jpeg(camera_id))

    def get_latest_stats(self, camera_id: str) -> dict[str, Any] | None:
        """``camera_id faces ids bags owned session_id``; None for a camera that is not there."""
        studio, thread = self._running()
        return thread.call(studio.stats(camera_id))

    def set_event_callback(self, callback: EventCallback | None) -> None:
        """``callback(camera_id, events)`` for what happens from now on, in order, in a thread
        made for it. Each event is a dictionary with at least ``type``."""
        self._callback = callback

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_all()

    def _running(self) -> tuple[CameraRuntime, LoopThread]:
        with self._lock:
            if self._studio is None or self._thread is None:
                teller = threading.Thread(
                    target=self._tell, args=[self._happened], name="camera-events", daemon=True
                )
                teller.start()
                self._thread = LoopThread("cameras")
                self._studio = CameraRuntime(self._settings, self._happened, teller)
                _at_exit(self)
            return self._studio, self._thread

    def _tell(self, happened: Channel[tuple[str, dict[str, Any]]]) -> None:
        """Events to the callback. What it does wrong harms nobody else."""
        dropped = 0
        while True:
            try:
                taken = happened.get()
            except Closed:
                return
            if happened.dropped > dropped:
                logger.warning("callback too slow: %d events lost", happened.dropped - dropped)
                dropped = happened.dropped
            if taken is None or self._callback is None:
                continue
            try:
                self._callback(taken[0], [taken[1]])
            except Exception:
                logger.exception("the event callback failed")


def _at_exit(service: MultiCameraService) -> None:
    """Have a script that just ends stop its cameras first.

    Native threads that run on while the interpreter is taken down end the process with a crash.
    ``atexit`` would come too late: helper threads can be started no more by then. The standard
    library's own pools end by the same hook; the last one that was registered runs first.
    """
    alive = weakref.ref(service)

    def stop() -> None:
        if (still := alive()) is not None:
            still.stop_all()

    getattr(threading, "_register_atexit", atexit.register)(stop)
