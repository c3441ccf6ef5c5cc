"""Back-off, frame rates and clocks."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from app import pace
from app.pace import Backoff, RateLimit


def test_waits_double_from_the_first_to_the_last_with_jitter() -> None:
    backoff = Backoff(0.5, 30)
    waits = [backoff.next() for _ in range(20)]
    expected = 0.5
    for wait in waits:
        assert 0.75 * expected <= wait <= min(30, 1.25 * expected)
        expected = min(30, 2 * expected)


def test_the_longest_wait_has_jitter_too() -> None:
    """Many streams of a server that was away for hours do not reconnect at the same moment."""
    waits = []
    for _ in range(200):
        backoff = Backoff(0.5, 30)
        waits.append([backoff.next() for _ in range(12)][-1])
    assert max(waits.count(wait) for wait in waits) < 20


def test_waits_never_exceed_the_last_and_never_vanish() -> None:
    for _ in range(50):
        backoff = Backoff(0.5, 30)
        waits = [backoff.next() for _ in range(100)]
        assert min(waits) > 0.3
        assert max(waits) <= 30


def test_after_a_reset_it_begins_anew() -> None:
    backoff = Backoff(0.5, 30)
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 0.625


def taken(limit: RateLimit, times: list[float]) -> list[float]:
    return [time for time in times if limit.take(time)]


def clock(fps: float, seconds: float, jitter: float = 0.0, start: float = 1000.0) -> list[float]:
    """Arrival times at a rate; jitter is a share of the interval."""
    rng = random.Random(7)
    return sorted(
        start + (n + rng.uniform(-jitter, jitter)) / fps for n in range(int(fps * seconds))
    )


@pytest.mark.parametrize(
    ("input_fps", "max_fps", "expected"),
    [(25, 15, 15), (30, 15, 15), (15, 15, 15), (12, 15, 12), (60, 15, 15), (25, 1, 1), (25, 60, 25),
     (29.97, 15, 15), (5, 7, 5), (50, 24, 24)],
)  # fmt: skip
@pytest.mark.parametrize("jitter", [0.0, 0.2])
def test_the_rate_is_the_smaller_of_input_and_ceiling(
    input_fps: float, max_fps: float, expected: float, jitter: float
) -> None:
    times = taken(RateLimit(max_fps), clock(input_fps, 60, jitter))
    assert len(times) / 60 == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("jitter", [0.0, 0.1, 0.2])
def test_at_exactly_the_ceiling_jitter_costs_no_frame(jitter: float) -> None:
    times = clock(15, 20, jitter)
    assert len(taken(RateLimit(15), times)) >= len(times) - 1


def test_of_twice_the_rate_exactly_every_second_frame_is_taken() -> None:
    times = clock(30, 20)
    assert taken(RateLimit(15), times) == times[::2]


def test_frames_are_evenly_spread() -> None:
    times = taken(RateLimit(15), clock(25, 20))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) > 0.5 / 15
    assert max(gaps) < 2 / 15


@pytest.mark.parametrize("input_fps", [16, 20, 25, 30, 50, 100])
def test_no_second_holds_many_more_than_the_ceiling(input_fps: float) -> None:
    """Also after a slow stretch, which leaves the schedule behind."""
    times = clock(12, 10) + clock(input_fps, 10, start=1010.0)
    chosen = taken(RateLimit(15), times)
    for start in range(1000, 1019):
        assert sum(start <= time < start + 1 for time in chosen) <= 15 + 5


@pytest.mark.parametrize("jump", [-5000.0, -3.0, 3.0, 5000.0])
def test_a_clock_that_jumps_stops_nothing(jump: float) -> None:
    before = clock(15, 5)
    after = [time + jump + 5 for time in clock(15, 5)]
    limit = RateLimit(15)
    taken(limit, before)
    assert len(taken(limit, after)) >= len(after) - 5


@pytest.mark.skipif(not hasattr(pace, "MediaClock"), reason="frames carry their arrival time")
class TestMediaClock:
    def test_the_spacing_of_the_sender_survives_jitter_of_the_network(self) -> None:
        rng = random.Random(3)
        media_clock = pace.MediaClock()
        captured = []
        for number in range(500):
            sent = number / 25
            arrived = 2000.0 + sent + rng.uniform(0.01, 0.06)
            captured.append(media_clock.captured_at(sent, arrived))
        gaps = [b - a for a, b in pairwise(captured[100:])]
        assert max(gaps) - min(gaps) < 0.01

    def test_a_frame_is_never_captured_after_it_arrived(self) -> None:
        rng = random.Random(4)
        media_clock = pace.MediaClock()
        for number in range(500):
            arrived = 2000.0 + number / 25 + rng.uniform(0, 0.2)
            assert media_clock.captured_at(number / 25, arrived) <= arrived + 1e-9

    def test_without_a_media_time_the_arrival_counts(self) -> None:
        assert pace.MediaClock().captured_at(None, 12.5) == 12.5

    @pytest.mark.parametrize("jump", [-1000.0, 1000.0])
    def test_a_sender_whose_clock_jumps_is_followed(self, jump: float) -> None:
        media_clock = pace.MediaClock()
        media_clock.captured_at(10.0, 2000.0)
        assert media_clock.captured_at(10.04 + jump, 2000.04) == pytest.approx(2000.04)
