"""Counters and rates."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from app import pace
from app.pipeline import stream_metrics
from app.pipeline.stream_metrics import RECENT_S, RateCounter, StreamMetrics


class Clock:
    """``time`` as the meter sees it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + 1.7e9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (stream_metrics, pace):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.mark.parametrize("fps", [1, 12.5, 15, 60])
@pytest.mark.parametrize("seconds", [2, 5, 60])
def test_a_steady_rate_is_measured_from_the_first_seconds_on(fps: float, seconds: float) -> None:
    rate = RateCounter()
    for number in range(int(fps * seconds) + 1):
        rate.add(100 + number / fps)
    assert rate.per_second(100 + seconds) == pytest.approx(fps, rel=0.02)


def test_the_rate_of_nothing_is_zero() -> None:
    rate = RateCounter()
    assert rate.per_second(5) == 0
    rate.add(5)
    assert rate.per_second(5) == 0


def test_after_five_seconds_of_silence_the_rate_is_zero() -> None:
    rate = RateCounter()
    for number in range(100):
        rate.add(100 + number / 15)
    assert rate.per_second(100 + 100 / 15 + 5.1) == 0


def test_a_rate_falls_while_nothing_comes() -> None:
    rate = RateCounter()
    for number in range(76):
        rate.add(100 + number / 15)
    assert rate.per_second(107.5) == pytest.approx(7.5, rel=0.1)


def test_a_fresh_meter_knows_nothing(clock: Clock) -> None:
    stats = StreamMetrics().stats(dropped=0, codec=None, followed={})
    assert stats.last_frame_ts is None
    assert (stats.latency_p50_ms, stats.latency_p95_ms) == (None, None)
    assert (stats.width, stats.height, stats.codec, stats.last_error) == (None,) * 4
    assert (stats.frames_in, stats.output_fps, stats.uptime_s) == (0, 0, 0)


def test_everything_is_counted(clock: Clock) -> None:
    counted = StreamMetrics()
    for _ in range(75):
        clock.now += 1 / 15
        counted.frame_in()
        counted.seen(3, (640, 360))
        counted.delivered(clock.now - 0.1, clock.now)
    counted.withheld()
    counted.error("first")
    counted.error("second")
    counted.reconnect()
    stats = counted.stats(dropped=4, codec="h264", followed={})
    assert (stats.frames_in, stats.frames_published, stats.frames_dropped) == (75, 75, 4)
    assert (stats.frames_withheld, stats.error_count, stats.reconnects) == (1, 2, 1)
    assert (stats.last_error, stats.faces, stats.codec) == ("second", 3, "h264")
    assert (stats.width, stats.height) == (640, 360)
    assert stats.output_fps == pytest.approx(15, rel=0.03)
    assert stats.input_fps == pytest.approx(15, rel=0.03)
    assert stats.last_frame_ts == pytest.approx(clock.time() - 0.1)
    assert (stats.latency_p50_ms, stats.latency_p95_ms) == (100.0, 100.0)
    assert stats.uptime_s == 5.0


def test_an_error_is_forgotten_a_minute_after_all_is_well_again(clock: Clock) -> None:
    counted = StreamMetrics()
    counted.error("refused")
    clock.now += 3600
    assert counted.last_error == "refused", "it lasts"
    counted.recovered()
    clock.now += RECENT_S - 1
    counted.recovered()
    assert counted.last_error == "refused", "who looks a little later still learns why"
    clock.now += 1
    assert counted.last_error is None
    stats = counted.stats(dropped=0, codec=None, followed={})
    assert (stats.last_error, stats.error_count) == (None, 1)
    counted.error("stalled")
    assert counted.last_error == "stalled"


def test_percentiles_are_of_the_newest_latencies(clock: Clock) -> None:
    counted = StreamMetrics()
    for number in range(1, 101):
        counted.delivered(clock.now - number / 1000, clock.now)
    stats = counted.stats(dropped=0, codec=None, followed={})
    assert stats.latency_p50_ms == pytest.approx(50, abs=1.5)
    assert stats.latency_p95_ms == pytest.approx(95, abs=1.5)
    for _ in range(1000):
        counted.delivered(clock.now - 0.005, clock.now)
    assert counted.stats(dropped=0, codec=None, followed={}).latency_p95_ms == pytest.approx(5)


def test_many_threads_lose_no_count() -> None:
    counted = StreamMetrics()

    def work() -> None:
        for _ in range(2000):
            counted.frame_in()
            counted.withheld()
            counted.stats(dropped=0, codec=None, followed={}) if _ % 200 == 0 else None

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(work) for _ in range(4)]:
            future.result(30)
    stats = counted.stats(dropped=0, codec=None, followed={})
    assert (stats.frames_in, stats.frames_withheld) == (8000, 8000)
