"""One owner thread a network: the requests of all streams, in batches.

Streams ask with ``submit`` and get a future. The owner takes whatever waits when it is free
(never waiting for more: that would buy throughput with latency), runs pictures of one size
as one batch, and answers. Only this thread touches the network.
"""

from __future__ import annotations

import queue
import threading
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.errors import DetectorError
from app.models.runtime import Network, Outputs

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Request:
    image: Image
    answer: Future[Outputs]


class Runner:
    """Args:
    network: what to run; it must not be used by anybody else.
    max_batch: most pictures in one run.
    max_waiting: beyond so many waiting requests new ones fail at once.
    """

    def __init__(self, network: Network, *, max_batch: int = 8, max_waiting: int = 256) -> None:
        self.network = network
        self._max_batch = max_batch
        self._requests: queue.Queue[_Request | None] = queue.Queue(max_waiting)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"net-{network.name}", daemon=True)
        self._thread.start()

    def submit(self, image: Image) -> Future[Outputs]:
        """Ask for one (H, W, 3) picture. The future's outputs have no batch dimension.

        Raises:
            DetectorError: when the runner is closed or too many requests wait.
        """
        if self._closed:
            raise DetectorError(network=self.network.name, reason="it was shut down")
        request = _Request(image, Future())
        try:
            self._requests.put_nowait(request)
        except queue.Full:
            raise DetectorError(network=self.network.name, reason="too many requests") from None
        return request.answer

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        if not self._closed:
            self._closed = True
            self._requests.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (first := self._requests.get()) is not None:
            waiting = [first, *self._take_waiting()]
            by_size: defaultdict[tuple[int, ...], list[_Request]] = defaultdict(list)
            for request in waiting:
                if request.answer.set_running_or_notify_cancel():
                    by_size[request.image.shape].append(request)
            for batch in by_size.values():
                self._answer(batch)

    def _take_waiting(self) -> list[_Request]:
        taken: list[_Request] = []
        while len(taken) < self._max_batch - 1:
            try:
                request = self._requests.get_nowait()
            except queue.Empty:
                break
            if request is None:  # closing: leave the word for the next turn
                self._requests.put(None)
                break
            taken.append(request)
        return taken

    def _answer(self, batch: list[_Request]) -> None:
        try:
            outputs = self.network.infer(np.stack([request.image for request in batch]))
        except Exception as error:  # noqa: BLE001  it belongs to those who asked
            for request in batch:
                failure = DetectorError(network=self.network.name, reason=type(error).__name__)
                failure.__cause__ = error
                request.answer.set_exception(failure)
            return
        for index, request in enumerate(batch):
            request.answer.set_result([output[index] for output in outputs])
