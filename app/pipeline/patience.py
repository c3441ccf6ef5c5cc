"""How long frames wait for the networks: live ones briefly, those of a file until the answer.

On a slow machine, or while a network is still being compiled, a live stream loses frames. A file
can wait, so it loses a frame only when inference fails.
"""

from __future__ import annotations

import threading

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
    """

    def __init__(self, live: bool, stopping: threading.Event) -> None:
        self._live = live
        self._stopping = stopping

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
        while True:
            try:
                return scanner.submit(image, at, gap_s=gap_s)
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
        while not self._live and not faces.is_answered(CHECK_S):
            if self._stopping.is_set():
                raise Closed
