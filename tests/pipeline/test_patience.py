"""How a file waits for the face network, also behind live streams on a busy machine."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from support.doubles import PATIENCE_S, FaceNetwork

from app.analytics.face_scanner import FaceScanner, PendingFaces
from app.analytics.motion import ArrayImage
from app.config import FaceSettings
from app.models.faces import FaceDetector
from app.pipeline.channel import Closed
from app.pipeline.patience import Patience

IMAGE = ArrayImage(np.zeros((192, 320, 3), np.uint8))
SOON_S = 0.1


class File:
    """A file whose first frame is with the network, which does not answer yet."""

    def __init__(self, network: FaceNetwork, faces: FaceDetector, *, live: bool = False) -> None:
        self.gives_way = True
        self.stopping = threading.Event()
        self._patience = Patience(live, self.stopping, lambda: self.gives_way)
        self._scanner = FaceScanner(faces, FaceSettings(recheck_s=0))
        self.submitted: list[PendingFaces] = []
        self.closed = False
        network.answering.clear()
        self._submit()
        self.next = threading.Thread(target=self._submit, daemon=True)

    def _submit(self) -> None:
        try:
            at = float(len(self.submitted))
            self.submitted.append(self._patience.submit(self._scanner, IMAGE, at, gap_s=0.0))
        except Closed:
            self.closed = True

    def submit_next(self, within_s: float) -> int:
        """Submit another frame; returns how many the network has after that time."""
        self.next.start()
        self.next.join(within_s)
        return len(self.submitted)


def test_some_frames_of_a_file_are_asked_for_ahead(
    network: FaceNetwork, faces: FaceDetector
) -> None:
    file = File(network, faces)
    file.gives_way = False
    assert file.submit_next(PATIENCE_S) == 2
    network.answering.set()


def test_while_live_streams_give_something_up_one_frame_of_a_file_is(
    network: FaceNetwork, faces: FaceDetector
) -> None:
    file = File(network, faces)
    assert file.submit_next(SOON_S) == 1
    network.answering.set()
    file.next.join(PATIENCE_S)
    assert len(file.submitted) == 2


def test_a_live_stream_does_not_wait(network: FaceNetwork, faces: FaceDetector) -> None:
    assert File(network, faces, live=True).submit_next(PATIENCE_S) == 2
    network.answering.set()


@pytest.mark.parametrize("end", ["the machine has room again", "the stream ends"])
def test_the_wait_ends_with(end: str, network: FaceNetwork, faces: FaceDetector) -> None:
    file = File(network, faces)
    assert file.submit_next(SOON_S) == 1
    if end == "the stream ends":
        file.stopping.set()
    else:
        file.gives_way = False
    file.next.join(PATIENCE_S)
    assert not file.next.is_alive()
    assert file.closed == (end == "the stream ends")
    network.answering.set()
