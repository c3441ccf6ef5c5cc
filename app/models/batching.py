"""Batched inference: worker threads that serve one network to all streams.

Streams call ``submit`` and get a future. An idle worker takes its share of the waiting requests
(it never waits for more, which would trade latency for throughput), runs images of the same size,
for the same part of the network, as one batch and sets the results. Nothing else calls the network.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.errors import DetectorError
from app.metric_types import counter, histogram
from app.models.network import FreesMemory, Network, Outputs

Image = npt.NDArray[np.uint8]
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
BATCHES = (1, 2, 4, 8, 16, 32)
OVERLOADED = "too many requests"
UNUSED_CHECK_S = 30.0


@dataclass(frozen=True, slots=True)
class _Request:
    network: Network
    image: Image
    answer: Future[Outputs]


class RunnerMetrics:
    """Metrics of a runner.

    Attributes:
        seconds: the duration of each batch.
        sizes: the number of images in each batch.
        outcomes: images by their outcome, ``answered`` or ``failed``.
    """

    def __init__(self) -> None:
        self.seconds = histogram("network_batch_seconds", "Duration of a batch.", SECONDS)
        self.sizes = histogram("network_batch_size", "Images in a batch.", BATCHES)
        about = "Images that a network processed."
        self.outcomes = counter("network_pictures", about, outcome=("answered", "failed"))
        self.answered = self.outcomes.labels("answered")
        self.failed = self.outcomes.labels("failed")


class BatchingRunner:
    """Runs the requests of all streams through one network, in batches.

    Args:
        network: the network to run; ``network.parallel`` worker threads share it.
        max_batch: largest batch; ``network.max_batch`` if None.
        max_waiting: with this many requests waiting, new ones fail at once.

    Attributes:
        metrics: its counters and histograms.
    """

    def __init__(
        self, network: Network, *, max_batch: int | None = None, max_waiting: int = 256
    ) -> None:
        self.network = network
        self._max_batch = max_batch or network.max_batch
        self._requests: queue.Queue[_Request | None] = queue.Queue(max_waiting)
        self._closed = False
        self._last_failure: str | None = None
        self.metrics = RunnerMetrics()
        self._workers = [
            threading.Thread(target=self._serve, name=f"{network.name}-{number}", daemon=True)
            for number in range(network.parallel)
        ]
        for worker in self._workers:
            worker.start()

    def submit(self, image: Image, part: Network | None = None) -> Future[Outputs]:
        """Request inference on one (H, W, 3) image. The outputs have no batch dimension.

        Args:
            part: the part of the network to run; None for the whole.

        Raises:
            DetectorError: when the runner is closed or too many requests wait.
        """
        if self._closed:
            raise DetectorError(network=self.network.name, reason="it was shut down")
        request = _Request(part or self.network, image, Future())
        try:
            self._requests.put_nowait(request)
        except queue.Full:
            raise DetectorError(network=self.network.name, reason=OVERLOADED) from None
        return request.answer

    @property
    def waiting(self) -> int:
        """Number of requests that no worker has taken yet."""
        return self._requests.qsize()

    @property
    def trouble(self) -> str | None:
        """Why it returns no results; None while it works."""
        if self._closed:
            return "it was shut down"
        if not any(worker.is_alive() for worker in self._workers):
            return "its threads have ended"
        return self._last_failure

    def close(self) -> None:
        """Finish the waiting requests, then end the threads."""
        self._closed = True
        for _ in self._workers:
            self._requests.put(None)
        for worker in self._workers:
            worker.join()

    def _serve(self) -> None:
        while (first := self._next()) is not None:
            alike: defaultdict[tuple[object, ...], list[_Request]] = defaultdict(list)
            for request in [first, *self._take_share()]:
                if request.answer.set_running_or_notify_cancel():
                    alike[id(request.network), request.image.shape].append(request)
            for batch in alike.values():
                self._answer(batch)

    def _next(self) -> _Request | None:
        """Wait for the next request; None when the runner is closed."""
        while True:
            try:
                return self._requests.get(timeout=UNUSED_CHECK_S)
            except queue.Empty:
                if isinstance(self.network, FreesMemory):
                    self.network.free_unused()

    def _take_share(self) -> list[_Request]:
        """Take an equal share of the waiting requests and leave the rest to other workers."""
        share = min(self._requests.qsize() // len(self._workers), self._max_batch - 1)
        taken: list[_Request] = []
        while len(taken) < share:
            try:
                request = self._requests.get_nowait()
            except queue.Empty:
                break
            if request is None:  # closing: put the end marker back for the next iteration
                self._requests.put(None)
                break
            taken.append(request)
        return taken

    def _answer(self, batch: list[_Request]) -> None:
        began_at = time.monotonic()
        try:
            outputs = batch[0].network.infer(np.stack([request.image for request in batch]))
            answers = [[output[index] for output in outputs] for index in range(len(batch))]
        except Exception as error:  # noqa: BLE001  passed on to the callers
            self.metrics.failed.inc(len(batch))
            self._last_failure = type(error).__name__
            for request in batch:
                failure = DetectorError(network=self.network.name, reason=type(error).__name__)
                failure.__cause__ = error
                request.answer.set_exception(failure)
            return
        self._last_failure = None
        self.metrics.seconds.observe(time.monotonic() - began_at)
        self.metrics.sizes.observe(len(batch))
        self.metrics.answered.inc(len(batch))
        for request, answer in zip(batch, answers, strict=True):
            request.answer.set_result(answer)
