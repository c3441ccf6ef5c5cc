"""How long frames wait for the networks: live ones briefly, those of a file until the answer.

On a slow machine, or while a network is still being compiled, a live stream loses frames. A file
can wait, so it loses a frame only when inference fails. While live streams have to give something
up, its frames go to the network one at a time, as theirs do, instead of some ahead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from app.analytics.face_scanner import FaceScanner, PendingFaces
from app.analytics.motion import NetworkImage
from app.errors import DetectorError
from app.models.batching import OVERLOADED
from app.pipeline.channel import Closed

CHECK_S = 0.5
RETRY_S = 0.05


class Patience:
    """Waits for the networks on behalf of one stream.

    Args:
        live: the source cannot wait.
        stopping: set when the stream is about to end.
        gives_way: whether a file has to leave room for live streams now.
    """

    def __init__(
        self, live: bool, stopping: threading.Event, gives_way: Callable[[], bool] = lambda: False
    ) -> None:
        self._live = live
        self._stopping = stopping
        self._gives_way = gives_way
        self._last: PendingFaces | None = None

    def submit(
        self, scanner: FaceScanner, image: NetworkImage, at: float, *, gap_s: float
    ) -> PendingFaces:
        """Start inference for the faces of an image; a file retries while that is overloaded.

        Args:
            gap_s: as for ``FaceScanner.submit``.

        Raises:
            DetectorError: inference could not be started.
            Closed: the stream ends.
        """
        if self._last is not None and not self._live:
            self._wait_while(self._last, self._gives_way)
        while True:
            try:
                self._last = scanner.submit(image, at, gap_s=gap_s)
                return self._last
            except DetectorError as error:
                if self._live or error.details.get("reason") != OVERLOADED:
                    raise
            if self._stopping.wait(RETRY_S):
                raise Closed

    def wait(self, faces: PendingFaces) -> None:
        """Wait until inference on a frame of a file is done, however long it takes.

        Raises:
            Closed: the stream ends.
        """
        if not self._live:
            self._wait_while(faces, lambda: True)

    def _wait_while(self, faces: PendingFaces, condition: Callable[[], bool]) -> None:
        while condition() and not faces.is_answered(CHECK_S):
            if self._stopping.is_set():
                raise Closed
