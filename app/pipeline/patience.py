"""How long frames wait for networks: live ones for a moment, those of a file until the answer.

A file waits by nature. What a slow machine, or a network that is still being compiled, would cost
a live stream must not cost a file a frame: only a look that fails does.
"""

from __future__ import annotations

import threading

from app.analytics.face_scanner import FaceScanner, Image, PendingFaces
from app.errors import DetectorError
from app.models.batching import OVERLOADED
from app.pipeline.channel import Closed

CHECK_S = 0.5
RETRY_S = 0.05


class Patience:
    """The patience of one stream.

    Args:
        live: the source does not wait.
        stopping: set once the stream is to end.
    """

    def __init__(self, live: bool, stopping: threading.Event) -> None:
        self._live = live
        self._stopping = stopping

    def submit(self, scanner: FaceScanner, image: Image, at: float) -> PendingFaces:
        """Ask for the faces of a picture; a file asks again while the network has too much to do.

        Raises:
            DetectorError: the network cannot be asked.
            Closed: the stream ends.
        """
        while True:
            try:
                return scanner.submit(image, at)
            except DetectorError as error:
                if self._live or error.details.get("reason") != OVERLOADED:
                    raise
            if self._stopping.wait(RETRY_S):
                raise Closed

    def wait(self, faces: PendingFaces) -> None:
        """Wait for the answer to a look at a file's frame, however long it takes.

        Raises:
            Closed: the stream ends.
        """
        while not self._live and not faces.is_answered(CHECK_S):
            if self._stopping.is_set():
                raise Closed
