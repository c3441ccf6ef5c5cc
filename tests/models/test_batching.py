"""The batching runner: batches, failures and shutdown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path

import numpy as np
import pytest
from fixtures import eventually
from support.metrics import counts

from app.errors import DetectorError
from app.metric_types import HistogramSnapshot
from app.models.batching import BatchingRunner
from app.models.network import Images, Outputs

PATIENCE_S = 30.0


class Sums:
    """A network that returns the sum of each image; it can be blocked, and it can fail."""

    name = "sums"
    path = Path("sums.xml")
    device = "here"
    precision = "fp32"
    max_batch = 8

    def __init__(self, parallel: int = 1) -> None:
        self.parallel = parallel
        self.batches: list[tuple[int, ...]] = []
        self.threads: set[int] = set()
        self.started = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()
        self.fails: Callable[[Images], bool] = lambda images: False
        self.answer: Callable[[Images], Outputs] | None = None

    def infer(self, images: Images) -> Outputs:
        self.batches.append(images.shape)
        self.threads.add(threading.get_ident())
        self.started.release()
        assert self.free.wait(PATIENCE_S)
        if self.fails(images):
            raise RuntimeError("out of memory")
        if self.answer is not None:
            return self.answer(images)
        return [images.reshape(len(images), -1).sum(axis=1).astype(np.float32)]

    def hold(self, runner: BatchingRunner) -> None:
        """Block every worker with a request, so that the following ones queue up."""
        self.free.clear()
        for _ in range(self.parallel):
            runner.submit(image(0))
            assert self.started.acquire(timeout=PATIENCE_S)


def image(value: int, height: int = 4, width: int = 4) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.fixture
def network() -> Sums:
    return Sums()


@pytest.fixture
def runner(network: Sums) -> Iterator[BatchingRunner]:
    runner = BatchingRunner(network, max_batch=4, max_waiting=16)
    yield runner
    network.free.set()
    runner.close()


def test_each_request_gets_its_own_result(runner: BatchingRunner) -> None:
    answers = [runner.submit(image(value)) for value in range(12)]
    for value, answer in enumerate(answers):
        (total,) = answer.result(PATIENCE_S)
        assert total == value * 48


def test_waiting_requests_run_as_one_batch(runner: BatchingRunner, network: Sums) -> None:
    network.hold(runner)
    answers = [runner.submit(image(value)) for value in range(6)]
    network.free.set()
    for answer in answers:
        answer.result(PATIENCE_S)
    assert [shape[0] for shape in network.batches] == [1, 4, 2]


def test_images_of_different_sizes_are_different_batches(
    runner: BatchingRunner, network: Sums
) -> None:
    network.hold(runner)
    answers = [runner.submit(image(1, 4, 4 + 4 * (n % 2))) for n in range(4)]
    network.free.set()
    totals = [float(answer.result(PATIENCE_S)[0]) for answer in answers]
    assert totals == [48, 96, 48, 96]
    assert sorted(network.batches[1:]) == [(2, 4, 4, 3), (2, 4, 8, 3)]


def test_a_failure_reaches_only_the_requests_of_its_batch(
    runner: BatchingRunner, network: Sums
) -> None:
    network.fails = lambda images: images.shape[2] == 8
    network.hold(runner)
    bad = [runner.submit(image(1, 4, 8)) for _ in range(2)]
    good = [runner.submit(image(1)) for _ in range(2)]
    network.free.set()
    for answer in bad:
        failure = answer.exception(PATIENCE_S)
        assert isinstance(failure, DetectorError)
        assert failure.details == {"network": "sums", "reason": "RuntimeError"}
    for answer in good:
        assert answer.result(PATIENCE_S)
    assert runner.submit(image(2)).result(PATIENCE_S)[0] == 96


@pytest.mark.parametrize(
    "answer",
    [
        lambda images: [],
        lambda images: [np.zeros(0, np.float32)],
        lambda images: None,
        lambda images: [1.0],
    ],
)
def test_outputs_of_the_wrong_size_fail_without_stopping_the_runner(
    runner: BatchingRunner, network: Sums, answer: Callable[[Images], Outputs]
) -> None:
    network.answer = answer
    pending = runner.submit(image(1))
    try:
        outputs = pending.result(5)
        assert outputs == []
    except DetectorError:
        pass
    network.answer = None
    assert runner.submit(image(2)).result(5)[0] == 96


def test_outputs_for_too_few_images_leave_no_request_waiting(
    runner: BatchingRunner, network: Sums
) -> None:
    network.hold(runner)
    network.answer = lambda images: [np.zeros(1, np.float32)]
    answers = [runner.submit(image(value)) for value in range(4)]
    network.free.set()
    for answer in answers[1:]:
        assert isinstance(answer.exception(5), DetectorError)


def test_too_many_waiting_requests_fail_at_once(runner: BatchingRunner, network: Sums) -> None:
    network.hold(runner)
    answers = [runner.submit(image(1)) for _ in range(16)]
    with pytest.raises(DetectorError):
        runner.submit(image(1))
    network.free.set()
    for answer in answers:
        assert answer.result(PATIENCE_S)[0] == 48
    assert runner.submit(image(1)).result(PATIENCE_S)


def test_a_cancelled_request_is_not_run(runner: BatchingRunner, network: Sums) -> None:
    network.hold(runner)
    first, second, third = (runner.submit(image(value)) for value in (1, 2, 3))
    assert second.cancel()
    network.free.set()
    assert first.result(PATIENCE_S)[0] == 48
    assert third.result(PATIENCE_S)[0] == 144
    with pytest.raises(CancelledError):
        second.result(0)
    assert sum(shape[0] for shape in network.batches) == 3


def test_the_network_does_not_run_when_all_requests_were_cancelled(
    runner: BatchingRunner, network: Sums
) -> None:
    network.hold(runner)
    for answer in [runner.submit(image(1)) for _ in range(3)]:
        assert answer.cancel()
    network.free.set()
    assert runner.submit(image(2)).result(PATIENCE_S)[0] == 96
    assert sum(shape[0] for shape in network.batches) == 2


@pytest.mark.parametrize("parallel", [1, 3])
def test_close_finishes_waiting_requests_and_leaves_no_thread(parallel: int) -> None:
    before = threading.active_count()
    network = Sums(parallel)
    runner = BatchingRunner(network, max_batch=4)
    network.hold(runner)
    answers = [runner.submit(image(1)) for _ in range(20)]
    closing = threading.Thread(target=runner.close)
    closing.start()
    network.free.set()
    closing.join(PATIENCE_S)
    assert not closing.is_alive()
    assert [float(answer.result(0)[0]) for answer in answers] == [48.0] * 20
    assert threading.active_count() == before


def test_close_twice_is_harmless_and_new_requests_fail(runner: BatchingRunner) -> None:
    runner.close()
    runner.close()
    with pytest.raises(DetectorError):
        runner.submit(image(1))


def test_close_works_while_the_queue_is_full() -> None:
    network = Sums()
    runner = BatchingRunner(network, max_batch=2, max_waiting=4)
    network.hold(runner)
    answers = [runner.submit(image(1)) for _ in range(4)]
    closing = threading.Thread(target=runner.close, daemon=True)
    closing.start()
    network.free.set()
    closing.join(PATIENCE_S)
    assert not closing.is_alive()
    assert all(answer.done() for answer in answers)


def test_no_request_is_left_pending_when_close_runs_concurrently() -> None:
    for _ in range(20):
        runner = BatchingRunner(Sums(2), max_batch=4)
        answers: list[Future[Outputs]] = []
        start = threading.Barrier(3)

        def ask(
            runner: BatchingRunner = runner,
            answers: list[Future[Outputs]] = answers,
            start: threading.Barrier = start,
        ) -> None:
            start.wait(PATIENCE_S)
            try:
                for _ in range(50):
                    answers.append(runner.submit(image(1)))
            except DetectorError:
                pass

        asking = [threading.Thread(target=ask) for _ in range(2)]
        for thread in asking:
            thread.start()
        start.wait(PATIENCE_S)
        runner.close()
        for thread in asking:
            thread.join(PATIENCE_S)
        left = [answer for answer in answers if not answer.done()]
        assert left == []


@pytest.mark.parametrize("parallel", [1, 2, 4])
def test_many_concurrent_streams_get_the_right_results(parallel: int) -> None:
    network = Sums(parallel)
    runner = BatchingRunner(network, max_batch=8)
    wrong: list[int] = []

    def stream(value: int) -> None:
        for _ in range(100):
            if runner.submit(image(value)).result(PATIENCE_S)[0] != value * 48:
                wrong.append(value)

    streams = [threading.Thread(target=stream, args=(value,)) for value in range(1, 9)]
    for thread in streams:
        thread.start()
    for thread in streams:
        thread.join(PATIENCE_S)
    runner.close()
    assert wrong == []
    assert len(network.threads) <= parallel
    assert max(shape[0] for shape in network.batches) <= 8


# ── metrics ──────────────────────────────────────────────────────────────────────────────────


def test_batches_are_measured_and_images_counted(runner: BatchingRunner, network: Sums) -> None:
    network.hold(runner)
    waiting = [runner.submit(image(1)) for _ in range(3)]
    assert runner.waiting == 3
    network.free.set()
    for answer in waiting:
        answer.result(PATIENCE_S)
    assert counts(runner.metrics.outcomes) == {"answered": 4, "failed": 0}
    assert dict(HistogramSnapshot.of(runner.metrics.sizes).buckets)[float("inf")] == 2
    assert HistogramSnapshot.of(runner.metrics.sizes).total == 4
    assert HistogramSnapshot.of(runner.metrics.seconds).count == 2
    assert runner.waiting == 0


class Keeping(Sums):
    """A network that has something to free, and remembers who asked it to."""

    def __init__(self) -> None:
        super().__init__(parallel=2)
        self.freed_by: list[int] = []

    def free_unused(self) -> None:
        self.freed_by.append(threading.get_ident())


def test_every_thread_frees_what_it_keeps_while_there_are_no_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.models.batching.UNUSED_CHECK_S", 0.01)
    network = Keeping()
    runner = BatchingRunner(network)
    eventually(lambda: len(set(network.freed_by)) == 2)
    assert runner.submit(image(1)).result(PATIENCE_S)
    runner.close()


def test_trouble_is_reported_until_the_next_success(runner: BatchingRunner, network: Sums) -> None:
    assert runner.trouble is None
    network.fails = lambda images: True
    assert runner.submit(image(1)).exception(PATIENCE_S)
    assert runner.trouble == "RuntimeError"
    assert counts(runner.metrics.outcomes) == {"answered": 0, "failed": 1}
    network.fails = lambda images: False
    runner.submit(image(1)).result(PATIENCE_S)
    assert runner.trouble is None
    runner.close()
    assert runner.trouble == "it was shut down"
