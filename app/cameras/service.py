"""The class that scripts use: calls from any thread, events in a thread of their own."""

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
    """Runs cameras in the background; every method may be called from every thread.

    Args:
        settings: limits and thresholds; default: the environment's, as for the server.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._callback: EventCallback | None = None
        self._events: Channel[tuple[str, dict[str, Any]]] = Channel(CALLBACK_BACKLOG, live=True)
        self._lock = threading.Lock()
        self._runtime: CameraRuntime | None = None
        self._thread: LoopThread | None = None

    def start_camera(self, cfg: CameraConfig) -> None:
        """Run a camera in the background; returns once it runs.

        A network camera that cannot be reached is retried, and the failure is logged.

        Raises:
            CameraFailed: it cannot run with this configuration, or its id is in use; the message
                names the camera.
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
        """Stop one camera. It is no error if it does not run."""
        runtime, thread = self._running()
        thread.call(runtime.stop(camera_id))

    def stop_all(self) -> None:
        """Stop all cameras, write their last events, and free everything.

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
                runtime.callback_thread.join(CALLBACK_END_S)  # a callback that hangs is left behind

    def get_latest_jpeg(self, camera_id: str) -> bytes | None:
        """The newest frame, faces blurred; None before the first and after the end."""
        runtime, thread = self._running()
        return thread.call(runtime.jpeg(camera_id))

    def get_latest_stats(self, camera_id: str) -> dict[str, Any] | None:
        """``camera_id faces ids bags owned session_id``; None for a camera that does not run."""
        runtime, thread = self._running()
        return thread.call(runtime.stats(camera_id))

    def set_event_callback(self, callback: EventCallback | None) -> None:
        """Call ``callback(camera_id, events)`` for each event from now on, in order.

        It runs in a thread of its own. Each event is a dictionary with at least ``type``.
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
        """Pass events to the callback until there are no more; its errors are logged."""
        dropped = 0
        while True:
            try:
                taken = events.get()
            except Closed:
                return
            if events.dropped > dropped:
                logger.warning("callback too slow: %d events lost", events.dropped - dropped)
                dropped = events.dropped
            if taken is None or self._callback is None:
                continue
            try:
                self._callback(taken[0], [taken[1]])
            except Exception:
                logger.exception("the event callback failed")


def _at_exit(service: MultiCameraService) -> None:
    """Stop the cameras of a script that exits without doing so.

    Native threads that still run while the interpreter shuts down crash the process. ``atexit``
    is too late: no helper thread can be started by then. The thread pools of the standard library
    end by the same hook; the hook that was registered last runs first.
    """
    alive = weakref.ref(service)

    def stop() -> None:
        if (still := alive()) is not None:
            still.stop_all()

    getattr(threading, "_register_atexit", atexit.register)(stop)
