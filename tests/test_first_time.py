"""What is said once is said once, also when all streams lose the same device at the same time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.first_time import FirstTime
from app.models import devices
from app.pipeline.sinks import encode
from app.pipeline.sources import hardware

THREADS = 8


class SlowLog(logging.Handler):
    """Takes its time, as a disk or a terminal does; meanwhile other threads run."""

    def emit(self, record: logging.LogRecord) -> None:
        time.sleep(0.05)


@pytest.fixture
def slow_log() -> Iterator[None]:
    handler = SlowLog()
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)


def test_only_the_first_call_with_a_value_is_true() -> None:
    is_new = FirstTime()
    assert [is_new("a"), is_new("b"), is_new("a")] == [True, True, False]
    assert "a" in is_new
    assert "c" not in is_new


@pytest.mark.usefixtures("slow_log")
@pytest.mark.parametrize(
    "say",
    [
        lambda name: devices.refuse(devices.DEVICES[0]._replace(name=name), "it is lost"),
        lambda name: hardware._report(name, "it is lost"),
        lambda name: encode._report_failure(name, "it is lost"),
    ],
    ids=["networks", "decoder", "encoder"],
)
def test_threads_that_fail_at_the_same_time_give_one_warning(
    say: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(devices, "_refused", FirstTime())
    for module in (hardware, encode):
        monkeypatch.setattr(module, "_is_new", FirstTime())
    barrier = threading.Barrier(THREADS)

    def fail(_: int) -> None:
        barrier.wait()
        say("cuda")

    with ThreadPoolExecutor(THREADS) as pool, caplog.at_level("WARNING"):
        list(pool.map(fail, range(THREADS)))
    assert len(caplog.messages) == 1
