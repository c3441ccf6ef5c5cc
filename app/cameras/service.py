"""The class that scripts use, from any thread; its callbacks run in a background thread."""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - registers its hook before ours, see _at_exit
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
    """Runs cameras in the background; every method may be called from any thread.

    Args:
        settings: limits and thresholds; default: from the environment, as for the server.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._callback: EventCallback | None = None
        self._events: Channel[tuple[str, dict[str, Any]]] = Channel(CALLBACK_BACKLOG, live=True)
        self._lock = threading.Lock()
        self._runtime: CameraRuntime | None = None
        self._thread: LoopThread | None = None

    def start_camera(self, cfg: CameraConfig) -> None:
        """Start a camera in the background; returns once it runs.

        A network camera that cannot be reached is retried, and the failure is logged.

        Raises:
            CameraFailed: it cannot run with this configuration, or its id is in use. The message
                contains the id.
        """
        cfg.check()
        runtime, thread = self._running()
        try:
            thread.call(runtime.start(cfg))
        except CameraFailed:
            raise
        except WatchpostError as error:
            raise CameraFailed(camera_id=cfg.camera_id, reason=scrub(str(error))) from None

    def stop_camera(self, camera_id: str) -> None:
        """Stop one camera; does nothing if it is not running."""
        runtime, thread = self._running()
        thread.call(runtime.stop(camera_id))

    def stop_all(self) -> None:
        """Stop all cameras, store their last events, and release all resources.

        The service may be used again afterwards.
        """
        with self._lock:
            runtime, thread = self._runtime, self._thread
            events, self._events = self._events, Channel(CALLBACK_BACKLOG, live=True)
            self._runtime = self._thread = None
        if runtime is not None and thread is not None:
            try:
                thread.call(runtime.close())
            finally:
                thread.close()
                events.close()
            if runtime.callback_thread is not threading.current_thread():
                runtime.callback_thread.join(CALLBACK_END_S)  # do not wait for a hanging callback

    def get_latest_jpeg(self, camera_id: str) -> bytes | None:
        """The newest blurred frame as JPEG; None before the first and after the end."""
        runtime, thread = self._running()
        return thread.call(runtime.jpeg(camera_id))

    def get_latest_stats(self, camera_id: str) -> dict[str, Any] | None:
        """A camera's statistics; None if it is not running.

        The keys are ``camera_id``, ``faces``, ``ids``, ``bags``, ``owned`` and ``session_id``.
        """
        runtime, thread = self._running()
        return thread.call(runtime.stats(camera_id))

    def set_event_callback(self, callback: EventCallback | None) -> None:
        """Call ``callback(camera_id, events)`` for each event from now on, in order.

        It runs in a background thread. Each event is a dictionary with at least ``type``.
        """
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
            if self._runtime is None or self._thread is None:
                callback_thread = threading.Thread(
                    target=self._run_callbacks,
                    args=[self._events],
                    name="camera-events",
                    daemon=True,
                )
                callback_thread.start()
                self._thread = LoopThread("cameras")
                self._runtime = CameraRuntime(self._settings, self._events, callback_thread)
                _at_exit(self)
            return self._runtime, self._thread

    def _run_callbacks(self, events: Channel[tuple[str, dict[str, Any]]]) -> None:
        """Pass events to the callback until the channel is closed; its errors are logged."""
        dropped = 0
        while True:
            try:
                item = events.get()
            except Closed:
                return
            if events.dropped > dropped:
                logger.warning("callback too slow: %d events lost", events.dropped - dropped)
                dropped = events.dropped
            if item is None or self._callback is None:
                continue
            camera_id, event = item
            try:
                self._callback(camera_id, [event])
            except Exception:
                logger.exception("the event callback failed")


def _at_exit(service: MultiCameraService) -> None:
    """Stop the cameras of a script that exits without stopping them.

    Native threads that still run while the interpreter shuts down crash the process. ``atexit``
    is too late, since no thread can be started by then. The standard library's thread pools use the
    same hook; the hook that was registered last runs first.
    """
    reference = weakref.ref(service)

    def stop() -> None:
        if (alive := reference()) is not None:
            alive.stop_all()

    getattr(threading, "_register_atexit", atexit.register)(stop)
